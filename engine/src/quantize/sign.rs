//! One-bit activations, and weights of one bit or of -1, 0 and 1.

use crate::graph::{
    Activation, BinaryOp, Constant, ConstantData, Encoding, Graph, Node, Op, UnaryOp, ValueId,
};

/// A layer as it runs on bits: `y[o] = alpha[o] * sum of ±1 products + bias[o]`.
#[derive(Debug)]
pub(super) struct SignLayer {
    /// The value whose signs are taken.
    pub(super) input: ValueId,
    /// Per input channel: elements at or above count as +1.
    pub(super) thresholds: Vec<f32>,
    /// Bits `[out, planes, taps, words]`; the scales are `alpha`.
    pub(super) weights: Constant,
    /// Biases in 1/256 of a product.
    pub(super) bias: Constant,
}

/// Thresholds as a comparison with an operand in `encoding` needs them.
pub(super) fn thresholds_in(encoding: Encoding, thresholds: &[f32]) -> Constant {
    let Encoding::Int8 { scale, zero_point } = encoding else {
        return Constant::f32(thresholds.to_vec());
    };
    // q at or above the step means x at or above the threshold.
    let step = |threshold: &f32| {
        (threshold / scale + f32::from(zero_point)).ceil().clamp(-1000.0, 1000.0) as i32
    };
    Constant::i32(thresholds.iter().map(step).collect())
}

/// Packs signs along the last axis of `channels` elements.
pub(super) fn pack(weights: &[f32], channels: usize) -> Vec<u64> {
    let word = |signs: &[f32]| {
        let bit = |(index, &w): (usize, &f32)| u64::from(w >= 0.0) << index;
        signs.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
    };
    weights.chunks(channels).flat_map(|row| row.chunks(64).map(word)).collect()
}

/// The layer with these packed signs as weights. The units are chosen here: of the products, `alpha`, and of the bias.
pub(super) fn layer(
    input: ValueId,
    thresholds: Vec<f32>,
    bits: Vec<u64>,
    alpha: &[f32],
    bias: &[f32],
) -> SignLayer {
    // A channel whose products hardly count still needs a unit in which its bias fits 30 bits.
    let alpha: Vec<f32> = alpha
        .iter()
        .zip(bias)
        .map(|(alpha, bias)| alpha.max(bias.abs() / (1 << 22) as f32).max(f32::MIN_POSITIVE * 1e6))
        .collect();
    let units = bias.iter().zip(&alpha).map(|(&bias, &alpha)| {
        (f64::from(bias) / f64::from(alpha) * 256.0).round_ties_even() as i32
    });
    let bias = Constant::i32(units.collect());
    let weights = Constant { data: ConstantData::Bits(bits), scales: alpha };
    SignLayer { input, thresholds, weights, bias }
}

/// Signs around each channel's centre: with `x[k] ≈ centre[k] + spread[k] * s[k]` and `s = ±1`, the centres go to the
/// bias, the spreads to the weights, and these become `alpha[o] * sign(w)` with the mean magnitude of the channel
/// (M. Rastegari et al., "XNOR-Net", arXiv:1603.05279).
///
/// With `ternary` weights of which the magnitude is small become 0 and the others `±alpha[o]`: those up to 0.7 times the mean
/// (F. Li, B. Liu, "Ternary Weight Networks", arXiv:1605.04711). On a Cortex-A53 such a weight is the sum of two one-bit
/// products, and the level between int4 and bin1 that loses least for its speed: activations of two bits would need four.
///
/// `weights` are `[out, taps, in]`; `channels` are (centre, spread) per input channel.
pub(super) fn centred(
    input: ValueId,
    weights: &[f32],
    bias: &[f32],
    channels: &[(f32, f32)],
    ternary: bool,
) -> SignLayer {
    let count = channels.len();
    let per_output = weights.len() / bias.len();
    let scaled: Vec<f32> =
        weights.iter().enumerate().map(|(index, w)| w * channels[index % count].1).collect();
    let centres: Vec<f32> = channels.iter().map(|channel| channel.0).collect();
    let moved: Vec<f32> = weights
        .chunks_exact(per_output)
        .zip(bias)
        .map(|(weights, bias)| {
            let products = weights.iter().enumerate().map(|(index, w)| w * centres[index % count]);
            bias + products.sum::<f32>()
        })
        .collect();
    let rows = scaled.chunks_exact(per_output);
    if ternary {
        let mut bits = Vec::new();
        let mut alpha = Vec::new();
        for row in rows {
            let (step, half) = ternary_row(row);
            bits.extend(half.iter().flat_map(|signs| pack(signs, count)));
            // Each product is the sum of two.
            alpha.push(step / 2.0);
        }
        return layer(input, centres, bits, &alpha, &moved);
    }
    let alpha: Vec<f32> =
        rows.map(|row| row.iter().map(|w| w.abs()).sum::<f32>() / per_output as f32).collect();
    layer(input, centres, pack(&scaled, count), &alpha, &moved)
}

/// Share of the mean magnitude up to which a weight becomes 0.
const TERNARY_THRESHOLD: f32 = 0.7;

/// The magnitude of the weights of a row that are not 0, and the two signs of each weight, whose sum is 2, 0 or -2.
fn ternary_row(row: &[f32]) -> (f32, [Vec<f32>; 2]) {
    let mean = row.iter().map(|w| w.abs()).sum::<f32>() / row.len() as f32;
    let threshold = TERNARY_THRESHOLD * mean;
    let kept: Vec<f32> = row.iter().map(|w| w.abs()).filter(|&w| w > threshold).collect();
    let step = kept.iter().sum::<f32>() / kept.len().max(1) as f32;
    let sign = |is: bool| if is { 1.0 } else { -1.0 };
    let first = row.iter().map(|&w| sign(w >= -threshold)).collect();
    let second = row.iter().map(|&w| sign(w > threshold)).collect();
    (step, [first, second])
}

/// The layer of a node that was trained at one bit: its operand is `SIGN(x)` or `SIGN(x ∓ constant)`, and the weights of
/// each output channel have one magnitude. `None` for any other node.
pub(super) fn trained(
    graph: &Graph,
    producers: &[Option<usize>],
    node: &Node,
    weights: &[f32],
    bias: &[f32],
) -> Option<SignLayer> {
    let producer = |id: ValueId| producers[id].map(|index| &graph.nodes[index]);
    let takes_signs = |op: &Op| matches!(op, Op::Unary(UnaryOp::Sign | UnaryOp::Bipolar));
    let sign = producer(node.inputs[0]).filter(|node| takes_signs(&node.op))?;
    let channels = graph.values[node.inputs[0]].shape.last().copied()?;
    let (input, thresholds) = shift(graph, producer(sign.inputs[0]))
        .unwrap_or_else(|| (sign.inputs[0], vec![0.0; channels]));
    let alpha = one_magnitude(weights, bias.len())?;
    Some(layer(input, thresholds, pack(weights, channels), &alpha, bias))
}

/// `x - c` and `x + c` as x and its thresholds: at or above them the result of the node is 0 or more.
pub(super) fn shift(graph: &Graph, node: Option<&Node>) -> Option<(ValueId, Vec<f32>)> {
    let node = node?;
    let factor = match node.op {
        Op::Binary { op: BinaryOp::Sub, activation: Activation::None } => 1.0,
        Op::Binary { op: BinaryOp::Add, activation: Activation::None } => -1.0,
        _ => return None,
    };
    let x = &graph.values[node.inputs[0]];
    let channels = x.shape.last().copied()?;
    let same = x.constant.is_none() && x.shape == graph.values[node.outputs[0]].shape;
    let value = &graph.values[node.inputs[1]];
    let constant = value.constant.as_ref()?.as_f32()?;
    let per_channel = value.shape.last() == Some(&channels);
    let thresholds: Vec<f32> = match constant.len() {
        _ if !same => return None,
        1 => vec![factor * constant[0]; channels],
        n if n == channels && per_channel => constant.iter().map(|c| factor * c).collect(),
        _ => return None,
    };
    Some((node.inputs[0], thresholds))
}

/// The magnitudes of weights of `outputs` channels, if each channel has one.
pub(super) fn one_magnitude(weights: &[f32], outputs: usize) -> Option<Vec<f32>> {
    let rows = weights.chunks_exact(weights.len() / outputs);
    let alpha: Vec<f32> = rows.clone().map(|row| row[0].abs()).collect();
    rows.zip(&alpha)
        .all(|(row, alpha)| row.iter().all(|w| (w.abs() - alpha).abs() <= 1e-3 * alpha))
        .then_some(alpha)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_weights_become_zero_and_the_others_one_magnitude() {
        let (step, [first, second]) = ternary_row(&[0.9, -0.1, 0.0, -1.1, 0.2]);
        assert!((step - 1.0).abs() < 1e-6, "{step}");
        let sums: Vec<f32> = first.iter().zip(&second).map(|(a, b)| (a + b) / 2.0).collect();
        assert_eq!(sums, [1.0, 0.0, 0.0, -1.0, 0.0]);
        let (step, signs) = ternary_row(&[0.0; 3]);
        assert_eq!((step, signs[0][0] + signs[1][0]), (0.0, 0.0));
    }

    #[test]
    fn a_ternary_layer_is_its_weights_times_the_signs() {
        let weights = [0.5, -0.5, 0.01, 0.6, -0.4, 0.5];
        let layer = centred(0, &weights, &[0.25], &[(0.0, 1.0), (0.0, 1.0), (0.0, 1.0)], true);
        let ConstantData::Bits(bits) = &layer.weights.data else { panic!("its weights are bits") };
        // Two taps of three channels, all first signs before the second ones.
        assert_eq!(bits, &[0b101, 0b101, 0b001, 0b101]);
        assert!((layer.weights.scales[0] - 0.25).abs() < 1e-6);
        assert_eq!(layer.bias.as_i32(), Some(&[256][..]));
    }
}
