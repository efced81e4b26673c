//! Operators on one operand, element by element.

use super::transcendental::logistic;
use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::UnaryOp;
use crate::kernels::requant::RequantParams;

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// An element-wise function of fp32.
#[derive(Debug)]
pub struct F32Unary {
    /// The function.
    pub op: UnaryOp,
    /// Elements.
    pub count: usize,
}

impl Operator for F32Unary {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let function: fn(f32) -> f32 = match self.op {
            UnaryOp::Relu => |x| x.max(0.0),
            UnaryOp::Relu6 => |x| x.clamp(0.0, 6.0),
            UnaryOp::Logistic => logistic,
            UnaryOp::Sign => |x| if x == 0.0 { 0.0 } else { x.signum() },
        };
        let input = elements::<f32>(inputs[0], self.count);
        for_rows(pool, elements_mut(outputs[0], self.count), 1, LEAST, |first, output| {
            for (y, &x) in output.iter_mut().zip(&input[first..]) {
                *y = function(x);
            }
        });
    }
}

/// PReLU in fp32: one slope per channel.
#[derive(Debug)]
pub struct F32Prelu {
    /// One per channel.
    pub slopes: Vec<f32>,
    /// Elements, a multiple of the channels.
    pub count: usize,
}

impl Operator for F32Prelu {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let channels = self.slopes.len();
        let input = elements::<f32>(inputs[0], self.count);
        let output = elements_mut(outputs[0], self.count);
        for_rows(pool, output, channels, LEAST / channels, |first, output| {
            let input = &input[first * channels..];
            for (y, x) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
                for ((y, &x), &slope) in y.iter_mut().zip(x).zip(&self.slopes) {
                    *y = if x < 0.0 { x * slope } else { x };
                }
            }
        });
    }

    fn weight_bytes(&self) -> usize {
        4 * self.slopes.len()
    }
}

/// PReLU on 8-bit operands: a factor per channel and sign.
#[derive(Debug)]
pub struct I8Prelu {
    /// Factors: input scale over output scale, and that times the slope for negative inputs.
    pub requant: RequantParams,
    /// The input's zero point.
    pub zero_point: i8,
    /// Elements, a multiple of the channels.
    pub count: usize,
}

impl I8Prelu {
    /// Results for every channel and input: PReLU of 8 bits is a table.
    fn table(&self) -> Vec<[i8; 256]> {
        let entry = |channel, q: usize| {
            let q = i32::from(q as u8 as i8) - i32::from(self.zero_point);
            self.requant.apply(channel, q)
        };
        (0..self.requant.channels())
            .map(|channel| std::array::from_fn(|q| entry(channel, q)))
            .collect()
    }
}

impl Operator for I8Prelu {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let channels = self.requant.channels();
        let input = elements::<u8>(inputs[0], self.count);
        let output = elements_mut::<i8>(outputs[0], self.count);
        if self.count < 256 * channels {
            // Fewer elements than the table would have entries.
            for (index, (y, &x)) in output.iter_mut().zip(input).enumerate() {
                let q = i32::from(x as i8) - i32::from(self.zero_point);
                *y = self.requant.apply(index % channels, q);
            }
            return;
        }
        let table = self.table();
        for_rows(pool, output, channels, LEAST / channels, |first, output| {
            let input = &input[first * channels..];
            for (y, x) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
                for ((y, &x), table) in y.iter_mut().zip(x).zip(&table) {
                    *y = table[usize::from(x)];
                }
            }
        });
    }
}

/// Any function of one 8-bit operand, as a table: requantization, ReLU, logistic.
#[derive(Debug)]
pub struct I8Table {
    table: [i8; 256],
    count: usize,
}

impl I8Table {
    /// `function` maps the real value of each step to a real result; both encodings are `(scale, zero point)`.
    pub fn new(
        function: impl Fn(f32) -> f32,
        input: (f32, i8),
        output: (f32, i8),
        count: usize,
    ) -> Self {
        let table = std::array::from_fn(|index| {
            let q = i32::from(index as u8 as i8) - i32::from(input.1);
            let y = function(q as f32 * input.0) / output.0;
            (y.round_ties_even() + f32::from(output.1)).clamp(-128.0, 127.0) as i8
        });
        Self { table, count }
    }
}

impl Operator for I8Table {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let input = elements::<u8>(inputs[0], self.count);
        for_rows(pool, elements_mut(outputs[0], self.count), 1, LEAST, |first, output| {
            for (y, &x) in output.iter_mut().zip(&input[first..]) {
                *y = self.table[usize::from(x)];
            }
        });
    }

    fn weight_bytes(&self) -> usize {
        256
    }
}
