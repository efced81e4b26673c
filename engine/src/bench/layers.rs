//! Matrix products and convolutions.

use super::Prepared;
use crate::Level;
use crate::graph::{Padding, Window};
use crate::kernels::operators::{
    ConvShape, F32DepthwiseConv, I8Conv, I8DepthwiseConv, IntegerWeights, Operator, bin_conv,
    float_conv,
};
use crate::kernels::{CpuFeatures, RequantParams};

/// Output channels of a peak: whole panels of every kernel.
const PEAK_COLUMNS: usize = 32;
/// Bytes of weights of a peak, half of the smallest first cache of interest (32 KiB).
const PEAK_WEIGHT_BYTES: usize = 16 * 1024;

/// A convolution with SAME padding; `extent` is the input's.
pub(super) fn same(
    extent: [usize; 2],
    kernel: usize,
    stride: usize,
    in_c: usize,
    out_c: usize,
) -> ConvShape {
    let [in_h, in_w] = extent;
    // A matrix product is a single column, which is not padded.
    let padding = |size: usize, out: usize| {
        let total = ((out - 1) * stride + kernel).saturating_sub(size);
        (total / 2, total - total / 2)
    };
    let (out_h, out_w) = (in_h.div_ceil(stride), in_w.div_ceil(stride));
    let ((top, bottom), (left, right)) = (padding(in_h, out_h), padding(in_w, out_w));
    let padding = Padding { top, bottom, left, right };
    let window = Window { kernel: [kernel; 2], stride: [stride; 2], padding, ..Window::default() };
    ConvShape { batch: 1, in_h, in_w, in_c, out_h, out_w, out_c, window }
}

/// Any ordinary output stage: no PReLU, all of the range.
fn requant(channels: usize) -> RequantParams {
    RequantParams::from_real(&vec![1e-3; channels], None, 0, -128, 127)
}

/// Bytes of `count` activations, of which there are `channels` in each pixel.
fn activations(level: Level, pixels: usize, channels: usize) -> usize {
    match level {
        Level::Fp32 => 4 * pixels * channels,
        Level::Fp16 => 2 * pixels * channels,
        Level::Int8 | Level::Int4 => pixels * channels,
        Level::Int2 | Level::Bin1 => 8 * pixels * channels.div_ceil(64),
    }
}

/// Results are of the same type, but for one-bit layers, whose results are 8-bit until they are compared.
fn results(level: Level, shape: &ConvShape) -> usize {
    let level = if matches!(level, Level::Int2 | Level::Bin1) { Level::Int8 } else { level };
    activations(level, shape.out_pixels(), shape.out_c)
}

/// Weights `[columns, depth]` as quantizers make them of trained layers: normally distributed (here as sums of eight bytes of a
/// fixed xorshift sequence), the largest of each column at `most`. Kernels may be faster where sums of few weights are small,
/// and those of real layers are smaller: of the dense layers of 256 channels of palm_detection_lite the mean magnitude at int8
/// is 21 to 31, of these 35.
fn trained(depth: usize, columns: usize, most: i8) -> Vec<i8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut normal = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes().into_iter().map(i32::from).sum::<i32>() - 8 * 255 / 2
    };
    let mut weights = Vec::with_capacity(columns * depth);
    for _ in 0..columns {
        let column: Vec<i32> = (0..depth).map(|_| normal()).collect();
        let largest = column.iter().map(|w| w.abs()).max().unwrap_or(0).max(1);
        let scale = f64::from(most) / f64::from(largest);
        weights.extend(column.iter().map(|&w| (f64::from(w) * scale).round() as i8));
    }
    weights
}

/// Dense layers at any level.
pub(super) fn dense(cpu: &CpuFeatures, shape: &ConvShape, level: Level) -> Option<Prepared> {
    let out_c = shape.out_c;
    let count = out_c * shape.taps() * shape.in_c;
    let integers = |weights: IntegerWeights<'_>| {
        Box::new(I8Conv::new(cpu, shape, weights, &vec![0; out_c], 0, requant(out_c)))
    };
    let operator: Box<dyn Operator> = match level {
        Level::Fp32 | Level::Fp16 => {
            let (weights, half) = (vec![0.01; count], level == Level::Fp16);
            let bounds = (0.0, f32::INFINITY);
            float_conv(cpu, shape, &weights, &vec![0.0; out_c], None, bounds, half)
        }
        Level::Int8 => integers(IntegerWeights::Eight(&trained(count / out_c, out_c, 127))),
        Level::Int4 => integers(IntegerWeights::Four(&trained(count / out_c, out_c, 7))),
        Level::Int2 | Level::Bin1 => {
            let planes = if level == Level::Int2 { 2 } else { 1 };
            let words = out_c * planes * shape.taps() * shape.in_c.div_ceil(64);
            let words = vec![0x5555; words];
            bin_conv(cpu, shape, &words, &vec![0; out_c], requant(out_c))
        }
    };
    let input = activations(level, shape.in_pixels(), shape.in_c);
    let macs = shape.out_pixels() * count;
    Some(Prepared::new(operator, &[input], results(level, shape), macs))
}

/// Depthwise layers at fp32, fp16 and int8.
pub(super) fn depthwise(cpu: &CpuFeatures, shape: &ConvShape, level: Level) -> Option<Prepared> {
    let channels = shape.in_c;
    let count = shape.taps() * channels;
    let operator: Box<dyn Operator> = match level {
        Level::Fp32 | Level::Fp16 => {
            let (weights, half) = (vec![0.01; count], level == Level::Fp16);
            let (zeros, bounds) = (vec![0.0; channels], (0.0, f32::INFINITY));
            Box::new(F32DepthwiseConv::new(cpu, shape, &weights, &zeros, None, bounds, half))
        }
        Level::Int8 => {
            let (weights, zeros) = (vec![3; count], vec![0; channels]);
            Box::new(I8DepthwiseConv::new(cpu, shape, &weights, &zeros, 0, requant(channels)))
        }
        Level::Int4 | Level::Int2 | Level::Bin1 => return None,
    };
    let input = activations(level, shape.in_pixels(), channels);
    let macs = shape.out_pixels() * count;
    Some(Prepared::new(operator, &[input], results(level, shape), macs))
}

/// A matrix product of `rows` whose weights have [`PEAK_WEIGHT_BYTES`].
pub(super) fn peak(cpu: &CpuFeatures, rows: usize, level: Level) -> Option<Prepared> {
    let weight_bits = match level {
        Level::Fp32 => 32,
        Level::Fp16 => 16,
        Level::Int8 => 8,
        Level::Int4 => 4,
        Level::Int2 => 2,
        Level::Bin1 => 1,
    };
    let depth = 8 * PEAK_WEIGHT_BYTES / (weight_bits * PEAK_COLUMNS);
    dense(cpu, &ConvShape::matrix(rows, depth, PEAK_COLUMNS), level)
}
