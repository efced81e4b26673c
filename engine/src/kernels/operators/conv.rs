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

/// Rows of a block: a panel of weights serves them while it is in cache, and a micro-kernel computes them in one call.
const BLOCK_ROWS: usize = 32;
/// Bytes of input for a block that leave room for a panel of weights in the smallest cache.
const BLOCK_BYTES: usize = 16 << 10;

/// The loop over tiles that all families share.
#[derive(Debug)]
struct Walk {
    geometry: Geometry,
    tile: Tile,
    taps: usize,
    /// Elements of a pixel.
    depth: usize,
}

/// Tiles to compute.
struct Job<'a, I, O> {
    /// Output pixels.
    pixels: Range<usize>,
    /// Index of the panel, and the columns to store.
    panel: usize,
    cols: usize,
    /// `taps * mr` pointers per tile.
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

    /// Calls `call` for every block of tiles and every panel. `padding` is a pixel for taps outside of the input.
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
        let panels = shape.out_c.div_ceil(self.tile.nr);
        let tiles = shape.out_pixels().div_ceil(self.tile.mr);
        let block = self.block_tiles(size_of::<I>());
        let compute = |tiles: Range<usize>, panels: Range<usize>| {
            let mut pointers = Vec::new();
            for start in tiles.clone().step_by(block) {
                let tiles = start..tiles.end.min(start + block);
                self.point(&tiles, input, padding, &mut pointers);
                self.compute(tiles, panels.clone(), &pointers, &output, &call);
            }
        };
        if tiles < pool.threads() {
            // Few pixels (a fully connected layer): share the panels out instead.
            return split(pool, panels, 1, |first, end| compute(0..tiles, first..end));
        }
        split(pool, tiles, 1, |first, end| compute(first..end, 0..panels));
    }

    /// Tiles of a block, for input elements of so many bytes.
    fn block_tiles(&self, element: usize) -> usize {
        let kernel_rows = self.shape().window.kernel[0];
        let rows = BLOCK_BYTES / (element * self.depth * kernel_rows).max(1);
        (rows.min(BLOCK_ROWS) / self.tile.mr).max(1)
    }

    /// The pointers to the input of `tiles`.
    fn point<I>(
        &self,
        tiles: &Range<usize>,
        input: &[I],
        padding: &[I],
        pointers: &mut Vec<*const I>,
    ) {
        let (mr, last) = (self.tile.mr, self.shape().out_pixels() - 1);
        pointers.clear();
        if self.geometry.is_pointwise() {
            let row = |pixel: usize| input[pixel.min(last) * self.depth..].as_ptr();
            return pointers.extend((tiles.start * mr..tiles.end * mr).map(row));
        }
        let per_tile = mr * self.taps;
        pointers.resize(tiles.len() * per_tile, padding.as_ptr());
        for (tile, pointers) in tiles.clone().zip(pointers.chunks_exact_mut(per_tile)) {
            for row in 0..mr {
                self.geometry.for_taps((tile * mr + row).min(last), |tap, source| {
                    if let Some(source) = source {
                        pointers[tap * mr + row] = input[source * self.depth..].as_ptr();
                    }
                });
            }
        }
    }

    fn compute<I, O>(
        &self,
        tiles: Range<usize>,
        panels: Range<usize>,
        pointers: &[*const I],
        output: &Output<O>,
        call: &impl Fn(&Job<'_, I, O>),
    ) {
        let shape = self.shape();
        let Tile { mr, nr, .. } = self.tile;
        let pixels = tiles.start * mr..(tiles.end * mr).min(shape.out_pixels());
        for panel in panels {
            let c = output.at(pixels.start * shape.out_c + panel * nr);
            let cols = nr.min(shape.out_c - panel * nr);
            call(&Job { pixels: pixels.clone(), panel, cols, a: pointers, c });
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
        let work = shape.work(shape.out_c, shape.in_c);
        let kernel = registry::select(registry::f32_gemm(), cpu, work);
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
        let kernel = registry::select(kernels, cpu, shape.work(shape.out_c, shape.in_c));
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

    /// Pointers per row of tiles of `mr` rows to the corrections of their columns, null for tiles without; nothing when no
    /// tile has any.
    fn rows(&self, pixels: &Range<usize>, first_column: usize, mr: usize) -> Vec<*const i32> {
        let class = |pixel: usize| self.classes[pixel % self.classes.len()] as usize;
        if self.sums.len() == self.columns || pixels.clone().all(|pixel| class(pixel) == 0) {
            return Vec::new();
        }
        let mut rows = Vec::with_capacity(pixels.len().next_multiple_of(mr));
        for start in pixels.clone().step_by(mr) {
            let tile = start..pixels.end.min(start + mr);
            let plain = tile.clone().all(|pixel| class(pixel) == 0);
            rows.extend((start..start + mr).map(|pixel| match plain {
                true => std::ptr::null(),
                false => {
                    let class = if pixel < tile.end { class(pixel) } else { 0 };
                    self.sums[class * self.columns + first_column..].as_ptr()
                }
            }));
        }
        rows
    }
}

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
        let work = shape.work(shape.out_c, words);
        let kernel = registry::select(registry::bin_gemm(), cpu, work);
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
            let row_bias = self.padding.rows(&job.pixels, first, self.kernel.tile.mr);
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
                row_bias: if row_bias.is_empty() { std::ptr::null() } else { row_bias.as_ptr() },
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
