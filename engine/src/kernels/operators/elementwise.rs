//! Operators on one operand, element by element.

use super::transcendental::{exp, logistic};
use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::UnaryOp;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::requant::RequantParams;
use crate::kernels::vectorize::Vectorizer;

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// An element-wise function of fp32.
#[derive(Debug)]
pub struct F32Unary {
    op: UnaryOp,
    count: usize,
    vectorizer: Vectorizer,
}

impl F32Unary {
    /// The function, and the number of elements.
    pub fn new(cpu: &CpuFeatures, op: UnaryOp, count: usize) -> Self {
        Self { op, count, vectorizer: Vectorizer::new(cpu) }
    }

    fn apply(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        f: impl Fn(f32) -> f32 + Sync,
    ) {
        let input = elements::<f32>(input, self.count);
        for_rows(pool, elements_mut(output, self.count), 1, LEAST, |first, output| {
            self.vectorizer.map(output, &input[first..], &f);
        });
    }
}

impl Operator for F32Unary {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (input, output) = (inputs[0], &mut *outputs[0]);
        // A loop for each of those that become vector loops.
        match self.op {
            UnaryOp::Relu => self.apply(input, output, pool, |x| x.max(0.0)),
            UnaryOp::Relu6 => self.apply(input, output, pool, |x| x.clamp(0.0, 6.0)),
            UnaryOp::Logistic => self.apply(input, output, pool, logistic),
            UnaryOp::Bipolar => {
                self.apply(input, output, pool, |x| if x >= 0.0 { 1.0 } else { -1.0 });
            }
            UnaryOp::Abs => self.apply(input, output, pool, f32::abs),
            UnaryOp::Neg => self.apply(input, output, pool, |x| -x),
            UnaryOp::Exp => self.apply(input, output, pool, exp),
            UnaryOp::Sqrt => self.apply(input, output, pool, f32::sqrt),
            op => self.apply(input, output, pool, |x| unary(op, x)),
        }
    }
}

/// The function of one element: the same bits on every CPU, because nothing depends on a system's mathematical library.
pub fn unary(op: UnaryOp, x: f32) -> f32 {
    match op {
        UnaryOp::Relu => x.max(0.0),
        UnaryOp::Relu6 => x.clamp(0.0, 6.0),
        UnaryOp::Logistic => logistic(x),
        UnaryOp::Sign if x == 0.0 => 0.0,
        UnaryOp::Sign => x.signum(),
        UnaryOp::Bipolar if x >= 0.0 => 1.0,
        UnaryOp::Bipolar => -1.0,
        UnaryOp::Abs => x.abs(),
        UnaryOp::Neg => -x,
        UnaryOp::Exp => exp(x),
        UnaryOp::Log => libm::logf(x),
        UnaryOp::Sqrt => x.sqrt(),
        UnaryOp::Tanh => libm::tanhf(x),
        UnaryOp::Erf => libm::erff(x),
        UnaryOp::Floor => x.floor(),
        UnaryOp::Ceil => x.ceil(),
        UnaryOp::Round => x.round_ties_even(),
    }
}

/// PReLU in fp32: one slope per channel.
#[derive(Debug)]
pub struct F32Prelu {
    slopes: Vec<f32>,
    count: usize,
    vectorizer: Vectorizer,
}

impl F32Prelu {
    /// One slope per channel; `count` elements, a multiple of the channels.
    pub fn new(cpu: &CpuFeatures, slopes: &[f32], count: usize) -> Self {
        Self { slopes: slopes.to_vec(), count, vectorizer: Vectorizer::new(cpu) }
    }
}

impl Operator for F32Prelu {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let channels = self.slopes.len();
        let input = elements::<f32>(inputs[0], self.count);
        let output = elements_mut(outputs[0], self.count);
        for_rows(pool, output, channels, LEAST / channels, |first, output| {
            let input = &input[first * channels..];
            for (y, x) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
                let prelu = |x: f32, slope| if x < 0.0 { x * slope } else { x };
                self.vectorizer.map_2(y, x, &self.slopes, prelu);
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
    requant: RequantParams,
    zero_point: i8,
    count: usize,
    /// Results for every channel and input, where there are more elements than entries.
    table: Option<Vec<[i8; 256]>>,
}

impl I8Prelu {
    /// Factors (input scale over output scale, and that times the slope for negative inputs), the input's zero point, and
    /// the number of elements, a multiple of the channels.
    pub fn new(requant: RequantParams, zero_point: i8, count: usize) -> Self {
        let entry = |channel, q: usize| {
            requant.apply(channel, i32::from(q as u8 as i8) - i32::from(zero_point))
        };
        let table = (count >= 256 * requant.channels()).then(|| {
            let row = |channel| std::array::from_fn(|q| entry(channel, q));
            (0..requant.channels()).map(row).collect()
        });
        Self { requant, zero_point, count, table }
    }
}

impl Operator for I8Prelu {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let channels = self.requant.channels();
        let input = elements::<u8>(inputs[0], self.count);
        let output = elements_mut::<i8>(outputs[0], self.count);
        let Some(table) = &self.table else {
            for (index, (y, &x)) in output.iter_mut().zip(input).enumerate() {
                let q = i32::from(x as i8) - i32::from(self.zero_point);
                *y = self.requant.apply(index % channels, q);
            }
            return;
        };
        for_rows(pool, output, channels, LEAST / channels, |first, output| {
            let input = &input[first * channels..];
            for (y, x) in output.chunks_exact_mut(channels).zip(input.chunks_exact(channels)) {
                for ((y, &x), table) in y.iter_mut().zip(x).zip(table) {
                    *y = table[usize::from(x)];
                }
            }
        });
    }

    fn weight_bytes(&self) -> usize {
        self.table.as_ref().map_or(0, |table| 256 * table.len())
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
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
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
