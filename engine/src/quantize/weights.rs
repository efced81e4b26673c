//! Weights and biases with fewer bits.

use super::gptq::Rounder;
use crate::graph::{Constant, ConstantData, Encoding};

/// The 8-bit encoding that covers `low..=high`, which contains 0: 0 is exactly representable.
pub(super) fn asymmetric((low, high): (f32, f32)) -> (f32, i8) {
    let scale = ((high - low) / 255.0).max(f32::MIN_POSITIVE * 1e6);
    let zero_point = (-128.0 - low / scale).round_ties_even().clamp(-128.0, 127.0);
    (scale, zero_point as i8)
}

/// [`asymmetric`] as an encoding.
pub(super) fn int8((scale, zero_point): (f32, i8)) -> Encoding {
    Encoding::Int8 { scale, zero_point }
}

/// Elements of a constant operand in steps of `scale` from `zero_point`.
pub(super) fn quantize_operand(constant: &Constant, (scale, zero_point): (f32, i8)) -> Constant {
    let step = |&x: &f32| {
        ((x / scale).round_ties_even() + f32::from(zero_point)).clamp(-128.0, 127.0) as i8
    };
    let values = constant.as_f32().unwrap_or_default().iter().map(step).collect();
    Constant { data: ConstantData::I8(values), scales: Vec::new() }
}

/// Weights with a scale per channel, and 32-bit biases in units of input scale times weight scale.
#[derive(Clone, Debug)]
pub(super) struct Symmetric {
    pub(super) weights: Constant,
    pub(super) bias: Constant,
}

/// Symmetric per-channel rounding to 8 bits: the largest weight of a channel becomes ±127. `channel` maps the index of a
/// weight to its channel.
///
/// A channel with tiny weights but a large bias gets a larger scale, so that its bias fits 30 bits; and where `in_16_bits` is
/// asked for one whose steps' magnitudes sum to 255 at most, so that its products with any 8-bit activations add up in 16 bits.
pub(super) fn eight_bits(
    weights: &[f32],
    bias: &[f32],
    input_scale: f32,
    channel: impl Fn(usize) -> usize,
    in_16_bits: bool,
) -> Symmetric {
    let (mut largest, mut sums) = (vec![0.0_f32; bias.len()], vec![0.0_f32; bias.len()]);
    for (index, w) in weights.iter().enumerate() {
        let channel = channel(index);
        largest[channel] = largest[channel].max(w.abs());
        sums[channel] += w.abs();
    }
    // Rounding adds half a step to each weight at most, and a little is left for the sum itself.
    let room = 254.9 - 0.5 * (weights.len() / bias.len().max(1)) as f32;
    let narrow = |sum: f32| if in_16_bits && room > 0.0 { sum / room } else { 0.0 };
    let scales = largest.iter().zip(sums).zip(bias);
    let scales: Vec<f32> = scales
        .map(|((largest, sum), &bias)| {
            (largest / 127.0).max(narrow(sum)).max(least_scale(bias, input_scale))
        })
        .collect();
    let step = |(index, &w): (usize, &f32)| rounded(w, scales[channel(index)], 127.0);
    let quantized = weights.iter().enumerate().map(step).collect();
    let bias = scaled_bias(bias, &scales, input_scale);
    Symmetric { bias, weights: Constant { data: ConstantData::I8(quantized), scales } }
}

/// Symmetric per-channel rounding to 4 bits. Weights are `[out, taps, in]`.
///
/// A channel's scale is that of a few which leaves the smallest squared error: with fifteen steps it pays to clip the
/// largest weights (R. Banner et al., "Post training 4-bit quantization of convolutional networks", NeurIPS 2019). What
/// rounding adds to the mean of a channel's result, given the `means` of the operands, comes off its bias (M. Nagel
/// et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019); no correction where the
/// means are not those of the operands. With a `rounder` the errors that count are those of the results.
pub(super) fn four_bits(
    weights: &[f32],
    bias: &[f32],
    input_scale: f32,
    means: &[f32],
    rounder: Option<&Rounder>,
) -> Symmetric {
    let per_output = weights.len() / bias.len().max(1);
    let variances = rounder.map_or_else(|| vec![1.0; per_output], Rounder::variances);
    let (mut quantized, mut scales) = (Vec::with_capacity(weights.len()), Vec::new());
    let mut corrected = bias.to_vec();
    for (row, bias) in weights.chunks_exact(per_output.max(1)).zip(&mut corrected) {
        let scale = best_scale(row, &variances).max(least_scale(*bias, input_scale));
        let steps: Vec<i8> = match rounder {
            Some(rounder) => rounder.round(row, scale, FOUR_BIT_LIMIT),
            None => row.iter().map(|&w| rounded(w, scale, FOUR_BIT_LIMIT)).collect(),
        };
        if !means.is_empty() && per_output.is_multiple_of(means.len()) {
            let errors = row.iter().zip(&steps).map(|(&w, &q)| w - f32::from(q) * scale);
            *bias +=
                errors.zip(means.iter().cycle()).map(|(error, mean)| error * mean).sum::<f32>();
        }
        quantized.extend(steps);
        scales.push(scale);
    }
    let bias = scaled_bias(&corrected, &scales, input_scale);
    Symmetric { bias, weights: Constant::i4(&quantized, scales) }
}

const FOUR_BIT_LIMIT: f32 = 7.0;

/// The 4-bit scale with the smallest squared error, each weight's times the variance of its operand, from clipping nothing
/// to clipping the upper half.
fn best_scale(weights: &[f32], variances: &[f32]) -> f32 {
    let largest = weights.iter().fold(0.0, |largest: f32, w| largest.max(w.abs()));
    let error = |scale: f32| -> f64 {
        let off = |w: f32| f64::from(w - f32::from(rounded(w, scale, FOUR_BIT_LIMIT)) * scale);
        weights.iter().zip(variances).map(|(&w, &v)| f64::from(v) * off(w).powi(2)).sum()
    };
    let scales = (10..=20).rev().map(|share| largest / FOUR_BIT_LIMIT * share as f32 / 20.0);
    let scales = scales.filter(|&scale| scale > 0.0).map(|scale| (error(scale), scale));
    scales.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, scale)| scale)
}

/// The least scale with which a bias fits 30 bits and division is safe.
fn least_scale(bias: f32, input_scale: f32) -> f32 {
    (bias.abs() / input_scale / (1 << 30) as f32).max(f32::MIN_POSITIVE * 1e6)
}

fn rounded(w: f32, scale: f32, limit: f32) -> i8 {
    (w / scale).round_ties_even().clamp(-limit, limit) as i8
}

fn scaled_bias(bias: &[f32], scales: &[f32], input_scale: f32) -> Constant {
    let units = bias.iter().zip(scales).map(|(&bias, &scale)| {
        (f64::from(bias) / (f64::from(input_scale) * f64::from(scale))).round_ties_even() as i32
    });
    Constant::i32(units.collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_encoding_covers_the_range_and_zero_is_exact(low in -100.0..0.0_f32, high in 0.001..100.0_f32) {
            let (scale, zero_point) = asymmetric((low, high));
            let real = |q: i32| (q - i32::from(zero_point)) as f32 * scale;
            prop_assert!(real(-128) <= low + scale && real(127) >= high - scale);
            prop_assert_eq!(real(i32::from(zero_point)), 0.0);
        }

        #[test]
        fn weights_are_off_by_at_most_half_a_step(
            weights in prop::collection::vec(-2.0..2.0_f32, 12), bias in prop::collection::vec(-5.0..5.0_f32, 3)
        ) {
            let symmetric = eight_bits(&weights, &bias, 0.1, |index| index / 4, false);
            let ConstantData::I8(q) = &symmetric.weights.data else { panic!("8 bits") };
            for (index, (&q, &w)) in q.iter().zip(&weights).enumerate() {
                let scale = symmetric.weights.scales[index / 4];
                prop_assert!((f32::from(q) * scale - w).abs() <= scale * 0.5001);
            }
            for (channel, &b) in symmetric.bias.as_i32().unwrap().iter().enumerate() {
                let unit = 0.1 * symmetric.weights.scales[channel];
                prop_assert!((b as f32 * unit - bias[channel]).abs() <= unit);
            }
        }
    }

    proptest! {
        #[test]
        fn products_add_up_in_16_bits(weights in prop::collection::vec(-1.0..1.0_f32, 2 * 49)) {
            let symmetric = eight_bits(&weights, &[0.0; 2], 0.1, |index| index % 2, true);
            let ConstantData::I8(q) = &symmetric.weights.data else { panic!("8 bits") };
            for channel in 0..2 {
                let sum: u32 = q.iter().skip(channel).step_by(2).map(|q| u32::from(q.unsigned_abs())).sum();
                prop_assert!(sum <= 255, "{sum}");
                let scale = symmetric.weights.scales[channel];
                for (&q, &w) in q.iter().zip(&weights).skip(channel).step_by(2) {
                    prop_assert!((f32::from(q) * scale - w).abs() <= scale * 0.5001);
                }
            }
        }
    }

    #[test]
    fn a_channel_of_zeros_keeps_its_bias() {
        let symmetric = eight_bits(&[0.0; 4], &[3.0], 0.5, |_| 0, false);
        let b = f64::from(symmetric.bias.as_i32().unwrap()[0]);
        let real = b * 0.5 * f64::from(symmetric.weights.scales[0]);
        assert!((real - 3.0).abs() < 1e-5, "{real}");
    }

    #[test]
    fn four_bits_clip_an_outlier_only_where_that_pays() {
        let mut weights: Vec<f32> = (0..64).map(|i| (i as f32 - 31.5) / 40.0).collect();
        let none = best_scale(&weights, &[1.0; 64]);
        assert!(none > 0.9 * 31.5 / 40.0 / 7.0, "{none}");
        weights[0] = -1.6;
        let clipped = best_scale(&weights, &[1.0; 64]);
        assert!(clipped < 0.9 * 1.6 / 7.0, "{clipped}");
    }

    #[test]
    fn four_bits_keep_the_mean_of_the_results() {
        let weights: Vec<f32> = (0..32).map(|i| ((i * 37 % 64) as f32 - 31.0) / 50.0).collect();
        let (means, bias) = ([3.0, -1.0, 0.5, 2.0], [0.25, -4.0]);
        let symmetric = four_bits(&weights, &bias, 0.01, &means, None);
        let q = symmetric.weights.to_i4(32).unwrap();
        assert!(q.iter().all(|q| (-7..=7).contains(q)));
        let units = symmetric.bias.as_i32().unwrap();
        for row in 0..2 {
            let mean = |w: &dyn Fn(usize) -> f32| -> f32 {
                (0..16).map(|i| w(16 * row + i) * means[i % 4]).sum()
            };
            let scale = symmetric.weights.scales[row];
            let real = mean(&|i| weights[i]) + bias[row];
            let quantized = mean(&|i| f32::from(q[i]) * scale) + units[row] as f32 * 0.01 * scale;
            assert!((real - quantized).abs() < 1e-2 * scale, "{real} {quantized}");
        }
    }
}
