//! Weights and biases with fewer bits.

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

/// 8-bit weights with a scale per channel, and 32-bit biases in units of input scale times weight scale.
pub(super) struct Symmetric {
    pub(super) weights: Constant,
    pub(super) bias: Constant,
}

/// Symmetric per-channel rounding: the largest weight of a channel becomes ±127. `channel` maps the index of a weight to
/// its channel.
///
/// A channel with tiny weights but a large bias gets a larger scale, so that its bias fits 30 bits.
pub(super) fn symmetric(
    weights: &[f32],
    bias: &[f32],
    input_scale: f32,
    channel: impl Fn(usize) -> usize,
) -> Symmetric {
    let mut largest = vec![0.0_f32; bias.len()];
    for (index, w) in weights.iter().enumerate() {
        let of_channel = &mut largest[channel(index)];
        *of_channel = of_channel.max(w.abs());
    }
    let scales: Vec<f32> = largest
        .iter()
        .zip(bias)
        .map(|(largest, bias)| {
            let for_bias = bias.abs() / input_scale / (1 << 30) as f32;
            (largest / 127.0).max(for_bias).max(f32::MIN_POSITIVE * 1e6)
        })
        .collect();
    let step = |(index, w): (usize, &f32)| {
        (w / scales[channel(index)]).round_ties_even().clamp(-127.0, 127.0) as i8
    };
    let quantized = weights.iter().enumerate().map(step).collect();
    let bias = bias.iter().zip(&scales).map(|(&bias, &scale)| {
        (f64::from(bias) / (f64::from(input_scale) * f64::from(scale))).round_ties_even() as i32
    });
    Symmetric {
        bias: Constant::i32(bias.collect()),
        weights: Constant { data: ConstantData::I8(quantized), scales },
    }
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
            let symmetric = symmetric(&weights, &bias, 0.1, |index| index / 4);
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

    #[test]
    fn a_channel_of_zeros_keeps_its_bias() {
        let symmetric = symmetric(&[0.0; 4], &[3.0], 0.5, |_| 0);
        let b = f64::from(symmetric.bias.as_i32().unwrap()[0]);
        let real = b * 0.5 * f64::from(symmetric.weights.scales[0]);
        assert!((real - 3.0).abs() < 1e-5, "{real}");
    }
}
