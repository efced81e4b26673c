//! Cross-layer equalization: channels between two layers are scaled so that neither the 8-bit activations nor the weights
//! lose much (M. Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019).
//!
//! Scaling a channel of a layer's result by a factor, and the weights that read it by its inverse, changes nothing in real
//! numbers where the activation between them is homogeneous. All weights here have a scale per output channel, so that
//! those of the first layer do not care; what is balanced is the noise of the 8-bit activations, which falls with the
//! factor, against that of the second layer's weights, which rises with it.

use super::calibrate::Calibration;
use super::integer::f32s;
use super::roles::{activation, has_weights};
use crate::Level;
use crate::graph::{Activation, Constant, Graph, Op, ValueId};

/// No channel is scaled by more than this, or by less than its inverse.
const MOST: f64 = 32.0;
/// Rounds in which the factors and the steps of the second layer's weights settle.
const ROUNDS: usize = 4;

/// Scales the channels between all pairs of layers of `graph`, which is fused, as suits weights of `level`. Whether anything
/// changed.
pub(super) fn equalize(graph: &mut Graph, level: Level, calibration: &Calibration) -> bool {
    let mut changed = false;
    for (first, second) in pairs(graph) {
        let between = graph.nodes[first].outputs[0];
        let channels = calibration.of(between).magnitudes();
        let factors = factors(graph, first, second, level, &channels);
        if factors.iter().all(|&factor| factor == 1.0) {
            continue;
        }
        changed = true;
        scale_results(graph, first, &factors);
        scale_operands(graph, second, &factors);
    }
    changed
}

/// Layers and the only readers of their results, which are layers too.
fn pairs(graph: &Graph) -> Vec<(usize, usize)> {
    let consumers = graph.consumers();
    let layer = |index: usize| has_weights(&graph.nodes[index]);
    // A constant that others read, too, is not ours to scale.
    let own = |index: usize, count: usize| {
        graph.nodes[index].inputs[1..count].iter().all(|&id| consumers[id].len() == 1)
    };
    let follower = |first: usize| {
        let between = graph.nodes[first].outputs[0];
        let &[second] = consumers[between].as_slice() else { return None };
        let fits = layer(second)
            && graph.nodes[second].inputs[0] == between
            && !graph.outputs.contains(&between)
            && graph.values[between].shape.last() == last(graph, second)
            && own(first, 3)
            && own(second, 2);
        fits.then_some((first, second))
    };
    (0..graph.nodes.len()).filter(|&index| layer(index)).filter_map(follower).collect()
}

/// Input channels of a layer.
fn last(graph: &Graph, layer: usize) -> Option<&usize> {
    graph.values[graph.nodes[layer].inputs[1]].shape.last()
}

/// The factor of each channel; powers of two, so that scaling rounds nothing.
///
/// With steps `a` of the activations, the noise of channel `i` in the second layer's results is `a^2 sum(w_i^2) / f_i^2`,
/// and what the noise of the weights' steps `d_o` makes of it `f_i^2 E[x_i^2] sum(d_o^2)`: the sum is least where both are
/// equal.
fn factors(
    graph: &Graph,
    first: usize,
    second: usize,
    level: Level,
    channels: &[(f32, f64)],
) -> Vec<f32> {
    let node = &graph.nodes[second];
    let weights = f32s(graph, node.inputs[1]);
    let depthwise = matches!(node.op, Op::DepthwiseConv2d { .. });
    let count = channels.len();
    let outputs = graph.values[node.inputs[1]].shape.first().copied().unwrap_or(1);
    let per_output = weights.len() / outputs.max(1);
    let largest =
        f64::from(channels.iter().fold(0.0, |largest: f32, channel| largest.max(channel.0)));
    let step = largest / 255.0;
    let limit = if level == Level::Int4 && !depthwise { 7.0 } else { 127.0 };
    let mut energy = vec![0.0; count];
    for (index, &w) in weights.iter().enumerate() {
        energy[index % count] += f64::from(w) * f64::from(w);
    }
    let relu6 = activation(&graph.nodes[first]) == Activation::Relu6;
    // Where 6 is reached the clipping must stay where it is; elsewhere a factor that keeps the peak below 6 does not change
    // what is clipped.
    let fixed = |channel: usize| {
        let peak = channels[channel].0;
        peak <= 0.0 || (relu6 && peak >= 6.0)
    };
    // Beside channels that stay, others must not shrink: their weights would grow, and with them the steps of those that
    // stay, without bound.
    let least = if (0..count).any(|channel| relu6 && fixed(channel)) { 0.0 } else { -MOST.log2() };
    let mut factors = vec![1.0_f64; count];
    for _ in 0..ROUNDS {
        let steps = match depthwise {
            // A depthwise channel has a scale of its own, which takes up any factor.
            true => 0.0,
            false => squared_steps(&weights, per_output, &factors, limit),
        };
        for (channel, factor) in factors.iter_mut().enumerate() {
            let (peak, square) = (f64::from(channels[channel].0), channels[channel].1);
            if fixed(channel) {
                continue;
            }
            let most = (largest / peak).min(MOST);
            let weight_noise = square * steps;
            let wanted = match weight_noise > 0.0 {
                true => (step * step * energy[channel] / weight_noise).powf(0.25),
                false => most,
            };
            let exponent = wanted.log2().round().max(least).min(most.log2().floor());
            *factor = exponent.exp2();
        }
    }
    factors.iter().map(|&factor| factor as f32).collect()
}

/// Sum over the outputs, each with `per_output` weights, of the squares of their weights' steps.
fn squared_steps(weights: &[f32], per_output: usize, factors: &[f64], limit: f64) -> f64 {
    let scaled = |(index, &w): (usize, &f32)| f64::from(w.abs()) / factors[index % factors.len()];
    let largest = |row: &[f32]| row.iter().enumerate().map(scaled).fold(0.0, f64::max);
    weights.chunks_exact(per_output.max(1)).map(|row| (largest(row) / limit).powi(2)).sum()
}

/// Scales the results of a layer.
fn scale_results(graph: &mut Graph, layer: usize, factors: &[f32]) {
    let node = &graph.nodes[layer];
    let depthwise = matches!(node.op, Op::DepthwiseConv2d { .. });
    let (weights, bias) = (node.inputs[1], node.inputs[2]);
    let per_output = graph.values[weights].elements() / factors.len();
    scale(graph, weights, |index| {
        factors[if depthwise { index % factors.len() } else { index / per_output }]
    });
    scale(graph, bias, |index| factors[index]);
}

/// Scales the weights of a layer so that operands scaled by `factors` give the same results.
fn scale_operands(graph: &mut Graph, layer: usize, factors: &[f32]) {
    let weights = graph.nodes[layer].inputs[1];
    scale(graph, weights, |index| 1.0 / factors[index % factors.len()]);
}

fn scale(graph: &mut Graph, id: ValueId, factor: impl Fn(usize) -> f32) {
    let values = f32s(graph, id);
    let scaled = values.iter().enumerate().map(|(index, x)| x * factor(index)).collect();
    graph.values[id].constant = Some(Constant::f32(scaled));
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::calibrate::Calibrator;
    use super::*;
    use crate::graph::{Encoding, Node, Padding, Value, Window};
    use crate::kernels::CpuFeatures;
    use crate::{Serial, Tensor};

    /// Numbers that look random between -1 and 1.
    pub(in super::super) fn random(seed: u64, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            ((state >> 33) as f64 / f64::from(1 << 30) - 1.0) as f32
        };
        (0..count).map(|_| next()).collect()
    }

    /// 8 channels of very different sizes between a 1x1 convolution, a depthwise one and another 1x1 one, then a head.
    pub(in super::super) fn chain(activation: Activation) -> Graph {
        let mut graph = Graph::default();
        let mut value = |name: &str, shape: &[usize], constant: Option<Vec<f32>>| {
            let constant = constant.map(Constant::f32);
            let shape = shape.to_vec();
            graph.values.push(Value {
                name: name.into(),
                shape,
                encoding: Encoding::F32,
                constant,
            });
            graph.values.len() - 1
        };
        let sizes = [1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005];
        let first: Vec<f32> =
            random(1, 64).iter().enumerate().map(|(i, w)| w * sizes[i / 8]).collect();
        let x = value("x", &[1, 6, 6, 8], None);
        let first =
            [value("w1", &[8, 1, 1, 8], Some(first)), value("b1", &[8], Some(vec![0.0; 8]))];
        let middle = [
            value("w2", &[1, 3, 3, 8], Some(random(2, 72))),
            value("b2", &[8], Some(vec![0.0; 8])),
        ];
        let last = [
            value("w3", &[8, 1, 1, 8], Some(random(3, 64))),
            value("b3", &[8], Some(random(4, 8))),
        ];
        let head = [
            value("w4", &[4, 1, 1, 8], Some(random(5, 32))),
            value("b4", &[4], Some(random(6, 4))),
        ];
        let results = ["y1", "y2", "y3"].map(|name| value(name, &[1, 6, 6, 8], None));
        let y = value("y", &[1, 6, 6, 4], None);
        let padding = Padding { top: 1, bottom: 1, left: 1, right: 1 };
        let window = Window { kernel: [3, 3], padding, ..Window::default() };
        let plain = Window::default();
        let conv = Op::Conv2d { window: plain, activation };
        let depthwise = Op::DepthwiseConv2d { window, activation };
        let linear = Op::Conv2d { window: plain, activation: Activation::None };
        let mut node = |name: &str, op: Op, x: ValueId, [w, b]: [ValueId; 2], y: ValueId| {
            let (name, level) = (name.to_owned(), Level::Fp32);
            graph.nodes.push(Node { name, op, inputs: vec![x, w, b], outputs: vec![y], level });
        };
        node("y1", conv.clone(), x, first, results[0]);
        node("y2", depthwise, results[0], middle, results[1]);
        node("y3", conv, results[1], last, results[2]);
        node("y", linear, results[2], head, y);
        (graph.inputs, graph.outputs) = (vec![x], vec![y]);
        graph.validate().unwrap();
        graph
    }

    pub(in super::super) fn samples(count: u64) -> Vec<Vec<Tensor>> {
        let sample = |seed| Tensor::from_shape_vec(vec![1, 6, 6, 8], random(seed, 288)).unwrap();
        (0..count).map(|seed| vec![sample(100 + seed)]).collect()
    }

    pub(in super::super) fn calibration(graph: &Graph) -> Calibration {
        let mut calibrator = Calibrator::new(graph, &CpuFeatures::detect()).unwrap();
        for sample in samples(8) {
            calibrator.observe(&sample, &Serial).unwrap();
        }
        calibrator.finish().unwrap()
    }

    /// How much larger the largest channel of a value is than the smallest.
    fn spread(graph: &Graph, name: &str) -> f32 {
        let id = graph.values.iter().position(|value| value.name == name).unwrap();
        let peaks: Vec<f32> =
            calibration(graph).of(id).magnitudes().iter().map(|channel| channel.0).collect();
        let fold = |f: fn(f32, f32) -> f32| peaks.iter().copied().reduce(f).unwrap();
        fold(f32::max) / fold(f32::min)
    }

    #[test]
    fn channels_become_alike_and_the_model_computes_the_same() {
        for activation in [Activation::None, Activation::Relu, Activation::Relu6] {
            let graph = chain(activation);
            let mut equalized = graph.clone();
            assert!(equalize(&mut equalized, Level::Int8, &calibration(&graph)));
            for sample in samples(4) {
                let results = |graph: &Graph| crate::oracle::run(graph, &sample).unwrap();
                // Powers of two: not a bit differs.
                assert_eq!(results(&equalized), results(&graph), "{activation:?}");
            }
            let (before, after) = (spread(&graph, "y1"), spread(&equalized, "y1"));
            assert!(after < 5.0 && before > 20.0, "{activation:?}: {before} {after}");
        }
    }

    #[test]
    fn channels_that_others_see_are_left_alone() {
        let mut graph = chain(Activation::Relu);
        let seen = graph.nodes[0].outputs[0];
        graph.outputs.push(seen);
        let calibration = calibration(&graph);
        let mut equalized = graph.clone();
        equalize(&mut equalized, Level::Int8, &calibration);
        let weights = |graph: &Graph| graph.values[graph.nodes[0].inputs[1]].constant.clone();
        assert_eq!(weights(&equalized), weights(&graph));
    }
}
