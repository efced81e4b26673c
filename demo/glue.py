"""What happens between the stages, as the engine does it (engine/src/vision)."""

import numpy as np

FINDER_SIDE = 96
CROP_SIDE = 64
# The crop's side in sizes of the hand.
MARGIN = 1.35
MIN_PRESENCE = 0.5


def area_weights(source, destination):
    """[destination, source]: the mean of the interval that each destination sample covers (OpenCV's INTER_AREA)."""
    step = source / destination
    begin = np.arange(destination)[:, None] * step
    index = np.arange(source)[None, :]
    covered = np.minimum(begin + step, index + 1) - np.maximum(begin, index)
    covered = np.maximum(covered, 0)
    return (covered / covered.sum(1, keepdims=True)).astype(np.float32)


def placing(width, height, side=FINDER_SIDE):
    """Scale, left and top of an image in its letterboxed square."""
    scale = side / max(width, height)
    return scale, (side - round(width * scale)) // 2, (side - round(height * scale)) // 2


def letterbox(images, side=FINDER_SIDE):
    """[n, side, side, 3] in 0..1 from uint8 images [n, height, width, 3] that are not smaller; zeros around them."""
    count, height, width, _ = images.shape
    scale, left, top = placing(width, height, side)
    rows = area_weights(height, round(height * scale))
    columns = area_weights(width, round(width * scale))
    square = np.zeros((count, side, side, 3), np.float32)
    for image, into in zip(images, square):
        small = np.tensordot(rows, image.astype(np.float32), (1, 0))
        small = np.tensordot(columns, small, (1, 1)).transpose(1, 0, 2)
        into[top : top + len(rows), left : left + len(columns)] = np.rint(small) / 255
    return square


def crop(image, center, side, angle, size=CROP_SIDE):
    """[size, size, 3] in 0..1: a turned square of a uint8 image, bilinear, the border continued."""
    height, width, _ = image.shape
    steps = (np.arange(size) - size / 2) * (side / size)
    right, down = steps[None, :], steps[:, None]
    x = np.clip(center[0] + right * np.cos(angle) - down * np.sin(angle), 0, width - 1)
    y = np.clip(center[1] + right * np.sin(angle) + down * np.cos(angle), 0, height - 1)
    x0, y0 = x.astype(int), y.astype(int)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    fx, fy = (x - x0)[..., None].astype(np.float32), (y - y0)[..., None].astype(np.float32)
    pixels = image.astype(np.float32)
    above = pixels[y0, x0] + fx * (pixels[y0, x1] - pixels[y0, x0])
    below = pixels[y1, x0] + fx * (pixels[y1, x1] - pixels[y1, x0])
    return np.rint(above + fy * (below - above)) / 255


def to_crop(points, center, side, angle):
    """Image pixels [..., 2] as shares of the sides of a turned square."""
    x, y = np.moveaxis(points - center, -1, 0)
    turned = np.stack([x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)], -1)
    return turned / side + 0.5


def normalize_points(points):
    """Points [..., k, 2] about the middle of their bounding box, divided by its longer side."""
    least, most = points.min(-2, keepdims=True), points.max(-2, keepdims=True)
    return ((points - (least + most) / 2) / (most - least).max(-1, keepdims=True)).astype(np.float32)


def decode_finder(raw, width, height):
    """Centre, side of the crop and angle, in image pixels, from the finder's output; None: no hand."""
    if 1 / (1 + np.exp(-raw[0])) < MIN_PRESENCE or raw[3] <= 0:
        return None
    scale, left, top = placing(width, height)
    center = (raw[1:3] * FINDER_SIDE - [left, top]) / scale
    return center, raw[3] * FINDER_SIDE / scale * MARGIN, float(np.arctan2(raw[4], raw[5]))
