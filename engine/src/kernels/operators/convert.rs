//! Changes of encoding.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::Encoding;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::vectorize::Vectorizer;

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// From one encoding to another, element by element (to bits: see [`super::F32Signs`] and [`super::I8Signs`]).
#[derive(Debug)]
pub struct Convert {
    from: Encoding,
    to: Encoding,
    count: usize,
    vectorizer: Vectorizer,
}

impl Convert {
    /// `None` for bits and indices, which have no real value of their own.
    pub fn new(cpu: &CpuFeatures, from: Encoding, to: Encoding, count: usize) -> Option<Self> {
        let real = |e| matches!(e, Encoding::F32 | Encoding::F16 | Encoding::Int8 { .. });
        let vectorizer = Vectorizer::new(cpu);
        (real(from) && real(to)).then_some(Self { from, to, count, vectorizer })
    }
}

/// Nearest step, ties to even; not-a-number gives the zero point.
#[inline(always)]
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
                    self.vectorizer.map(output, &scratch, |x| quantize(x, inverse, zero_point));
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
