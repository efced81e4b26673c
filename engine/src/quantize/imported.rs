//! Networks of one bit as they were trained: layers that multiply signs by signs run on bits with the weights of the file,
//! everything else in fp32. Nothing is calibrated and nothing rounded, but what fp32 rounds.

use std::collections::HashMap;

use super::rewrite::Rewriter;
use super::sign::{self, one_magnitude};
use crate::Level;
use crate::graph::{
    Activation, BinaryOp, Constant, ConstantData, Encoding, Graph, Node, Op, UnaryOp, ValueId,
};
use crate::variant::Variant;

/// Sums with a threshold taken off, in 8 bits: half a product is a step, and the sign never rounds away.
const SUMS: Encoding = Encoding::Int8 { scale: 0.5, zero_point: 0 };

/// Rewrites `graph` to bin1.
pub(super) fn quantize(graph: Graph) -> Variant {
    let source = Source::new(graph.clone());
    let rewriter = Rewriter::new(graph, Level::Bin1);
    let mut pass = Pass { source, rewriter, bits: HashMap::new() };
    let nodes = pass.source.graph.nodes.clone();
    let mut merged = vec![false; nodes.len()];
    for (index, node) in nodes.iter().enumerate() {
        if merged[index] {
            continue;
        }
        match pass.source.layer(node) {
            Some(layer) => pass.layer(node, layer, &mut merged),
            None => pass.float(node),
        }
    }
    let (graph, exemptions) = pass.rewriter.finish();
    Variant { graph, level: Level::Bin1, recipe: String::new(), exemptions }
}

/// A layer on signs.
struct Layer {
    /// Per output channel what a product counts, in fp32.
    scales: Vec<f32>,
    /// The signs of the weights.
    bits: Vec<u64>,
    bias: Vec<f32>,
    activation: Activation,
}

/// The fp32 graph, and who computes and reads its values.
struct Source {
    graph: Graph,
    producers: Vec<Option<usize>>,
    consumers: Vec<Vec<usize>>,
}

impl Source {
    fn new(graph: Graph) -> Self {
        let (producers, consumers) = (graph.producers(), graph.consumers());
        Self { graph, producers, consumers }
    }

    fn producer(&self, id: ValueId) -> Option<&Node> {
        self.producers[id].map(|index| &self.graph.nodes[index])
    }

    /// The only reader of a value that is no output.
    fn only_reader(&self, id: ValueId) -> Option<(usize, &Node)> {
        match self.consumers[id].as_slice() {
            &[index] if !self.graph.outputs.contains(&id) => {
                Some((index, &self.graph.nodes[index]))
            }
            _ => None,
        }
    }

    fn f32s(&self, id: ValueId) -> Option<&[f32]> {
        self.graph.values[id].constant.as_ref().and_then(Constant::as_f32)
    }

    /// The magnitude of a value that is signs times one positive number; `None` for any other.
    fn magnitude(&self, id: ValueId) -> Option<f32> {
        let node = self.producer(id)?;
        match node.op {
            Op::Unary(UnaryOp::Sign | UnaryOp::Bipolar) => Some(1.0),
            Op::MaxPool2d { activation: Activation::None, .. } => self.magnitude(node.inputs[0]),
            Op::Binary { op: BinaryOp::Mul, activation: Activation::None } => {
                let &[factor] = self.f32s(node.inputs[1])? else { return None };
                let scaled = self.graph.values[node.inputs[1]].shape.len() <= 4 && factor > 0.0;
                scaled.then_some(factor * self.magnitude(node.inputs[0])?)
            }
            _ => None,
        }
    }

    /// The node as a layer on signs, if it is one.
    fn layer(&self, node: &Node) -> Option<Layer> {
        let activation = match node.op {
            Op::Conv2d { activation, .. } | Op::FullyConnected { activation } => activation,
            _ => return None,
        };
        if activation == Activation::Prelu {
            return None;
        }
        let magnitude = self.magnitude(node.inputs[0])?;
        let channels = self.graph.values[node.inputs[0]].shape.last().copied()?;
        let weights = &self.graph.values[node.inputs[1]];
        if weights.shape.last() != Some(&channels) {
            return None;
        }
        let (weights, bias) = (self.f32s(node.inputs[1])?, self.f32s(node.inputs[2])?.to_vec());
        let scales = one_magnitude(weights, bias.len())?;
        let scales = scales.into_iter().map(|scale| scale * magnitude).collect();
        Some(Layer { scales, bits: sign::pack(weights, channels), bias, activation })
    }

    /// A product or a sum of `value` with a constant per channel, which nobody else reads: the node and the constant.
    fn affine(&self, value: ValueId, wanted: BinaryOp) -> Option<(usize, Vec<f32>)> {
        let (index, node) = self.only_reader(value)?;
        let fits =
            matches!(node.op, Op::Binary { op, activation: Activation::None } if op == wanted);
        let shape = &self.graph.values[value].shape;
        let channels = shape.last().copied()?;
        let constant = self.f32s(*node.inputs.get(1)?)?;
        let per_channel = self.graph.values[node.inputs[1]].shape.last() == Some(&constant.len());
        let same = &self.graph.values[node.outputs[0]].shape == shape && node.inputs[0] == value;
        match constant {
            _ if !fits || !same => None,
            &[single] => Some((index, vec![single; channels])),
            all if per_channel && all.len() == channels => Some((index, all.to_vec())),
            _ => None,
        }
    }
}

struct Pass {
    source: Source,
    rewriter: Rewriter,
    /// The bits of values that are signs.
    bits: HashMap<ValueId, ValueId>,
}

impl Pass {
    fn float(&mut self, node: &Node) {
        self.rewriter.exempt(node, Level::Fp32, "no layer on signs");
        let inputs = node.inputs.iter().map(|&id| {
            let encoding = self.source.graph.values[id].encoding;
            self.rewriter.form(id, encoding, Clone::clone)
        });
        let inputs = inputs.collect();
        self.rewriter.node(node, inputs, |_| Encoding::F32, Level::Fp32);
    }

    /// A layer on bits: to 8 bits where only the sign counts, to fp32 otherwise, together with the factors and offsets
    /// behind it.
    fn layer(&mut self, node: &Node, layer: Layer, merged: &mut [bool]) {
        let Some(x) = self.bits(node.inputs[0]) else { return self.float(node) };
        let (weights, bias) = (node.inputs[1], node.inputs[2]);
        if self.only_sign_counts(node, &layer) {
            let products = self.source.graph.values[weights].elements() / layer.bias.len();
            let thresholds = layer.thresholds(products as i32);
            // In 1/256 of a product.
            let thresholds = thresholds.into_iter().map(|threshold| -256 * threshold).collect();
            let ones = vec![1.0; layer.bias.len()];
            let inputs = vec![
                x,
                self.weights(weights, layer.bits, ones),
                self.parameter(bias, Encoding::I32, Constant::i32(thresholds)),
            ];
            return self.rewriter.node(node, inputs, |_| SUMS, Level::Bin1);
        }
        let channels = layer.bias.len();
        let (mut factors, mut offsets) = (vec![1.0; channels], vec![0.0; channels]);
        let mut whole = node.clone();
        for (op, parameters) in [(BinaryOp::Mul, &mut factors), (BinaryOp::Add, &mut offsets)] {
            if let Some((index, constant)) = self.source.affine(whole.outputs[0], op) {
                merged[index] = true;
                let last = &self.source.graph.nodes[index];
                whole = Node { op: whole.op, inputs: whole.inputs, ..last.clone() };
                *parameters = constant;
            }
        }
        let inputs = vec![
            x,
            self.weights(weights, layer.bits, layer.scales),
            self.parameter(bias, Encoding::F32, Constant::f32(layer.bias)),
            self.parameter(bias, Encoding::F32, Constant::f32(factors)),
            self.parameter(bias, Encoding::F32, Constant::f32(offsets)),
        ];
        self.rewriter.node(&whole, inputs, |_| Encoding::F32, Level::Bin1);
    }

    fn weights(&mut self, id: ValueId, bits: Vec<u64>, scales: Vec<f32>) -> ValueId {
        let weights = Constant { data: ConstantData::Bits(bits), scales };
        self.parameter(id, Encoding::Bits, weights)
    }

    /// A constant with the name and shape of another one.
    fn parameter(&mut self, id: ValueId, encoding: Encoding, constant: Constant) -> ValueId {
        let value = &self.source.graph.values[id];
        self.rewriter.constant(&value.name, value.shape.clone(), encoding, constant)
    }

    /// Whether the signs of the layer's results are all that is read.
    fn only_sign_counts(&self, node: &Node, layer: &Layer) -> bool {
        let reader = self.source.only_reader(node.outputs[0]);
        layer.activation == Activation::None
            && reader.is_some_and(|(_, reader)| reader.op == Op::Unary(UnaryOp::Bipolar))
    }

    /// The bits of a value that is signs, computed where it has none yet.
    fn bits(&mut self, id: ValueId) -> Option<ValueId> {
        if let Some(&bits) = self.bits.get(&id) {
            return Some(bits);
        }
        let node = self.source.producer(id)?.clone();
        let x = node.inputs[0];
        let bits = match node.op {
            Op::MaxPool2d { .. } => {
                let x = self.bits(x)?;
                self.rewriter.on_bits(id, &node, x)
            }
            // By a positive number.
            Op::Binary { .. } => self.bits(x)?,
            _ => match self.padded(&node) {
                Some(pad) => {
                    let x = self.bits(pad.inputs[0])?;
                    self.rewriter.on_bits(id, &pad, x)
                }
                None => self.signs(x),
            },
        };
        self.bits.insert(id, bits);
        Some(bits)
    }

    /// The padding with zeros of signs, of which `node` takes the signs once more: padding with +1.
    fn padded(&self, node: &Node) -> Option<Node> {
        let pad = self.source.producer(node.inputs[0])?;
        let Op::Pad { amounts } = &pad.op else { return None };
        let spatial = node.op == Op::Unary(UnaryOp::Bipolar) && amounts.last() == Some(&[0, 0]);
        (spatial && self.source.magnitude(pad.inputs[0]).is_some()).then(|| pad.clone())
    }

    /// The signs of the numbers `x`: those at or above their channel's threshold are +1.
    fn signs(&mut self, x: ValueId) -> ValueId {
        let channels = self.source.graph.values[x].shape.last().copied().unwrap_or(1);
        let sums = self.rewriter.first_encoding(x) == Some(SUMS);
        let (x, encoding, thresholds) =
            match sign::shift(&self.source.graph, self.source.producer(x)) {
                _ if sums => (x, SUMS, Constant::i32(vec![0; channels])),
                Some((x, thresholds)) => (x, Encoding::F32, Constant::f32(thresholds)),
                None => (x, Encoding::F32, Constant::f32(vec![0.0; channels])),
            };
        let of_thresholds = if sums { Encoding::I32 } else { Encoding::F32 };
        let name = format!("{}#thresholds", self.source.graph.values[x].name);
        let thresholds = self.rewriter.constant(&name, vec![channels], of_thresholds, thresholds);
        let from = self.rewriter.form(x, encoding, Clone::clone);
        self.rewriter.convert(x, from, Encoding::Bits, &[thresholds])
    }
}

impl Layer {
    /// Per output channel the smallest sum of `products` signs whose result is 0 or more, as fp32 computes it; one more
    /// than `products` where there is none.
    fn thresholds(&self, products: i32) -> Vec<i32> {
        let threshold = |(&scale, &bias): (&f32, &f32)| {
            let reached = |sum: i32| sum as f32 * scale + bias >= 0.0;
            let (mut low, mut high) = (-products, products + 1);
            while low < high {
                let middle = low + (high - low) / 2;
                if reached(middle) { high = middle } else { low = middle + 1 }
            }
            low
        };
        self.scales.iter().zip(&self.bias).map(threshold).collect()
    }
}
