//! Softmax over the last axis.

use super::transcendental::exp;
use super::{Operator, Scratch, elements, elements_mut};
use crate::Pool;

/// fp32.
#[derive(Debug)]
pub struct F32Softmax {
    /// Factor of the exponent.
    pub beta: f32,
    /// Elements of the last axis.
    pub row: usize,
    /// Elements in all.
    pub count: usize,
}

impl Operator for F32Softmax {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        let input = elements::<f32>(inputs[0], self.count);
        let output = elements_mut::<f32>(outputs[0], self.count);
        for (y, x) in output.chunks_exact_mut(self.row).zip(input.chunks_exact(self.row)) {
            let largest = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for (y, &x) in y.iter_mut().zip(x) {
                *y = exp((x - largest) * self.beta);
                sum += *y;
            }
            y.iter_mut().for_each(|y| *y /= sum);
        }
    }
}

/// 8 bits, by a table of exponentials in fixed point; the result has scale 1/256 and zero point -128.
#[derive(Debug)]
pub struct I8Softmax {
    /// `2^23 * exp(-beta * scale * d)` for a distance `d` from the largest element.
    table: Vec<u32>,
    row: usize,
    count: usize,
}

impl I8Softmax {
    /// The operand's scale; elements of the last axis and in all.
    pub fn new(beta: f32, scale: f32, row: usize, count: usize) -> Self {
        let entry = |distance: u32| {
            (exp(-beta * scale * distance as f32) * (1 << 23) as f32).round_ties_even() as u32
        };
        Self { table: (0..256).map(entry).collect(), row, count }
    }
}

impl Operator for I8Softmax {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        _pool: &dyn Pool,
    ) {
        let input = elements::<i8>(inputs[0], self.count);
        let output = elements_mut::<i8>(outputs[0], self.count);
        for (y, x) in output.chunks_exact_mut(self.row).zip(input.chunks_exact(self.row)) {
            let largest = x.iter().copied().max().unwrap_or(0);
            let weight =
                |q: i8| u64::from(self.table[(i32::from(largest) - i32::from(q)) as usize]);
            let sum: u64 = x.iter().map(|&q| weight(q)).sum();
            for (y, &q) in y.iter_mut().zip(x) {
                let share = (weight(q) * 256 + sum / 2) / sum;
                *y = (share as i64 - 128).min(127) as i8;
            }
        }
    }

    fn weight_bytes(&self) -> usize {
        4 * self.table.len()
    }
}
