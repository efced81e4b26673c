//! Every operator at every level, with its operands, results, weights and tables between inaccessible pages
//! ([`crate::kernels::fence`]), on each instruction set of this CPU, which must agree.

use std::sync::Arc;

use proptest::prelude::*;

use super::{Plan, Session};
use crate::graph::{
    Activation, BinaryOp, Constant, Encoding, Graph, Node, Op, Padding, ReduceOp, UnaryOp, Value,
    ValueId, Window, infer,
};
use crate::kernels::CpuFeatures;
use crate::kernels::fence::{Side, fenced, running};
use crate::quantize::{Calibration, Calibrator, Recipe, default_recipe, quantize};
use crate::{Level, Serial, Tensor};

/// A graph under construction, with weights from a sequence.
pub(super) struct Builder {
    graph: Graph,
    state: u64,
}

impl Builder {
    /// From -1 to 1 (Knuth's linear congruential generator).
    fn real(&mut self) -> f32 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn reals(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.real()).collect()
    }

    fn value(&mut self, shape: &[usize], constant: Option<Constant>) -> ValueId {
        let name = format!("v{}", self.graph.values.len());
        let integers = constant.as_ref().is_some_and(|constant| constant.as_i32().is_some());
        let encoding = if integers { Encoding::I32 } else { Encoding::F32 };
        self.graph.values.push(Value { name, shape: shape.to_vec(), encoding, constant });
        self.graph.values.len() - 1
    }

    fn constant(&mut self, shape: &[usize]) -> ValueId {
        let elements = self.reals(shape.iter().product());
        self.value(shape, Some(Constant::f32(elements)))
    }

    fn indices(&mut self, all: Vec<i32>) -> ValueId {
        self.value(&[all.len()], Some(Constant::i32(all)))
    }

    fn all(&mut self, op: Op, inputs: &[ValueId], declared: &[&[usize]]) -> Vec<ValueId> {
        let shapes: Vec<&[usize]> =
            inputs.iter().map(|&id| self.graph.values[id].shape.as_slice()).collect();
        let shapes = infer(&op, &shapes, declared).unwrap();
        let outputs: Vec<ValueId> = shapes.iter().map(|shape| self.value(shape, None)).collect();
        let name = self.graph.values[outputs[0]].name.clone();
        let (inputs, level) = (inputs.to_vec(), Level::Fp32);
        self.graph.nodes.push(Node { name, op, inputs, outputs: outputs.clone(), level });
        outputs
    }

    fn push(&mut self, op: Op, inputs: &[ValueId]) -> ValueId {
        self.all(op, inputs, &[])[0]
    }

    fn shape(&self, id: ValueId) -> Vec<usize> {
        self.graph.values[id].shape.clone()
    }

    fn convolution(
        &mut self,
        x: ValueId,
        channels: usize,
        window: Window,
        activation: Activation,
    ) -> ValueId {
        let depth = self.shape(x)[3];
        let weights = self.constant(&[channels, window.kernel[0], window.kernel[1], depth]);
        let mut inputs = vec![x, weights, self.constant(&[channels])];
        if activation == Activation::Prelu {
            inputs.push(self.constant(&[channels]));
        }
        self.push(Op::Conv2d { window, activation }, &inputs)
    }

    fn depthwise(&mut self, x: ValueId, window: Window, activation: Activation) -> ValueId {
        let channels = self.shape(x)[3];
        let weights = self.constant(&[1, window.kernel[0], window.kernel[1], channels]);
        let mut inputs = vec![x, weights, self.constant(&[channels])];
        if activation == Activation::Prelu {
            inputs.push(self.constant(&[channels]));
        }
        self.push(Op::DepthwiseConv2d { window, activation }, &inputs)
    }

    fn binary(&mut self, op: BinaryOp, a: ValueId, b: ValueId) -> ValueId {
        self.push(Op::Binary { op, activation: Activation::None }, &[a, b])
    }

    fn reduce(&mut self, op: ReduceOp, x: ValueId, axes: &[usize]) -> ValueId {
        self.push(Op::Reduce { op, axes: axes.to_vec(), keep_dims: true }, &[x])
    }
}

fn window(kernel: usize, stride: usize, dilation: usize) -> Window {
    let each = (kernel - 1) * dilation / 2;
    let padding = Padding { top: each, bottom: each, left: each, right: each };
    Window { kernel: [kernel; 2], stride: [stride; 2], dilation: [dilation; 2], padding }
}

pub(super) type Make = fn(&mut Builder, ValueId) -> ValueId;

/// Operators behind a first layer, by name.
pub(super) const OPERATORS: &[(&str, Make)] = &[
    ("conv 1x1", |b, x| b.convolution(x, 37, window(1, 1, 1), Activation::Prelu)),
    ("conv 3x3", |b, x| b.convolution(x, 33, window(3, 1, 1), Activation::Relu)),
    ("conv 3x3 of every other pixel", |b, x| {
        b.convolution(x, 32, window(3, 2, 1), Activation::Relu6)
    }),
    ("conv 5x5", |b, x| b.convolution(x, 9, window(5, 1, 1), Activation::None)),
    ("conv with gaps", |b, x| b.convolution(x, 64, window(3, 1, 2), Activation::None)),
    ("depthwise 3x3", |b, x| b.depthwise(x, window(3, 1, 1), Activation::Prelu)),
    ("depthwise 3x3 of every other pixel", |b, x| {
        b.depthwise(x, window(3, 2, 1), Activation::Relu6)
    }),
    ("depthwise 5x5", |b, x| b.depthwise(x, window(5, 1, 1), Activation::None)),
    ("depthwise 5x5 of every other pixel", |b, x| {
        b.depthwise(x, window(5, 2, 1), Activation::Relu)
    }),
    ("depthwise with gaps", |b, x| b.depthwise(x, window(3, 1, 2), Activation::None)),
    ("fully connected", |b, x| {
        let inputs = b.shape(x)[3];
        let (weights, bias) = (b.constant(&[43, inputs]), b.constant(&[43]));
        b.push(Op::FullyConnected { activation: Activation::Relu }, &[x, weights, bias])
    }),
    ("fully connected over all", |b, x| {
        let shape = b.shape(x);
        let inputs: usize = shape[1..].iter().product();
        let x = b.all(Op::Reshape, &[x], &[&[shape[0], inputs]])[0];
        let (weights, bias) = (b.constant(&[43, inputs]), b.constant(&[43]));
        b.push(Op::FullyConnected { activation: Activation::None }, &[x, weights, bias])
    }),
    ("max pool", |b, x| {
        b.push(Op::MaxPool2d { window: window(3, 2, 1), activation: Activation::None }, &[x])
    }),
    ("average pool", |b, x| {
        b.push(Op::AveragePool2d { window: window(3, 1, 1), activation: Activation::Relu }, &[x])
    }),
    ("pad", |b, x| b.push(Op::Pad { amounts: vec![[0, 0], [1, 2], [0, 3], [0, 5]] }, &[x])),
    ("resize", |b, x| resize(b, x, true, false)),
    ("resize from corners", |b, x| resize(b, x, false, true)),
    ("concat", |b, x| {
        let other = b.depthwise(x, window(3, 1, 1), Activation::None);
        b.push(Op::Concat { axis: 3 }, &[x, other, x])
    }),
    ("concat of rows", |b, x| b.push(Op::Concat { axis: 1 }, &[x, x])),
    ("residual", |b, x| {
        let channels = b.shape(x)[3];
        let other = b.convolution(x, channels, window(3, 1, 1), Activation::None);
        let slopes = b.constant(&[channels]);
        let op = Op::Binary { op: BinaryOp::Add, activation: Activation::Prelu };
        b.push(op, &[x, other, slopes])
    }),
    ("add per channel", |b, x| with_channels(b, BinaryOp::Add, x)),
    ("sub per channel", |b, x| with_channels(b, BinaryOp::Sub, x)),
    ("mul per channel", |b, x| with_channels(b, BinaryOp::Mul, x)),
    ("maximum", |b, x| with_channels(b, BinaryOp::Maximum, x)),
    ("minimum", |b, x| with_channels(b, BinaryOp::Minimum, x)),
    ("div", |b, x| {
        let divisor = b.value(&[1], Some(Constant::f32(vec![1.7])));
        b.binary(BinaryOp::Div, x, divisor)
    }),
    ("gate", |b, x| {
        let mean = b.reduce(ReduceOp::Mean, x, &[1, 2]);
        let gate = b.push(Op::Unary(UnaryOp::Logistic), &[mean]);
        b.binary(BinaryOp::Mul, x, gate)
    }),
    ("prelu", |b, x| {
        let slopes = b.shape(x)[3];
        let slopes = b.constant(&[slopes]);
        let pooled =
            b.push(Op::MaxPool2d { window: window(1, 2, 1), activation: Activation::None }, &[x]);
        b.push(Op::Prelu, &[pooled, slopes])
    }),
    ("tanh", |b, x| b.push(Op::Unary(UnaryOp::Tanh), &[x])),
    ("relu", |b, x| b.push(Op::Unary(UnaryOp::Relu), &[x])),
    ("signs", |b, x| b.push(Op::Unary(UnaryOp::Sign), &[x])),
    ("functions", |b, x| {
        [UnaryOp::Exp, UnaryOp::Log, UnaryOp::Neg, UnaryOp::Abs, UnaryOp::Sqrt, UnaryOp::Erf]
            .into_iter()
            .fold(x, |x, op| b.push(Op::Unary(op), &[x]))
    }),
    ("rounding", |b, x| {
        [UnaryOp::Round, UnaryOp::Floor, UnaryOp::Ceil, UnaryOp::Relu6, UnaryOp::Bipolar]
            .into_iter()
            .fold(x, |x, op| b.push(Op::Unary(op), &[x]))
    }),
    ("mean of channels", |b, x| b.reduce(ReduceOp::Mean, x, &[3])),
    ("sum", |b, x| b.reduce(ReduceOp::Sum, x, &[1])),
    ("largest", |b, x| b.reduce(ReduceOp::Max, x, &[2, 3])),
    ("smallest", |b, x| b.reduce(ReduceOp::Min, x, &[0])),
    ("softmax", |b, x| b.push(Op::Softmax { beta: 1.0 }, &[x])),
    ("gather of channels", |b, x| {
        let last = b.shape(x)[3] as i32 - 1;
        let indices = b.indices(vec![last, 0, last / 2, last]);
        b.push(Op::Gather { axis: 3 }, &[x, indices])
    }),
    ("gather of rows", |b, x| {
        let last = b.shape(x)[1] as i32 - 1;
        let indices = b.indices(vec![last, 0, last]);
        b.push(Op::Gather { axis: 1 }, &[x, indices])
    }),
    ("unpack", |b, x| {
        let shape = b.shape(x);
        let part = [shape[0], shape[2], shape[3]];
        let parts = b.all(Op::Unpack { axis: 1 }, &[x], &vec![&part[..]; shape[1]]);
        b.push(Op::Concat { axis: 2 }, &parts)
    }),
    ("slice backwards", |b, x| {
        let shape = b.shape(x);
        let counts = vec![shape[0], shape[1], shape[2].div_ceil(2), shape[3]];
        let begin = vec![0, shape[1] - 1, 0, 0];
        let op = Op::StridedSlice { begin, strides: vec![1, -1, 2, 1], counts: counts.clone() };
        b.all(op, &[x], &[&counts])[0]
    }),
    ("slice of channels", |b, x| {
        let shape = b.shape(x);
        let counts = vec![shape[0], shape[1], shape[2], shape[3] / 2 + 1];
        let begin = vec![0, 0, 0, (shape[3] - 1) / 2];
        let op = Op::StridedSlice { begin, strides: vec![1; 4], counts: counts.clone() };
        b.all(op, &[x], &[&counts])[0]
    }),
    ("transpose", |b, x| b.push(Op::Transpose { perm: vec![0, 3, 2, 1] }, &[x])),
    ("reshape", |b, x| {
        let [n, h, w, c] = b.shape(x)[..] else { return x };
        b.all(Op::Reshape, &[x], &[&[n, w, c, h]])[0]
    }),
];

fn resize(b: &mut Builder, x: ValueId, half_pixel_centers: bool, align_corners: bool) -> ValueId {
    let shape = b.shape(x);
    let size = [2 * shape[1] + 1, 2 * shape[2]];
    b.push(Op::ResizeBilinear { size, half_pixel_centers, align_corners }, &[x])
}

fn with_channels(b: &mut Builder, op: BinaryOp, x: ValueId) -> ValueId {
    let channels = b.shape(x)[3];
    let other = b.constant(&[channels]);
    b.binary(op, x, other)
}

/// A first layer, the operator, a layer that can have fewer bits where the rank allows one, and a last one.
fn graph(make: Make, [n, h, w, c]: [usize; 4], seed: u64) -> Graph {
    let mut b = Builder { graph: Graph::default(), state: seed };
    let x = b.value(&[n, h, w, 3], None);
    b.graph.inputs = vec![x];
    let x = b.convolution(x, c, window(3, 1, 1), Activation::None);
    let mut x = make(&mut b, x);
    if b.shape(x).len() == 4 {
        x = b.convolution(x, 40, window(1, 1, 1), Activation::None);
        x = b.convolution(x, 35, window(3, 1, 1), Activation::Relu);
        x = b.convolution(x, 5, window(1, 1, 1), Activation::None);
    }
    b.graph.outputs = vec![x];
    b.graph
}

/// Runs the plan with all of its memory fenced; nothing may be written behind a value either.
fn run(variant: &crate::Variant, cpu: &CpuFeatures, input: &Tensor, side: Side) -> Vec<Tensor> {
    fenced(side, || {
        let mut session = Session::new(Arc::new(Plan::new(variant, cpu).unwrap()));
        let sizes = session.plan.slots.clone();
        for (slot, &bytes) in session.slots.iter_mut().zip(&sizes) {
            slot.bytes_mut()[bytes..].fill(0x5A);
        }
        let outputs = session.run(std::slice::from_ref(input), &Serial).unwrap();
        for (slot, &bytes) in session.slots.iter().zip(&sizes) {
            assert!(slot.bytes()[bytes..].iter().all(|&b| b == 0x5A), "written behind a value");
        }
        outputs
    })
}

/// The recipe of each level, and one with other weights.
pub(super) fn recipes() -> Vec<(Level, Recipe)> {
    let mut recipes: Vec<_> =
        Level::ALL.into_iter().map(|level| (level, default_recipe(level))).collect();
    recipes.push((Level::Int4, "mse+group-32".parse().unwrap()));
    recipes
}

/// Compares an operator's variants on every instruction set, with the inputs fenced on one side.
pub(super) struct Fenced {
    name: &'static str,
    pub(super) graph: Graph,
    pub(super) input: Tensor,
    pub(super) calibration: Calibration,
    side: Side,
}

impl Fenced {
    pub(super) fn new(
        name: &'static str,
        make: Make,
        shape: [usize; 4],
        seed: u64,
        before: bool,
    ) -> Fenced {
        let graph = graph(make, shape, seed);
        let mut builder = Builder { graph: Graph::default(), state: !seed };
        let extents = &graph.values[graph.inputs[0]].shape;
        let input = builder.reals(extents.iter().product());
        let input = Tensor::from_shape_vec(extents.clone(), input).unwrap();
        let mut calibrator = Calibrator::new(&graph, &CpuFeatures::portable()).unwrap();
        calibrator.observe(std::slice::from_ref(&input), &Serial).unwrap();
        let calibration = calibrator.finish().unwrap();
        let side = if before { Side::Before } else { Side::Behind };
        Fenced { name, graph, input, calibration, side }
    }

    fn check(&self, level: Level, recipe: &Recipe) {
        let variant = quantize(&self.graph, level, recipe, Some(&self.calibration)).unwrap();
        let what = format!("{} at {level} by {recipe}, {:?}", self.name, self.input.shape());
        let mut first: Option<Vec<Tensor>> = None;
        for cpu in CpuFeatures::detect_assuming_neon().prefixes() {
            fenced(self.side, || running(&format!("{what}, on {:?}", cpu.isas().last())));
            let outputs = run(&variant, &cpu, &self.input, self.side);
            match &first {
                None => first = Some(outputs),
                Some(first) => assert_eq!(first, &outputs, "{what} on {cpu:?}"),
            }
        }
    }
}

/// Pixels of the second image lie behind those of the first, and rows outside of it are nobody's.
#[test]
fn images_behind_the_first_are_padded_too() {
    let (name, make) = OPERATORS[0];
    let operator = Fenced::new(name, make, [2, 3, 3, 11], 1, true);
    recipes().iter().for_each(|(level, recipe)| operator.check(*level, recipe));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(target_arch = "x86_64") { 3 } else { 1 }))]

    #[test]
    fn every_operator_at_every_level_stays_within_its_operands(
        shape in [1..3_usize, 3..9_usize, 3..9_usize, 1..80_usize],
        seed: u64,
        before: bool,
    ) {
        for (index, &(name, make)) in OPERATORS.iter().enumerate() {
            let operator = Fenced::new(name, make, shape, seed, before);
            // An emulator takes long to protect a page, so each operator runs at one of the levels there.
            let recipes = recipes();
            let turn = (index + seed as usize) % recipes.len();
            for (number, (level, recipe)) in recipes.iter().enumerate() {
                if cfg!(target_arch = "x86_64") || number == turn {
                    operator.check(*level, recipe);
                }
            }
        }
    }
}
