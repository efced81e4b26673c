//! Bilinear interpolation.

use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::vectorize::Vectorizer;

/// Sample positions of one axis: the two neighbours and the weight of the second.
#[derive(Debug)]
struct Axis(Vec<(usize, usize, f32)>);

impl Axis {
    /// As TFLite computes them, in fp32.
    fn new(from: usize, to: usize, half_pixel_centers: bool, align_corners: bool) -> Self {
        let scale = if align_corners && to > 1 {
            (from - 1) as f32 / (to - 1) as f32
        } else {
            from as f32 / to as f32
        };
        let sample = |index: usize| {
            let at = if half_pixel_centers {
                (index as f32 + 0.5) * scale - 0.5
            } else {
                index as f32 * scale
            };
            let floor = at.floor();
            let low = (floor.max(0.0) as usize).min(from - 1);
            let high = (at.ceil().max(0.0) as usize).min(from - 1);
            (low, high, if at < 0.0 { 0.0 } else { at - floor })
        };
        Self((0..to).map(sample).collect())
    }
}

/// Extents and sample positions.
#[derive(Debug)]
struct Samples {
    /// `[n, h, w, c]` of the operand.
    shape: [usize; 4],
    y: Axis,
    x: Axis,
    vectorizer: Vectorizer,
}

impl Samples {
    fn new(
        cpu: &CpuFeatures,
        shape: [usize; 4],
        size: [usize; 2],
        half_pixel_centers: bool,
        corners: bool,
    ) -> Self {
        let axis = |from, to| Axis::new(from, to, half_pixel_centers, corners);
        let (y, x) = (axis(shape[1], size[0]), axis(shape[2], size[1]));
        Self { shape, y, x, vectorizer: Vectorizer::new(cpu) }
    }

    /// `blend(weight down, weight right)` gives the function from `top left, top right, bottom left, bottom right` to
    /// the result.
    fn run<T: bytemuck::Pod + Send + Sync, F: Fn(T, T, T, T) -> T>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        blend: impl Fn(f32, f32) -> F + Sync,
    ) {
        let [n, h, w, c] = self.shape;
        let (out_h, out_w) = (self.y.0.len(), self.x.0.len());
        let input = elements::<T>(input, n * h * w * c);
        let output = elements_mut::<T>(output, n * out_h * out_w * c);
        for_rows(pool, output, out_w * c, 1, |first, rows| {
            for (index, row) in rows.chunks_exact_mut(out_w * c).enumerate() {
                let (image, y) = ((first + index) / out_h, (first + index) % out_h);
                let (top, bottom, down) = self.y.0[y];
                for (pixel, &(left, right, across)) in row.chunks_exact_mut(c).zip(&self.x.0) {
                    let at = |y: usize, x: usize| &input[((image * h + y) * w + x) * c..][..c];
                    let (a, b) = (at(top, left), at(top, right));
                    let (c, d) = (at(bottom, left), at(bottom, right));
                    self.vectorizer.map_4(pixel, a, b, c, d, blend(down, across));
                }
            }
        });
    }
}

/// fp32.
#[derive(Debug)]
pub struct F32Resize(Samples);

impl F32Resize {
    /// From `[n, h, w, c]` to `size`.
    pub fn new(
        cpu: &CpuFeatures,
        shape: [usize; 4],
        size: [usize; 2],
        half_pixel: bool,
        corners: bool,
    ) -> Self {
        Self(Samples::new(cpu, shape, size, half_pixel, corners))
    }
}

impl Operator for F32Resize {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        self.0.run(inputs[0], outputs[0], pool, |down, across| {
            move |a: f32, b: f32, c: f32, d: f32| {
                let top = a + across * (b - a);
                let bottom = c + across * (d - c);
                top + down * (bottom - top)
            }
        });
    }
}

/// 8 bits; operand and result have the same encoding. Weights have 11 bits per axis, so
/// `q = (sum of q * w + 2^21) >> 22`, in which the zero point passes through.
#[derive(Debug)]
pub struct I8Resize(Samples);

impl I8Resize {
    /// From `[n, h, w, c]` to `size`.
    pub fn new(
        cpu: &CpuFeatures,
        shape: [usize; 4],
        size: [usize; 2],
        half_pixel: bool,
        corners: bool,
    ) -> Self {
        Self(Samples::new(cpu, shape, size, half_pixel, corners))
    }
}

impl Operator for I8Resize {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        const ONE: i32 = 1 << 11;
        /// Quarters, which are all that a doubled size takes: sums have 12 bits then, and twice as many go into a vector.
        const QUARTER: i32 = ONE / 4;
        let fixed = |weight: f32| (weight * ONE as f32).round_ties_even() as i32;
        let quarters = [&self.0.y, &self.0.x]
            .iter()
            .all(|axis| axis.0.iter().all(|&(_, _, weight)| fixed(weight) % QUARTER == 0));
        if quarters {
            return self.0.run(inputs[0], outputs[0], pool, |down, across| {
                let quarters = |weight: f32| (fixed(weight) / QUARTER) as i16;
                let (down, across) = (quarters(down), quarters(across));
                move |a: i8, b: i8, c: i8, d: i8| {
                    let top = i16::from(a) * (4 - across) + i16::from(b) * across;
                    let bottom = i16::from(c) * (4 - across) + i16::from(d) * across;
                    ((top * (4 - down) + bottom * down + 8) >> 4) as i8
                }
            });
        }
        self.0.run(inputs[0], outputs[0], pool, |down, across| {
            let (down, across) = (fixed(down), fixed(across));
            move |a: i8, b: i8, c: i8, d: i8| {
                let top = i32::from(a) * (ONE - across) + i32::from(b) * across;
                let bottom = i32::from(c) * (ONE - across) + i32::from(d) * across;
                ((top * (ONE - down) + bottom * down + (1 << 21)) >> 22) as i8
            }
        });
    }
}
