//! What has weights or a window.

use super::{Tensor, dense};
use crate::graph::{Activation, Window};

/// Row-major weights, biases and (for PReLU) slopes.
pub(super) struct Parameters {
    weights: Vec<f32>,
    bias: Vec<f32>,
    slopes: Vec<f32>,
}

impl Parameters {
    pub(super) fn new(weights: &Tensor, bias: &Tensor, slopes: &Tensor) -> Self {
        let elements = |tensor: &Tensor| tensor.iter().copied().collect();
        Self { weights: elements(weights), bias: elements(bias), slopes: elements(slopes) }
    }

    /// Adds the bias to the sum of a channel and applies the activation.
    fn finish(&self, activation: Activation, channel: usize, sum: f64) -> f32 {
        let slope = self.slopes.get(channel).copied().unwrap_or(0.0);
        activate(activation, (sum + f64::from(self.bias[channel])) as f32, slope)
    }
}

pub(super) fn activate(activation: Activation, x: f32, slope: f32) -> f32 {
    match activation {
        Activation::None => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => x.clamp(0.0, 6.0),
        Activation::Prelu if x < 0.0 => x * slope,
        Activation::Prelu => x,
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Taps of a window along one axis (0 vertical, 1 horizontal) at output `index` that fall inside an input of
/// `extent`: pairs of tap and input position.
fn taps(
    window: &Window,
    axis: usize,
    index: usize,
    extent: usize,
) -> impl Iterator<Item = (usize, usize)> + Clone {
    let before = [window.padding.top, window.padding.left][axis];
    let first = index * window.stride[axis];
    let dilation = window.dilation[axis];
    (0..window.kernel[axis]).filter_map(move |tap| {
        let position = (first + tap * dilation).checked_sub(before)?;
        (position < extent).then_some((tap, position))
    })
}

/// Calls `element(batch, row, column, channel)` for every element of an NHWC result.
fn nhwc(shape: &[usize], mut element: impl FnMut([usize; 4]) -> f32) -> Tensor {
    let mut elements = Vec::with_capacity(shape.iter().product());
    for batch in 0..shape[0] {
        for row in 0..shape[1] {
            for column in 0..shape[2] {
                elements.extend((0..shape[3]).map(|c| element([batch, row, column, c])));
            }
        }
    }
    dense(shape, elements)
}

/// `sum over taps and input channels of x * w[co, kh, kw, ci]`, bias, activation.
pub(super) fn conv_2d(
    x: &Tensor,
    parameters: &Parameters,
    window: &Window,
    activation: Activation,
    shape: &[usize],
) -> Tensor {
    let (height, width, ci) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let [kernel_height, kernel_width] = window.kernel;
    let x: Vec<f32> = x.iter().copied().collect();
    nhwc(shape, |[batch, row, column, co]| {
        let mut sum = 0.0;
        for (ky, y) in taps(window, 0, row, height) {
            for (kx, x_position) in taps(window, 1, column, width) {
                let pixel = ((batch * height + y) * width + x_position) * ci;
                let tap = ((co * kernel_height + ky) * kernel_width + kx) * ci;
                sum += dot(&x[pixel..pixel + ci], &parameters.weights[tap..tap + ci]);
            }
        }
        parameters.finish(activation, co, sum)
    })
}

/// `sum over taps of x[c] * w[1, kh, kw, c]`, bias, activation.
pub(super) fn depthwise_conv_2d(
    x: &Tensor,
    parameters: &Parameters,
    window: &Window,
    activation: Activation,
    shape: &[usize],
) -> Tensor {
    let (height, width, channels) = (x.shape()[1], x.shape()[2], x.shape()[3]);
    let x: Vec<f32> = x.iter().copied().collect();
    nhwc(shape, |[batch, row, column, c]| {
        let mut sum = 0.0;
        for (ky, y) in taps(window, 0, row, height) {
            for (kx, x_position) in taps(window, 1, column, width) {
                let pixel = ((batch * height + y) * width + x_position) * channels;
                let tap = (ky * window.kernel[1] + kx) * channels;
                sum += f64::from(x[pixel + c]) * f64::from(parameters.weights[tap + c]);
            }
        }
        parameters.finish(activation, c, sum)
    })
}

/// Each row of `ci` elements times `w[co, ci]`, bias, activation.
pub(super) fn fully_connected(
    x: &Tensor,
    parameters: &Parameters,
    activation: Activation,
    shape: &[usize],
) -> Tensor {
    let ci = parameters.weights.len() / parameters.bias.len();
    let x: Vec<f32> = x.iter().copied().collect();
    let rows = x.chunks_exact(ci);
    let results = rows.flat_map(|row| {
        let columns = parameters.weights.chunks_exact(ci).enumerate();
        columns.map(move |(co, weights)| parameters.finish(activation, co, dot(row, weights)))
    });
    dense(shape, results.collect())
}

/// `reduce` over the elements of each window that lie inside the input.
pub(super) fn pool(
    x: &Tensor,
    window: &Window,
    shape: &[usize],
    reduce: impl Fn(&[f32]) -> f32,
) -> Tensor {
    let (height, width) = (x.shape()[1], x.shape()[2]);
    let mut elements = Vec::new();
    nhwc(shape, |[batch, row, column, c]| {
        elements.clear();
        for (_, y) in taps(window, 0, row, height) {
            for (_, x_position) in taps(window, 1, column, width) {
                elements.push(x[[batch, y, x_position, c]]);
            }
        }
        reduce(&elements)
    })
}
