//! Operators on two operands with NumPy broadcasting.

use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::BinaryOp;
use crate::kernels::micro::clamp_f32;
use crate::kernels::requant::Factor;

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// How the elements of an operand are found for each result.
#[derive(Debug)]
enum Source {
    /// The same shape as the result.
    Same,
    /// Repeats after so many elements (a scalar: 1, a vector over the last axis: its length).
    Repeats(usize),
    /// Anything else: an index per result.
    Table(Vec<u32>),
}

impl Source {
    fn new(shape: &[usize], result: &[usize]) -> Self {
        let count: usize = shape.iter().product();
        if count == result.iter().product::<usize>() {
            return Self::Same;
        }
        let significant: Vec<usize> = shape.iter().copied().skip_while(|&n| n == 1).collect();
        if result.ends_with(&significant) {
            return Self::Repeats(count);
        }
        // Row-major strides of the operand, 0 along broadcast axes, aligned to the result's last axis.
        let mut strides = vec![0; result.len()];
        let mut stride = 1;
        for (axis, &extent) in shape.iter().enumerate().rev() {
            if extent > 1 {
                strides[result.len() - shape.len() + axis] = stride;
            }
            stride *= extent;
        }
        let index = |mut flat: usize| {
            let mut at = 0;
            for (&extent, &stride) in result.iter().zip(&strides).rev() {
                at += flat % extent * stride;
                flat /= extent;
            }
            at as u32
        };
        Self::Table((0..result.iter().product()).map(index).collect())
    }

    #[inline]
    fn index(&self, flat: usize) -> usize {
        match self {
            Self::Same => flat,
            Self::Repeats(period) => flat % period,
            Self::Table(table) => table[flat] as usize,
        }
    }
}

/// Both operands' sources and the result's size.
#[derive(Debug)]
struct Operands {
    a: Source,
    b: Source,
    counts: (usize, usize),
    count: usize,
}

impl Operands {
    fn new(a: &[usize], b: &[usize], result: &[usize]) -> Self {
        Self {
            a: Source::new(a, result),
            b: Source::new(b, result),
            counts: (a.iter().product(), b.iter().product()),
            count: result.iter().product(),
        }
    }

    fn run<T: bytemuck::Pod + Send + Sync>(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        pool: &dyn Pool,
        function: impl Fn(T, T) -> T + Sync,
    ) {
        let a = elements::<T>(inputs[0], self.counts.0);
        let b = elements::<T>(inputs[1], self.counts.1);
        for_rows(pool, elements_mut(outputs[0], self.count), 1, LEAST, |first, output| {
            if let (Source::Same, Source::Same) = (&self.a, &self.b) {
                for ((y, &a), &b) in output.iter_mut().zip(&a[first..]).zip(&b[first..]) {
                    *y = function(a, b);
                }
                return;
            }
            for (offset, y) in output.iter_mut().enumerate() {
                let flat = first + offset;
                *y = function(a[self.a.index(flat)], b[self.b.index(flat)]);
            }
        });
    }
}

/// fp32 arithmetic, results kept within bounds.
#[derive(Debug)]
pub struct F32Binary {
    op: BinaryOp,
    operands: Operands,
    bounds: (f32, f32),
}

impl F32Binary {
    /// Shapes of both operands and of the result.
    pub fn new(
        op: BinaryOp,
        a: &[usize],
        b: &[usize],
        result: &[usize],
        bounds: (f32, f32),
    ) -> Self {
        Self { op, operands: Operands::new(a, b, result), bounds }
    }
}

impl F32Binary {
    fn apply(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        pool: &dyn Pool,
        function: impl Fn(f32, f32) -> f32 + Sync,
    ) {
        let (min, max) = self.bounds;
        if (min, max) == (f32::NEG_INFINITY, f32::INFINITY) {
            self.operands.run(inputs, outputs, pool, function);
        } else {
            self.operands.run(inputs, outputs, pool, |a, b| clamp_f32(function(a, b), min, max));
        }
    }
}

impl Operator for F32Binary {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        match self.op {
            BinaryOp::Add => self.apply(inputs, outputs, pool, |a, b| a + b),
            BinaryOp::Sub => self.apply(inputs, outputs, pool, |a, b| a - b),
            BinaryOp::Mul => self.apply(inputs, outputs, pool, |a, b| a * b),
            BinaryOp::Div => self.apply(inputs, outputs, pool, |a, b| a / b),
            BinaryOp::Maximum => self.apply(inputs, outputs, pool, f32::max),
            BinaryOp::Minimum => self.apply(inputs, outputs, pool, f32::min),
        }
    }
}

/// Sum or difference of 8-bit operands:
/// `q = clamp(z + ((a - za) * ma + (b - zb) * mb + 2^(shift - 1)) >> shift)` with integer multipliers of at most 2^21
/// in magnitude, so that the sum fits 32 bits.
#[derive(Debug)]
pub struct I8Add {
    operands: Operands,
    multipliers: (i32, i32),
    shift: u32,
    /// Both products at the zero points, subtracted, and the rounding.
    bias: i32,
    zero_point: i32,
    bounds: (i32, i32),
}

impl I8Add {
    /// Encodings `(scale, zero point)` of operands and result; `sign` is -1 for a difference; inclusive bounds.
    pub fn new(
        shapes: (&[usize], &[usize], &[usize]),
        a: (f32, i8),
        b: (f32, i8),
        result: (f32, i8),
        sign: i32,
        bounds: (i8, i8),
    ) -> Self {
        let real = (f64::from(a.0) / f64::from(result.0), f64::from(b.0) / f64::from(result.0));
        // The larger multiplier has 21 bits unless that takes a shift beyond 30.
        let (_, exponent) = libm::frexp(real.0.max(real.1));
        let shift = (21 - exponent).clamp(1, 30) as u32;
        let scale = f64::from(1_u32 << shift);
        let integer = |real: f64| (real * scale).round().min(f64::from(1 << 21)) as i32;
        let multipliers = (integer(real.0), sign * integer(real.1));
        let bias =
            (1 << (shift - 1)) - i32::from(a.1) * multipliers.0 - i32::from(b.1) * multipliers.1;
        Self {
            operands: Operands::new(shapes.0, shapes.1, shapes.2),
            multipliers,
            shift,
            bias,
            zero_point: i32::from(result.1),
            bounds: (i32::from(bounds.0), i32::from(bounds.1)),
        }
    }
}

impl Operator for I8Add {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (ma, mb) = self.multipliers;
        let (min, max) = self.bounds;
        let (bias, shift, zero) = (self.bias, self.shift, self.zero_point);
        self.operands.run(inputs, outputs, pool, |a: i8, b: i8| {
            let sum = bias.wrapping_add(i32::from(a) * ma).wrapping_add(i32::from(b) * mb);
            ((sum >> shift) + zero).clamp(min, max) as i8
        });
    }
}

/// Product of 8-bit operands: the integer product of both less their zero points, times a [`Factor`].
#[derive(Debug)]
pub struct I8Mul {
    operands: Operands,
    zero_points: (i32, i32, i32),
    factor: Factor,
    bounds: (i32, i32),
}

impl I8Mul {
    /// Encodings `(scale, zero point)` of operands and result; inclusive bounds.
    pub fn new(
        shapes: (&[usize], &[usize], &[usize]),
        a: (f32, i8),
        b: (f32, i8),
        result: (f32, i8),
        bounds: (i8, i8),
    ) -> Self {
        let real = f64::from(a.0) * f64::from(b.0) / f64::from(result.0);
        Self {
            operands: Operands::new(shapes.0, shapes.1, shapes.2),
            zero_points: (i32::from(a.1), i32::from(b.1), i32::from(result.1)),
            factor: Factor::from_real(real),
            bounds: (i32::from(bounds.0), i32::from(bounds.1)),
        }
    }
}

impl Operator for I8Mul {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (za, zb, z) = self.zero_points;
        let (min, max) = self.bounds;
        self.operands.run(inputs, outputs, pool, |a: i8, b: i8| {
            let product = (i32::from(a) - za) * (i32::from(b) - zb);
            self.factor.apply(product).saturating_add(z).clamp(min, max) as i8
        });
    }
}
