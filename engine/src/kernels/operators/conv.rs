//! Convolutions and fully connected layers as tiles of micro-kernels.

use std::collections::HashMap;
use std::ops::Range;

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::geometry::{ConvShape, Geometry};
use super::scratch::Scratch;
use super::widen::{HalfPanels, widened};
use super::{Operator, elements, elements_mut, split};
use crate::Pool;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{
    BinGemm, BinGemmArgs, F32Gemm, F32GemmArgs, I8Gemm, I8GemmArgs, SLACK, Tile,
};
use crate::kernels::pack::{self, Panels};
use crate::kernels::registry;
use crate::kernels::requant::RequantParams;

/// Tiles whose pointers are made at a time, so that each panel of weights serves several tiles while it is in cache.
const TILES: usize = 4;

/// The loop over tiles that all families share.
#[derive(Debug)]
struct Walk {
    geometry: Geometry,
    tile: Tile,
    taps: usize,
    /// Elements of a pixel.
    depth: usize,
}

/// A tile to compute.
struct Job<'a, I, O> {
    /// Output pixels.
    pixels: Range<usize>,
    /// Index of the panel, and the columns to store.
    panel: usize,
    cols: usize,
    /// `taps * mr` pointers.
    a: &'a [*const I],
    c: *mut O,
}

/// A result that several tasks write in disjoint tiles.
struct Output<O>(*mut O);

// SAFETY: every element is written by exactly one task.
unsafe impl<O: Send> Sync for Output<O> {}

impl<O> Output<O> {
    fn at(&self, element: usize) -> *mut O {
        self.0.wrapping_add(element)
    }
}

impl Walk {
    fn new(shape: &ConvShape, tile: Tile, depth: usize) -> Self {
        Self { geometry: Geometry::new(shape), tile, taps: shape.taps(), depth }
    }

    fn shape(&self) -> &ConvShape {
        self.geometry.shape()
    }

    /// Calls `call` for every tile. `padding` is a pixel for taps outside of the input.
    fn run<I: Sync, O: Send>(
        &self,
        input: &[I],
        padding: &[I],
        output: &mut [O],
        pool: &dyn Pool,
        call: impl Fn(&Job<'_, I, O>) + Sync,
    ) {
        let shape = self.shape();
        assert!(input.len() >= shape.in_pixels() * self.depth && padding.len() >= self.depth);
        assert_eq!(output.len(), shape.out_pixels() * shape.out_c);
        let output = Output(output.as_mut_ptr());
        let mr = self.tile.mr;
        let panels = shape.out_c.div_ceil(self.tile.nr);
        let tiles = shape.out_pixels().div_ceil(mr);
        if tiles < pool.threads() {
            // Few pixels (a fully connected layer): share the panels out instead.
            return split(pool, panels, 1, |first, end| {
                self.block(input, padding, &output, 0..tiles, first..end, &call);
            });
        }
        split(pool, tiles, 1, |first, end| {
            for start in (first..end).step_by(TILES) {
                let block = start..end.min(start + TILES);
                self.block(input, padding, &output, block, 0..panels, &call);
            }
        });
    }

    fn block<I, O>(
        &self,
        input: &[I],
        padding: &[I],
        output: &Output<O>,
        tiles: Range<usize>,
        panels: Range<usize>,
        call: &impl Fn(&Job<'_, I, O>),
    ) {
        let shape = self.shape();
        let Tile { mr, nr, .. } = self.tile;
        let per_tile = mr * self.taps;
        let mut pointers = vec![padding.as_ptr(); tiles.len() * per_tile];
        for (tile, pointers) in tiles.clone().zip(pointers.chunks_exact_mut(per_tile)) {
            for row in 0..mr {
                let pixel = (tile * mr + row).min(shape.out_pixels() - 1);
                self.geometry.for_taps(pixel, |tap, source| {
                    if let Some(source) = source {
                        pointers[tap * mr + row] = input[source * self.depth..].as_ptr();
                    }
                });
            }
        }
        for panel in panels {
            for (tile, a) in tiles.clone().zip(pointers.chunks_exact(per_tile)) {
                let pixels = tile * mr..((tile + 1) * mr).min(shape.out_pixels());
                let c = output.at(pixels.start * shape.out_c + panel * nr);
                let cols = nr.min(shape.out_c - panel * nr);
                call(&Job { pixels, panel, cols, a, c });
            }
        }
    }
}

/// fp32 arithmetic on fp32 or fp16 operands.
#[derive(Debug)]
pub struct F32Conv {
    walk: Walk,
    kernel: &'static F32Gemm,
    weights: FloatPanels,
    /// PReLU slopes, padded to whole panels.
    slopes: Option<Vec<f32>>,
    bounds: (f32, f32),
}

/// Packed weights at their stored width.
#[derive(Debug)]
enum FloatPanels {
    F32(Panels<f32>),
    F16(HalfPanels),
}

impl F32Conv {
    /// Weights `[out_c, taps, in_c]`, biases and PReLU slopes `[out_c]`; results are kept within `bounds`. With `half`
    /// inputs, outputs and weights are stored as fp16.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[f32],
        bias: &[f32],
        slopes: Option<&[f32]>,
        bounds: (f32, f32),
        half: bool,
    ) -> Self {
        assert_eq!(bias.len(), shape.out_c, "a bias per output channel");
        assert!(slopes.is_none_or(|slopes| slopes.len() == shape.out_c), "a slope per channel");
        let kernel = registry::select(
            registry::f32_gemm(),
            cpu,
            shape.out_pixels(),
            shape.out_c,
            shape.in_c,
        );
        let panels = pack::f32_gemm(kernel.tile, weights, bias, shape.taps(), shape.in_c);
        let columns = shape.out_c.next_multiple_of(kernel.tile.nr);
        let slopes = slopes.map(|slopes| {
            let mut slopes = slopes.to_vec();
            slopes.resize(columns, 0.0);
            slopes
        });
        let count = columns / kernel.tile.nr;
        let weights = if half {
            let all: Vec<f32> = (0..count).flat_map(|panel| panels.panel(panel)).copied().collect();
            FloatPanels::F16(HalfPanels::new(&all, kernel.tile.nr, all.len() / count))
        } else {
            FloatPanels::F32(panels)
        };
        Self { walk: Walk::new(shape, kernel.tile, shape.in_c), kernel, weights, slopes, bounds }
    }

    fn run_f32(&self, input: &[f32], output: &mut [f32], pool: &dyn Pool) {
        let padding = vec![0.0; self.walk.depth + SLACK / 4];
        let mut wide = match &self.weights {
            FloatPanels::F32(_) => Scratch::new(0),
            FloatPanels::F16(panels) => panels.widened(),
        };
        let wide: &[f32] = bytemuck::cast_slice(wide.buffer().bytes());
        self.walk.run(input, &padding, output, pool, |job| {
            let w = match &self.weights {
                FloatPanels::F32(panels) => panels.panel(job.panel),
                FloatPanels::F16(panels) => &wide[job.panel * panels.stride()..],
            };
            let first = job.panel * self.kernel.tile.nr;
            let args = F32GemmArgs {
                rows: job.pixels.len(),
                cols: job.cols,
                channels: self.walk.depth,
                taps: self.walk.taps,
                a: job.a.as_ptr(),
                w: w.as_ptr(),
                c: job.c,
                c_stride: self.walk.shape().out_c,
                min: self.bounds.0,
                max: self.bounds.1,
                slopes: self.slopes.as_ref().map_or(std::ptr::null(), |s| s[first..].as_ptr()),
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, both readable for
            // `channels` elements, and the tile lies within the output.
            unsafe { (self.kernel.run)(&args) };
        });
    }
}

impl Operator for F32Conv {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let shape = self.walk.shape();
        let in_count = shape.in_pixels() * shape.in_c;
        let out_count = shape.out_pixels() * shape.out_c;
        match &self.weights {
            FloatPanels::F32(_) => {
                let input = elements(inputs[0], in_count);
                self.run_f32(input, elements_mut(outputs[0], out_count), pool);
            }
            FloatPanels::F16(_) => {
                let mut input = widened(elements(inputs[0], in_count));
                let input = elements(input.buffer().bytes(), in_count);
                let mut output = Scratch::new(4 * out_count);
                let output = elements_mut(output.buffer().bytes_mut(), out_count);
                self.run_f32(input, output, pool);
                elements_mut::<f16>(outputs[0], out_count).convert_from_f32_slice(output);
            }
        }
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        match &self.weights {
            FloatPanels::F32(panels) => panels.bytes(),
            FloatPanels::F16(panels) => panels.bytes(),
        }
    }
}

/// Weights of an integer layer, one to a byte.
#[derive(Clone, Copy, Debug)]
pub enum IntegerWeights<'a> {
    /// -128..=127.
    Eight(&'a [i8]),
    /// -7..=7, which are packed two to a byte.
    Four(&'a [i8]),
}

/// Integer arithmetic on 8-bit activations and weights of 8 or 4 bits.
#[derive(Debug)]
pub struct I8Conv {
    walk: Walk,
    kernel: &'static I8Gemm,
    panels: Panels<i8>,
    requant: RequantParams,
    input_zero_point: i8,
}

impl I8Conv {
    /// Weights `[out_c, taps, in_c]`; biases `[out_c]` in units of input scale times weight scale, for inputs less their
    /// zero point.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: IntegerWeights<'_>,
        bias: &[i32],
        input_zero_point: i8,
        requant: RequantParams,
    ) -> Self {
        assert_eq!(bias.len(), shape.out_c, "a bias per output channel");
        assert_eq!(requant.channels(), shape.out_c, "a factor per output channel");
        let (weights, kernels, pack): (_, _, pack::PackIntegers) = match weights {
            IntegerWeights::Eight(weights) => (weights, registry::i8_gemm(), pack::i8_gemm),
            IntegerWeights::Four(weights) => (weights, registry::i4_gemm(), pack::i4_gemm),
        };
        let kernel = registry::select(kernels, cpu, shape.out_pixels(), shape.out_c, shape.in_c);
        let folded: Vec<i32> = weights
            .chunks_exact(shape.taps() * shape.in_c)
            .zip(bias)
            .map(|(weights, &bias)| {
                let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                bias.wrapping_sub(sum.wrapping_mul(i32::from(input_zero_point)))
            })
            .collect();
        let panels = pack(kernel.tile, weights, &folded, shape.taps(), shape.in_c);
        let walk = Walk::new(shape, kernel.tile, shape.in_c);
        Self { walk, kernel, panels, requant, input_zero_point }
    }
}

impl Operator for I8Conv {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let shape = self.walk.shape();
        let padding = vec![self.input_zero_point; shape.in_c + SLACK];
        assert!(inputs[0].len() >= shape.in_pixels() * shape.in_c + SLACK);
        let input: &[i8] = bytemuck::cast_slice(inputs[0]);
        let output = elements_mut(outputs[0], shape.out_pixels() * shape.out_c);
        self.walk.run(input, &padding, output, pool, |job| {
            let args = I8GemmArgs {
                rows: job.pixels.len(),
                cols: job.cols,
                channels: shape.in_c,
                taps: self.walk.taps,
                a: job.a.as_ptr(),
                w: self.panels.panel(job.panel).as_ptr(),
                c: job.c,
                c_stride: shape.out_c,
                requant: self.requant.raw(job.panel * self.kernel.tile.nr),
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, both readable for
            // SLACK bytes past their channels, and the tile lies within the output.
            unsafe { (self.kernel.run)(&args) };
        });
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.panels.bytes()
    }
}

/// One-bit arithmetic: EOR and popcount, 8-bit results.
#[derive(Debug)]
pub struct BinConv {
    walk: Walk,
    kernel: &'static BinGemm,
    panels: Panels<u64>,
    requant: RequantParams,
    padding: PaddingCorrections,
}

/// What padded taps would add, taken back. Pixels with the same taps in the padding are a class; all but those near the
/// border are in class 0, which has none.
#[derive(Debug)]
struct PaddingCorrections {
    /// The class of every output pixel of an image.
    classes: Vec<u32>,
    /// Per class and output channel (whole panels), in units of the accumulator.
    sums: Vec<i32>,
    columns: usize,
}

impl PaddingCorrections {
    /// `per_tap` is what one padded tap takes back, per tap and channel, of which there are `columns`.
    fn new(geometry: &Geometry, per_tap: &[i32], columns: usize) -> Self {
        let shape = geometry.shape();
        let mut known: HashMap<Vec<usize>, u32> = HashMap::from([(Vec::new(), 0)]);
        let mut sums = vec![0; columns];
        let classes = (0..shape.out_h * shape.out_w).map(|pixel| {
            let mut padded = Vec::new();
            geometry.for_taps(pixel, |tap, source| padded.extend(source.is_none().then_some(tap)));
            let next = known.len() as u32;
            *known.entry(padded).or_insert_with_key(|padded| {
                let sum =
                    |column| padded.iter().map(|tap| per_tap[tap * columns + column]).sum::<i32>();
                sums.extend((0..columns).map(sum));
                next
            })
        });
        let classes = classes.collect();
        Self { classes, sums, columns }
    }

    /// A pointer per row of a tile to the corrections of its columns; `None` when there is nothing to correct.
    fn rows(&self, pixels: &Range<usize>, first_column: usize) -> Option<[*const i32; MAX_ROWS]> {
        if self.sums.len() == self.columns {
            return None;
        }
        let class = |pixel: usize| self.classes[pixel % self.classes.len()] as usize;
        if pixels.clone().all(|pixel| class(pixel) == 0) {
            return None;
        }
        let pointer = |row| {
            let class = if row < pixels.len() { class(pixels.start + row) } else { 0 };
            self.sums[class * self.columns + first_column..].as_ptr()
        };
        Some(std::array::from_fn(pointer))
    }
}

/// Most rows of a tile of bits.
const MAX_ROWS: usize = 8;

impl BinConv {
    /// Weights as bits `[out_c, taps, words]`; biases `[out_c]` in 1/256 of a product. Padded taps contribute 0.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[u64],
        bias: &[i32],
        requant: RequantParams,
    ) -> Self {
        assert_eq!(bias.len(), shape.out_c, "a bias per output channel");
        assert_eq!(requant.channels(), shape.out_c, "a factor per output channel");
        let words = shape.in_c.div_ceil(64);
        let taps = shape.taps();
        let kernel = registry::select(
            registry::bin_gemm(),
            cpu,
            shape.out_pixels(),
            shape.out_c,
            shape.in_c.div_ceil(64),
        );
        let panels = pack::bin_gemm(kernel.tile, weights, bias, taps, words);
        let columns = shape.out_c.next_multiple_of(kernel.tile.nr);
        let mut per_tap = vec![0; taps * columns];
        for (row, weights) in weights.chunks_exact(words).enumerate() {
            let (channel, tap) = (row / taps, row % taps);
            let ones: u32 = weights.iter().map(|word| word.count_ones()).sum();
            // The padding pixel has no bit set, so `ones` bits differ.
            per_tap[tap * columns + channel] = -((shape.in_c as i32 - 2 * ones as i32) << 8);
        }
        let walk = Walk::new(shape, kernel.tile, words);
        assert!(kernel.tile.mr <= MAX_ROWS, "a tile of bits has at most {MAX_ROWS} rows");
        let padding = PaddingCorrections::new(&walk.geometry, &per_tap, columns);
        Self { walk, kernel, panels, requant, padding }
    }
}

impl Operator for BinConv {
    fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], pool: &dyn Pool) {
        let shape = self.walk.shape();
        let words = self.walk.depth;
        let padding = vec![0_u64; words + SLACK / 8];
        assert!(inputs[0].len() >= shape.in_pixels() * words * 8 + SLACK);
        let input = elements::<u64>(inputs[0], shape.in_pixels() * words);
        let output = elements_mut(outputs[0], shape.out_pixels() * shape.out_c);
        self.walk.run(input, &padding, output, pool, |job| {
            let first = job.panel * self.kernel.tile.nr;
            let row_bias = self.padding.rows(&job.pixels, first);
            let args = BinGemmArgs {
                rows: job.pixels.len(),
                cols: job.cols,
                words,
                taps: self.walk.taps,
                bits: shape.in_c * self.walk.taps,
                a: job.a.as_ptr(),
                w: self.panels.panel(job.panel).as_ptr(),
                c: job.c,
                c_stride: shape.out_c,
                row_bias: row_bias.as_ref().map_or(std::ptr::null(), |rows| rows.as_ptr()),
                requant: self.requant.raw(first),
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, and the tile lies
            // within the output.
            unsafe { (self.kernel.run)(&args) };
        });
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.panels.bytes() + 4 * (self.padding.sums.len() + self.padding.classes.len())
    }
}
