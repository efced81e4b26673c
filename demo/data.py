"""Training data, rendered anew from a seed that no shipped picture uses."""

import numpy as np

import generate
import glue

TRAINING_SEED = 1000


def pictures(count, seed=TRAINING_SEED):
    """`count` pictures, one in eight without a hand."""
    rng = np.random.default_rng(seed)
    return [generate.render(rng, hand=index % 8 != 7)[0] for index in range(count)]


def finder_data(items):
    """Letterboxed uint8 images and [hand there, cx, cy, size, sin, cos]."""
    images = letterboxed(items)
    scale, left, top = glue.placing(generate.WIDTH, generate.HEIGHT)
    labels = np.zeros((len(items), 6), np.float32)
    for item, label in zip(items, labels):
        if item.gesture >= 0:
            center = (item.center * scale + [left, top]) / glue.FINDER_SIDE
            size = item.size * scale / glue.FINDER_SIDE
            label[:] = [1, *center, size, np.sin(item.angle), np.cos(item.angle)]
    return images, labels


def letterboxed(items):
    squares = [glue.letterbox(item.pixels[None])[0] for item in items]
    return np.stack([np.rint(square * 255).astype(np.uint8) for square in squares])


def crop_data(items, per_picture, seed=TRAINING_SEED):
    """uint8 crops, off by as much as the finder may be, and [hand there, 21 × (x, y)]."""
    rng = np.random.default_rng(seed)
    crops, labels = [], []
    for item in items:
        for _ in range(per_picture):
            center = item.center + rng.normal(0, 0.07, 2) * item.size
            side = item.size * glue.MARGIN * np.exp(rng.normal(0, 0.09))
            angle = item.angle + rng.normal(0, 0.16)
            pixels = glue.crop(item.pixels, center, side, angle)
            points = glue.to_crop(item.landmarks, center, side, angle).ravel()
            crops.append(np.rint(pixels * 255).astype(np.uint8))
            labels.append([float(item.gesture >= 0), *points])
    return np.stack(crops), np.array(labels, np.float32)


def mirror_finder(images, labels):
    """Mirrored images and labels, beside the originals."""
    mirrored = labels * np.array([1, -1, 1, 1, -1, 1], np.float32)
    mirrored[:, 1] += labels[:, 0]
    return np.concatenate([images, images[:, :, ::-1]]), np.concatenate([labels, mirrored])


def gesture_data(count, seed=TRAINING_SEED):
    """Normalized landmarks [count, 42], as inexact as the landmark network's, and classes."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(len(generate.NAMES), size=count)
    poses = np.stack([generate.pose(rng, label) for label in classes])
    poses[:, :, 0] *= rng.choice([-1, 1], (count, 1))
    turn = rng.normal(0, 0.15, count)
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    x, y = poses[..., 0], poses[..., 1]
    poses = np.stack([x * cos - y * sin, x * sin + y * cos], -1)
    poses += rng.normal(0, 1, poses.shape) * rng.uniform(0.0, 0.04, (count, 1, 1))
    return glue.normalize_points(poses).reshape(count, 42), classes
