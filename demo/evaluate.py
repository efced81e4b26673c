"""Measures each stage and the whole pipeline on a labelled set, with LiteRT."""

import argparse
import csv
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image

import glue
from generate import LANDMARKS, NAMES

HERE = Path(__file__).parent
# A landmark counts as found within this share of the hand's size.
NEAR = 0.05


class Model:
    def __init__(self, name):
        self.interpreter = Interpreter(str(HERE / f"models/{name}.tflite"), num_threads=1)
        self.interpreter.allocate_tensors()

    def __call__(self, x):
        """The first output, flat."""
        self.interpreter.set_tensor(self.interpreter.get_input_details()[0]["index"], x.astype(np.float32))
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.interpreter.get_output_details()[0]["index"]).ravel()


def read(name):
    """Pixels and label of each picture of a set."""
    with open(HERE / f"images/{name}.csv", newline="") as file:
        for row in csv.DictReader(file):
            yield np.asarray(Image.open(HERE / "images" / name / row["file"]).convert("RGB")), row


def classify(gesture, points):
    """The class of landmarks [42] in the shares of a crop's sides."""
    return NAMES[int(np.argmax(gesture(glue.normalize_points(points.reshape(LANDMARKS, 2)).reshape(1, 42))))]


def evaluate(name, landmarks):
    """Correct shares: finder (centre and size within a fifth of the size, 0.3 rad), landmarks (on the true crop, within
    NEAR), gesture (on the true landmarks), and end to end."""
    finder, landmarks, gesture = Model("finder"), Model(landmarks), Model("gesture")
    results = []
    for pixels, row in read(name):
        height, width, _ = pixels.shape
        center = np.array([float(row["cx"]), float(row["cy"])])
        size, angle = float(row["size"]), float(row["angle"])
        side = size * glue.MARGIN
        truth = np.array([[float(row[f"{axis}{k}"]) for axis in "xy"] for k in range(LANDMARKS)])
        truth = glue.to_crop(truth, center, side, angle)
        points = landmarks(glue.crop(pixels, center, side, angle)[None]).reshape(LANDMARKS, 2)
        near = np.mean(np.linalg.norm(points - truth, axis=1) * glue.MARGIN < NEAR)
        found = glue.decode_finder(finder(glue.letterbox(pixels[None])), width, height)
        close, right = False, False
        if found:
            offset = np.linalg.norm(found[0] - center) / size
            turn = abs((found[2] - angle + np.pi) % (2 * np.pi) - np.pi)
            close = offset < 0.2 and abs(found[1] / side - 1) < 0.2 and turn < 0.3
            right = classify(gesture, landmarks(glue.crop(pixels, *found)[None])) == row["gesture"]
        results.append([close, near, classify(gesture, truth) == row["gesture"], right])
    return np.mean(np.array(results, float), axis=0), len(results)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", default="evaluation", choices=["calibration", "evaluation"])
    arguments = parser.parse_args()
    print("| landmarks | finder | landmarks near | gesture | end to end | pictures |\n|---|---|---|---|---|---|")
    for landmarks in ("landmarks", "landmarks_one_bit"):
        if (HERE / f"models/{landmarks}.tflite").exists():
            shares, count = evaluate(arguments.set, landmarks)
            print(f"| {landmarks} | " + " | ".join(f"{share:.3f}" for share in shares) + f" | {count} |")


if __name__ == "__main__":
    main()
