//! One-bit convolutions and fully connected layers, with weights of one bit or of two.

use std::collections::HashMap;
use std::ops::Range;

use super::geometry::{ConvShape, Geometry};
use super::walk::{Job, Walk};
use super::{Operator, Scratch, elements, elements_mut};
use crate::Pool;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{BinGemm, BinGemmArgs, Requant, SLACK, Tile, clamp_f32};
use crate::kernels::pack::{self, Panels};
use crate::kernels::registry::{self, Work};
use crate::kernels::requant::RequantParams;

/// One-bit arithmetic: EOR and popcount, results of 8 bits or fp32.
#[derive(Debug)]
pub struct BinConv {
    walk: Walk,
    kernel: &'static BinGemm,
    /// Products of a sum that the kernel is to count.
    bits: usize,
    panels: Panels<u64>,
    output: Output,
    padding: PaddingCorrections,
    /// A pixel without a bit set, for taps outside of the input.
    zeros: Vec<u64>,
}

/// What becomes of the sums.
#[derive(Debug)]
enum Output {
    Bytes(RequantParams),
    Floats(Affine),
}

/// The output stage in fp32, of channel `c`: `clamp(sum * scale[c] + bias[c]) * factor[c] + offset[c]`, rounded after each
/// step.
#[derive(Clone, Debug)]
pub struct Affine {
    /// What a product counts.
    pub scales: Vec<f32>,
    /// Added before the activation.
    pub bias: Vec<f32>,
    /// The activation.
    pub bounds: (f32, f32),
    /// Multiplied after the activation.
    pub factors: Vec<f32>,
    /// Added last.
    pub offsets: Vec<f32>,
}

impl Affine {
    /// Replaces accumulators, in the bits of `row`, by the results of the channels from `first` on.
    fn apply(&self, row: &mut [f32], first: usize) {
        let channels = first..first + row.len();
        let parameters = self.scales[channels.clone()].iter().zip(&self.bias[channels.clone()]);
        let after = self.factors[channels.clone()].iter().zip(&self.offsets[channels]);
        let (min, max) = self.bounds;
        for ((y, (scale, bias)), (factor, offset)) in row.iter_mut().zip(parameters).zip(after) {
            // Accumulators are in 1/256 of a product.
            let sum = (y.to_bits() as i32 >> 8) as f32;
            *y = clamp_f32(sum * scale + bias, min, max) * factor + offset;
        }
    }

    fn channels(&self) -> bool {
        let count = self.scales.len();
        [&self.bias, &self.factors, &self.offsets].iter().all(|all| all.len() == count)
    }
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

    /// Pointers per row of tiles of `mr` rows to the corrections of their columns, in `rows`, null for tiles without; a null
    /// pointer when no tile has any.
    fn rows(
        &self,
        pixels: &Range<usize>,
        first_column: usize,
        mr: usize,
        rows: &mut [*const i32],
    ) -> *const *const i32 {
        let count = self.classes.len();
        // A division takes longer than all else, and images are rarely more than one.
        let class =
            |pixel: usize| self.classes[if pixel < count { pixel } else { pixel % count }] as usize;
        if self.sums.len() == self.columns || pixels.clone().all(|pixel| class(pixel) == 0) {
            return std::ptr::null();
        }
        for (start, rows) in pixels.clone().step_by(mr).zip(rows.chunks_exact_mut(mr)) {
            let tile = start..pixels.end.min(start + mr);
            let plain = tile.clone().all(|pixel| class(pixel) == 0);
            for (pixel, row) in (start..).zip(rows) {
                let class = if pixel < tile.end { class(pixel) } else { 0 };
                *row = match plain {
                    true => std::ptr::null(),
                    false => self.sums[class * self.columns + first_column..].as_ptr(),
                };
            }
        }
        rows.as_ptr()
    }
}

impl BinConv {
    /// Weights as bits `[out_c, planes, taps, words]`, whose sum over the planes counts; biases `[out_c]` in 1/256 of a
    /// product. Padded taps contribute 0. A second plane is computed as that many taps more, which read the same pixels, unless
    /// there is a kernel for the sums of two.
    pub fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[u64],
        bias: &[i32],
        requant: RequantParams,
    ) -> Self {
        assert_eq!(bias.len(), shape.out_c, "a bias per output channel");
        assert_eq!(requant.channels(), shape.out_c, "a factor per output channel");
        Self::prepare(cpu, shape, weights, bias, Output::Bytes(requant))
    }

    /// As [`BinConv::new`], with results in fp32. Sums have 22 bits at most.
    pub fn to_floats(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[u64],
        output: Affine,
    ) -> Self {
        assert!(output.channels() && output.scales.len() == shape.out_c, "per output channel");
        Self::prepare(cpu, shape, weights, &vec![0; shape.out_c], Output::Floats(output))
    }

    fn prepare(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[u64],
        bias: &[i32],
        output: Output,
    ) -> Self {
        let (words, bytes) = (shape.in_c.div_ceil(64), shape.in_c.div_ceil(8));
        let planes = weights.len() / (shape.out_c * shape.taps() * words);
        let work = shape.work(shape.out_c, bytes);
        let masked = if planes == 2 { registry::select_ternary(cpu, work) } else { None };
        let taps = shape.taps() * planes;
        let (kernel, panels, planes) = match masked {
            Some(kernel) => (kernel, ternary_panels(kernel, shape, weights, bias), 1),
            None => {
                let kernel = registry::select(registry::bin_gemm(), cpu, Work { taps, ..work });
                (kernel, pack::bin_gemm(kernel.tile, weights, bias, taps, (words, bytes)), planes)
            }
        };
        let bits = if masked.is_some() { 0 } else { shape.in_c * taps };
        let columns = shape.out_c.next_multiple_of(kernel.tile.nr);
        let mut per_tap = vec![0; shape.taps() * columns];
        for (row, weights) in weights.chunks_exact(words).enumerate() {
            let (channel, tap) = (row / taps, row % taps % shape.taps());
            let ones: u32 = weights.iter().map(|word| word.count_ones()).sum();
            // The padding pixel has no bit set, so `ones` bits differ.
            per_tap[tap * columns + channel] -= (shape.in_c as i32 - 2 * ones as i32) << 8;
        }
        let walk = Walk::new(shape, kernel.tile, words, words).with_planes(planes);
        let padding = PaddingCorrections::new(&walk.geometry, &per_tap, columns);
        let zeros = vec![0; words + SLACK / 8];
        Self { walk, kernel, bits, panels, output, padding, zeros }
    }
}

/// Weights `[out_c, 2, taps, words]` for a kernel that takes signs and masks. Products count twice; the number of those that are
/// not 0 goes to the bias.
fn ternary_panels(
    kernel: &BinGemm,
    shape: &ConvShape,
    weights: &[u64],
    bias: &[i32],
) -> Panels<u64> {
    let (words, bytes) = (shape.in_c.div_ceil(64), shape.in_c.div_ceil(8));
    let (signs, masks) = signs_and_masks(shape, weights);
    let products = |masks: &[u64]| masks.iter().map(|word| word.count_ones()).sum::<u32>();
    let biases: Vec<i32> = masks
        .chunks_exact(shape.taps() * words)
        .zip(bias)
        .map(|(masks, &bias)| bias.wrapping_add((2 * products(masks) as i32) << 8))
        .collect();
    pack::ternary_gemm(kernel.tile, [&signs, &masks], &biases, shape.taps(), (words, bytes))
}

/// The first signs of weights `[out_c, 2, taps, words]`, and masks of those that are not 0.
pub(super) fn signs_and_masks(shape: &ConvShape, weights: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let words = shape.in_c.div_ceil(64);
    let row = shape.taps() * words;
    let channels = |word: usize| !0 >> (64 - (shape.in_c - 64 * word).min(64));
    let (mut signs, mut masks) = (Vec::new(), Vec::new());
    for weights in weights.chunks_exact(2 * row) {
        let (first, second) = weights.split_at(row);
        let pairs = first.iter().zip(second).enumerate();
        signs.extend_from_slice(first);
        masks.extend(pairs.map(|(k, (a, b))| !(a ^ b) & channels(k % words)));
    }
    (signs, masks)
}

impl BinConv {
    /// Computes the tiles of `job` to one of the two results.
    fn tiles<O>(&self, job: &mut Job<'_, u64, O>, c: *mut i8, sums: *mut i32, requant: Requant) {
        let shape = self.walk.shape();
        let Tile { mr, nr, .. } = self.kernel.tile;
        let row_bias = self.padding.rows(&job.pixels, job.panel * nr, mr, job.corrections);
        let args = BinGemmArgs {
            rows: job.pixels.len(),
            cols: job.cols,
            words: self.walk.depth,
            taps: self.walk.all_taps(),
            bits: self.bits,
            a: job.a.as_ptr(),
            w: self.panels.panel(job.panel).as_ptr(),
            c,
            c_stride: shape.out_c,
            row_bias,
            requant,
            sums,
            bytes: shape.in_c.div_ceil(8),
        };
        // SAFETY: selection gave a kernel of this CPU; pointers are rows of the operand or of padding, and the tile lies
        // within the result, which `c` or `sums` is part of.
        unsafe { (self.kernel.run)(&args) };
    }
}

impl Operator for BinConv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let shape = self.walk.shape();
        let words = self.walk.depth;
        assert!(inputs[0].len() >= shape.in_pixels() * words * 8 + SLACK);
        let input = elements::<u64>(inputs[0], shape.in_pixels() * words);
        let count = shape.out_pixels() * shape.out_c;
        match &self.output {
            Output::Bytes(requant) => {
                let output = elements_mut::<i8>(outputs[0], count);
                self.walk.run(input, &self.zeros, output, scratch, pool, |mut job| {
                    let requant = requant.raw(job.panel * self.kernel.tile.nr);
                    let c = job.c;
                    self.tiles(&mut job, c, std::ptr::null_mut(), requant);
                });
            }
            Output::Floats(affine) => {
                let output = elements_mut::<f32>(outputs[0], count);
                self.walk.run(input, &self.zeros, output, scratch, pool, |mut job| {
                    let sums = job.c.cast();
                    self.tiles(&mut job, std::ptr::null_mut(), sums, Requant::NONE);
                    for r in 0..job.pixels.len() {
                        // SAFETY: a row of the tile, which the kernel has just written and no other task has.
                        let row = unsafe {
                            std::slice::from_raw_parts_mut(job.c.add(r * shape.out_c), job.cols)
                        };
                        affine.apply(row, job.panel * self.kernel.tile.nr);
                    }
                });
            }
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        self.walk.scratch_bytes::<u64>(threads)
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.panels.bytes() + 4 * (self.padding.sums.len() + self.padding.classes.len())
    }
}
