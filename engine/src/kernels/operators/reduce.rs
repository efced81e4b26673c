//! Reductions over axes.

use super::{Operator, elements, elements_mut};
use crate::Pool;
use crate::graph::ReduceOp;
use crate::kernels::requant::Factor;

/// For each element of the operand the result that it belongs to.
fn targets(shape: &[usize], axes: &[usize]) -> Vec<u32> {
    let count: usize = shape.iter().product();
    let target = |mut flat: usize| {
        let (mut at, mut stride) = (0, 1);
        for (axis, &extent) in shape.iter().enumerate().rev() {
            if !axes.contains(&axis) {
                at += flat % extent * stride;
                stride *= extent;
            }
            flat /= extent;
        }
        at as u32
    };
    (0..count).map(target).collect()
}

fn reduced(shape: &[usize], axes: &[usize]) -> usize {
    axes.iter().map(|&axis| shape[axis]).product()
}

/// fp32, elements taken in order.
#[derive(Debug)]
pub struct F32Reduce {
    op: ReduceOp,
    targets: Vec<u32>,
    /// Elements of the result, and of the operand for each.
    results: usize,
    each: usize,
}

impl F32Reduce {
    /// `axes` of an operand of `shape`.
    pub fn new(op: ReduceOp, shape: &[usize], axes: &[usize]) -> Self {
        let each = reduced(shape, axes);
        let results = shape.iter().product::<usize>() / each;
        Self { op, targets: targets(shape, axes), results, each }
    }
}

impl Operator for F32Reduce {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], _pool: &dyn Pool) {
        let input = elements::<f32>(inputs[0], self.targets.len());
        let output = elements_mut::<f32>(outputs[0], self.results);
        let (start, function): (f32, fn(f32, f32) -> f32) = match self.op {
            ReduceOp::Mean | ReduceOp::Sum => (0.0, |a, b| a + b),
            ReduceOp::Max => (f32::NEG_INFINITY, f32::max),
            ReduceOp::Min => (f32::INFINITY, f32::min),
        };
        output.fill(start);
        for (&x, &target) in input.iter().zip(&self.targets) {
            output[target as usize] = function(output[target as usize], x);
        }
        if self.op == ReduceOp::Mean {
            output.iter_mut().for_each(|y| *y /= self.each as f32);
        }
    }

    fn weight_bytes(&self) -> usize {
        4 * self.targets.len()
    }
}

/// Mean of 8-bit elements: an integer sum times a factor.
#[derive(Debug)]
pub struct I8Mean {
    targets: Vec<u32>,
    results: usize,
    factor: Factor,
    zero_points: (i32, i32),
}

impl I8Mean {
    /// `axes` of an operand of `shape`; encodings `(scale, zero point)`.
    pub fn new(shape: &[usize], axes: &[usize], input: (f32, i8), output: (f32, i8)) -> Self {
        let each = reduced(shape, axes);
        let real = f64::from(input.0) / f64::from(output.0) / each as f64;
        Self {
            targets: targets(shape, axes),
            results: shape.iter().product::<usize>() / each,
            factor: Factor::from_real(real),
            zero_points: (i32::from(input.1), i32::from(output.1)),
        }
    }
}

impl Operator for I8Mean {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], _pool: &dyn Pool) {
        let input = elements::<i8>(inputs[0], self.targets.len());
        let mut sums = vec![0_i32; self.results];
        for (&q, &target) in input.iter().zip(&self.targets) {
            sums[target as usize] += i32::from(q) - self.zero_points.0;
        }
        for (y, sum) in elements_mut::<i8>(outputs[0], self.results).iter_mut().zip(sums) {
            let q = self.factor.apply(sum).saturating_add(self.zero_points.1);
            *y = q.clamp(-128, 127) as i8;
        }
    }

    fn weight_bytes(&self) -> usize {
        4 * self.targets.len()
    }
}
