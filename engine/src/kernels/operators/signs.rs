//! Activations to bits, packed along the channels: a bit is 1 where the element is at least its channel's threshold.

use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::vectorize::Vectorizer;

/// Fewest pixels worth a task.
const LEAST: usize = 64;

/// Bits of `rows` pixels whose elements have the type of `T`, compared with thresholds of type `U`.
#[derive(Debug)]
struct Signs<U> {
    /// One per channel.
    thresholds: Vec<U>,
    rows: usize,
    vectorizer: Vectorizer,
}

impl<U: Copy + Sync> Signs<U> {
    fn run<T: bytemuck::Pod + Send + Sync>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        at_least: impl Fn(T, U) -> bool + Sync,
    ) {
        let channels = self.thresholds.len();
        let words = channels.div_ceil(64);
        let input = elements::<T>(input, self.rows * channels);
        let output = elements_mut::<u64>(output, self.rows * words);
        for_rows(pool, output, words, LEAST, |first, output| {
            let input = input[first * channels..].chunks_exact(channels);
            for (words, row) in output.chunks_exact_mut(words).zip(input) {
                let groups = row.chunks(64).zip(self.thresholds.chunks(64));
                for (word, (row, thresholds)) in words.iter_mut().zip(groups) {
                    let mut flags = [0_u8; 64];
                    let flag = |x, threshold| u8::from(at_least(x, threshold));
                    self.vectorizer.map_2(&mut flags[..row.len()], row, thresholds, flag);
                    *word = gather_flags(&flags);
                }
            }
        });
    }

    fn weight_bytes(&self) -> usize {
        size_of_val(&self.thresholds[..])
    }
}

/// Bit `i` of the result is byte `i` of `flags`, each of which is 0 or 1. The product moves bit `8 i` of eight flags to
/// bit `56 + i`, without carries.
#[inline(always)]
fn gather_flags(flags: &[u8; 64]) -> u64 {
    let mut word = [0_u8; 8];
    for (byte, flags) in word.iter_mut().zip(flags.as_chunks::<8>().0) {
        *byte = (u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    u64::from_le_bytes(word)
}

/// Bits of fp32 elements.
#[derive(Debug)]
pub struct F32Signs(Signs<f32>);

impl F32Signs {
    /// A threshold per channel, and the number of pixels.
    pub fn new(cpu: &CpuFeatures, thresholds: &[f32], rows: usize) -> Self {
        let (thresholds, vectorizer) = (thresholds.to_vec(), Vectorizer::new(cpu));
        Self(Signs { thresholds, rows, vectorizer })
    }
}

impl Operator for F32Signs {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        self.0.run(inputs[0], outputs[0], pool, |x: f32, threshold| x >= threshold);
    }

    fn weight_bytes(&self) -> usize {
        self.0.weight_bytes()
    }
}

/// Bits of 8-bit elements.
#[derive(Debug)]
pub struct I8Signs(Signs<i16>);

impl I8Signs {
    /// A threshold per channel in steps of the operand, and the number of pixels.
    pub fn new(cpu: &CpuFeatures, thresholds: &[i32], rows: usize) -> Self {
        // Beyond -128..=127 all thresholds are alike.
        let thresholds = thresholds.iter().map(|&t| t.clamp(-128, 128) as i16).collect();
        Self(Signs { thresholds, rows, vectorizer: Vectorizer::new(cpu) })
    }
}

impl Operator for I8Signs {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        self.0.run(inputs[0], outputs[0], pool, |q: i8, threshold| i16::from(q) >= threshold);
    }

    fn weight_bytes(&self) -> usize {
        self.0.weight_bytes()
    }
}
