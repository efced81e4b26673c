//! Operators on 8 bits and on bits, as plans run them, against loops written down naively: exactly, on every instruction set
//! of this CPU and on one and three threads. (Convolutions: see `operators.rs`.)
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use proptest::prelude::*;
use quantrack_engine::graph::{
    Activation, BinaryOp, Constant, ConstantData, Encoding, Graph, Node, Op, Padding, ReduceOp,
    UnaryOp, Value, Window, infer,
};
use quantrack_engine::kernels::operators::{exp, unary};
use quantrack_engine::kernels::{CpuFeatures, Factor};
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::{Level, Pool, RayonPool, Serial, Tensor, Variant};

/// A sequence from a seed (G. Steele et al., "Fast Splittable Pseudorandom Number Generators", 2014).
struct Sequence(u64);

impl Sequence {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end
    }

    /// One in four an extreme.
    fn byte(&mut self) -> i8 {
        let bits = self.next();
        [i8::MIN, i8::MAX].get((bits >> 32) as usize % 8).copied().unwrap_or(bits as i8)
    }

    fn bytes(&mut self, count: usize) -> Vec<i8> {
        (0..count).map(|_| self.byte()).collect()
    }

    /// A step and a zero point.
    fn encoding(&mut self) -> (f32, i8) {
        (0.01 + self.below(1000) as f32 / 2500.0, self.byte())
    }
}

/// Shape, elements, scale and zero point.
type Operand = (Vec<usize>, Vec<i8>, (f32, i8));

/// Operands on 8 bits with their encodings, and what an operator also needs.
struct Case {
    op: Op,
    operands: Vec<Operand>,
    constants: Vec<(Vec<usize>, Constant)>,
    /// Shapes of the results, where they do not follow from the operands.
    declared: Vec<Vec<usize>>,
    result: (f32, i8),
}

impl Case {
    fn new(op: Op, shape: &[usize], x: &[i8], encoding: (f32, i8), result: (f32, i8)) -> Self {
        let operands = vec![(shape.to_vec(), x.to_vec(), encoding)];
        Self { op, operands, constants: Vec::new(), declared: Vec::new(), result }
    }

    /// The results, the same on every instruction set and number of threads.
    fn run(&self) -> Result<Vec<Vec<i8>>, TestCaseError> {
        let mut b = Builder::default();
        let mut inputs = Vec::new();
        let mut ids = Vec::new();
        for (shape, q, (scale, zero_point)) in &self.operands {
            let zero = i32::from(*zero_point);
            let real = q.iter().map(|&q| (i32::from(q) - zero) as f32 * scale).collect();
            inputs.push(Tensor::from_shape_vec(shape.clone(), real).unwrap());
            let x = b.value(shape, Encoding::F32, None);
            b.graph.inputs.push(x);
            let encoding = Encoding::Int8 { scale: *scale, zero_point: *zero_point };
            ids.push(b.push(Op::Convert, &[x], shape, encoding));
        }
        for (shape, constant) in &self.constants {
            let encoding = if constant.as_i32().is_some() { Encoding::I32 } else { Encoding::F32 };
            ids.push(b.value(shape, encoding, Some(constant.clone())));
        }
        let shapes: Vec<&[usize]> =
            ids.iter().map(|&id| b.graph.values[id].shape.as_slice()).collect();
        let declared: Vec<&[usize]> = self.declared.iter().map(Vec::as_slice).collect();
        let shapes = infer(&self.op, &shapes, &declared).map_err(TestCaseError::reject)?;
        let encoding = Encoding::Int8 { scale: self.result.0, zero_point: self.result.1 };
        let results: Vec<usize> =
            shapes.iter().map(|shape| b.value(shape, encoding, None)).collect();
        b.node(self.op.clone(), ids, results.clone());
        for (&id, shape) in results.iter().zip(&shapes) {
            let real = b.push(Op::Convert, &[id], shape, Encoding::F32);
            b.graph.outputs.push(real);
        }
        let outputs = b.run(&inputs)?;
        let (scale, zero) = (self.result.0, f32::from(self.result.1));
        let steps =
            |real: &Tensor| real.iter().map(|x| ((x / scale).round() + zero) as i8).collect();
        Ok(outputs.iter().map(steps).collect())
    }

    /// The only result.
    fn one(&self) -> Result<Vec<i8>, TestCaseError> {
        Ok(self.run()?.swap_remove(0))
    }
}

#[derive(Default)]
struct Builder {
    graph: Graph,
}

impl Builder {
    fn value(&mut self, shape: &[usize], encoding: Encoding, constant: Option<Constant>) -> usize {
        let name = format!("v{}", self.graph.values.len());
        self.graph.values.push(Value { name, shape: shape.to_vec(), encoding, constant });
        self.graph.values.len() - 1
    }

    fn node(&mut self, op: Op, inputs: Vec<usize>, outputs: Vec<usize>) {
        let name = format!("n{}", self.graph.nodes.len());
        self.graph.nodes.push(Node { name, op, inputs, outputs, level: Level::Int8 });
    }

    fn push(&mut self, op: Op, inputs: &[usize], shape: &[usize], encoding: Encoding) -> usize {
        let result = self.value(shape, encoding, None);
        self.node(op, inputs.to_vec(), vec![result]);
        result
    }

    fn run(self, inputs: &[Tensor]) -> Result<Vec<Tensor>, TestCaseError> {
        let fail = |error: &dyn std::fmt::Display| TestCaseError::fail(error.to_string());
        let variant = Variant { level: Level::Int8, ..Variant::fp32(self.graph) };
        let mut first: Option<Vec<Tensor>> = None;
        let rayon = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let rayon = RayonPool::new(rayon.map_err(|error| fail(&error))?);
        for cpu in CpuFeatures::detect_assuming_neon().prefixes() {
            let plan = Plan::new(&variant, &cpu).map_err(|error| fail(&error))?;
            let mut session = Session::new(Arc::new(plan));
            for pool in [&Serial as &dyn Pool, &rayon] {
                let outputs = session.run(inputs, pool).map_err(|error| fail(&error))?;
                let first = first.get_or_insert_with(|| outputs.clone());
                prop_assert_eq!(&*first, &outputs, "{:?} on {} threads", cpu, pool.threads());
            }
        }
        first.ok_or_else(|| TestCaseError::fail("no instruction set"))
    }
}

fn clamp(q: i64) -> i8 {
    q.clamp(-128, 127) as i8
}

/// A window that fits, and its result's extents; every output has a tap inside the input.
fn windows() -> impl Strategy<Value = ([usize; 4], Window, [usize; 2])> {
    let extents = [1..3_usize, 1..9, 1..9, 1..40];
    let pads = [0..2_usize, 0..2, 0..2, 0..2];
    (extents, [1..4_usize, 1..4], [1..4_usize, 1..4], pads).prop_filter_map(
        "the window is larger than the padded input, or smaller than its padding",
        |(shape, kernel, stride, [top, bottom, left, right])| {
            let padding = Padding { top, bottom, left, right };
            let window = Window { kernel, stride, dilation: [1, 1], padding };
            let less = |pads: [usize; 2], kernel| pads.iter().all(|&pad| pad < kernel);
            let fits = less([top, bottom], kernel[0]) && less([left, right], kernel[1]);
            let size = window.output_size([shape[1], shape[2]]).filter(|_| fits)?;
            Some((shape, window, size))
        },
    )
}

/// Calls `each(channel, elements under the window)` for every result of a pooling, in order.
fn pooled(
    x: &[i8],
    [n, h, w, c]: [usize; 4],
    window: Window,
    size: [usize; 2],
    mut each: impl FnMut(&[i8]),
) {
    for (image, y, x0) in (0..n)
        .flat_map(|image| (0..size[0]).map(move |y| (image, y)))
        .flat_map(|(image, y)| (0..size[1]).map(move |x| (image, y, x)))
    {
        for channel in 0..c {
            let mut under = Vec::new();
            for ky in 0..window.kernel[0] {
                for kx in 0..window.kernel[1] {
                    let row = (y * window.stride[0] + ky).checked_sub(window.padding.top);
                    let column = (x0 * window.stride[1] + kx).checked_sub(window.padding.left);
                    if let (Some(row), Some(column)) = (row, column)
                        && row < h
                        && column < w
                    {
                        under.push(x[((image * h + row) * w + column) * c + channel]);
                    }
                }
            }
            each(&under);
        }
    }
}

/// The bounds of an activation as steps.
fn bounds(activation: Activation, (scale, zero_point): (f32, i8)) -> (i64, i64) {
    let step = |real: f32| {
        i64::from(clamp((real / scale).round_ties_even() as i64 + i64::from(zero_point)))
    };
    match activation {
        Activation::Relu => (step(0.0), 127),
        Activation::Relu6 => (step(0.0), step(6.0)),
        _ => (-128, 127),
    }
}

const ACTIVATIONS: [Activation; 3] = [Activation::None, Activation::Relu, Activation::Relu6];

/// The two samples of a position along an axis, and the weight of the second in 1/2048.
fn samples(index: usize, from: usize, to: usize, half: bool, corners: bool) -> (usize, usize, i64) {
    let scale = match corners && to > 1 {
        true => (from as f32 - 1.0) / (to as f32 - 1.0),
        false => from as f32 / to as f32,
    };
    let at = if half { (index as f32 + 0.5) * scale - 0.5 } else { index as f32 * scale };
    let last = from as i64 - 1;
    let inside = |at: f32| (at as i64).clamp(0, last) as usize;
    let share = if at < 0.0 { 0.0 } else { at - at.floor() };
    (inside(at.floor()), inside(at.ceil()), f64::from(share * 2048.0).round_ties_even() as i64)
}

/// Row-major index of every position of `shape`.
fn positions(shape: &[usize]) -> impl Iterator<Item = Vec<usize>> + '_ {
    let count: usize = shape.iter().product();
    (0..count).map(|mut flat| {
        let mut at = vec![0; shape.len()];
        for (axis, &extent) in shape.iter().enumerate().rev() {
            at[axis] = flat % extent;
            flat /= extent;
        }
        at
    })
}

fn flat(at: &[usize], shape: &[usize]) -> usize {
    at.iter().zip(shape).fold(0, |flat, (&at, &extent)| flat * extent + at)
}

/// Broadcast operands read their only element along axes of extent 1.
fn broadcast_at(at: &[usize], shape: &[usize]) -> usize {
    let own = &at[at.len() - shape.len()..];
    let own: Vec<usize> =
        own.iter().zip(shape).map(|(&at, &n)| if n == 1 { 0 } else { at }).collect();
    flat(&own, shape)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 64 }))]

    #[test]
    fn max_pools((shape, window, size) in windows(), two_by_two: bool, seed: u64) {
        let mut s = Sequence(seed);
        let [n, h, w, c] = shape;
        let (shape, window, size) = match two_by_two {
            true => {
                let window = Window { kernel: [2; 2], stride: [2; 2], ..Window::default() };
                ([n, h + 1, w + 1, 16 * (1 + c % 4)], window, [h.div_ceil(2), w.div_ceil(2)])
            }
            false => (shape, window, size),
        };
        let (encoding, x) = (s.encoding(), s.bytes(shape.iter().product()));
        let activation = ACTIVATIONS[s.below(3)];
        let case = Case::new(Op::MaxPool2d { window, activation }, &shape, &x, encoding, encoding);
        let (low, high) = bounds(activation, encoding);
        let mut expected = Vec::new();
        pooled(&x, shape, window, size, |under| {
            let largest = under.iter().copied().max().unwrap_or(i8::MIN);
            expected.push(i64::from(largest).clamp(low, high) as i8);
        });
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn average_pools((shape, window, size) in windows(), seed: u64) {
        let mut s = Sequence(seed);
        let (from, to, x) = (s.encoding(), s.encoding(), s.bytes(shape.iter().product()));
        let activation = ACTIVATIONS[s.below(3)];
        let case = Case::new(Op::AveragePool2d { window, activation }, &shape, &x, from, to);
        let (low, high) = bounds(activation, to);
        let mut expected = Vec::new();
        pooled(&x, shape, window, size, |under| {
            let ratio = f64::from(from.0) / f64::from(to.0) / under.len() as f64;
            let sum = under.iter().map(|&q| i32::from(q) - i32::from(from.1)).sum();
            let q = i64::from(Factor::from_real(ratio).apply(sum)) + i64::from(to.1);
            expected.push(q.clamp(low, high) as i8);
        });
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn bilinear_resizing(
        shape in [1..3_usize, 1..7, 1..7, 1..40],
        size in [1..12_usize, 1..12],
        way in 0..3_usize,
        seed: u64,
    ) {
        let mut s = Sequence(seed);
        let (encoding, x) = (s.encoding(), s.bytes(shape.iter().product()));
        let (half, corners) = (way == 1, way == 2);
        let op = Op::ResizeBilinear { size, half_pixel_centers: half, align_corners: corners };
        let [n, h, w, c] = shape;
        let mut expected = Vec::new();
        for at in positions(&[n, size[0], size[1], c]) {
            let (top, bottom, down) = samples(at[1], h, size[0], half, corners);
            let (left, right, across) = samples(at[2], w, size[1], half, corners);
            let q = |y, x0| i64::from(x[flat(&[at[0], y, x0, at[3]], &shape)]);
            let row = |y| q(y, left) * (2048 - across) + q(y, right) * across;
            let sum = row(top) * (2048 - down) + row(bottom) * down;
            expected.push(((sum + (1 << 21)) >> 22) as i8);
        }
        prop_assert_eq!(Case::new(op, &shape, &x, encoding, encoding).one()?, expected);
    }

    #[test]
    fn softmax(shape in [1..4_usize, 1..6, 1..90], beta in 0.1..3.0_f32, seed: u64) {
        let mut s = Sequence(seed);
        let (encoding, x) = (s.encoding(), s.bytes(shape.iter().product()));
        let case = Case::new(Op::Softmax { beta }, &shape, &x, encoding, (1.0 / 256.0, -128));
        let mut expected = Vec::new();
        for row in x.chunks(shape[2]) {
            let largest = row.iter().copied().max().unwrap_or(0);
            let weight = |q: i8| {
                let distance = (i32::from(largest) - i32::from(q)) as f32;
                (exp(-beta * encoding.0 * distance) * 8_388_608.0).round_ties_even() as i64
            };
            let sum: i64 = row.iter().map(|&q| weight(q)).sum();
            expected.extend(row.iter().map(|&q| clamp((weight(q) * 256 + sum / 2) / sum - 128)));
        }
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn means(shape in [1..4_usize, 1..6, 1..6, 1..40], over in 1..16_usize, keep_dims: bool, seed: u64) {
        let mut s = Sequence(seed);
        let (from, to, x) = (s.encoding(), s.encoding(), s.bytes(shape.iter().product()));
        let axes: Vec<usize> = (0..4).filter(|axis| over >> axis & 1 == 1).collect();
        let kept: Vec<usize> =
            (0..4).map(|axis| if axes.contains(&axis) { 1 } else { shape[axis] }).collect();
        let mut sums = vec![0_i32; kept.iter().product()];
        for (at, &q) in positions(&shape).zip(&x) {
            sums[broadcast_at(&at, &kept)] += i32::from(q) - i32::from(from.1);
        }
        let each = x.len() / sums.len();
        let factor = Factor::from_real(f64::from(from.0) / f64::from(to.0) / each as f64);
        let mean = |&sum: &i32| clamp(i64::from(factor.apply(sum)) + i64::from(to.1));
        let expected: Vec<i8> = sums.iter().map(mean).collect();
        let op = Op::Reduce { op: ReduceOp::Mean, axes, keep_dims };
        prop_assert_eq!(Case::new(op, &shape, &x, from, to).one()?, expected);
    }

    #[test]
    fn sums_and_differences(
        shape in [1..3_usize, 1..6, 1..6, 1..40],
        shared in 0..16_usize,
        difference: bool,
        which in 0..3_usize,
        seed: u64,
    ) {
        let mut s = Sequence(seed);
        let other: Vec<usize> =
            (0..4).map(|axis| if shared >> axis & 1 == 1 { 1 } else { shape[axis] }).collect();
        let (a, b) = (s.bytes(shape.iter().product()), s.bytes(other.iter().product()));
        let (ea, eb, result) = (s.encoding(), s.encoding(), s.encoding());
        let activation = ACTIVATIONS[which];
        let op = if difference { BinaryOp::Sub } else { BinaryOp::Add };
        let mut case = Case::new(Op::Binary { op, activation }, &shape, &a, ea, result);
        case.operands.push((other.clone(), b.clone(), eb));
        // As many bits behind the point as 16 bits allow.
        let ratios = [ea.0, eb.0].map(|scale| f64::from(scale) / f64::from(result.0));
        let mut bits = 7;
        while bits > 0 && 128.0 * (ratios[0] + ratios[1]) * 2_f64.powi(bits) >= 32767.0 {
            bits -= 1;
        }
        let multiplier = |ratio: f64| (ratio * 2_f64.powi(bits + 7)).round().min(32767.0) as i64;
        let [ma, mb] = ratios.map(multiplier);
        let mb = if difference { -mb } else { mb };
        let saturated = |x: i64| x.clamp(-32768, 32767);
        let bias = saturated(-((i64::from(ea.1) * ma + i64::from(eb.1) * mb + 64) >> 7));
        let high = |q: i8, m: i64| (256 * i64::from(q) * m + (1 << 14)) >> 15;
        let (least, most) = bounds(activation, result);
        let mut expected = Vec::new();
        for (at, &qa) in positions(&shape).zip(&a) {
            let qb = b[broadcast_at(&at, &other)];
            let acc = saturated(saturated(high(qa, ma) + high(qb, mb)) + bias);
            let steps = saturated(acc + (i64::from(result.1) << bits));
            expected.push(((steps + (1 << bits >> 1)) >> bits).clamp(least, most) as i8);
        }
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn products(
        shape in [1..3_usize, 1..6, 1..6, 1..40],
        shared in 0..16_usize,
        which in 0..3_usize,
        seed: u64,
    ) {
        let mut s = Sequence(seed);
        let other: Vec<usize> =
            (0..4).map(|axis| if shared >> axis & 1 == 1 { 1 } else { shape[axis] }).collect();
        let (a, b) = (s.bytes(shape.iter().product()), s.bytes(other.iter().product()));
        let (ea, eb, result) = (s.encoding(), s.encoding(), s.encoding());
        let op = Op::Binary { op: BinaryOp::Mul, activation: ACTIVATIONS[which] };
        let mut case = Case::new(op, &shape, &a, ea, result);
        case.operands.push((other.clone(), b.clone(), eb));
        let factor = Factor::from_real(f64::from(ea.0) * f64::from(eb.0) / f64::from(result.0));
        let (low, high) = bounds(ACTIVATIONS[which], result);
        let mut expected = Vec::new();
        for (at, &qa) in positions(&shape).zip(&a) {
            let qb = i32::from(b[broadcast_at(&at, &other)]) - i32::from(eb.1);
            let product = (i32::from(qa) - i32::from(ea.1)) * qb;
            let q = i64::from(factor.apply(product)) + i64::from(result.1);
            expected.push(q.clamp(low, high) as i8);
        }
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn functions_of_one_operand(count in 1..700_usize, seed: u64) {
        let mut s = Sequence(seed);
        let (from, to, x) = (s.encoding(), s.encoding(), s.bytes(count));
        let functions = [
            UnaryOp::Logistic, UnaryOp::Tanh, UnaryOp::Relu, UnaryOp::Relu6, UnaryOp::Exp,
            UnaryOp::Abs, UnaryOp::Neg, UnaryOp::Erf, UnaryOp::Floor, UnaryOp::Round,
        ];
        for op in functions {
            let function = |&q: &i8| {
                let real = (i32::from(q) - i32::from(from.1)) as f32 * from.0;
                let steps = (unary(op, real) / to.0).round_ties_even() + f32::from(to.1);
                steps.clamp(-128.0, 127.0) as i8
            };
            let expected: Vec<i8> = x.iter().map(function).collect();
            let case = Case::new(Op::Unary(op), &[count], &x, from, to);
            prop_assert_eq!(case.one()?, expected, "{:?}", op);
        }
    }

    #[test]
    fn prelu(shape in [1..3_usize, 1..40, 1..20, 1..40], seed: u64) {
        let mut s = Sequence(seed);
        let (from, to, x) = (s.encoding(), s.encoding(), s.bytes(shape.iter().product()));
        let slopes: Vec<f32> = (0..shape[3]).map(|_| s.below(400) as f32 / 100.0 - 2.0).collect();
        let ratio = f64::from(from.0) / f64::from(to.0);
        let negative: Vec<f64> = slopes.iter().map(|&slope| ratio * f64::from(slope)).collect();
        let largest = negative.iter().fold(ratio, |largest, factor| largest.max(factor.abs()));
        let largest = Factor::from_real(largest);
        let prelu = |(index, &q): (usize, &i8)| {
            let centred = i32::from(q) - i32::from(from.1);
            let real = if centred < 0 { negative[index % slopes.len()] } else { ratio };
            let mut factor = Factor::from_real(real);
            if largest.right >= 3 {
                // All factors are below 1/8, and shifted as the largest.
                let right = largest.right.min(16);
                let multiplier = (real * 2_f64.powi(31 + right)).round() as i32;
                factor = Factor { multiplier, left: 0, right };
            }
            clamp(i64::from(factor.apply(centred)) + i64::from(to.1))
        };
        let expected: Vec<i8> = x.iter().enumerate().map(prelu).collect();
        let mut case = Case::new(Op::Prelu, &shape, &x, from, to);
        case.constants.push((vec![shape[3]], Constant::f32(slopes.clone())));
        prop_assert_eq!(case.one()?, expected);
    }

    #[test]
    fn elements_that_move(shape in [1..3_usize, 1..6, 1..6, 1..40], axis in 0..4_usize, seed: u64) {
        let mut s = Sequence(seed);
        let (encoding, x) = (s.encoding(), s.bytes(shape.iter().product()));
        let extent = shape[axis];
        let pick = |to: &[usize], source: &dyn Fn(&[usize]) -> Option<Vec<usize>>| -> Vec<i8> {
            positions(to)
                .map(|at| source(&at).map_or(encoding.1, |at| x[flat(&at, &shape)]))
                .collect()
        };
        let moved = |at: &[usize], index: usize| {
            let mut at = at.to_vec();
            at[axis] = index;
            Some(at)
        };

        let amounts: Vec<[usize; 2]> = (0..4).map(|_| [s.below(3), s.below(3)]).collect();
        let to: Vec<usize> = (0..4).map(|i| shape[i] + amounts[i][0] + amounts[i][1]).collect();
        let expected = pick(&to, &|at| {
            let source = |i: usize| at[i].checked_sub(amounts[i][0]).filter(|&at| at < shape[i]);
            (0..4).map(source).collect()
        });
        let case = Case::new(Op::Pad { amounts: amounts.clone() }, &shape, &x, encoding, encoding);
        prop_assert_eq!(case.one()?, expected, "pad");

        let picked: Vec<usize> = (0..1 + s.below(5)).map(|_| s.below(extent)).collect();
        let mut to = shape;
        to[axis] = picked.len();
        let expected = pick(&to, &|at| moved(at, picked[at[axis]]));
        let mut case = Case::new(Op::Gather { axis }, &shape, &x, encoding, encoding);
        let indices = picked.iter().map(|&index| index as i32).collect();
        case.constants.push((vec![picked.len()], Constant::i32(indices)));
        prop_assert_eq!(case.one()?, expected, "gather");

        let (begin, count) = (s.below(extent), 1);
        let backwards = s.below(2) == 0;
        let count = if backwards { begin + 1 } else { (extent - begin).div_ceil(2).max(count) };
        let mut to = shape;
        to[axis] = count;
        let step = |index: usize| if backwards { begin - index } else { begin + 2 * index };
        let expected = pick(&to, &|at| moved(at, step(at[axis])));
        let (mut begins, mut strides) = (vec![0; 4], vec![1; 4]);
        begins[axis] = begin;
        strides[axis] = if backwards { -1 } else { 2 };
        let op = Op::StridedSlice { begin: begins, strides, counts: to.to_vec() };
        let mut case = Case::new(op, &shape, &x, encoding, encoding);
        case.declared = vec![to.to_vec()];
        prop_assert_eq!(case.one()?, expected, "slice");

        let mut perm = [0, 1, 2, 3];
        (1..4).for_each(|i| perm.swap(i, s.below(i + 1)));
        let to: Vec<usize> = perm.iter().map(|&axis| shape[axis]).collect();
        let expected = pick(&to, &|at| {
            let mut source = vec![0; 4];
            (0..4).for_each(|i| source[perm[i]] = at[i]);
            Some(source)
        });
        let op = Op::Transpose { perm: perm.to_vec() };
        let case = Case::new(op, &shape, &x, encoding, encoding);
        prop_assert_eq!(case.one()?, expected, "transpose");

        let mut part: Vec<usize> = shape.to_vec();
        part.remove(axis);
        let mut case = Case::new(Op::Unpack { axis }, &shape, &x, encoding, encoding);
        case.declared = vec![part.clone(); extent];
        for (index, result) in case.run()?.into_iter().enumerate() {
            let expected = pick(&part, &|at| {
                let mut at = at.to_vec();
                at.insert(axis, index);
                Some(at)
            });
            prop_assert_eq!(result, expected, "unpack");
        }

        let mut case = Case::new(Op::Concat { axis }, &shape, &x, encoding, encoding);
        let mut other = shape;
        other[axis] = 1 + s.below(4);
        let y = s.bytes(other.iter().product());
        case.operands.push((other.to_vec(), y.clone(), encoding));
        case.operands.push((shape.to_vec(), x.clone(), encoding));
        let mut to = shape;
        to[axis] = 2 * extent + other[axis];
        let expected: Vec<i8> = positions(&to)
            .map(|at| match at[axis] {
                index if index < extent => x[flat(&at, &shape)],
                index if index < extent + other[axis] => {
                    y[flat(&moved(&at, index - extent).unwrap(), &other)]
                }
                index => x[flat(&moved(&at, index - extent - other[axis]).unwrap(), &shape)],
            })
            .collect();
        prop_assert_eq!(case.one()?, expected, "concat");
    }

    #[test]
    fn changes_of_encoding(count in 1..9000_usize, seed: u64) {
        let mut s = Sequence(seed);
        let (from, to, x) = (s.encoding(), s.encoding(), s.bytes(count));
        let inverse = 1.0 / to.0;
        let convert = |&q: &i8| {
            let real = (i32::from(q) - i32::from(from.1)) as f32 * from.0;
            ((real * inverse).round_ties_even() + f32::from(to.1)).clamp(-128.0, 127.0) as i8
        };
        let expected: Vec<i8> = x.iter().map(convert).collect();
        prop_assert_eq!(Case::new(Op::Convert, &[count], &x, from, to).one()?, expected);
    }

    #[test]
    fn bits_made_pooled_padded_and_summed(
        (shape, window, size) in windows(),
        more in 0..100_usize,
        of_bytes: bool,
        seed: u64,
    ) {
        let mut s = Sequence(seed);
        let [n, h, w, _] = shape;
        let c = shape[3] + more;
        let shape = [n, h, w, c];
        let (scale, zero) = s.encoding();
        let x = s.bytes(shape.iter().product());
        let thresholds: Vec<i32> = (0..c).map(|_| i32::from(s.byte())).collect();
        let real = |q: i32| (q - i32::from(zero)) as f32 * scale;
        let mut b = Builder::default();
        let input = b.value(&shape, Encoding::F32, None);
        b.graph.inputs.push(input);
        let mut operand = input;
        let limits = if of_bytes {
            let encoding = Encoding::Int8 { scale, zero_point: zero };
            operand = b.push(Op::Convert, &[input], &shape, encoding);
            b.value(&[c], Encoding::I32, Some(Constant::i32(thresholds.clone())))
        } else {
            let all = thresholds.iter().map(|&t| real(t)).collect();
            b.value(&[c], Encoding::F32, Some(Constant::f32(all)))
        };
        let bits = b.push(Op::Convert, &[operand, limits], &shape, Encoding::Bits);
        let op = Op::MaxPool2d { window, activation: Activation::None };
        let pooled_shape = [n, size[0], size[1], c];
        let largest = b.push(op, &[bits], &pooled_shape, Encoding::Bits);
        let amounts = vec![[0, 0], [1, 0], [0, 2], [0, 0]];
        let padded_shape = [n, size[0] + 1, size[1] + 2, c];
        let padded = b.push(Op::Pad { amounts }, &[largest], &padded_shape, Encoding::Bits);
        let outputs = 1 + s.below(40);
        let words = c.div_ceil(64);
        let weights: Vec<Vec<bool>> =
            (0..outputs).map(|_| (0..c).map(|_| s.next() >> 63 == 1).collect()).collect();
        let pack = |row: &Vec<bool>| -> Vec<u64> {
            let word = |i: usize| row.iter().skip(64 * i).take(64).enumerate();
            (0..words).map(|i| word(i).map(|(bit, &one)| u64::from(one) << bit).sum()).collect()
        };
        let packed = weights.iter().flat_map(pack).collect();
        let constant = Constant { data: ConstantData::Bits(packed), scales: vec![1.0; outputs] };
        let parameter = |b: &mut Builder, element: f32| {
            b.value(&[outputs], Encoding::F32, Some(Constant::f32(vec![element; outputs])))
        };
        let operands = [
            padded,
            b.value(&[outputs, c], Encoding::Bits, Some(constant)),
            parameter(&mut b, 0.0),
            parameter(&mut b, 1.0),
            parameter(&mut b, 0.0),
        ];
        let op = Op::FullyConnected { activation: Activation::None };
        let to = [n, size[0] + 1, size[1] + 2, outputs];
        let sums = b.push(op, &operands, &to, Encoding::F32);
        b.graph.outputs.push(sums);
        let reals = x.iter().map(|&q| real(i32::from(q))).collect();
        let got = b.run(&[Tensor::from_shape_vec(shape.to_vec(), reals).unwrap()])?;

        let signs: Vec<i8> =
            x.iter().enumerate().map(|(i, &q)| i8::from(i32::from(q) >= thresholds[i % c])).collect();
        let mut largest = Vec::new();
        pooled(&signs, shape, window, size, |under| largest.push(under.contains(&1)));
        let mut expected = Vec::new();
        for at in positions(&to) {
            let row = at[1].checked_sub(1).filter(|_| at[2] < size[1]);
            let sum: i32 = (0..c)
                .map(|k| {
                    let one = row.is_none_or(|row| largest[flat(&[at[0], row, at[2], k], &pooled_shape)]);
                    if one == weights[at[3]][k] { 1 } else { -1 }
                })
                .sum();
            expected.push(sum as f32);
        }
        prop_assert_eq!(got[0].iter().copied().collect::<Vec<f32>>(), expected);
    }
}
