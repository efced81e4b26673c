"""The three networks. `landmarks` comes in two kinds with the same interface: float, and one-bit convolutions."""

import numpy as np
import tensorflow as tf
from tensorflow.keras import layers

from glue import CROP_SIDE, FINDER_SIDE

# Channels of the landmark network's body: whole words of 32 bits at one bit a channel.
BODY_CHANNELS = 64


def convolution(x, channels, stride=1):
    x = layers.Conv2D(channels, 3, stride, "same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def head(x, channels, units):
    """A 1 × 1 convolution and a dense layer. Normalized: without it the dense layer's ReLU dies in the first steps."""
    x = layers.Conv2D(channels, 1, use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.Dense(units, use_bias=False)(layers.Flatten()(x))
    return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(x))


def finder():
    """Letterboxed image to [presence logit, cx, cy, size, sin, cos]."""
    image = layers.Input((FINDER_SIDE, FINDER_SIDE, 3), name="image")
    x = convolution(image, 16, 2)
    for channels in (32, 48, 64):
        x = convolution(x, channels, 2)
    x = convolution(x, 64)
    x = head(x, 24, 64)
    return tf.keras.Model(image, layers.Dense(6, name="hand")(x), name="finder")


@tf.custom_gradient
def binarize(x):
    """±1; the gradient is that of Bi-Real Net's polynomial (Liu et al., ECCV 2018)."""
    def gradient(upstream):
        return upstream * tf.maximum(0.0, 2.0 - 2.0 * tf.abs(x))
    return tf.where(x >= 0, 1.0, -1.0), gradient


class OneBitConvolution(layers.Layer):
    """Shift by a threshold per channel, sign, then a 3 × 3 convolution with weights ±alpha[output channel]: alpha is the
    mean magnitude of the latent weights (XNOR-Net, Rastegari et al., ECCV 2016). Padded taps contribute nothing."""

    def build(self, shape):
        channels = shape[-1]
        self.threshold = self.add_weight(shape=(channels,), initializer="zeros", name="threshold")
        self.kernel = self.add_weight(shape=(3, 3, channels, channels), initializer="glorot_normal", name="kernel")

    def call(self, x):
        alpha = tf.reduce_mean(tf.abs(self.kernel), axis=(0, 1, 2), keepdims=True)
        # The weights' gradient goes straight through the sign.
        signs = self.kernel + tf.stop_gradient(tf.where(self.kernel >= 0, 1.0, -1.0) - self.kernel)
        return tf.nn.conv2d(binarize(x - self.threshold), tf.stop_gradient(alpha) * signs, 1, "SAME")

    def deployed_weights(self):
        """The threshold, and the kernel as exactly ±alpha."""
        threshold, kernel = self.threshold.numpy(), self.kernel.numpy()
        alpha = np.abs(kernel).mean((0, 1, 2), keepdims=True)
        return [threshold, np.where(kernel >= 0, alpha, -alpha)]


class DeployedOneBitConvolution(OneBitConvolution):
    """The same with a kernel that is ±alpha already: SUB, SIGN and CONV_2D in a .tflite file."""

    def call(self, x):
        return tf.nn.conv2d(tf.sign(x - self.threshold), self.kernel, 1, "SAME")


def float_convolution():
    return layers.Conv2D(BODY_CHANNELS, 3, 1, "same", use_bias=False)


def block(x, body):
    """A 3 × 3 convolution with a real-valued shortcut."""
    x = layers.Add()([x, layers.BatchNormalization(momentum=0.9)(body()(x))])
    return layers.PReLU(shared_axes=[1, 2], alpha_initializer=tf.constant_initializer(0.25))(x)


def landmarks(body=float_convolution):
    """Crop to 21 × 2 landmarks in shares of its sides, and a presence logit. `body` makes the convolutions that cost
    most: float_convolution, OneBitConvolution or DeployedOneBitConvolution."""
    image = layers.Input((CROP_SIDE, CROP_SIDE, 3), name="crop")
    x = layers.Conv2D(BODY_CHANNELS, 5, 4, "same", use_bias=False)(image)
    x = layers.BatchNormalization(momentum=0.9)(x)
    x = layers.PReLU(shared_axes=[1, 2], alpha_initializer=tf.constant_initializer(0.25))(x)
    x = layers.MaxPooling2D(2)(block(block(x, body), body))
    for _ in range(2):
        x = block(x, body)
    x = head(x, 32, 64)
    points = layers.Dense(42, bias_initializer=tf.constant_initializer(0.5), name="landmarks")(x)
    return tf.keras.Model(image, [points, layers.Dense(1, name="presence")(x)], name="landmarks")


def copy_weights(source, target):
    """Between landmark networks: float to one-bit (which starts from the float kernels' signs), one-bit to deployed."""
    def with_weights(model):
        return [layer for layer in model.layers if layer.weights]
    for one, other in zip(with_weights(source), with_weights(target), strict=True):
        if isinstance(other, DeployedOneBitConvolution):
            other.set_weights(one.deployed_weights())
        elif isinstance(other, OneBitConvolution):
            other.kernel.assign(one.kernel)
        else:
            other.set_weights(one.get_weights())


def gesture(classes):
    """Normalized landmarks, flattened to 42, to the probabilities of the classes."""
    points = layers.Input((42,), name="points")
    x = layers.Dense(32, activation="relu")(layers.Dense(48, activation="relu")(points))
    return tf.keras.Model(points, layers.Dense(classes, activation="softmax", name="gesture")(x), name="gesture")
