//! One-bit weights and activations.

use crate::graph::{BinaryOp, Constant, ConstantData, Graph, Node, Op, UnaryOp, ValueId};

/// A layer as it runs on bits: `y[o] = alpha[o] * sum of ±1 products + bias[o]`.
pub(super) struct SignLayer {
    /// The value whose signs are taken.
    pub(super) input: ValueId,
    /// Per input channel: elements at or above count as +1.
    pub(super) thresholds: Vec<f32>,
    /// Bits `[out, taps, words]`; the scales are `alpha`.
    pub(super) weights: Constant,
    /// Biases in 1/256 of a product.
    pub(super) bias: Constant,
}

/// Packs signs along the last axis of `channels` elements.
fn pack(weights: &[f32], channels: usize) -> Vec<u64> {
    let word = |signs: &[f32]| {
        let bit = |(index, &w): (usize, &f32)| u64::from(w >= 0.0) << index;
        signs.iter().enumerate().map(bit).fold(0, |word, bit| word | bit)
    };
    weights.chunks(channels).flat_map(|row| row.chunks(64).map(word)).collect()
}

fn layer(
    input: ValueId,
    thresholds: Vec<f32>,
    weights: &[f32],
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
    let bits = pack(weights, thresholds.len());
    let weights = Constant { data: ConstantData::Bits(bits), scales: alpha };
    SignLayer { input, thresholds, weights, bias }
}

/// Signs around each channel's centre: with `x[k] ≈ centre[k] + spread[k] * s[k]` and `s = ±1`, the centres go to the
/// bias, the spreads to the weights, and these become `alpha[o] * sign(w)` with the mean magnitude of the channel
/// (M. Rastegari et al., "XNOR-Net", arXiv:1603.05279).
///
/// `weights` are `[out, taps, in]`; `channels` are (centre, spread) per input channel.
pub(super) fn centred(
    input: ValueId,
    weights: &[f32],
    bias: &[f32],
    channels: &[(f32, f32)],
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
    let alpha: Vec<f32> = scaled
        .chunks_exact(per_output)
        .map(|row| row.iter().map(|w| w.abs()).sum::<f32>() / per_output as f32)
        .collect();
    layer(input, centres, &scaled, &alpha, &moved)
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
    let sign = producer(node.inputs[0]).filter(|node| node.op == Op::Unary(UnaryOp::Sign))?;
    let channels = graph.values[node.inputs[0]].shape.last().copied()?;
    let shifted = producer(sign.inputs[0]).and_then(|shift| {
        let factor = match shift.op {
            Op::Binary { op: BinaryOp::Sub, .. } => 1.0,
            Op::Binary { op: BinaryOp::Add, .. } => -1.0,
            _ => return None,
        };
        let constant = graph.values[shift.inputs[1]].constant.as_ref()?.as_f32()?;
        let thresholds: Vec<f32> = match constant.len() {
            1 => vec![factor * constant[0]; channels],
            n if n == channels => constant.iter().map(|c| factor * c).collect(),
            _ => return None,
        };
        Some((shift.inputs[0], thresholds))
    });
    let (input, thresholds) = shifted.unwrap_or((sign.inputs[0], vec![0.0; channels]));
    let per_output = weights.len() / bias.len();
    let alpha: Vec<f32> = weights.chunks_exact(per_output).map(|row| row[0].abs()).collect();
    let one_magnitude = weights
        .chunks_exact(per_output)
        .zip(&alpha)
        .all(|(row, alpha)| row.iter().all(|w| (w.abs() - alpha).abs() <= 1e-3 * alpha));
    one_magnitude.then(|| layer(input, thresholds, weights, &alpha, bias))
}
