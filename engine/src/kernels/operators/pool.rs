//! Pooling over windows.

use super::geometry::{ConvShape, Geometry};
use super::{Operator, elements, elements_mut, for_rows};
use crate::Pool;
use crate::kernels::requant::Factor;

/// Calls `finish(output pixel, rows of the taps inside the input)` for every output pixel.
fn for_windows<T: bytemuck::Pod + Send + Sync>(
    geometry: &Geometry,
    input: &[u8],
    output: &mut [u8],
    pool: &dyn Pool,
    finish: impl Fn(&mut [T], &[&[T]]) + Sync,
) {
    let shape = geometry.shape();
    let channels = shape.in_c;
    let input = elements::<T>(input, shape.in_pixels() * channels);
    let output = elements_mut::<T>(output, shape.out_pixels() * channels);
    for_rows(pool, output, channels, 16, |first, output| {
        let mut rows: Vec<&[T]> = Vec::with_capacity(shape.taps());
        for (index, pixel) in output.chunks_exact_mut(channels).enumerate() {
            rows.clear();
            geometry.for_taps(first + index, |_, source| {
                rows.extend(source.map(|source| &input[source * channels..][..channels]));
            });
            finish(pixel, &rows);
        }
    });
}

/// Largest element of each window, fp32.
#[derive(Debug)]
pub struct F32MaxPool {
    geometry: Geometry,
    bounds: (f32, f32),
}

impl F32MaxPool {
    /// `out_c` equals `in_c`.
    pub fn new(shape: &ConvShape, bounds: (f32, f32)) -> Self {
        Self { geometry: Geometry::new(shape), bounds }
    }
}

impl Operator for F32MaxPool {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (min, max) = self.bounds;
        for_windows::<f32>(&self.geometry, inputs[0], outputs[0], pool, |pixel, rows| {
            pixel.fill(f32::NEG_INFINITY);
            for row in rows {
                pixel.iter_mut().zip(*row).for_each(|(y, &x)| *y = if x > *y { x } else { *y });
            }
            pixel.iter_mut().for_each(|y| *y = y.max(min).min(max));
        });
    }
}

/// Largest element of each window, 8 bits; operand and result have the same encoding.
#[derive(Debug)]
pub struct I8MaxPool {
    geometry: Geometry,
    bounds: (i8, i8),
}

impl I8MaxPool {
    /// `out_c` equals `in_c`; inclusive bounds.
    pub fn new(shape: &ConvShape, bounds: (i8, i8)) -> Self {
        Self { geometry: Geometry::new(shape), bounds }
    }
}

impl Operator for I8MaxPool {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (min, max) = self.bounds;
        for_windows::<i8>(&self.geometry, inputs[0], outputs[0], pool, |pixel, rows| {
            pixel.fill(i8::MIN);
            for row in rows {
                pixel.iter_mut().zip(*row).for_each(|(y, &x)| *y = (*y).max(x));
            }
            pixel.iter_mut().for_each(|y| *y = (*y).clamp(min, max));
        });
    }
}

/// Largest sign of each window, bits packed along the channels.
#[derive(Debug)]
pub struct BinMaxPool {
    /// With words as channels.
    geometry: Geometry,
}

impl BinMaxPool {
    /// `out_c` equals `in_c`.
    pub fn new(shape: &ConvShape) -> Self {
        let words = shape.in_c.div_ceil(64);
        let shape = ConvShape { in_c: words, out_c: words, ..shape.clone() };
        Self { geometry: Geometry::new(&shape) }
    }
}

impl Operator for BinMaxPool {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        for_windows::<u64>(&self.geometry, inputs[0], outputs[0], pool, |pixel, rows| {
            pixel.fill(0);
            for row in rows {
                pixel.iter_mut().zip(*row).for_each(|(y, &x)| *y |= x);
            }
        });
    }
}

/// Mean of each window, padding not counted, fp32.
#[derive(Debug)]
pub struct F32AveragePool {
    geometry: Geometry,
    bounds: (f32, f32),
}

impl F32AveragePool {
    /// `out_c` equals `in_c`.
    pub fn new(shape: &ConvShape, bounds: (f32, f32)) -> Self {
        Self { geometry: Geometry::new(shape), bounds }
    }
}

impl Operator for F32AveragePool {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (min, max) = self.bounds;
        for_windows::<f32>(&self.geometry, inputs[0], outputs[0], pool, |pixel, rows| {
            pixel.fill(0.0);
            for row in rows {
                pixel.iter_mut().zip(*row).for_each(|(y, &x)| *y += x);
            }
            let count = rows.len().max(1) as f32;
            pixel.iter_mut().for_each(|y| *y = (*y / count).max(min).min(max));
        });
    }
}

/// Mean of each window, padding not counted, 8 bits: an integer sum times a factor per number of elements.
#[derive(Debug)]
pub struct I8AveragePool {
    geometry: Geometry,
    /// By the number of taps inside the input.
    factors: Vec<Factor>,
    zero_points: (i32, i32),
    bounds: (i32, i32),
}

impl I8AveragePool {
    /// `out_c` equals `in_c`; encodings `(scale, zero point)`; inclusive bounds.
    pub fn new(shape: &ConvShape, input: (f32, i8), output: (f32, i8), bounds: (i8, i8)) -> Self {
        let ratio = f64::from(input.0) / f64::from(output.0);
        let factors = (0..=shape.taps()).map(|n| Factor::from_real(ratio / n.max(1) as f64));
        Self {
            geometry: Geometry::new(shape),
            factors: factors.collect(),
            zero_points: (i32::from(input.1), i32::from(output.1)),
            bounds: (i32::from(bounds.0), i32::from(bounds.1)),
        }
    }
}

impl Operator for I8AveragePool {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let (zero_in, zero_out) = self.zero_points;
        for_windows::<i8>(&self.geometry, inputs[0], outputs[0], pool, |pixel, rows| {
            let factor = self.factors[rows.len()];
            for (channel, y) in pixel.iter_mut().enumerate() {
                let sum: i32 = rows.iter().map(|row| i32::from(row[channel]) - zero_in).sum();
                let q = factor.apply(sum).saturating_add(zero_out);
                *y = q.clamp(self.bounds.0, self.bounds.1) as i8;
            }
        });
    }
}
