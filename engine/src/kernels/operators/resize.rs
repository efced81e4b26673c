//! Bilinear interpolation.

use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;

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
}

impl Samples {
    fn new(shape: [usize; 4], size: [usize; 2], half_pixel_centers: bool, corners: bool) -> Self {
        let axis = |from, to| Axis::new(from, to, half_pixel_centers, corners);
        Self { shape, y: axis(shape[1], size[0]), x: axis(shape[2], size[1]) }
    }

    /// Calls `blend(pixel, [top left, top right, bottom left, bottom right], weight down, weight right)`.
    fn run<T: bytemuck::Pod + Send + Sync>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        blend: impl Fn(&mut [T], [&[T]; 4], f32, f32) + Sync,
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
                    let corners =
                        [at(top, left), at(top, right), at(bottom, left), at(bottom, right)];
                    blend(pixel, corners, down, across);
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
    pub fn new(shape: [usize; 4], size: [usize; 2], half_pixel: bool, corners: bool) -> Self {
        Self(Samples::new(shape, size, half_pixel, corners))
    }
}

impl Operator for F32Resize {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        self.0.run::<f32>(inputs[0], outputs[0], pool, |pixel, [a, b, c, d], down, across| {
            let corners = a.iter().zip(b).zip(c.iter().zip(d));
            for (y, ((&a, &b), (&c, &d))) in pixel.iter_mut().zip(corners) {
                let top = a + across * (b - a);
                let bottom = c + across * (d - c);
                *y = top + down * (bottom - top);
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
    pub fn new(shape: [usize; 4], size: [usize; 2], half_pixel: bool, corners: bool) -> Self {
        Self(Samples::new(shape, size, half_pixel, corners))
    }
}

impl Operator for I8Resize {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        const ONE: i32 = 1 << 11;
        let fixed = |weight: f32| (weight * ONE as f32).round_ties_even() as i32;
        self.0.run::<i8>(inputs[0], outputs[0], pool, |pixel, [a, b, c, d], down, across| {
            let (down, across) = (fixed(down), fixed(across));
            let corners = a.iter().zip(b).zip(c.iter().zip(d));
            for (y, ((&a, &b), (&c, &d))) in pixel.iter_mut().zip(corners) {
                let top = i32::from(a) * (ONE - across) + i32::from(b) * across;
                let bottom = i32::from(c) * (ONE - across) + i32::from(d) * across;
                *y = ((top * (ONE - down) + bottom * down + (1 << 21)) >> 22) as i8;
            }
        });
    }
}
