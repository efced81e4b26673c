"""Trains the stages and writes models/*.tflite. Each stage can be trained by itself: `train.py finder --epochs 12`."""

import argparse
from pathlib import Path

import numpy as np
import tensorflow as tf

import data
import glue
import networks
from export import export
from generate import LANDMARKS, NAMES

HERE = Path(__file__).parent
PICTURES = 10000
PRESENCE_WEIGHT = 0.02
RATE = 2e-3
EPOCHS = {"finder": 20, "landmarks": 16, "one-bit": 30, "gesture": 8}


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


def fit(model, loss, images, labels, epochs, rate, batch=32):
    model.compile(schedule(rate, len(images), batch, epochs), loss, jit_compile=False)
    model.fit(batches(images, labels, batch), epochs=epochs, verbose=2)


def joined(model):
    """The landmark network with both outputs side by side, for its loss; it shares the weights."""
    points, presence = model.outputs
    return tf.keras.Model(model.inputs, tf.keras.layers.Concatenate()([presence, points]))


def load(model, weights, resume):
    if resume and weights.exists():
        model.load_weights(weights)


def train_finder(items, epochs, weights, resume):
    images, labels = data.mirror_finder(*data.finder_data(items))
    model = networks.finder()
    load(model, weights / "finder.weights.h5", resume)
    fit(model, finder_loss, images, labels, epochs, RATE)
    model.save_weights(weights / "finder.weights.h5")
    export(model, HERE / "models/finder.tflite")


def train_landmarks(items, epochs, weights, resume):
    model = networks.landmarks()
    load(model, weights / "landmarks.weights.h5", resume)
    fit(joined(model), landmark_loss, *data.crop_data(items, 2), epochs, RATE)
    model.save_weights(weights / "landmarks.weights.h5")
    export(model, HERE / "models/landmarks.tflite")


def train_one_bit(items, epochs, weights, resume):
    """Starts from the float network's weights."""
    model, source = networks.landmarks(networks.OneBitConvolution), networks.landmarks()
    load(source, weights / "landmarks.weights.h5", True)
    networks.copy_weights(source, model)
    load(model, weights / "one_bit.weights.h5", resume)
    fit(joined(model), landmark_loss, *data.crop_data(items, 2), epochs, RATE)
    model.save_weights(weights / "one_bit.weights.h5")
    deployed = networks.landmarks(networks.DeployedOneBitConvolution)
    networks.copy_weights(model, deployed)
    export(deployed, HERE / "models/landmarks_one_bit.tflite")


def predicted_points(items, weights, body, kept):
    """Normalized landmarks as a landmark network sees the training pictures, and their classes."""
    model = networks.landmarks(body)
    load(model, weights / kept, True)
    crops = data.crop_data(items, 2)[0]
    pixels = tf.data.Dataset.from_tensor_slices(crops).batch(128).map(lambda p: tf.cast(p, tf.float32) / 255)
    points = model.predict(pixels, verbose=0)[0].reshape(-1, LANDMARKS, 2)
    classes = np.repeat([item.gesture for item in items], 2)
    return glue.normalize_points(points[classes >= 0]).reshape(-1, 2 * LANDMARKS), classes[classes >= 0]


def train_gesture(items, epochs, weights, resume):
    """Learns from exact landmarks and from those that the landmark networks find, with their errors."""
    sets = [data.gesture_data(20000)]
    sets.append(predicted_points(items, weights, networks.float_convolution, "landmarks.weights.h5"))
    sets.append(predicted_points(items, weights, networks.OneBitConvolution, "one_bit.weights.h5"))
    points, classes = (np.concatenate(parts) for parts in zip(*sets))
    model = networks.gesture(len(NAMES))
    load(model, weights / "gesture.weights.h5", resume)
    model.compile(schedule(RATE, len(points), 128, epochs), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(points, classes, 128, epochs, verbose=2)
    model.save_weights(weights / "gesture.weights.h5")
    export(model, HERE / "models/gesture.tflite")


# In the order in which they depend on each other.
TRAINERS = {"finder": train_finder, "landmarks": train_landmarks, "one-bit": train_one_bit, "gesture": train_gesture}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"all, or some of {', '.join(TRAINERS)}")
    parser.add_argument("--epochs", type=int, help="instead of the stage's own number")
    parser.add_argument("--weights", type=Path, default=HERE / "weights", help="where Keras weights are kept")
    parser.add_argument("--resume", action="store_true", help="start from the weights kept")
    arguments = parser.parse_args()
    if unknown := set(arguments.stages) - set(TRAINERS):
        parser.error(f"no stage {sorted(unknown)[0]!r}")
    tf.keras.utils.set_random_seed(7)
    for folder in (HERE / "models", arguments.weights):
        folder.mkdir(exist_ok=True)
    items = data.pictures(PICTURES)
    for stage in arguments.stages or TRAINERS:
        train = TRAINERS[stage]
        train(items, arguments.epochs or EPOCHS[stage], arguments.weights, arguments.resume)


if __name__ == "__main__":
    main()
