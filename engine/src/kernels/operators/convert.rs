//! Changes of encoding.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::Encoding;

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// From one encoding to another, element by element (to bits: see [`BitsThresholds`]).
#[derive(Debug)]
pub struct Convert {
    from: Encoding,
    to: Encoding,
    count: usize,
}

impl Convert {
    /// `None` for bits and indices, which have no real value of their own.
    pub fn new(from: Encoding, to: Encoding, count: usize) -> Option<Self> {
        let real = |e| matches!(e, Encoding::F32 | Encoding::F16 | Encoding::Int8 { .. });
        (real(from) && real(to)).then_some(Self { from, to, count })
    }
}

/// Nearest step, ties to even; not-a-number gives the zero point.
#[inline]
fn quantize(x: f32, inverse_scale: f32, zero_point: i8) -> i8 {
    let q = (x * inverse_scale).round_ties_even() + f32::from(zero_point);
    if q.is_nan() { zero_point } else { q.clamp(-128.0, 127.0) as i8 }
}

impl Operator for Convert {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let count = self.count;
        let real = |first: usize, n: usize, scratch: &mut Vec<f32>| {
            scratch.clear();
            match self.from {
                Encoding::F16 => {
                    scratch.resize(n, 0.0);
                    elements::<f16>(inputs[0], count)[first..first + n]
                        .convert_to_f32_slice(scratch);
                }
                Encoding::Int8 { scale, zero_point } => {
                    let zero = i32::from(zero_point);
                    let input = &elements::<i8>(inputs[0], count)[first..first + n];
                    scratch.extend(input.iter().map(|&q| (i32::from(q) - zero) as f32 * scale));
                }
                _ => {
                    let input = &elements::<f32>(inputs[0], count)[first..first + n];
                    scratch.extend_from_slice(input);
                }
            }
        };
        match self.to {
            Encoding::Int8 { scale, zero_point } => {
                let inverse = 1.0 / scale;
                for_rows(pool, elements_mut::<i8>(outputs[0], count), 1, LEAST, |first, output| {
                    let mut scratch = Vec::new();
                    real(first, output.len(), &mut scratch);
                    for (y, &x) in output.iter_mut().zip(&scratch) {
                        *y = quantize(x, inverse, zero_point);
                    }
                });
            }
            Encoding::F16 => {
                for_rows(
                    pool,
                    elements_mut::<f16>(outputs[0], count),
                    1,
                    LEAST,
                    |first, output| {
                        let mut scratch = Vec::new();
                        real(first, output.len(), &mut scratch);
                        output.convert_from_f32_slice(&scratch);
                    },
                );
            }
            _ => {
                for_rows(
                    pool,
                    elements_mut::<f32>(outputs[0], count),
                    1,
                    LEAST,
                    |first, output| {
                        let mut scratch = Vec::new();
                        real(first, output.len(), &mut scratch);
                        output.copy_from_slice(&scratch);
                    },
                );
            }
        }
    }
}

/// To bits, packed along the channels: a bit is 1 where the element is at least its channel's threshold.
#[derive(Debug)]
pub enum BitsThresholds {
    /// fp32 operands.
    F32 {
        /// One per channel.
        thresholds: Vec<f32>,
        /// Pixels.
        rows: usize,
    },
    /// 8-bit operands.
    I8 {
        /// One per channel, in steps of the operand.
        thresholds: Vec<i32>,
        /// Pixels.
        rows: usize,
    },
}

fn pack<T: Copy + Send + Sync + bytemuck::Pod, U: Copy + Sync>(
    input: &[u8],
    output: &mut [u8],
    rows: usize,
    thresholds: &[U],
    pool: &dyn Pool,
    at_least: impl Fn(T, U) -> bool + Sync,
) {
    let channels = thresholds.len();
    let words = channels.div_ceil(64);
    let input = elements::<T>(input, rows * channels);
    for_rows(pool, elements_mut::<u64>(output, rows * words), words, 64, |first, output| {
        let input = input[first * channels..].chunks_exact(channels);
        for (words, row) in output.chunks_exact_mut(words).zip(input) {
            let groups = row.chunks(64).zip(thresholds.chunks(64));
            for (word, (row, thresholds)) in words.iter_mut().zip(groups) {
                *word = 0;
                for (bit, (&x, &threshold)) in row.iter().zip(thresholds).enumerate() {
                    *word |= u64::from(at_least(x, threshold)) << bit;
                }
            }
        }
    });
}

impl Operator for BitsThresholds {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        match self {
            Self::F32 { thresholds, rows } => {
                let at_least = |x: f32, threshold: f32| x >= threshold;
                pack(inputs[0], outputs[0], *rows, thresholds, pool, at_least);
            }
            Self::I8 { thresholds, rows } => {
                let at_least = |q: i8, threshold: i32| i32::from(q) >= threshold;
                pack(inputs[0], outputs[0], *rows, thresholds, pool, at_least);
            }
        }
    }

    fn weight_bytes(&self) -> usize {
        match self {
            Self::F32 { thresholds, .. } => 4 * thresholds.len(),
            Self::I8 { thresholds, .. } => 4 * thresholds.len(),
        }
    }
}
