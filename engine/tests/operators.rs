//! Convolution operators against loops written down naively, on every instruction set of this CPU and on one to three
//! threads: integers exactly, fp32 bit by bit (taps in order, fused multiply-add).

use bytemuck::Pod;
use half::f16;
use proptest::prelude::*;
use quantrack_engine::graph::{Padding, Window};
use quantrack_engine::kernels::operators::{
    Buffer, ConvShape, F32Conv, F32DepthwiseConv, I8Conv, I8DepthwiseConv, I8DepthwiseSignsConv,
    IntegerWeights, Operator, bin_conv,
};
use quantrack_engine::kernels::registry::i4_group_gemm;
use quantrack_engine::kernels::{CpuFeatures, RequantParams};
use quantrack_engine::{Pool, RayonPool, Serial};

/// A convolution whose output extents follow from its window; at least one tap of each output is inside the input or
/// padding.
fn shapes() -> impl Strategy<Value = ConvShape> {
    let extents = (1..3_usize, 1..8_usize, 1..8_usize, 1..40_usize, 1..40_usize);
    let kernel = [1..4_usize, 1..4_usize];
    let stride = [1..4_usize, 1..4_usize];
    let dilation = [1..3_usize, 1..3_usize];
    let padding = [0..3_usize, 0..3, 0..3, 0..3];
    (extents, kernel, stride, dilation, padding).prop_filter_map(
        "the window is larger than the padded input",
        |((batch, in_h, in_w, in_c, out_c), kernel, stride, dilation, padding)| {
            let [top, bottom, left, right] = padding;
            let out = |extent: usize, axis: usize| {
                let span = (kernel[axis] - 1) * dilation[axis] + 1;
                extent.checked_sub(span).map(|rest| rest / stride[axis] + 1)
            };
            let (out_h, out_w) = (out(in_h + top + bottom, 0)?, out(in_w + left + right, 1)?);
            let padding = Padding { top, bottom, left, right };
            let window = Window { kernel, stride, dilation, padding };
            Some(ConvShape { batch, in_h, in_w, in_c, out_h, out_w, out_c, window })
        },
    )
}

/// For every output pixel, in order, the input pixel under each tap.
fn taps(shape: &ConvShape) -> Vec<Vec<Option<usize>>> {
    let Window { kernel, stride, dilation, padding } = shape.window;
    let inside = |out: usize, tap: usize, axis: usize, before: usize, extent: usize| {
        let at = (out * stride[axis] + tap * dilation[axis]) as isize - before as isize;
        usize::try_from(at).ok().filter(|&at| at < extent)
    };
    let mut pixels = Vec::new();
    for image in 0..shape.batch {
        for y in 0..shape.out_h {
            for x in 0..shape.out_w {
                let mut pixel = Vec::new();
                for ky in 0..kernel[0] {
                    for kx in 0..kernel[1] {
                        let row = inside(y, ky, 0, padding.top, shape.in_h);
                        let column = inside(x, kx, 1, padding.left, shape.in_w);
                        pixel.push(
                            row.zip(column).map(|(row, column)| {
                                (image * shape.in_h + row) * shape.in_w + column
                            }),
                        );
                    }
                }
                pixels.push(pixel);
            }
        }
    }
    pixels
}

/// A sequence from a seed: SplitMix64 (G. Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014).
fn sequence(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

/// From -1 to 1.
fn real(bits: u64) -> f32 {
    (bits % 2001) as f32 / 1000.0 - 1.0
}

/// One in four an extreme.
fn byte(bits: u64) -> i8 {
    [i8::MIN, i8::MAX].get((bits >> 32) as usize % 8).copied().unwrap_or(bits as i8)
}

/// As valid graphs have them: kernels add up two products in 16 bits, which those of -128 would leave.
fn eight_bit_weight(bits: u64) -> i8 {
    byte(bits).max(-127)
}

fn many<T>(next: &mut impl FnMut() -> u64, count: usize, make: impl Fn(u64) -> T) -> Vec<T> {
    (0..count).map(|_| make(next())).collect()
}

/// Portable only, then each longer prefix of what this CPU has.
fn instruction_sets() -> Vec<CpuFeatures> {
    CpuFeatures::detect_assuming_neon().prefixes()
}

/// The result of `operator` on each number of threads must be `expected`.
fn check<I: Pod, O: Pod + PartialEq + std::fmt::Debug>(
    operator: &dyn Operator,
    input: &[I],
    expected: &[O],
) -> Result<(), TestCaseError> {
    let bytes: &[u8] = bytemuck::cast_slice(input);
    let mut source = Buffer::new(bytes.len());
    // Noise behind the input must not reach the result.
    source.bytes_mut().fill(0x5A);
    source.bytes_mut()[..bytes.len()].copy_from_slice(bytes);
    for threads in 1..=3 {
        let rayon = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let rayon = RayonPool::new(rayon.map_err(|e| TestCaseError::fail(e.to_string()))?);
        let pool: &dyn Pool = if threads == 1 { &Serial } else { &rayon };
        let count = size_of_val(expected);
        let mut result = Buffer::new(count);
        result.bytes_mut().fill(0xA5);
        operator.run_alone(&[source.bytes()], &mut [result.bytes_mut()], pool);
        let (got, behind) = result.bytes().split_at(count);
        prop_assert_eq!(
            bytemuck::cast_slice::<u8, O>(got),
            expected,
            "{} on {} threads",
            operator.kernel(),
            threads
        );
        prop_assert!(behind.iter().all(|&byte| byte == 0xA5), "written behind the result");
    }
    Ok(())
}

/// PReLU, then bounds, as bits; of equal values the bound.
fn activate(x: f32, slope: Option<f32>, bounds: (f32, f32)) -> u32 {
    let x = slope.filter(|_| x < 0.0).map_or(x, |slope| x * slope);
    let x = if x > bounds.0 { x } else { bounds.0 };
    (if x < bounds.1 { x } else { bounds.1 }).to_bits()
}

fn factors(next: &mut impl FnMut() -> u64, channels: usize) -> Vec<f64> {
    many(next, channels, |bits| f64::from(real(bits)) * 2_f64.powi(-((bits >> 40) as i32 % 16)))
}

/// Bounds of an fp32 result: none, those of ReLU, those of ReLU6.
fn bounds(bits: u64) -> (f32, f32) {
    [(f32::NEG_INFINITY, f32::INFINITY), (0.0, f32::INFINITY), (0.0, 6.0)][bits as usize % 3]
}

/// An output stage with small and large factors, half of the time with others for negative accumulators.
fn requant(next: &mut impl FnMut() -> u64, channels: usize) -> RequantParams {
    let (positive, negative) = (factors(next, channels), factors(next, channels));
    let (min, max) = [(-128, 127), (-5, 127), (-100, 100)][next() as usize % 3];
    let negative = next().is_multiple_of(2).then_some(&negative[..]);
    RequantParams::from_real(&positive, negative, byte(next()), min, max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 48 }))]

    #[test]
    fn fp32_convolutions_equal_loops(shape in shapes(), seed: u64) {
        let mut next = sequence(seed);
        let (depth, count) = (shape.in_c, shape.taps());
        let input = many(&mut next, shape.in_pixels() * depth, real);
        let weights = many(&mut next, shape.out_c * count * depth, real);
        let bias = many(&mut next, shape.out_c, real);
        let slopes = next().is_multiple_of(2).then(|| many(&mut next, shape.out_c, real));
        let bounds = bounds(next());
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for channel in 0..shape.out_c {
                let mut sum = bias[channel];
                for (tap, source) in pixel.iter().enumerate() {
                    for k in 0..depth {
                        let w = weights[(channel * count + tap) * depth + k];
                        sum = source.map_or(0.0, |at| input[at * depth + k]).mul_add(w, sum);
                    }
                }
                expected.push(activate(sum, slopes.as_ref().map(|all| all[channel]), bounds));
            }
        }
        for cpu in instruction_sets() {
            let slopes = slopes.as_deref();
            let conv = F32Conv::new(&cpu, &shape, &weights, &bias, slopes, bounds, false);
            check(&conv, &input, &expected)?;
        }
    }

    #[test]
    fn integer_convolutions_equal_loops(shape in shapes(), seed: u64, zero_point: i8, four: bool) {
        let mut next = sequence(seed);
        let (depth, count) = (shape.in_c, shape.taps());
        let input = many(&mut next, shape.in_pixels() * depth, byte);
        let weight = |bits| if four { byte(bits) % 8 } else { eight_bit_weight(bits) };
        let weights = many(&mut next, shape.out_c * count * depth, weight);
        let bias = many(&mut next, shape.out_c, |bits| bits as i32 >> 12);
        let requant = requant(&mut next, shape.out_c);
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for channel in 0..shape.out_c {
                let mut sum = bias[channel];
                // Padding is the zero point: it adds nothing.
                for (tap, at) in pixel.iter().enumerate().filter_map(|(t, at)| Some((t, (*at)?))) {
                    for k in 0..depth {
                        let x = i32::from(input[at * depth + k]) - i32::from(zero_point);
                        sum += x * i32::from(weights[(channel * count + tap) * depth + k]);
                    }
                }
                expected.push(requant.apply(channel, sum));
            }
        }
        for cpu in instruction_sets() {
            let weights = match four {
                true => IntegerWeights::Four(&weights),
                false => IntegerWeights::Eight(&weights),
            };
            let conv = I8Conv::new(&cpu, &shape, weights, &bias, zero_point, requant.clone());
            check(&conv, &input, &expected)?;
        }
    }

    /// Groups of all sizes: of one channel, longer than a tap, and those that kernels for groups take, which run whether they
    /// are the fastest or not.
    #[test]
    fn convolutions_with_groups_equal_loops(
        shape in shapes(),
        wide in prop_oneof![Just(0_usize), 0..100_usize],
        group in prop_oneof![1..70_usize, (1..4_usize).prop_map(|thirty_twos| 32 * thirty_twos)],
        zero_point: i8,
        seed: u64,
    ) {
        let mut next = sequence(seed);
        let shape = ConvShape { in_c: shape.in_c + wide, ..shape };
        let (depth, count) = (shape.in_c, shape.taps());
        let input = many(&mut next, shape.in_pixels() * depth, byte);
        let weights = many(&mut next, shape.out_c * count * depth, |bits| byte(bits) % 8);
        let groups = depth.div_ceil(group);
        let multipliers =
            many(&mut next, shape.out_c * count * groups, |bits| (bits % 20).clamp(1, 15) as u8);
        let bias = many(&mut next, shape.out_c, |bits| bits as i32 >> 12);
        let requant = requant(&mut next, shape.out_c);
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for (channel, &first) in bias.iter().enumerate() {
                let mut sum = first;
                for (tap, at) in pixel.iter().enumerate().filter_map(|(t, at)| Some((t, (*at)?))) {
                    let row = channel * count + tap;
                    for (k, &x) in input[at * depth..][..depth].iter().enumerate() {
                        let w = i32::from(weights[row * depth + k])
                            * i32::from(multipliers[row * groups + k / group]);
                        sum += (i32::from(x) - i32::from(zero_point)) * w;
                    }
                }
                expected.push(requant.apply(channel, sum));
            }
        }
        let names: Vec<String> =
            i4_group_gemm().iter().map(|kernel| kernel.name.to_owned()).collect();
        for cpu in instruction_sets() {
            for cpu in [cpu.clone(), cpu.preferring(names.clone())] {
                let weights =
                    IntegerWeights::Groups { weights: &weights, multipliers: &multipliers, group };
                let conv = I8Conv::new(&cpu, &shape, weights, &bias, zero_point, requant.clone());
                check(&conv, &input, &expected)?;
            }
        }
    }

    #[test]
    fn one_bit_convolutions_equal_loops_over_signs(
        shape in shapes(),
        wide in 0..60_usize,
        pointwise: bool,
        planes in 1..3_usize,
        seed: u64,
    ) {
        let mut next = sequence(seed);
        let shape = match pointwise {
            true => ConvShape::matrix(shape.out_pixels(), shape.in_c + wide, shape.out_c),
            false => ConvShape { in_c: shape.in_c + wide, ..shape },
        };
        let (depth, count) = (shape.in_c, shape.taps());
        // Signs, and the same as words whose bits beyond the channels are zero.
        let mut rows = |rows: usize| {
            let signs = many(&mut next, rows * depth, |bits| bits >> 63 == 1);
            let word = |bits: &[bool]| (0..bits.len()).map(|i| u64::from(bits[i]) << i).sum();
            let words = signs.chunks(depth).flat_map(|row| row.chunks(64).map(word));
            let words: Vec<u64> = words.collect();
            (signs, words)
        };
        let ((input, packed), (weights, packed_weights)) =
            (rows(shape.in_pixels()), rows(shape.out_c * planes * count));
        let bias = many(&mut next, shape.out_c, |bits| bits as i32 >> 14);
        let requant = requant(&mut next, shape.out_c);
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for channel in 0..shape.out_c {
                let mut sum = 0;
                // Padding adds nothing.
                for (tap, at) in pixel.iter().enumerate().filter_map(|(t, at)| Some((t, (*at)?))) {
                    for (plane, k) in (0..planes).flat_map(|plane| (0..depth).map(move |k| (plane, k))) {
                        let w = weights[((channel * planes + plane) * count + tap) * depth + k];
                        sum += if input[at * depth + k] == w { 1 } else { -1 };
                    }
                }
                expected.push(requant.apply(channel, 256 * sum + bias[channel]));
            }
        }
        for cpu in instruction_sets() {
            let conv = bin_conv(&cpu, &shape, &packed_weights, &bias, requant.clone());
            check(&*conv, &packed, &expected)?;
        }
    }

    #[test]
    fn fp32_depthwise_convolutions_equal_loops(shape in shapes(), seed: u64) {
        let mut next = sequence(seed);
        let shape = ConvShape { out_c: shape.in_c, ..shape };
        let depth = shape.in_c;
        let input = many(&mut next, shape.in_pixels() * depth, real);
        let weights = many(&mut next, shape.taps() * depth, real);
        let bias = many(&mut next, depth, real);
        let slopes = next().is_multiple_of(2).then(|| many(&mut next, depth, real));
        let bounds = bounds(next());
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for channel in 0..depth {
                let mut sum = bias[channel];
                for (tap, source) in pixel.iter().enumerate() {
                    let x = source.map_or(0.0, |at| input[at * depth + channel]);
                    sum = x.mul_add(weights[tap * depth + channel], sum);
                }
                expected.push(activate(sum, slopes.as_ref().map(|all| all[channel]), bounds));
            }
        }
        for cpu in instruction_sets() {
            let slopes = slopes.as_deref();
            let conv = F32DepthwiseConv::new(&cpu, &shape, &weights, &bias, slopes, bounds, false);
            check(&conv, &input, &expected)?;
        }
    }

    #[test]
    fn int8_depthwise_convolutions_equal_loops(shape in shapes(), seed: u64, zero_point: i8) {
        let mut next = sequence(seed);
        let shape = ConvShape { out_c: shape.in_c, ..shape };
        let depth = shape.in_c;
        let input = many(&mut next, shape.in_pixels() * depth, byte);
        let weights = many(&mut next, shape.taps() * depth, eight_bit_weight);
        let bias = many(&mut next, depth, |bits| bits as i32 >> 12);
        let requant = requant(&mut next, depth);
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            for channel in 0..depth {
                let mut sum = bias[channel];
                for (tap, at) in pixel.iter().enumerate().filter_map(|(t, at)| Some((t, (*at)?))) {
                    let x = i32::from(input[at * depth + channel]) - i32::from(zero_point);
                    sum += x * i32::from(weights[tap * depth + channel]);
                }
                expected.push(requant.apply(channel, sum));
            }
        }
        for cpu in instruction_sets() {
            let conv = I8DepthwiseConv::new(&cpu, &shape, &weights, &bias, zero_point, requant.clone());
            check(&conv, &input, &expected)?;
        }
    }

    #[test]
    fn signs_of_int8_depthwise_convolutions_equal_loops(
        shape in shapes(),
        narrow: bool,
        seed: u64,
        zero_point: i8,
    ) {
        let mut next = sequence(seed);
        let channels = shape.in_c + if next().is_multiple_of(2) { 60 } else { 0 };
        let shape = ConvShape { in_c: channels, out_c: channels, ..shape };
        let input = many(&mut next, shape.in_pixels() * channels, byte);
        // Products that add up in 16 bits, or do not.
        let most = if narrow { 255 / shape.taps() as i32 } else { 127 };
        let weights = many(&mut next, shape.taps() * channels, eight_bit_weight);
        let weights: Vec<i8> =
            weights.into_iter().map(|w| i32::from(w).clamp(-most, most) as i8).collect();
        let bias = many(&mut next, channels, |bits| bits as i32 >> 18);
        let threshold = |bits: u64| match bits % 8 {
            0 => -(1 << 30),
            1 => 1 << 30,
            _ => bits as i32 >> 18,
        };
        let thresholds = many(&mut next, channels, threshold);
        let words = channels.div_ceil(64);
        let mut expected = Vec::new();
        for pixel in taps(&shape) {
            let mut bits = vec![0_u64; words];
            for channel in 0..channels {
                let mut sum = bias[channel];
                for (tap, at) in pixel.iter().enumerate().filter_map(|(t, at)| Some((t, (*at)?))) {
                    let x = i32::from(input[at * channels + channel]) - i32::from(zero_point);
                    sum += x * i32::from(weights[tap * channels + channel]);
                }
                bits[channel / 64] |= u64::from(sum >= thresholds[channel]) << (channel % 64);
            }
            expected.extend(bits);
        }
        for cpu in instruction_sets() {
            let conv =
                I8DepthwiseSignsConv::new(&cpu, &shape, &weights, &bias, &thresholds, zero_point);
            check(&conv, &input, &expected)?;
        }
    }
}

/// What an fp32 operator makes of one operand, rounded to fp16.
fn rounded(operator: &dyn Operator, input: &[f16], count: usize) -> Vec<f16> {
    let wide: Vec<f32> = input.iter().map(|x| x.to_f32()).collect();
    let (mut source, mut result) = (Buffer::new(4 * wide.len()), Buffer::new(4 * count));
    source.bytes_mut()[..4 * wide.len()].copy_from_slice(bytemuck::cast_slice(&wide));
    operator.run_alone(&[source.bytes()], &mut [result.bytes_mut()], &Serial);
    let result: &[f32] = bytemuck::cast_slice(&result.bytes()[..4 * count]);
    result.iter().map(|&x| f16::from_f32(x)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 24 }))]

    /// Whole, in chunks, and pixel by pixel: large images of few channels have several chunks.
    #[test]
    fn fp16_layers_are_fp32_ones_between_roundings(
        shape in shapes(),
        large: bool,
        single: bool,
        channels in 1..5_usize,
        seed: u64,
    ) {
        let mut next = sequence(seed);
        let half = |bits| f16::from_f32(real(bits));
        let wide = |all: &[f16]| -> Vec<f32> { all.iter().map(|x| x.to_f32()).collect() };
        let shape = match (large, single) {
            // Rows and columns that the window does not reach are left out.
            (true, _) => ConvShape {
                in_h: shape.in_h + 40 * shape.window.stride[0],
                in_w: shape.in_w + 40 * shape.window.stride[1],
                out_h: shape.out_h + 40,
                out_w: shape.out_w + 40,
                in_c: channels,
                ..shape
            },
            (false, true) => ConvShape::matrix(1, shape.in_c, shape.out_c),
            _ => shape,
        };
        let input = many(&mut next, shape.in_pixels() * shape.in_c, half);
        let bounds = bounds(next());
        let dense = many(&mut next, shape.out_c * shape.taps() * shape.in_c, half);
        let bias = many(&mut next, shape.out_c.max(shape.in_c), real);
        let slopes = next().is_multiple_of(2).then(|| bias.iter().rev().copied().collect::<Vec<_>>());
        let depthwise = many(&mut next, shape.taps() * shape.in_c, half);
        for cpu in instruction_sets() {
            let layer = |half: bool| {
                let (weights, columns) = (wide(&dense), shape.out_c);
                let slopes = slopes.as_ref().map(|slopes| &slopes[..columns]);
                F32Conv::new(&cpu, &shape, &weights, &bias[..columns], slopes, bounds, half)
            };
            let expected = rounded(&layer(false), &input, shape.out_pixels() * shape.out_c);
            check(&layer(true), &input, &expected)?;
            let shape = ConvShape { out_c: shape.in_c, ..shape.clone() };
            let layer = |half: bool| {
                let (weights, columns) = (wide(&depthwise), shape.in_c);
                let slopes = slopes.as_ref().map(|slopes| &slopes[..columns]);
                F32DepthwiseConv::new(&cpu, &shape, &weights, &bias[..columns], slopes, bounds, half)
            };
            let expected = rounded(&layer(false), &input, shape.out_pixels() * shape.in_c);
            check(&layer(true), &input, &expected)?;
        }
    }
}
