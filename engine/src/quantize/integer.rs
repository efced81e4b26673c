//! int8, and int4, int2 and bin1 with int8 around them.

use std::collections::BTreeMap;

use super::calibrate::Calibration;
use super::correct;
use super::encodings::{Groups, encodings};
use super::equalize::equalize;
use super::error::CalibrateError;
use super::gptq::Rounder;
use super::mixed;
use super::moments::moments;
use super::ranges;
use super::recipe::{Range, Recipe};
use super::rewrite::Rewriter;
use super::roles::{Roles, activation, eight_bit_reason, needs_fp32};
use super::sign::{self, SignLayer};
use super::weights::{Grouping, Symmetric, eight_bits, four_bits, int8, quantize_operand};
use crate::Level;
use crate::graph::{Activation, Constant, Encoding, Graph, Node, Op, ValueId};
use crate::variant::Variant;

/// Fewest input channels for which a layer runs on bits: kernels count eight at once.
const MIN_BIN_CHANNELS: usize = 8;
/// Largest magnitude of a threshold in units of the accumulator, which no sum reaches.
const MOST_STEPS: i32 = 1 << 30;

/// The nodes that run one level higher for the sake of accuracy, each with the reason.
pub(super) type Exempt = BTreeMap<usize, String>;

/// All that an integer variant is made of, but for which layers are exempt.
pub(super) struct Blueprint<'a> {
    graph: Graph,
    level: Level,
    recipe: Recipe,
    calibration: &'a Calibration,
    roles: Roles,
    encodings: Vec<(f32, i8)>,
    /// Weights in 4 bits, by node.
    rounded: BTreeMap<usize, Symmetric>,
}

/// Rewrites `graph` to `level` (int8, int4, int2 or bin1).
pub(super) fn quantize(
    graph: Graph,
    level: Level,
    recipe: &Recipe,
    calibration: &Calibration,
) -> Result<Variant, CalibrateError> {
    let scheme = recipe.scheme();
    let (mut graph, mut again) = (graph, None);
    if scheme.equalize && equalize(&mut graph, level, calibration) {
        again = Some(calibration.again(&graph)?);
    }
    let calibration = again.as_ref().unwrap_or(calibration);
    let encodings = match scheme.range {
        Range::Best => ranges::best(&graph, calibration)?,
        range => encodings(&graph, &Groups::of(&graph), calibration, |_| range),
    };
    let blueprint = Blueprint::new(graph, level, recipe, calibration, encodings)?;
    let exempt = match recipe.mixed() {
        Some(percent) => mixed::choose(&blueprint, calibration, percent)?,
        None => Exempt::new(),
    };
    let mut variant = blueprint.assemble(&exempt);
    if scheme.correct || matches!(recipe, Recipe::SignFit(_)) {
        correct::correct(&blueprint.graph, &mut variant, calibration)?;
    }
    Ok(variant)
}

impl<'a> Blueprint<'a> {
    /// For values in these 8-bit `encodings`.
    pub(super) fn new(
        graph: Graph,
        level: Level,
        recipe: &Recipe,
        calibration: &'a Calibration,
        encodings: Vec<(f32, i8)>,
    ) -> Result<Self, CalibrateError> {
        let roles = Roles::of(&graph);
        let rounded = match level {
            Level::Int4 => four_bit_layers(&graph, &roles, recipe, calibration, &encodings)?,
            _ => BTreeMap::new(),
        };
        let recipe = *recipe;
        Ok(Self { graph, level, recipe, calibration, roles, encodings, rounded })
    }

    /// The fp32 graph.
    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The variant with these layers exempt.
    pub(super) fn assemble(&self, exempt: &Exempt) -> Variant {
        let (producers, consumers) = (self.graph.producers(), self.graph.consumers());
        let mut pass = Pass {
            rewriter: Rewriter::new(self.graph.clone(), self.level),
            encodings: self.encodings.clone(),
            level: self.level,
            narrow_depthwise: self.recipe == Recipe::SignCenter,
        };
        for (index, node) in self.graph.nodes.iter().enumerate() {
            let exempt = exempt.get(&index).map(String::as_str);
            if let Some(reason) = self.float_reason(index, exempt) {
                pass.float(node, &reason);
                continue;
            }
            if matches!(self.level, Level::Int2 | Level::Bin1) {
                let layer = match exempt {
                    Some(reason) => Err(reason.to_owned()),
                    None => self.sign_layer(node, index, &producers),
                };
                match layer {
                    Ok(layer) => {
                        pass.bits(node, layer);
                        continue;
                    }
                    Err(reason) => pass.rewriter.exempt(node, Level::Int8, &reason),
                }
            }
            // Activations of int4 have 8 bits, so operators without weights are at home there.
            if self.level == Level::Int4 && self.roles.weighted[index] {
                match exempt.or_else(|| eight_bit_reason(node, index, &self.roles)) {
                    None => {
                        pass.int4(node, self.rounded[&index].clone());
                        continue;
                    }
                    Some(reason) => pass.rewriter.exempt(node, Level::Int8, reason),
                }
            }
            match self.thresholds_of_reader(index, &producers, &consumers) {
                Some(thresholds) => pass.depthwise_signs(node, &thresholds),
                None => pass.int8(node),
            }
        }
        let (graph, exemptions) = pass.rewriter.finish();
        Variant { graph, level: self.level, recipe: String::new(), exemptions }
    }

    /// Why a node stays in fp32, if it does.
    fn float_reason(&self, index: usize, exempt: Option<&str>) -> Option<String> {
        let node = &self.graph.nodes[index];
        if let Some(reason) = needs_fp32(node, self.roles.is_preparation(index)) {
            return Some(reason);
        }
        if self.recipe.scheme().float_heads && self.roles.is_tail(index) {
            return Some("a head, or what follows it: its results are the model's".to_owned());
        }
        exempt.filter(|_| self.level == Level::Int8).map(str::to_owned)
    }

    /// The layers that run at the variant's level unless they are exempt.
    pub(super) fn lowered(&self) -> Vec<usize> {
        let producers = self.graph.producers();
        let lowered = |&index: &usize| {
            let node = &self.graph.nodes[index];
            if !self.roles.weighted[index] || self.float_reason(index, None).is_some() {
                return false;
            }
            match self.level {
                Level::Int2 | Level::Bin1 => self.sign_layer(node, index, &producers).is_ok(),
                Level::Int4 => eight_bit_reason(node, index, &self.roles).is_none(),
                _ => true,
            }
        };
        (0..self.graph.nodes.len()).filter(lowered).collect()
    }

    /// The node as a layer on bits, or why it stays at 8.
    fn sign_layer(
        &self,
        node: &Node,
        index: usize,
        producers: &[Option<usize>],
    ) -> Result<SignLayer, String> {
        match node.op {
            Op::Conv2d { .. } | Op::FullyConnected { .. } => {}
            Op::DepthwiseConv2d { .. } => {
                return Err("a depthwise layer has too few products per result".to_owned());
            }
            _ => return Err(format!("{} has no one-bit arithmetic", node.op.name())),
        }
        let (weights, bias) =
            (f32s(&self.graph, node.inputs[1]), f32s(&self.graph, node.inputs[2]));
        if self.recipe == Recipe::Trained {
            return sign::trained(&self.graph, producers, node, &weights, &bias)
                .ok_or_else(|| "trained with more bits".to_owned());
        }
        if self.roles.is_stem(index) {
            return Err("the stem: everything depends on it".to_owned());
        }
        if self.roles.is_head(index) {
            return Err("a head: its results are the model's".to_owned());
        }
        let channels = self.graph.values[node.inputs[1]].shape.last().copied();
        match channels {
            Some(channels) if channels >= MIN_BIN_CHANNELS => {}
            _ => return Err(format!("fewer than {MIN_BIN_CHANNELS} input channels")),
        }
        let input = node.inputs[0];
        let statistics = self.calibration.of(input).channels();
        if Some(statistics.len()) != channels {
            return Err("its operand does not end in its input channels".to_owned());
        }
        Ok(sign::centred(input, &weights, &bias, &statistics, self.level == Level::Int2))
    }

    /// The thresholds at which the only reader of a depthwise layer, itself a layer on bits, takes the layer's signs: nothing else
    /// needs to be known of its results. Not with PReLU, which need not keep their order, nor in recipes that fit the
    /// thresholds to what the reader sees.
    fn thresholds_of_reader(
        &self,
        index: usize,
        producers: &[Option<usize>],
        consumers: &[Vec<usize>],
    ) -> Option<Vec<f32>> {
        let node = &self.graph.nodes[index];
        let (Op::DepthwiseConv2d { activation, .. }, &[result]) = (&node.op, &node.outputs[..])
        else {
            return None;
        };
        let &[reader] = &consumers[result][..] else { return None };
        let low = matches!(self.level, Level::Int2 | Level::Bin1);
        let fixed = matches!(self.recipe, Recipe::SignCenter | Recipe::Trained);
        let inner = !self.graph.outputs.contains(&result);
        if !(low && fixed && inner) || *activation == Activation::Prelu {
            return None;
        }
        self.float_reason(reader, None).is_none().then_some(())?;
        let layer = self.sign_layer(&self.graph.nodes[reader], reader, producers).ok()?;
        (layer.input == result).then_some(layer.thresholds)
    }
}

/// The elements of an fp32 constant.
pub(super) fn f32s(graph: &Graph, id: ValueId) -> Vec<f32> {
    let constant = graph.values[id].constant.as_ref();
    constant.and_then(Constant::as_f32).unwrap_or_default().to_vec()
}

/// The weights of all layers that can have 4 bits.
fn four_bit_layers(
    graph: &Graph,
    roles: &Roles,
    recipe: &Recipe,
    calibration: &Calibration,
    encodings: &[(f32, i8)],
) -> Result<BTreeMap<usize, Symmetric>, CalibrateError> {
    let moments = match recipe.scheme().gptq {
        true => moments(graph, calibration)?,
        false => BTreeMap::new(),
    };
    let group = recipe.scheme().group;
    let mut layers = BTreeMap::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        if !roles.weighted[index] || eight_bit_reason(node, index, roles).is_some() {
            continue;
        }
        let (weights, bias) = (f32s(graph, node.inputs[1]), f32s(graph, node.inputs[2]));
        let moments = moments.get(&index);
        let statistics = calibration.of(node.inputs[0]).channels();
        let in_channels = graph.values[node.inputs[1]].shape.last().copied();
        let means: Vec<f32> = match (moments, in_channels) {
            (Some(moments), _) => moments.mean.iter().map(|&mean| mean as f32).collect(),
            (_, Some(count)) if count == statistics.len() => {
                statistics.iter().map(|s| s.0).collect()
            }
            _ => Vec::new(),
        };
        let rounder = moments.and_then(|moments| Rounder::new(&moments.covariance));
        let input_scale = encodings[node.inputs[0]].0;
        let groups = group.zip(in_channels);
        let groups = groups.map(|(group, channels)| Grouping { channels, group: group.into() });
        let layer = four_bits(&weights, &bias, input_scale, &means, rounder.as_ref(), groups);
        layers.insert(index, layer);
    }
    Ok(layers)
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
        let source = &self.rewriter.source;
        let (weights, bias) = (f32s(source, node.inputs[1]), f32s(source, node.inputs[2]));
        let input_scale = self.encodings[node.inputs[0]].0;
        let (channels, per_output) = (bias.len(), weights.len() / bias.len().max(1));
        let channel = |index: usize| if depthwise { index % channels } else { index / per_output };
        let narrow = depthwise && self.narrow_depthwise;
        let quantized = eight_bits(&weights, &bias, input_scale, channel, narrow);
        self.parameters(node, quantized)
    }

    /// The operands of a layer with these weights.
    fn parameters(&mut self, node: &Node, quantized: Symmetric) -> Vec<ValueId> {
        let mut inputs = vec![self.operand(node.inputs[0])];
        inputs.push(self.parameter(node.inputs[1], quantized.encoding, quantized.weights));
        inputs.push(self.parameter(node.inputs[2], Encoding::I32, quantized.bias));
        inputs.extend(self.slopes(node));
        inputs
    }

    /// A layer with 4-bit weights and 8-bit activations.
    fn int4(&mut self, node: &Node, rounded: Symmetric) {
        let inputs = self.parameters(node, rounded);
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
        (activation(node) == Activation::Prelu)
            .then(|| self.rewriter.form(slopes, Encoding::F32, Clone::clone))
    }

    /// A depthwise layer on 8 bits whose results are bits: whether they are at or above real thresholds.
    fn depthwise_signs(&mut self, node: &Node, thresholds: &[f32]) {
        let mut inputs = self.layer(node, true);
        let input_scale = self.encodings[node.inputs[0]].0;
        let units = self.rewriter.scales(inputs[1]).iter().map(|scale| input_scale * scale);
        let bound = match activation(node) {
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
        let (x, encoding) = if from_float {
            (self.rewriter.form(layer.input, Encoding::F32, Clone::clone), Encoding::F32)
        } else {
            (self.operand(layer.input), Encoding::I32)
        };
        let thresholds = sign::thresholds_in(self.rewriter.encoding(x), &layer.thresholds);
        let name = format!("{}#thresholds", node.name);
        let shape = vec![layer.thresholds.len()];
        let thresholds = self.rewriter.constant(&name, shape, encoding, thresholds);
        self.rewriter.convert(layer.input, x, Encoding::Bits, &[thresholds])
    }
}
