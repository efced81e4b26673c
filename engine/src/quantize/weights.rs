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
    pub(super) encoding: Encoding,
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
    let weights = Constant { data: ConstantData::I8(quantized), scales };
    Symmetric { encoding: Encoding::Int8 { scale: 1.0, zero_point: 0 }, bias, weights }
}

/// Groups of a layer's 4-bit weights, each with a multiplier of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grouping {
    /// Input channels of the layer, a tap's.
    pub(super) channels: usize,
    /// Of these as many share a multiplier, the last of a tap fewer.
    pub(super) group: usize,
}

/// Symmetric per-channel rounding to 4 bits. Weights are `[out, taps, in]`.
///
/// A channel's scale is that of a few which leaves the smallest squared error: with fifteen steps it pays to clip the
/// largest weights (R. Banner et al., "Post training 4-bit quantization of convolutional networks", NeurIPS 2019). What
/// rounding adds to the mean of a channel's result, given the `means` of the operands, comes off its bias (M. Nagel
/// et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019); no correction where the
/// means are not those of the operands. With a `rounder` the errors that count are those of the results.
///
/// With `groups` a channel's scale is the unit of its groups' steps, which are 1 to 15 of them (S. Dai et al., "VS-Quant: Per-vector
/// Scaled Quantization for Accurate Low-Precision Neural Network Inference", MLSys 2021): each group has the one with the
/// smallest squared error. A layer whose channels are one group each has none.
pub(super) fn four_bits(
    weights: &[f32],
    bias: &[f32],
    input_scale: f32,
    means: &[f32],
    rounder: Option<&Rounder>,
    groups: Option<Grouping>,
) -> Symmetric {
    let per_output = weights.len() / bias.len().max(1);
    let groups = groups.filter(|groups| groups.group.min(groups.channels) < per_output);
    let variances = rounder.map_or_else(|| vec![1.0; per_output], Rounder::variances);
    let (mut quantized, mut scales) = (Vec::with_capacity(weights.len()), Vec::new());
    let mut corrected = bias.to_vec();
    let mut multipliers = Vec::new();
    for (row, bias) in weights.chunks_exact(per_output.max(1)).zip(&mut corrected) {
        let least = least_scale(*bias, input_scale);
        let mut each = vec![1; per_output];
        let scale = match groups {
            None => best_scale(row, &variances).max(least),
            Some(groups) => {
                let (scale, of_groups) = best_multipliers(row, &variances, groups, least);
                let parts =
                    each.chunks_mut(groups.channels).flat_map(|tap| tap.chunks_mut(groups.group));
                parts.zip(&of_groups).for_each(|(part, &multiplier)| part.fill(multiplier));
                multipliers.extend(of_groups);
                scale
            }
        };
        let step = |multiplier: u8| scale * f32::from(multiplier);
        let steps: Vec<i8> = match rounder {
            Some(rounder) => rounder.round(row, scale, &each, FOUR_BIT_LIMIT),
            None => {
                row.iter().zip(&each).map(|(&w, &m)| rounded(w, step(m), FOUR_BIT_LIMIT)).collect()
            }
        };
        if !means.is_empty() && per_output.is_multiple_of(means.len()) {
            let errors = row.iter().zip(&steps).zip(&each);
            let errors = errors.map(|((&w, &q), &m)| w - f32::from(q) * step(m));
            *bias +=
                errors.zip(means.iter().cycle()).map(|(error, mean)| error * mean).sum::<f32>();
        }
        quantized.extend(steps);
        scales.push(scale);
    }
    let bias = scaled_bias(&corrected, &scales, input_scale);
    match groups {
        None => {
            let weights = Constant::i4(&quantized, scales);
            Symmetric { encoding: Encoding::Int4, bias, weights }
        }
        Some(Grouping { group, .. }) => {
            let weights = Constant::i4_groups(&quantized, &multipliers, scales);
            Symmetric { encoding: Encoding::Int4Groups { group }, bias, weights }
        }
    }
}

const FOUR_BIT_LIMIT: f32 = 7.0;
/// Largest multiplier of a group: weights times multipliers have 8 bits, and multipliers four.
const MOST_MULTIPLIER: u8 = 15;
/// Scales that are tried are so many twentieths of the one with which no weight is clipped.
const SCALES: std::ops::RangeInclusive<u8> = 10..=20;

/// The 4-bit scale with the smallest squared error, each weight's times the variance of its operand, from clipping nothing
/// to clipping the upper half.
fn best_scale(weights: &[f32], variances: &[f32]) -> f32 {
    let largest = weights.iter().fold(0.0, |largest: f32, w| largest.max(w.abs()));
    let scales = SCALES.rev().map(|share| largest / FOUR_BIT_LIMIT * f32::from(share) / 20.0);
    let scales = scales.filter(|&scale| scale > 0.0);
    let scales = scales.map(|scale| (squared_error(weights, variances, scale), scale));
    scales.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(0.0, |(_, scale)| scale)
}

/// The squared error of rounding to steps of `scale`, each weight's times the variance of its operand.
fn squared_error(weights: &[f32], variances: &[f32], scale: f32) -> f64 {
    let off = |w: f32| f64::from(w - f32::from(rounded(w, scale, FOUR_BIT_LIMIT)) * scale);
    weights.iter().zip(variances).map(|(&w, &v)| f64::from(v) * off(w).powi(2)).sum()
}

/// The scale of a row, at least `least`, and the multipliers of its groups with the smallest squared error, of a few scales and
/// all multipliers. With the largest multiplier everywhere the steps are those of [`best_scale`].
fn best_multipliers(
    row: &[f32],
    variances: &[f32],
    Grouping { channels, group }: Grouping,
    least: f32,
) -> (f32, Vec<u8>) {
    let largest = row.iter().fold(0.0, |largest: f32, w| largest.max(w.abs()));
    let taps = row.chunks(channels).zip(variances.chunks(channels));
    let groups: Vec<(&[f32], &[f32])> =
        taps.flat_map(|(row, variances)| row.chunks(group).zip(variances.chunks(group))).collect();
    let multiplier = |(weights, variances): &(&[f32], &[f32]), scale: f32| -> (f64, u8) {
        let error = |m: u8| squared_error(weights, variances, scale * f32::from(m));
        let all = (1..=MOST_MULTIPLIER).map(|m| (error(m), m));
        all.min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, 1))
    };
    let finest = largest / FOUR_BIT_LIMIT / f32::from(MOST_MULTIPLIER);
    let candidates = SCALES.rev().map(|share| {
        let scale = (finest * f32::from(share) / 20.0).max(least);
        let (errors, multipliers): (Vec<f64>, Vec<u8>) =
            groups.iter().map(|part| multiplier(part, scale)).unzip();
        (errors.iter().sum::<f64>(), (scale, multipliers))
    });
    let best = candidates.min_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(|| (least, vec![1; groups.len()]), |(_, found)| found)
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
    use crate::graph::grouped;

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

    /// Squared error of the weights of a row, as a layer of one output.
    fn row_error(row: &[f32], groups: Option<Grouping>) -> f64 {
        let layer = four_bits(row, &[0.0], 0.01, &[], None, groups);
        let steps = layer.weights.to_i4(row.len()).unwrap();
        let steps = match (layer.encoding, groups) {
            (Encoding::Int4Groups { group }, Some(groups)) => {
                let multipliers = layer.weights.to_multipliers(row.len()).unwrap();
                grouped(&steps, &multipliers, groups.channels, group)
            }
            _ => steps,
        };
        let scale = layer.weights.scales[0];
        let off = |(&w, &q): (&f32, &i8)| f64::from(w - f32::from(q) * scale).powi(2);
        row.iter().zip(&steps).map(off).sum()
    }

    #[test]
    fn groups_do_not_pay_for_the_outliers_of_others() {
        // Two taps of 40 channels, of which the first sixteen of the first tap are ten times as large.
        let wave = |i: usize| ((i * 37 % 80) as f32 - 39.5) / 400.0;
        let row: Vec<f32> =
            (0..80).map(|i| if i < 16 { 10.0 * wave(i) } else { wave(i) }).collect();
        let plain = row_error(&row, None);
        let small = row_error(&row, Some(Grouping { channels: 40, group: 16 }));
        assert!(small < 0.25 * plain, "{small} {plain}");
        let large = row_error(&row, Some(Grouping { channels: 40, group: 64 }));
        assert!(small < large && large < plain, "{small} {large} {plain}");
    }

    #[test]
    fn a_single_group_is_none() {
        let weights = [0.5, -0.25, 0.125, 0.1];
        let encoding = |channels, group| {
            let groups = Some(Grouping { channels, group });
            four_bits(&weights, &[0.0], 0.1, &[], None, groups).encoding
        };
        assert_eq!(encoding(4, 16), Encoding::Int4);
        assert_eq!(encoding(4, 4), Encoding::Int4);
        assert_eq!(encoding(4, 2), Encoding::Int4Groups { group: 2 });
        // Two taps are two groups, however few channels they have.
        assert_eq!(encoding(2, 16), Encoding::Int4Groups { group: 16 });
    }

    proptest! {
        #[test]
        fn groups_never_leave_more_error(
            row in prop::collection::vec(-1.0..1.0_f32, 24), taps in 1..4_usize, group in 1..24_usize
        ) {
            let groups = Grouping { channels: 24 / taps, group };
            let (plain, less) = (row_error(&row, None), row_error(&row, Some(groups)));
            // Steps of 15 units are not quite those of a scale of their own.
            prop_assert!(less <= plain * (1.0 + 1e-5), "{} {}", less, plain);
        }

        #[test]
        fn multipliers_have_four_bits_and_products_eight(
            row in prop::collection::vec(-1.0..1.0_f32, 48), bias in -1e3..1e3_f32, zeros in 0..48_usize
        ) {
            let row: Vec<f32> = row.iter().enumerate().map(|(i, &w)| if i < zeros { 0.0 } else { w }).collect();
            let groups = Some(Grouping { channels: 24, group: 10 });
            let layer = four_bits(&row, &[bias], 0.01, &[], None, groups);
            let multipliers = layer.weights.to_multipliers(6).unwrap();
            prop_assert!(multipliers.iter().all(|m| (1..=MOST_MULTIPLIER).contains(m)));
            let steps = layer.weights.to_i4(48).unwrap();
            let products = grouped(&steps, &multipliers, 24, 10);
            prop_assert!(products.iter().all(|w| w.unsigned_abs() <= 105));
            prop_assert!(layer.bias.as_i32().unwrap()[0].unsigned_abs() <= 1 << 30);
        }
    }

    #[test]
    fn four_bits_keep_the_mean_of_the_results() {
        let weights: Vec<f32> = (0..32).map(|i| ((i * 37 % 64) as f32 - 31.0) / 50.0).collect();
        let (means, bias) = ([3.0, -1.0, 0.5, 2.0], [0.25, -4.0]);
        for groups in [None, Some(Grouping { channels: 4, group: 3 })] {
            let symmetric = four_bits(&weights, &bias, 0.01, &means, None, groups);
            let mut q = symmetric.weights.to_i4(32).unwrap();
            assert!(q.iter().all(|q| (-7..=7).contains(q)));
            if let Some(multipliers) = symmetric.weights.to_multipliers(16) {
                q = grouped(&q, &multipliers, 4, 3);
            }
            let units = symmetric.bias.as_i32().unwrap();
            for row in 0..2 {
                let mean = |w: &dyn Fn(usize) -> f32| -> f32 {
                    (0..16).map(|i| w(16 * row + i) * means[i % 4]).sum()
                };
                let scale = symmetric.weights.scales[row];
                let real = mean(&|i| weights[i]) + bias[row];
                let bias = units[row] as f32 * 0.01 * scale;
                let quantized = mean(&|i| f32::from(q[i]) * scale) + bias;
                assert!((real - quantized).abs() < 1e-2 * scale, "{real} {quantized}");
            }
        }
    }
}
