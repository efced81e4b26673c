//! Changes of encoding.

use half::f16;

#[cfg(target_arch = "aarch64")]
use super::convert_neon;
use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::Encoding;
use crate::kernels::fp16;
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
///
/// Written for vectors, of which x86 has no saturating conversion: the compiler would make up for it number by number. Elsewhere
/// sums saturate in 16 bits like SQXTN and SQADD do. Neither changes anything, as results have 8 bits.
#[inline(always)]
fn quantize(x: f32, inverse_scale: f32, zero_point: i8) -> i8 {
    let steps = (x * inverse_scale).round_ties_even();
    if cfg!(target_arch = "x86_64") {
        let steps = if steps.is_nan() { 0.0 } else { steps };
        let steps = if steps > -512.0 { steps } else { -512.0 };
        let steps = if steps < 512.0 { steps } else { 512.0 };
        // SAFETY: it is a number between the bounds.
        let steps: i32 = unsafe { steps.to_int_unchecked() };
        return (steps + i32::from(zero_point)).clamp(-128, 127) as i8;
    }
    // A cast saturates and takes not-a-number for 0.
    let steps = (steps as i32).clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
    steps.saturating_add(i16::from(zero_point)).clamp(-128, 127) as i8
}

/// Quantizes as many elements as vector instructions of their own do, and gives the others.
#[cfg(target_arch = "aarch64")]
fn vectors<'a>(
    y: &'a mut [i8],
    x: &'a [f32],
    inverse_scale: f32,
    zero_point: i8,
) -> (&'a mut [i8], &'a [f32]) {
    // SAFETY: every 64-bit ARM CPU has NEON.
    unsafe { convert_neon::quantize(y, x, inverse_scale, zero_point) };
    let done = y.len() / convert_neon::LANES * convert_neon::LANES;
    (&mut y[done..], &x[done..])
}

/// All of them, where the compiler's vectors do.
#[cfg(not(target_arch = "aarch64"))]
fn vectors<'a>(y: &'a mut [i8], x: &'a [f32], _: f32, _: i8) -> (&'a mut [i8], &'a [f32]) {
    (y, x)
}

/// The real value of a step.
#[inline(always)]
fn real(q: i8, scale: f32, zero_point: i32) -> f32 {
    (i32::from(q) - zero_point) as f32 * scale
}

/// Elements of an fp16 operand or result that go through fp32 at a time.
const CHUNK: usize = 256;

impl Convert {
    /// Applies `function` to every element. It comes by value, with what it captures: bytes that are stored might be those behind a
    /// reference, which keeps loops from being vectorized.
    fn each<T: bytemuck::Pod + Sync, U: bytemuck::Pod + Send>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        function: impl Fn(T) -> U + Copy + Sync,
    ) {
        let input = elements::<T>(input, self.count);
        for_rows(pool, elements_mut(output, self.count), 1, LEAST, |first, output| {
            self.vectorizer.map(output, &input[first..], function);
        });
    }

    /// Calls `convert` with parts of operand and result.
    fn chunks<T: bytemuck::Pod + Sync, U: bytemuck::Pod + Send>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        convert: impl Fn(&[T], &mut [U]) + Sync,
    ) {
        let input = elements::<T>(input, self.count);
        for_rows(pool, elements_mut(output, self.count), 1, LEAST, |first, output| {
            for (x, y) in input[first..].chunks(CHUNK).zip(output.chunks_mut(CHUNK)) {
                convert(&x[..y.len()], y);
            }
        });
    }
}

impl Convert {
    /// From fp32.
    fn to_bytes(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        inverse: f32,
        zero_point: i8,
    ) {
        let input = elements::<f32>(input, self.count);
        for_rows(pool, elements_mut(output, self.count), 1, LEAST, |first, output| {
            let (output, input) = vectors(output, &input[first..], inverse, zero_point);
            // By value, as in `each`.
            self.vectorizer.map(output, input, move |x| quantize(x, inverse, zero_point));
        });
    }
}

impl Operator for Convert {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        use Encoding::{F16, Int8};
        let (input, output) = (inputs[0], &mut *outputs[0]);
        match (self.from, self.to) {
            (Int8 { scale: from, zero_point }, Int8 { scale: to, zero_point: zero }) => {
                let (before, inverse) = (i32::from(zero_point), 1.0 / to);
                self.each(input, output, pool, move |q| {
                    quantize(real(q, from, before), inverse, zero)
                });
            }
            (Int8 { scale, zero_point }, F16) => {
                self.chunks(input, output, pool, |x: &[i8], y: &mut [f16]| {
                    let mut wide = [0.0; CHUNK];
                    let wide = &mut wide[..x.len()];
                    self.vectorizer.map(wide, x, move |q| real(q, scale, i32::from(zero_point)));
                    fp16::narrow(wide, y);
                });
            }
            (Int8 { scale, zero_point }, _) => {
                self.each(input, output, pool, move |q| real(q, scale, i32::from(zero_point)));
            }
            (F16, Int8 { scale, zero_point }) => {
                let inverse = 1.0 / scale;
                self.chunks(input, output, pool, |x: &[f16], y: &mut [i8]| {
                    let mut wide = [0.0; CHUNK];
                    let wide = &mut wide[..x.len()];
                    fp16::widen(x, wide);
                    self.vectorizer.map(y, wide, move |x| quantize(x, inverse, zero_point));
                });
            }
            (F16, F16) => self.each(input, output, pool, |x: f16| x),
            (F16, _) => self.chunks(input, output, pool, |x: &[f16], y| fp16::widen(x, y)),
            (_, Int8 { scale, zero_point }) => {
                self.to_bytes(input, output, pool, 1.0 / scale, zero_point);
            }
            (_, F16) => {
                self.chunks(input, output, pool, |x, y: &mut [f16]| fp16::narrow(x, y));
            }
            _ => self.each(input, output, pool, |x: f32| x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serial;

    #[test]
    fn numbers_are_quantized_to_the_nearest_step_on_every_instruction_set() {
        let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, -0.0];
        let steps = (-70_000..70_000).map(|i| i as f32 / 128.0);
        let inputs: Vec<f32> = steps.chain(ends).collect();
        for zero_point in [-128, -3, 0, 127] {
            let nearest = |x: f32| {
                let q = (x * 0.5).round_ties_even() + f32::from(zero_point);
                if q.is_nan() { zero_point } else { q.clamp(-128.0, 127.0) as i8 }
            };
            let wanted: Vec<i8> = inputs.iter().map(|&x| nearest(x)).collect();
            for cpu in [CpuFeatures::portable(), CpuFeatures::detect()] {
                let to = Encoding::Int8 { scale: 2.0, zero_point };
                let convert = Convert::new(&cpu, Encoding::F32, to, inputs.len()).unwrap();
                let mut got = vec![0_i8; inputs.len()];
                let (x, y) = (bytemuck::cast_slice(&inputs), bytemuck::cast_slice_mut(&mut got));
                convert.run_alone(&[x], &mut [y], &Serial);
                assert_eq!(got, wanted, "{zero_point}");
            }
        }
    }

    #[test]
    fn every_pair_of_encodings_keeps_numbers_that_both_can_hold() {
        let int8 = |zero_point| Encoding::Int8 { scale: 0.5, zero_point };
        let encodings = [Encoding::F32, Encoding::F16, int8(0), int8(-28)];
        // Several chunks and a rest.
        let count = 2 * CHUNK + 77;
        let inputs: Vec<f32> = (0..count).map(|i| (i % 90) as f32 * 0.5 - 20.0).collect();
        let cpu = CpuFeatures::detect();
        let convert = |from, to, bytes: &[u8]| {
            let mut result = vec![0_u32; count];
            let bytes = &[bytes];
            let convert = Convert::new(&cpu, from, to, count).unwrap();
            convert.run_alone(bytes, &mut [bytemuck::cast_slice_mut(&mut result)], &Serial);
            result
        };
        for from in encodings {
            for to in encodings {
                let x = convert(Encoding::F32, from, bytemuck::cast_slice(&inputs));
                let y = convert(from, to, bytemuck::cast_slice(&x));
                let z = convert(to, Encoding::F32, bytemuck::cast_slice(&y));
                assert_eq!(bytemuck::cast_slice::<u32, f32>(&z), inputs, "{from:?} to {to:?}");
            }
        }
    }
}
