//! Pooling over windows.

use super::fold::{Fold, LANES_F32, LANES_I8, LANES_U64};
use super::geometry::{ConvShape, Geometry, PADDING};
#[cfg(target_arch = "aarch64")]
use super::pool_neon;
use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::graph::Window;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::SLACK;
use crate::kernels::requant::Factor;
use crate::kernels::vectorize::{Loop, Vectorizer};

/// Fewest elements worth a task.
const LEAST: usize = 4096;

/// Windows, and how loops over them run.
#[derive(Debug)]
struct Windows {
    geometry: Geometry,
    vectorizer: Vectorizer,
}

impl Windows {
    fn new(cpu: &CpuFeatures, shape: &ConvShape) -> Self {
        Self { geometry: Geometry::new(shape), vectorizer: Vectorizer::new(cpu) }
    }

    /// Folds the elements of each window and channel that are inside the input, `L` channels at a time.
    fn fold<T: bytemuck::Pod + Send + Sync, A: Copy + Sync, const L: usize>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        fold: Fold<A, impl Fn(A, T) -> A + Copy + Sync, impl Fn(A, usize) -> T + Copy + Sync>,
    ) {
        let shape = self.geometry.shape();
        let channels = shape.in_c;
        let input = elements::<T>(input, shape.in_pixels() * channels + SLACK / size_of::<T>());
        let output = elements_mut::<T>(output, shape.out_pixels() * channels);
        let least = LEAST.div_ceil((channels * shape.taps()).max(1));
        for_rows(pool, output, channels, least, |first, output| {
            let geometry = &self.geometry;
            let pixels = Pixels::<'_, T, A, _, _, L> { geometry, first, input, output, fold };
            self.vectorizer.run(pixels);
        });
    }
}

/// The windows of consecutive output pixels.
struct Pixels<'a, T, A, C, F, const L: usize> {
    geometry: &'a Geometry,
    first: usize,
    /// The slack behind the elements included.
    input: &'a [T],
    output: &'a mut [T],
    fold: Fold<A, C, F>,
}

impl<T: Copy, A: Copy, C: Fn(A, T) -> A + Copy, F: Fn(A, usize) -> T + Copy, const L: usize> Loop
    for Pixels<'_, T, A, C, F, L>
{
    #[inline(always)]
    fn run(self) {
        let channels = self.geometry.shape().in_c;
        let mut pixels = self.geometry.pixels(self.first);
        for pixel in self.output.chunks_exact_mut(channels) {
            for (lanes, y) in pixel.chunks_mut(L).enumerate() {
                let mut inside = 0;
                let mut acc = [self.fold.start; L];
                // Loops without adapters, which are calls here that keep `acc` out of registers.
                for &row in pixels.rows() {
                    if row == PADDING {
                        continue;
                    }
                    let base = pixels.base() + row as usize;
                    for &column in pixels.columns() {
                        if column == PADDING {
                            continue;
                        }
                        let source = (base + column as usize) * channels + lanes * L;
                        self.fold.add(&mut acc, &self.input[source..]);
                        inside += 1;
                    }
                }
                self.fold.store(acc, inside, y);
            }
            pixels.advance();
        }
    }
}

/// Channels at a time of [`Quads`].
const QUAD_LANES: usize = 16;

/// The largest elements of two by two pixels, the most frequent window by far, for a row of output pixels: without padding, so
/// that nothing is decided pixel by pixel.
struct Quads<'a> {
    upper: &'a [i8],
    lower: &'a [i8],
    output: &'a mut [i8],
    /// A multiple of [`QUAD_LANES`].
    channels: usize,
    bounds: (i8, i8),
}

impl Quads<'_> {
    /// Whether windows of `shape` are such.
    fn suit(shape: &ConvShape) -> bool {
        let inside = 2 * shape.out_h <= shape.in_h && 2 * shape.out_w <= shape.in_w;
        shape.window == Window { kernel: [2; 2], stride: [2; 2], ..Window::default() }
            && inside
            && shape.in_c.is_multiple_of(QUAD_LANES)
    }
}

#[cfg(target_arch = "aarch64")]
impl Loop for Quads<'_> {
    #[inline(always)]
    fn run(self) {
        let Self { upper, lower, output, channels, bounds } = self;
        // SAFETY: every 64-bit ARM CPU has NEON.
        unsafe { pool_neon::quads(output, [upper, lower], channels, bounds) };
    }
}

#[cfg(not(target_arch = "aarch64"))]
impl Loop for Quads<'_> {
    #[inline(always)]
    fn run(self) {
        let (vectors, (min, max)) = (self.channels / QUAD_LANES, self.bounds);
        let output = self.output.as_chunks_mut::<QUAD_LANES>().0;
        let (upper, lower) = (self.upper.as_chunks::<QUAD_LANES>().0, self.lower.as_chunks().0);
        for (pixel, output) in output.chunks_exact_mut(vectors).enumerate() {
            let upper = &upper[2 * pixel * vectors..][..2 * vectors];
            let lower: &[[i8; QUAD_LANES]] = &lower[2 * pixel * vectors..][..2 * vectors];
            for (k, y) in output.iter_mut().enumerate() {
                let (a, b) = (&upper[k], &upper[k + vectors]);
                let (c, d) = (&lower[k], &lower[k + vectors]);
                for i in 0..QUAD_LANES {
                    y[i] = a[i].max(b[i]).max(c[i].max(d[i])).max(min).min(max);
                }
            }
        }
    }
}

/// Largest element of each window, fp32.
#[derive(Debug)]
pub struct F32MaxPool {
    windows: Windows,
    bounds: (f32, f32),
}

impl F32MaxPool {
    /// `out_c` equals `in_c`.
    pub fn new(cpu: &CpuFeatures, shape: &ConvShape, bounds: (f32, f32)) -> Self {
        Self { windows: Windows::new(cpu, shape), bounds }
    }
}

impl Operator for F32MaxPool {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (min, max) = self.bounds;
        let fold = Fold {
            start: f32::NEG_INFINITY,
            combine: |y, x: f32| if x > y { x } else { y },
            finish: |y: f32, _| y.max(min).min(max),
        };
        self.windows.fold::<f32, _, LANES_F32>(inputs[0], outputs[0], pool, fold);
    }
}

/// Largest element of each window, 8 bits; operand and result have the same encoding.
#[derive(Debug)]
pub struct I8MaxPool {
    windows: Windows,
    bounds: (i8, i8),
}

impl I8MaxPool {
    /// `out_c` equals `in_c`; inclusive bounds.
    pub fn new(cpu: &CpuFeatures, shape: &ConvShape, bounds: (i8, i8)) -> Self {
        Self { windows: Windows::new(cpu, shape), bounds }
    }

    /// Row by row, where [`Quads`] suit.
    fn quads(&self, input: &[u8], output: &mut [u8], pool: &dyn Pool) {
        let shape = self.windows.geometry.shape();
        let channels = shape.in_c;
        let input = elements::<i8>(input, shape.in_pixels() * channels);
        let row = shape.out_w * channels;
        let output = elements_mut::<i8>(output, shape.out_pixels() * channels);
        for_rows(pool, output, row, LEAST.div_ceil(4 * row.max(1)), |first, output| {
            for (index, output) in output.chunks_exact_mut(row).enumerate() {
                // Every window is inside.
                let source = |tap| {
                    let pixel = self.windows.geometry.source_row(first + index, tap).unwrap_or(0);
                    &input[pixel * channels..][..shape.in_w * channels]
                };
                let (upper, lower, bounds) = (source(0), source(1), self.bounds);
                self.windows.vectorizer.run(Quads { upper, lower, output, channels, bounds });
            }
        });
    }
}

impl Operator for I8MaxPool {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (min, max) = self.bounds;
        let shape = self.windows.geometry.shape();
        if Quads::suit(shape) {
            return self.quads(inputs[0], outputs[0], pool);
        }
        let fold = Fold {
            start: i8::MIN,
            combine: |y: i8, x: i8| y.max(x),
            finish: |y: i8, _| y.max(min).min(max),
        };
        self.windows.fold::<i8, _, LANES_I8>(inputs[0], outputs[0], pool, fold);
    }
}

/// Largest sign of each window, bits packed along the channels.
#[derive(Debug)]
pub struct BinMaxPool {
    /// With words as channels.
    windows: Windows,
}

impl BinMaxPool {
    /// `out_c` equals `in_c`.
    pub fn new(cpu: &CpuFeatures, shape: &ConvShape) -> Self {
        let words = shape.in_c.div_ceil(64);
        let shape = ConvShape { in_c: words, out_c: words, ..shape.clone() };
        Self { windows: Windows::new(cpu, &shape) }
    }
}

impl Operator for BinMaxPool {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let fold = Fold { start: 0, combine: |y: u64, x: u64| y | x, finish: |y, _| y };
        self.windows.fold::<u64, _, LANES_U64>(inputs[0], outputs[0], pool, fold);
    }
}

/// Mean of each window, padding not counted, fp32.
#[derive(Debug)]
pub struct F32AveragePool {
    windows: Windows,
    bounds: (f32, f32),
}

impl F32AveragePool {
    /// `out_c` equals `in_c`.
    pub fn new(cpu: &CpuFeatures, shape: &ConvShape, bounds: (f32, f32)) -> Self {
        Self { windows: Windows::new(cpu, shape), bounds }
    }
}

impl Operator for F32AveragePool {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (min, max) = self.bounds;
        let fold = Fold {
            start: 0.0,
            combine: |y: f32, x: f32| y + x,
            finish: |y: f32, inside: usize| (y / inside.max(1) as f32).max(min).min(max),
        };
        self.windows.fold::<f32, _, LANES_F32>(inputs[0], outputs[0], pool, fold);
    }
}

/// Mean of each window, padding not counted, 8 bits: an integer sum times a factor per number of elements.
#[derive(Debug)]
pub struct I8AveragePool {
    windows: Windows,
    /// By the number of taps inside the input.
    factors: Vec<Factor>,
    zero_points: (i32, i32),
    bounds: (i32, i32),
}

impl I8AveragePool {
    /// `out_c` equals `in_c`; encodings `(scale, zero point)`; inclusive bounds.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        input: (f32, i8),
        output: (f32, i8),
        bounds: (i8, i8),
    ) -> Self {
        let ratio = f64::from(input.0) / f64::from(output.0);
        let factors = (0..=shape.taps()).map(|n| Factor::from_real(ratio / n.max(1) as f64));
        Self {
            windows: Windows::new(cpu, shape),
            factors: factors.collect(),
            zero_points: (i32::from(input.1), i32::from(output.1)),
            bounds: (i32::from(bounds.0), i32::from(bounds.1)),
        }
    }
}

impl Operator for I8AveragePool {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let (zero_in, zero_out) = self.zero_points;
        let (min, max) = self.bounds;
        let fold = Fold {
            start: 0,
            combine: |sum: i32, q: i8| sum + i32::from(q),
            finish: |sum: i32, inside: usize| {
                let sum = sum - inside as i32 * zero_in;
                let q = self.factors[inside].apply(sum).saturating_add(zero_out);
                q.max(min).min(max) as i8
            },
        };
        self.windows.fold::<i8, _, LANES_I8>(inputs[0], outputs[0], pool, fold);
    }
}
