//! int8, and int4, int2 and bin1 with int8 around them.

use std::collections::BTreeMap;

use super::calibrate::Calibration;
use super::error::CalibrateError;
use super::gptq::Rounder;
use super::moments::{Moments, moments};
use super::recipe::Recipe;
use super::rewrite::Rewriter;
use super::sign::{self, SignLayer};
use super::weights::{Symmetric, asymmetric, eight_bits, four_bits, int8, quantize_operand};
use crate::Level;
use crate::graph::{
    Activation, BinaryOp, Constant, Encoding, Graph, Node, Op, ReduceOp, UnaryOp, ValueId,
};
use crate::variant::Variant;

/// Fewest input channels for which a layer runs on bits: kernels count eight at once.
const MIN_BIN_CHANNELS: usize = 8;
/// Largest magnitude of a threshold in units of the accumulator, which no sum reaches.
const MOST_STEPS: i32 = 1 << 30;
/// The encoding of probabilities.
const PROBABILITY: (f32, i8) = (1.0 / 256.0, -128);

/// Rewrites `graph` to `level` (int8, int4, int2 or bin1).
pub(super) fn quantize(
    graph: Graph,
    level: Level,
    recipe: &Recipe,
    calibration: &Calibration,
) -> Result<Variant, CalibrateError> {
    let moments = if level == Level::Int4 && recipe.scheme().gptq {
        moments(&graph, calibration)?
    } else {
        BTreeMap::new()
    };
    let encodings = encodings(&graph, recipe, calibration);
    let context = Context {
        roles: Roles::of(&graph),
        producers: graph.producers(),
        consumers: graph.consumers(),
        recipe,
        calibration,
        graph: graph.clone(),
    };
    let roles = &context.roles;
    let rewriter = Rewriter::new(graph, level);
    let narrow_depthwise = *recipe == Recipe::SignCenter;
    let mut pass = Pass { rewriter, encodings, level, narrow_depthwise };
    for (index, node) in context.graph.nodes.iter().enumerate() {
        if let Some(reason) = context.float_reason(index) {
            pass.float(node, &reason);
            continue;
        }
        if matches!(level, Level::Int2 | Level::Bin1) {
            match pass.sign_layer(index, &context) {
                Ok(layer) => {
                    pass.bits(node, layer);
                    continue;
                }
                Err(reason) => pass.rewriter.exempt(node, Level::Int8, &reason),
            }
        }
        // Activations of int4 have 8 bits, so operators without weights are at home there.
        if level == Level::Int4 && roles.weighted[index] {
            match eight_bit_reason(node, index, roles) {
                None => {
                    pass.int4(node, calibration, moments.get(&index));
                    continue;
                }
                Some(reason) => pass.rewriter.exempt(node, Level::Int8, reason),
            }
        }
        match pass.thresholds_of_reader(index, &context) {
            Some(thresholds) => pass.depthwise_signs(node, &thresholds),
            None => pass.int8(node),
        }
    }
    let (graph, exemptions) = pass.rewriter.finish();
    Ok(Variant { graph, level, recipe: String::new(), exemptions })
}

/// What decisions about a node look at.
struct Context<'a> {
    graph: Graph,
    roles: Roles,
    producers: Vec<Option<usize>>,
    consumers: Vec<Vec<usize>>,
    recipe: &'a Recipe,
    calibration: &'a Calibration,
}

impl Context<'_> {
    /// Why a node stays in floating point, if it does.
    fn float_reason(&self, index: usize) -> Option<String> {
        needs_fp32(&self.graph.nodes[index], self.roles.is_preparation(index)).or_else(|| {
            let tail = self.recipe.scheme().float_heads && self.roles.is_tail(index);
            tail.then(|| "a head, or what follows it: its results are the model's".to_owned())
        })
    }
}

/// Why the arithmetic of a node stays in floating point, if it does.
fn needs_fp32(node: &Node, preparation: bool) -> Option<String> {
    let arithmetic = matches!(
        &node.op,
        Op::Binary { op: BinaryOp::Div | BinaryOp::Maximum | BinaryOp::Minimum, .. }
            | Op::Unary(UnaryOp::Sign | UnaryOp::Bipolar)
            | Op::Reduce { op: ReduceOp::Max | ReduceOp::Min | ReduceOp::Sum, .. }
    );
    if arithmetic {
        return Some(format!("{} has no 8-bit arithmetic", node.op.name()));
    }
    let computes = matches!(node.op, Op::Binary { .. } | Op::Reduce { .. });
    (preparation && computes)
        .then(|| "prepares the input before the first layer with weights".to_owned())
}

/// Why the weights of a layer stay at 8 bits at int4, if they do.
fn eight_bit_reason(node: &Node, index: usize, roles: &Roles) -> Option<&'static str> {
    match node.op {
        Op::DepthwiseConv2d { .. } => {
            Some("a depthwise layer has few weights, and each of them counts")
        }
        _ if roles.is_stem(index) => Some("the stem: everything depends on it"),
        _ if roles.is_head(index) => Some("a head: its results are the model's"),
        _ => None,
    }
}

/// Where nodes stand in the model.
struct Roles {
    /// Per node whether it has weights.
    weighted: Vec<bool>,
    /// Per node whether a weighted node precedes it.
    after_weights: Vec<bool>,
    /// Per node whether a weighted node follows it.
    before_weights: Vec<bool>,
}

impl Roles {
    fn of(graph: &Graph) -> Self {
        let has_weights = |node: &Node| {
            matches!(
                node.op,
                Op::Conv2d { .. } | Op::DepthwiseConv2d { .. } | Op::FullyConnected { .. }
            )
        };
        let weighted: Vec<bool> = graph.nodes.iter().map(has_weights).collect();
        let count = graph.nodes.len();
        let (mut after, mut before) = (vec![false; count], vec![false; count]);
        let producers = graph.producers();
        for index in 0..count {
            let feeds = graph.nodes[index].inputs.iter().filter_map(|&id| producers[id]);
            after[index] = feeds.into_iter().any(|from| weighted[from] || after[from]);
        }
        let consumers = graph.consumers();
        for index in (0..count).rev() {
            let mut readers = graph.nodes[index].outputs.iter().flat_map(|&id| &consumers[id]);
            before[index] = readers.any(|&to| weighted[to] || before[to]);
        }
        Self { weighted, after_weights: after, before_weights: before }
    }

    fn is_stem(&self, node: usize) -> bool {
        self.weighted[node] && !self.after_weights[node]
    }

    fn is_head(&self, node: usize) -> bool {
        self.weighted[node] && !self.before_weights[node]
    }

    /// A head, or what comes after all layers with weights.
    fn is_tail(&self, node: usize) -> bool {
        !self.before_weights[node] && (self.weighted[node] || self.after_weights[node])
    }

    fn is_preparation(&self, node: usize) -> bool {
        !self.weighted[node] && !self.after_weights[node] && self.before_weights[node]
    }
}

/// The 8-bit encoding of every value. Values that operators only move share one.
fn encodings(graph: &Graph, recipe: &Recipe, calibration: &Calibration) -> Vec<(f32, i8)> {
    let mut group: Vec<ValueId> = (0..graph.values.len()).collect();
    fn find(group: &mut [ValueId], mut id: ValueId) -> ValueId {
        while group[id] != id {
            group[id] = group[group[id]];
            id = group[id];
        }
        id
    }
    for node in &graph.nodes {
        let operands: &[ValueId] = match node.op {
            Op::Concat { .. } => &node.inputs,
            Op::MaxPool2d { .. }
            | Op::Reshape
            | Op::Pad { .. }
            | Op::Gather { .. }
            | Op::Unpack { .. }
            | Op::Transpose { .. }
            | Op::StridedSlice { .. }
            | Op::ResizeBilinear { .. } => &node.inputs[..1],
            _ => continue,
        };
        let first = find(&mut group, node.outputs[0]);
        for &id in operands.iter().chain(&node.outputs) {
            let root = find(&mut group, id);
            group[root] = first;
        }
    }
    let mut ranges: Vec<(f32, f32)> = vec![(0.0, 0.0); graph.values.len()];
    for (id, value) in graph.values.iter().enumerate() {
        let (low, high) = match &value.constant {
            None => calibration.of(id).range(recipe.scheme().range),
            Some(constant) => constant
                .as_f32()
                .unwrap_or_default()
                .iter()
                .fold((0.0, 0.0), |(low, high): (f32, f32), &x| (low.min(x), high.max(x))),
        };
        let root = find(&mut group, id);
        ranges[root] = (ranges[root].0.min(low), ranges[root].1.max(high));
    }
    let mut all: Vec<(f32, i8)> =
        (0..graph.values.len()).map(|id| asymmetric(ranges[find(&mut group, id)])).collect();
    for node in &graph.nodes {
        if matches!(node.op, Op::Softmax { .. } | Op::Unary(UnaryOp::Logistic)) {
            all[node.outputs[0]] = PROBABILITY;
        }
    }
    all
}

struct Pass {
    rewriter: Rewriter,
    encodings: Vec<(f32, i8)>,
    level: Level,
    /// Whether the weights of depthwise layers are such that their products add up in 16 bits, which takes two thirds of the
    /// time: between layers on bits, the bits or two that some of them lose do not count.
    narrow_depthwise: bool,
}

impl Pass {
    fn activation(node: &Node) -> Activation {
        match node.op {
            Op::Conv2d { activation, .. }
            | Op::DepthwiseConv2d { activation, .. }
            | Op::Binary { activation, .. }
            | Op::FullyConnected { activation } => activation,
            _ => Activation::None,
        }
    }

    fn f32s(&self, id: ValueId) -> Vec<f32> {
        let constant = self.rewriter.source.values[id].constant.as_ref();
        constant.and_then(Constant::as_f32).unwrap_or_default().to_vec()
    }

    /// A node that stays fp32.
    fn float(&mut self, node: &Node, reason: &str) {
        self.rewriter.exempt(node, Level::Fp32, reason);
        let inputs =
            node.inputs.iter().map(|&id| self.rewriter.form(id, Encoding::F32, Clone::clone));
        let inputs = inputs.collect();
        self.rewriter.node(node, inputs, |_| Encoding::F32, Level::Fp32);
    }

    /// An activation in 8 bits.
    fn operand(&mut self, id: ValueId) -> ValueId {
        let encoding = self.encodings[id];
        self.rewriter.form(id, int8(encoding), |constant| quantize_operand(constant, encoding))
    }

    fn int8(&mut self, node: &Node) {
        let inputs = match &node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => self.layer(node, false),
            Op::DepthwiseConv2d { .. } => self.layer(node, true),
            Op::Prelu => {
                let x = self.operand(node.inputs[0]);
                vec![x, self.rewriter.form(node.inputs[1], Encoding::F32, Clone::clone)]
            }
            Op::Binary { .. } => {
                let mut inputs: Vec<_> =
                    node.inputs[..2].iter().map(|&id| self.operand(id)).collect();
                inputs.extend(self.slopes(node));
                inputs
            }
            Op::Gather { .. } => {
                let x = self.operand(node.inputs[0]);
                vec![x, self.rewriter.form(node.inputs[1], Encoding::I32, Clone::clone)]
            }
            _ => node.inputs.iter().map(|&id| self.operand(id)).collect(),
        };
        let encodings = std::mem::take(&mut self.encodings);
        self.rewriter.node(node, inputs, |id| int8(encodings[id]), Level::Int8);
        self.encodings = encodings;
    }

    /// Operands of a layer with weights; depthwise weights have their channels on the last axis.
    fn layer(&mut self, node: &Node, depthwise: bool) -> Vec<ValueId> {
        let (weights, bias) = (self.f32s(node.inputs[1]), self.f32s(node.inputs[2]));
        let input_scale = self.encodings[node.inputs[0]].0;
        let (channels, per_output) = (bias.len(), weights.len() / bias.len().max(1));
        let narrow = depthwise && self.narrow_depthwise;
        let channel = |index: usize| if depthwise { index % channels } else { index / per_output };
        let quantized = eight_bits(&weights, &bias, input_scale, channel, narrow);
        self.parameters(node, Encoding::Int8 { scale: 1.0, zero_point: 0 }, quantized)
    }

    /// The operands of a layer with these weights.
    fn parameters(
        &mut self,
        node: &Node,
        encoding: Encoding,
        quantized: Symmetric,
    ) -> Vec<ValueId> {
        let mut inputs = vec![self.operand(node.inputs[0])];
        inputs.push(self.parameter(node.inputs[1], encoding, quantized.weights));
        inputs.push(self.parameter(node.inputs[2], Encoding::I32, quantized.bias));
        inputs.extend(self.slopes(node));
        inputs
    }

    /// A layer with 4-bit weights and 8-bit activations.
    fn int4(&mut self, node: &Node, calibration: &Calibration, moments: Option<&Moments>) {
        let (weights, bias) = (self.f32s(node.inputs[1]), self.f32s(node.inputs[2]));
        let statistics = calibration.of(node.inputs[0]).channels();
        let in_channels = self.rewriter.source.values[node.inputs[1]].shape.last().copied();
        let means: Vec<f32> = match (moments, in_channels) {
            (Some(moments), _) => moments.mean.iter().map(|&mean| mean as f32).collect(),
            (_, Some(count)) if count == statistics.len() => {
                statistics.iter().map(|s| s.0).collect()
            }
            _ => Vec::new(),
        };
        let input_scale = self.encodings[node.inputs[0]].0;
        let rounder = moments.and_then(|moments| Rounder::new(&moments.covariance));
        let quantized = four_bits(&weights, &bias, input_scale, &means, rounder.as_ref());
        let inputs = self.parameters(node, Encoding::Int4, quantized);
        let encodings = std::mem::take(&mut self.encodings);
        self.rewriter.node(node, inputs, |id| int8(encodings[id]), Level::Int4);
        self.encodings = encodings;
    }

    fn parameter(&mut self, id: ValueId, encoding: Encoding, constant: Constant) -> ValueId {
        let value = &self.rewriter.source.values[id];
        let (name, shape) = (value.name.clone(), value.shape.clone());
        self.rewriter.constant(&name, shape, encoding, constant)
    }

    /// The slopes of a fused PReLU: the last operand of a layer or of a sum.
    fn slopes(&mut self, node: &Node) -> Option<ValueId> {
        let &slopes = node.inputs.last()?;
        (Self::activation(node) == Activation::Prelu)
            .then(|| self.rewriter.form(slopes, Encoding::F32, Clone::clone))
    }

    /// The node as a layer on bits, or why it stays at 8.
    fn sign_layer(&self, index: usize, context: &Context<'_>) -> Result<SignLayer, String> {
        let Context { roles, producers, recipe, calibration, graph, .. } = context;
        let node = &graph.nodes[index];
        match node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => {}
            Op::DepthwiseConv2d { .. } => {
                return Err("a depthwise layer has too few products per result".to_owned());
            }
            _ => return Err(format!("{} has no one-bit arithmetic", node.op.name())),
        }
        let (weights, bias) = (self.f32s(node.inputs[1]), self.f32s(node.inputs[2]));
        if **recipe == Recipe::Trained {
            return sign::trained(&self.rewriter.source, producers, node, &weights, &bias)
                .ok_or_else(|| "trained with more bits".to_owned());
        }
        if roles.is_stem(index) {
            return Err("the stem: everything depends on it".to_owned());
        }
        if roles.is_head(index) {
            return Err("a head: its results are the model's".to_owned());
        }
        let channels = self.rewriter.source.values[node.inputs[1]].shape.last().copied();
        match channels {
            Some(channels) if channels >= MIN_BIN_CHANNELS => {}
            _ => return Err(format!("fewer than {MIN_BIN_CHANNELS} input channels")),
        }
        let input = node.inputs[0];
        let statistics = calibration.of(input).channels();
        if Some(statistics.len()) != channels {
            return Err("its operand does not end in its input channels".to_owned());
        }
        Ok(sign::centred(input, &weights, &bias, &statistics, self.level == Level::Int2))
    }

    /// The thresholds at which the only reader of a depthwise layer, itself a layer on bits, takes the layer's signs: nothing else
    /// needs to be known of its results. Not with PReLU, which need not keep their order.
    fn thresholds_of_reader(&self, index: usize, context: &Context<'_>) -> Option<Vec<f32>> {
        let node = &context.graph.nodes[index];
        let (Op::DepthwiseConv2d { activation, .. }, &[result]) = (&node.op, &node.outputs[..])
        else {
            return None;
        };
        let low = matches!(self.level, Level::Int2 | Level::Bin1);
        let &[reader] = &context.consumers[result][..] else { return None };
        let inner = !context.graph.outputs.contains(&result);
        if !low || !inner || *activation == Activation::Prelu {
            return None;
        }
        context.float_reason(reader).is_none().then_some(())?;
        let layer = self.sign_layer(reader, context).ok()?;
        (layer.input == result).then_some(layer.thresholds)
    }

    /// A depthwise layer on 8 bits whose results are bits: whether they are at or above real thresholds.
    fn depthwise_signs(&mut self, node: &Node, thresholds: &[f32]) {
        let mut inputs = self.layer(node, true);
        let input_scale = self.encodings[node.inputs[0]].0;
        let units = self.rewriter.scales(inputs[1]).iter().map(|scale| input_scale * scale);
        let bound = match Self::activation(node) {
            Activation::None | Activation::Prelu => None,
            Activation::Relu => Some(f32::INFINITY),
            Activation::Relu6 => Some(6.0),
        };
        let steps = thresholds.iter().zip(units).map(|(&threshold, unit)| match threshold {
            // Results of an activation that are all above it, or all below.
            threshold if threshold <= 0.0 && bound.is_some() => -MOST_STEPS,
            threshold if bound.is_some_and(|bound| threshold > bound) => MOST_STEPS,
            threshold => {
                let steps = (f64::from(threshold) / f64::from(unit)).ceil() as i32;
                steps.clamp(-MOST_STEPS, MOST_STEPS)
            }
        });
        let steps = Constant::i32(steps.collect());
        let name = format!("{}#thresholds", node.name);
        inputs.push(self.rewriter.constant(&name, vec![thresholds.len()], Encoding::I32, steps));
        self.rewriter.node(node, inputs, |_| Encoding::Bits, Level::Int8);
    }

    /// A layer on bits with 8-bit results.
    fn bits(&mut self, node: &Node, layer: SignLayer) {
        let bits = match self.rewriter.first_encoding(layer.input) {
            Some(Encoding::Bits) => self.rewriter.form(layer.input, Encoding::Bits, Clone::clone),
            first => self.signs(node, &layer, first == Some(Encoding::F32)),
        };
        let mut inputs = vec![bits];
        let encoding = if self.level == Level::Int2 { Encoding::Ternary } else { Encoding::Bits };
        inputs.push(self.parameter(node.inputs[1], encoding, layer.weights));
        inputs.push(self.parameter(node.inputs[2], Encoding::I32, layer.bias));
        inputs.extend(self.slopes(node));
        let encodings = std::mem::take(&mut self.encodings);
        self.rewriter.node(node, inputs, |id| int8(encodings[id]), self.level);
        self.encodings = encodings;
    }

    /// A conversion of the operand of a layer on bits, of which there is an fp32 form or one of 8 bits.
    fn signs(&mut self, node: &Node, layer: &SignLayer, from_float: bool) -> ValueId {
        let channels = layer.thresholds.len();
        let (x, thresholds) = if from_float {
            let x = self.rewriter.form(layer.input, Encoding::F32, Clone::clone);
            (x, (Encoding::F32, Constant::f32(layer.thresholds.clone())))
        } else {
            let (scale, zero_point) = self.encodings[layer.input];
            let step = |threshold: &f32| {
                // q at or above the step means x at or above the threshold.
                (threshold / scale + f32::from(zero_point)).ceil().clamp(-1000.0, 1000.0) as i32
            };
            let steps = layer.thresholds.iter().map(step).collect();
            (self.operand(layer.input), (Encoding::I32, Constant::i32(steps)))
        };
        let name = format!("{}#thresholds", node.name);
        let thresholds = self.rewriter.constant(&name, vec![channels], thresholds.0, thresholds.1);
        self.rewriter.convert(layer.input, x, Encoding::Bits, &[thresholds])
    }
}
