"""Trains the stages and writes models/*.tflite. Each stage can be trained by itself: `train.py finder --epochs 12`."""

import argparse
from pathlib import Path

import tensorflow as tf

import data
import networks
from export import export
from generate import NAMES

HERE = Path(__file__).parent
PICTURES = 5000
PRESENCE_WEIGHT = 0.02


def schedule(rate, samples, batch, epochs):
    """Adam, its rate falling to nothing along a cosine."""
    steps = epochs * -(-samples // batch)
    return tf.keras.optimizers.Adam(tf.keras.optimizers.schedules.CosineDecay(rate, steps))


def presence_loss(truth, logit):
    return tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logit)


def huber(error, delta=0.05):
    """Quadratic up to `delta`, linear above."""
    size = tf.abs(error)
    return tf.where(size < delta, 0.5 * size * size / delta, size - 0.5 * delta)


def finder_loss(truth, raw):
    """Presence, and where a hand is there its place; the angle counts less, as a crop bears a turn."""
    weights = tf.constant([1.0, 1.0, 1.0, 0.25, 0.25])
    place = tf.reduce_sum(weights * huber(raw[:, 1:] - truth[:, 1:]), -1)
    return truth[:, 0] * place + PRESENCE_WEIGHT * presence_loss(truth[:, 0], raw[:, 0])


def landmark_loss(truth, raw):
    """Mean distance of the landmarks where a hand is there, and presence. Both are [n, 1 + 42], presence first."""
    place = tf.reduce_mean(huber(raw[:, 1:] - truth[:, 1:], 0.02), -1)
    return truth[:, 0] * place + 0.1 * PRESENCE_WEIGHT * presence_loss(truth[:, 0], raw[:, 0])


def batches(images, labels, batch):
    """Shuffled batches of images in 0..1."""
    whole = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(len(images), seed=3).batch(batch)
    return whole.map(lambda pixels, label: (tf.cast(pixels, tf.float32) / 255, label)).prefetch(1)


def fit(model, loss, images, labels, epochs, rate, batch=64):
    model.compile(schedule(rate, len(images), batch, epochs), loss, jit_compile=False)
    model.fit(batches(images, labels, batch), epochs=epochs, verbose=2)


def joined(model):
    """The landmark network with both outputs side by side, for its loss; it shares the weights."""
    points, presence = model.outputs
    return tf.keras.Model(model.inputs, tf.keras.layers.Concatenate()([presence, points]))


def train_finder(items, epochs):
    images, labels = data.mirror_finder(*data.finder_data(items))
    model = networks.finder()
    fit(model, finder_loss, images, labels, epochs, 3e-3)
    export(model, HERE / "models/finder.tflite")


def train_landmarks(items, epochs, weights):
    model = networks.landmarks()
    fit(joined(model), landmark_loss, *data.crop_data(items, 2), epochs, 3e-3)
    model.save_weights(weights / "landmarks.weights.h5")
    export(model, HERE / "models/landmarks.tflite")


def train_one_bit(items, epochs, weights):
    """Starts from the float network and learns its outputs, which are smoother than the labels."""
    teacher, model = networks.landmarks(), networks.landmarks(networks.OneBitConvolution)
    teacher.load_weights(weights / "landmarks.weights.h5")
    networks.copy_weights(teacher, model)
    images, labels = data.crop_data(items, 2)
    points = teacher.predict(tf.data.Dataset.from_tensor_slices(images).batch(128).map(
        lambda pixels: tf.cast(pixels, tf.float32) / 255), verbose=0)[0]
    labels[:, 1:] = 0.5 * labels[:, 1:] + 0.5 * points
    fit(joined(model), landmark_loss, images, labels, epochs, 3e-3)
    deployed = networks.landmarks(networks.DeployedOneBitConvolution)
    networks.copy_weights(model, deployed)
    export(deployed, HERE / "models/landmarks_one_bit.tflite")


def train_gesture(epochs):
    points, classes = data.gesture_data(40000)
    model = networks.gesture(len(NAMES))
    model.compile(schedule(3e-3, len(points), 256, epochs), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(points, classes, 256, epochs, verbose=2)
    export(model, HERE / "models/gesture.tflite")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", default=["gesture", "finder", "landmarks", "one-bit"])
    parser.add_argument("--epochs", type=int, help="instead of the stage's own number")
    parser.add_argument("--weights", type=Path, default=HERE / "weights", help="where the float weights are kept")
    arguments = parser.parse_args()
    tf.keras.utils.set_random_seed(7)
    for folder in (HERE / "models", arguments.weights):
        folder.mkdir(exist_ok=True)
    items = data.pictures(PICTURES) if arguments.stages != ["gesture"] else []
    for stage in arguments.stages:
        if stage == "gesture":
            train_gesture(arguments.epochs or 8)
        elif stage == "finder":
            train_finder(items, arguments.epochs or 10)
        elif stage == "landmarks":
            train_landmarks(items, arguments.epochs or 8, arguments.weights)
        elif stage == "one-bit":
            train_one_bit(items, arguments.epochs or 10, arguments.weights)
        else:
            parser.error(f"no stage {stage!r}")


if __name__ == "__main__":
    main()
