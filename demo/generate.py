"""Renders pictures of one hand, with labels; the same seed gives the same pictures.

A hand lives in a frame of its own: one unit is the hand's size, the base of the middle finger is the origin, fingers
point to -y. `angle` is how far the frame is turned clockwise in the picture.
"""

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT = 160, 120
# The open fingers of each gesture, thumb first.
GESTURES = {
    "fist": (0, 0, 0, 0, 0),
    "pointing": (0, 1, 0, 0, 0),
    "victory": (0, 1, 1, 0, 0),
    "three": (0, 1, 1, 1, 0),
    "open_palm": (1, 1, 1, 1, 1),
    "thumb_up": (1, 0, 0, 0, 0),
}
NAMES = list(GESTURES)
LANDMARKS = 21
# Pixels drawn per pixel kept.
SUPERSAMPLE = 2
# Bases, lengths and directions (radians clockwise from up) of index, middle, ring and little finger.
BASES = np.array([[-0.13, 0.02], [0.0, 0.0], [0.11, 0.02], [0.2, 0.07]])
LENGTHS = np.array([0.40, 0.45, 0.41, 0.32])
SPREAD = np.array([-0.20, -0.03, 0.14, 0.32])
WRIST = np.array([0.0, 0.45])


@dataclass
class Picture:
    """One picture and what is in it. Lengths and places are in pixels, the angle in radians."""

    pixels: np.ndarray  # [HEIGHT, WIDTH, 3] uint8
    gesture: int  # index into NAMES; -1: no hand
    center: np.ndarray  # [2]
    size: float
    angle: float
    landmarks: np.ndarray  # [21, 2]: wrist, then four joints of each finger from base to tip, thumb first


def direction(angle):
    return np.array([np.sin(angle), -np.cos(angle)])


def pose(rng, gesture):
    """Landmarks [21, 2] of a right hand's back in its own frame."""
    points = np.zeros((LANDMARKS, 2))
    points[0] = WRIST
    fingers = GESTURES[NAMES[gesture]]
    points[1] = [-0.10, 0.34]
    points[2] = [-0.20, 0.22]
    if fingers[0]:
        lean = rng.normal(-0.75 if gesture == NAMES.index("open_palm") else -0.5, 0.14)
        points[3] = points[2] + 0.15 * direction(lean)
        points[4] = points[3] + 0.14 * direction(lean + rng.normal(0.1, 0.1))
    else:
        lean = rng.normal(0.75, 0.12)
        points[3] = points[2] + 0.13 * direction(lean - 0.3)
        points[4] = points[3] + 0.12 * direction(lean + 0.5)
    spread = rng.uniform(0.4, 1.3)
    for k in range(4):
        first = 5 + 4 * k
        lean = SPREAD[k] * spread + rng.normal(0, 0.05)
        points[first] = BASES[k]
        if fingers[k + 1]:
            length = LENGTHS[k] * rng.uniform(0.82, 1.06)
            bend = rng.normal(0, 0.09)
            for joint, share in enumerate((0.45, 0.3, 0.25)):
                lean += bend * (joint > 0)
                points[first + joint + 1] = points[first + joint] + share * length * direction(lean)
        else:
            reach = LENGTHS[k] * rng.uniform(0.2, 0.34)
            up = direction(SPREAD[k] * 0.5)
            points[first + 1] = BASES[k] + reach * up
            points[first + 2] = points[first + 1] - 0.5 * reach * up + [0.01, 0.03]
            points[first + 3] = points[first + 2] - LENGTHS[k] * rng.uniform(0.2, 0.3) * up
    return points * [rng.uniform(0.86, 1.1), 1.0] + rng.normal(0, 0.006, points.shape) * (points != 0)


def capsule(draw, a, b, radius, fill):
    """A thick line with round ends."""
    draw.line([tuple(a), tuple(b)], fill=fill, width=max(1, int(round(2 * radius))))
    for x, y in (a, b):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill)


def shade(colour, factor):
    return tuple(int(v) for v in np.clip(np.asarray(colour) * factor, 0, 255))


def skin(rng):
    """A colour between dark and light skin."""
    tone = rng.uniform()
    dark, light = np.array([75, 48, 36]), np.array([240, 200, 172])
    return np.clip(dark + tone * (light - dark) + rng.normal(0, 8, 3), 20, 250)


def background(rng):
    """A gradient with clutter: boxes, discs and bars, some of them as bright as skin."""
    size = (WIDTH * SUPERSAMPLE, HEIGHT * SUPERSAMPLE)
    corners = rng.uniform(10, 240, (2, 2, 3)).astype(np.uint8)
    image = Image.fromarray(corners).resize(size, Image.Resampling.BILINEAR)
    draw = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 12)):
        x, y = rng.uniform(0, size[0]), rng.uniform(0, size[1])
        w, h = rng.uniform(8, 110, 2)
        colour = shade(skin(rng) if rng.uniform() < 0.2 else rng.uniform(0, 255, 3), 1)
        kind = rng.integers(3)
        if kind == 0:
            draw.rectangle([x, y, x + w, y + h], fill=colour)
        elif kind == 1:
            draw.ellipse([x, y, x + w, y + h], fill=colour)
        else:
            capsule(draw, (x, y), (x + w - 55, y + h - 55), rng.uniform(2, 10), colour)
    return image


def draw_hand(rng, image, points, size, back):
    """Draws the landmarks [21, 2] (in drawn pixels) as a hand; `back` points from the hand to the arm."""
    draw = ImageDraw.Draw(image)
    colour = skin(rng)
    edge = shade(colour, rng.uniform(0.45, 0.75))
    fill = shade(colour, 1)
    thick = size * rng.uniform(0.052, 0.066)
    rim = max(1.0, size * 0.012)
    sleeve = shade(rng.uniform(0, 255, 3), 1)
    capsule(draw, points[0] - 0.1 * size * back, points[0] + 1.5 * size * back, size * 0.14, fill)
    start = points[0] + rng.uniform(0.1, 0.6) * size * back
    capsule(draw, start, start + 1.5 * size * back, size * 0.18, sleeve)
    outline = [tuple(points[k]) for k in (0, 1, 2, 5, 9, 13, 17)]
    middle = np.mean(points[[0, 5, 17]], axis=0)
    for grow, paint in ((rim, edge), (0, fill)):
        draw.polygon(outline, fill=paint)
        for k in (1, 2, 5, 9, 13, 17):
            inner = points[k] + 0.15 * (middle - points[k])
            capsule(draw, inner, points[0] + 0.3 * (points[k] - points[0]), thick * 1.1 + grow, paint)
    for finger in (4, 3, 2, 1, 0):
        joints = points[1 + 4 * finger : 5 + 4 * finger]
        for grow, paint in ((rim, edge), (0, shade(colour, rng.uniform(0.93, 1.07)))):
            for a, b, taper in zip(joints, joints[1:], (1.0, 0.94, 0.85)):
                capsule(draw, a, b, thick * taper + grow, paint)


def degrade(rng, image):
    """Light, blur, noise and compression: from a good camera to a poor one. Returns uint8 pixels and the JPEG file."""
    poor = rng.uniform() ** 1.5
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(1.3 * poor * rng.uniform()))
    pixels = np.asarray(image, dtype=np.float32)
    if rng.uniform() < 0.4:
        steps = int(rng.integers(2, 3 + int(4 * poor)))
        dx, dy = rng.integers(-1, 2, 2)
        pixels = np.mean([np.roll(pixels, (dy * s, dx * s), (0, 1)) for s in range(-(steps // 2), steps - steps // 2)], axis=0)
    ramp = np.linspace(-1, 1, WIDTH)[None, :, None] * rng.uniform(-0.25, 0.25)
    pixels = pixels * (rng.uniform(1 - 0.5 * poor, 1.15) + ramp)
    pixels += rng.normal(0, 1, pixels.shape) * (2 + 18 * poor * rng.uniform())
    buffer = io.BytesIO()
    whole = np.clip(pixels, 0, 255).astype(np.uint8)
    Image.fromarray(whole).save(buffer, "JPEG", quality=int(92 - 45 * poor))
    return np.asarray(Image.open(buffer)), buffer.getvalue()


def render(rng, hand=True):
    """One picture, and the bytes of its JPEG file."""
    image = background(rng)
    gesture = int(rng.integers(len(NAMES))) if hand else -1
    size = rng.uniform(0.42, 0.8) * HEIGHT
    angle = float(np.clip(rng.normal(0, 0.25), -0.7, 0.7))
    center = np.array([rng.uniform(0.5 * size, WIDTH - 0.5 * size), rng.uniform(0.48 * size, HEIGHT - 0.4 * size)])
    landmarks = np.zeros((LANDMARKS, 2))
    if hand:
        local = pose(rng, gesture) * [rng.choice([-1, 1]), 1]
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        landmarks = local @ turn.T * size + center
        draw_hand(rng, image, landmarks * SUPERSAMPLE, size * SUPERSAMPLE, -direction(angle))
    pixels, jpeg = degrade(rng, image)
    return Picture(pixels, gesture, center, size, angle, landmarks), jpeg


def write(folder, name, count, seed):
    """`count` pictures of a hand as folder/name/*.jpg, and their labels as folder/name.csv."""
    rng = np.random.default_rng(seed)
    (folder / name).mkdir(parents=True, exist_ok=True)
    header = ["file", "gesture", "cx", "cy", "size", "angle"]
    header += [f"{axis}{k}" for k in range(LANDMARKS) for axis in "xy"]
    with open(folder / f"{name}.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(header)
        for index in range(count):
            picture, jpeg = render(rng)
            path = f"{index:03}.jpg"
            (folder / name / path).write_bytes(jpeg)
            numbers = [*picture.center, picture.size, picture.angle, *picture.landmarks.ravel()]
            rows.writerow([path, NAMES[picture.gesture], *(f"{v:.3f}" for v in numbers)])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    arguments = parser.parse_args()
    write(arguments.out, "calibration", 120, seed=1)
    write(arguments.out, "evaluation", 200, seed=2)


if __name__ == "__main__":
    main()
