//! Convolutions and fully connected layers as tiles of micro-kernels.

use half::f16;

use super::geometry::ConvShape;
use super::shallow::Shallow;
use super::walk::Walk;
use super::widen::{FloatPanels, HalfPanels, widened};
use super::winograd::F32Winograd;
use super::{LEAST_PRODUCTS, Operator, Scratch, SharedRows, elements, elements_mut};
use crate::graph::grouped;
use crate::kernels::fp16;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, I8Gemm, I8GemmArgs, SLACK, Tile};
use crate::kernels::pack::{self, NarrowGroups, Panels};
use crate::kernels::registry::{self, Work};
use crate::kernels::requant::RequantParams;
use crate::{Pool, Serial};

/// A convolution or fully connected layer in fp32 arithmetic, by the algorithm that suits its shape; as
/// [`F32Conv::new`].
pub fn float_conv(
    cpu: &CpuFeatures,
    shape: &ConvShape,
    weights: &[f32],
    bias: &[f32],
    slopes: Option<&[f32]>,
    bounds: (f32, f32),
    half: bool,
) -> Box<dyn Operator> {
    if F32Winograd::suits(shape) {
        Box::new(F32Winograd::new(cpu, shape, weights, bias, slopes, bounds, half))
    } else {
        Box::new(F32Conv::new(cpu, shape, weights, bias, slopes, bounds, half))
    }
}

/// What there is to compute.
fn work(shape: &ConvShape, shallow: Option<&Shallow>) -> Work {
    let work = shape.work(shape.out_c, shape.in_c);
    match shallow {
        None => work,
        Some(_) => Work { taps: 1, depth: work.taps * work.depth, ..work },
    }
}

/// The loop that computes it.
fn walk(shape: &ConvShape, shallow: Option<&Shallow>, tile: Tile) -> Walk {
    match shallow {
        None => Walk::new(shape, tile, shape.in_c, shape.in_c),
        Some(shallow) => shallow.walk(tile),
    }
}

/// fp32 arithmetic on fp32 or fp16 operands.
#[derive(Debug)]
pub struct F32Conv {
    walk: Walk,
    shallow: Option<Shallow>,
    kernel: &'static F32Gemm,
    weights: FloatPanels,
    /// PReLU slopes, padded to whole panels.
    slopes: Option<Vec<f32>>,
    bounds: (f32, f32),
    /// Elements of the input.
    in_count: usize,
    /// A pixel of zeros.
    padding: Vec<f32>,
    /// How layers on fp16 are computed that need not be fp32 as a whole.
    chunks: Option<Chunks>,
}

/// Most rows of a tile.
const MOST_ROWS: usize = 32;
/// Bytes of fp32 activations of a chunk: they stay in the second cache.
const CHUNK_BYTES: usize = 128 << 10;

/// Runs of pixels that are widened, computed and narrowed one after the other: whole rows of results where a pixel reads several.
#[derive(Debug)]
struct Chunks {
    /// Pixels of a chunk, and elements of its input.
    pixels: usize,
    input: usize,
    /// Chunks of an image, of which there are so many; all pixels are one image where each reads one.
    per_image: usize,
    images: usize,
    /// Of a whole chunk, and of what remains behind the last of an image.
    whole: Walk,
    last: Option<Walk>,
}

impl Chunks {
    /// Nothing where there is but one chunk, or where a pixel reads several that are not copied anyway.
    fn new(walk: &Walk, shallow: Option<&Shallow>) -> Option<Self> {
        let (shape, tile) = (walk.shape(), walk.tile);
        if let Some(shallow) = shallow {
            let row = shallow.strip_elements(2) - shallow.strip_elements(1);
            let rows = CHUNK_BYTES / (4 * (row + shape.out_w * shape.out_c));
            let rows = rows.clamp(1, shape.out_h);
            let rest = shape.out_h % rows;
            return Some(Self {
                pixels: rows * shape.out_w,
                input: shallow.strip_elements(rows),
                per_image: shape.out_h.div_ceil(rows),
                images: shape.batch,
                whole: shallow.strip_walk(rows, tile),
                last: (rest > 0).then(|| shallow.strip_walk(rest, tile)),
            });
        }
        let rows = CHUNK_BYTES / (4 * (shape.in_c + shape.out_c)) / tile.mr * tile.mr;
        let rows = rows.max(tile.mr);
        if !walk.geometry.is_pointwise() || shape.out_pixels() <= rows {
            return None;
        }
        let of = |rows| {
            let shape = ConvShape::matrix(rows, shape.in_c, shape.out_c);
            Walk::new(&shape, tile, shape.in_c, shape.in_c)
        };
        let rest = shape.out_pixels() % rows;
        Some(Self {
            pixels: rows,
            input: rows * shape.in_c,
            per_image: shape.out_pixels().div_ceil(rows),
            images: 1,
            whole: of(rows),
            last: (rest > 0).then(|| of(rest)),
        })
    }

    /// Whether there are enough for all threads.
    fn serve(&self, threads: usize) -> bool {
        threads == 1 || self.per_image * self.images >= 2 * threads
    }

    /// How chunk `index` of an image is computed.
    fn walk(&self, index: usize) -> &Walk {
        match &self.last {
            Some(last) if index + 1 == self.per_image => last,
            _ => &self.whole,
        }
    }

    /// Bytes of scratch memory for a chunk.
    fn bytes(&self) -> usize {
        Scratch::bytes_for::<f32>(self.input)
            + Scratch::bytes_for::<f32>(self.pixels * self.whole.shape().out_c)
            + self.whole.scratch_bytes::<f32>(1)
    }
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
        let (in_count, shallow) = (shape.in_pixels() * shape.in_c, Shallow::new(shape));
        let work = work(shape, shallow.as_ref());
        let kernel = registry::select(registry::f32_gemm(), cpu, work);
        let panels = pack::f32_gemm(kernel.tile, weights, bias, work.taps, work.depth);
        let columns = shape.out_c.next_multiple_of(kernel.tile.nr);
        let slopes = slopes.map(|slopes| pack::padded(slopes, columns));
        let count = columns / kernel.tile.nr;
        let weights = if half {
            let all: Vec<f32> = (0..count).flat_map(|panel| panels.panel(panel)).copied().collect();
            FloatPanels::F16(HalfPanels::new(&all, kernel.tile.nr, all.len() / count))
        } else {
            FloatPanels::F32(panels)
        };
        let walk = walk(shape, shallow.as_ref(), kernel.tile);
        let padding = vec![0.0; walk.depth + SLACK / 4];
        let chunks = if half { Chunks::new(&walk, shallow.as_ref()) } else { None };
        Self { walk, shallow, kernel, weights, slopes, bounds, in_count, padding, chunks }
    }

    fn run_f32(
        &self,
        input: &[f32],
        output: &mut [f32],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let input = match &self.shallow {
            None => input,
            Some(shallow) => shallow.pad(input, 0.0, &mut scratch),
        };
        let wide = self.weights.widened(&mut scratch);
        self.tiles(&self.walk, input, wide, output, scratch, pool);
    }

    /// fp16 in and out, chunk by chunk.
    fn run_chunks(
        &self,
        chunks: &Chunks,
        input: &[f16],
        output: &mut [f16],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let wide = self.weights.widened(&mut scratch);
        let (pixels, in_c) = (self.walk.shape().out_pixels() / chunks.images, self.walk.depth);
        let width = self.walk.shape().out_w;
        let output = SharedRows::new(output, self.walk.shape().out_c);
        let parts = scratch.per_task(pool, chunks.bytes());
        parts.split(pool, chunks.images * chunks.per_image, 1, |first, end, part| {
            for chunk in first..end {
                let (image, index) = (chunk / chunks.per_image, chunk % chunks.per_image);
                let walk = chunks.walk(index);
                let count = walk.shape().out_pixels();
                let first = image * pixels + index * chunks.pixels;
                // SAFETY: chunks are disjoint.
                let output = unsafe { output.rows(first, first + count) };
                let mut scratch = Scratch::within(&mut *part);
                let input = match &self.shallow {
                    None => widened(&input[first * in_c..(first + count) * in_c], &mut scratch),
                    Some(shallow) => {
                        let strip = [image, index * chunks.pixels / width, count / width];
                        shallow.strip(input, strip, &mut scratch)
                    }
                };
                let results = &mut scratch.take::<f32>(output.len())[..output.len()];
                self.tiles(walk, input, wide, results, scratch, &Serial);
                fp16::narrow(results, output);
            }
        });
    }

    /// A single pixel: panels are widened one by one, as each is read only once.
    fn run_pixel(
        &self,
        panels: &HalfPanels,
        input: &[f16],
        output: &mut [f16],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let input = widened(input, &mut scratch);
        let nr = self.kernel.tile.nr;
        assert!(self.kernel.tile.mr <= MOST_ROWS);
        let (out_c, least) = (output.len(), LEAST_PRODUCTS / (self.walk.depth * nr));
        let output = SharedRows::new(output, 1);
        let parts = scratch.per_task(pool, Self::pixel_bytes(panels, nr));
        parts.split(pool, out_c.div_ceil(nr), least, |first, end, part| {
            let rows = [input.as_ptr(); MOST_ROWS];
            for panel in first..end {
                let mut scratch = Scratch::within(&mut *part);
                let (column, cols) = (panel * nr, nr.min(out_c - panel * nr));
                let w = panels.widened_panel(panel, &mut scratch);
                let results = scratch.take::<f32>(cols);
                let slopes =
                    self.slopes.as_ref().map_or(std::ptr::null(), |s| s[column..].as_ptr());
                let args = F32GemmArgs {
                    rows: 1,
                    cols,
                    channels: self.walk.depth,
                    taps: 1,
                    a: rows.as_ptr(),
                    w: w.as_ptr(),
                    c: results.as_mut_ptr(),
                    c_stride: cols,
                    min: self.bounds.0,
                    max: self.bounds.1,
                    slopes,
                };
                // SAFETY: selection gave a kernel of this CPU; `rows` has a pointer for each row of a tile, all of them to `input`,
                // and there is room for `cols` results.
                unsafe { (self.kernel.run)(&args) };
                // SAFETY: each panel belongs to one task.
                fp16::narrow(&results[..cols], unsafe { output.rows(column, column + cols) });
            }
        });
    }

    /// Bytes of scratch memory that a task needs for that.
    fn pixel_bytes(panels: &HalfPanels, nr: usize) -> usize {
        panels.widened_panel_bytes() + Scratch::bytes_for::<f32>(nr)
    }

    /// Whether there is a single pixel to compute from a single one.
    fn is_pixel(&self) -> bool {
        self.walk.geometry.is_pointwise() && self.walk.shape().out_pixels() == 1
    }

    /// `wide` are the widened panels of fp16.
    fn tiles(
        &self,
        walk: &Walk,
        input: &[f32],
        wide: &[f32],
        output: &mut [f32],
        scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        walk.run(input, &self.padding, output, scratch, pool, |job| {
            let w = self.weights.panel(job.panel, wide);
            let first = job.panel * self.kernel.tile.nr;
            let args = F32GemmArgs {
                rows: job.pixels.len(),
                cols: job.cols,
                channels: walk.depth,
                taps: walk.taps,
                a: job.a.as_ptr(),
                w: w.as_ptr(),
                c: job.c,
                c_stride: walk.shape().out_c,
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
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let shape = self.walk.shape();
        let out_count = shape.out_pixels() * shape.out_c;
        let in_count = self.in_count;
        match &self.weights {
            FloatPanels::F32(_) => {
                let input = elements(inputs[0], in_count);
                self.run_f32(input, elements_mut(outputs[0], out_count), scratch, pool);
            }
            FloatPanels::F16(panels) => {
                let input = elements(inputs[0], in_count);
                let output = elements_mut(outputs[0], out_count);
                if self.is_pixel() {
                    return self.run_pixel(panels, input, output, scratch, pool);
                }
                if let Some(chunks) = self.chunks.as_ref().filter(|c| c.serve(pool.threads())) {
                    return self.run_chunks(chunks, input, output, scratch, pool);
                }
                let input = widened(input, &mut scratch);
                let results = &mut scratch.take::<f32>(out_count)[..out_count];
                self.run_f32(input, results, scratch, pool);
                fp16::narrow(results, output);
            }
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        let shape = self.walk.shape();
        if let FloatPanels::F16(panels) = &self.weights {
            if self.is_pixel() {
                let task = Self::pixel_bytes(panels, self.kernel.tile.nr);
                return Scratch::bytes_for::<f32>(self.in_count)
                    + Scratch::bytes_per_task(threads, task);
            }
            if let Some(chunks) = self.chunks.as_ref().filter(|chunks| chunks.serve(threads)) {
                return panels.widened_bytes() + Scratch::bytes_per_task(threads, chunks.bytes());
            }
        }
        self.weights.layer_bytes(self.in_count, shape.out_pixels() * shape.out_c)
            + Shallow::scratch_bytes::<f32>(self.shallow.as_ref())
            + self.walk.scratch_bytes::<f32>(threads)
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.weights.bytes()
    }
}

/// Weights of an integer layer, one to a byte.
#[derive(Clone, Copy, Debug)]
pub enum IntegerWeights<'a> {
    /// -128..=127.
    Eight(&'a [i8]),
    /// -7..=7, which are packed two to a byte.
    Four(&'a [i8]),
    /// The same, which count as often as the multiplier of their group says.
    Groups {
        /// -7..=7.
        weights: &'a [i8],
        /// 1..=15, for each output, tap and group of input channels.
        multipliers: &'a [u8],
        /// Input channels of a group; the last of a tap may have fewer.
        group: usize,
    },
}

/// Integer arithmetic on 8-bit activations and weights of 8 or 4 bits.
#[derive(Debug)]
pub struct I8Conv {
    walk: Walk,
    shallow: Option<Shallow>,
    kernel: &'static I8Gemm,
    panels: Panels<i8>,
    narrow: NarrowGroups,
    requant: RequantParams,
    /// A pixel of zero points.
    padding: Vec<i8>,
    /// Elements of the input.
    in_count: usize,
}

/// Weights `[columns, ...]` and biases `[columns]` times `2^left`, unless they or sums with any activations grow too large.
fn shifted(weights: &[i8], bias: &[i32], left: i32) -> Option<(Vec<i8>, Vec<i32>)> {
    let row = weights.len() / bias.len().max(1);
    let fits = left > 0
        && weights.iter().all(|w| i32::from(w.unsigned_abs()) << left <= 127)
        && weights.chunks_exact(row.max(1)).zip(bias).all(|(weights, &bias)| {
            let magnitudes: i64 = weights.iter().map(|w| i64::from(w.unsigned_abs())).sum();
            (128 * magnitudes + i64::from(bias).abs()) << left <= i64::from(i32::MAX)
        });
    let weights = || weights.iter().map(|w| w << left).collect();
    fits.then(|| (weights(), bias.iter().map(|bias| bias << left).collect()))
}

impl I8Conv {
    /// Weights `[out_c, taps, in_c]`; biases `[out_c]` in units of input scale times weight scale, for inputs less their
    /// zero point.
    ///
    /// Weights times the multipliers of their groups have 8 bits: where no kernel for groups serves, they are weights like any
    /// other of 8 bits, with the same sums.
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
        let (in_count, shallow) = (shape.in_pixels() * shape.in_c, Shallow::new(shape));
        let work = work(shape, shallow.as_ref());
        let eight = || (registry::select(registry::i8_gemm(), cpu, work), true);
        let (kernel, unpacked) = match weights {
            IntegerWeights::Four(_) => registry::select_four_bits(registry::i4_gemm(), cpu, work),
            IntegerWeights::Groups { group, .. }
                if group.is_multiple_of(Tile::GROUPED_CHANNELS) && shallow.is_none() =>
            {
                registry::select_four_bits(registry::i4_group_gemm(), cpu, work)
            }
            _ => eight(),
        };
        let products: Vec<i8>;
        let effective = match weights {
            IntegerWeights::Eight(weights) | IntegerWeights::Four(weights) => weights,
            IntegerWeights::Groups { weights, multipliers, group } => {
                products = grouped(weights, multipliers, shape.in_c, group);
                &products
            }
        };
        let folded: Vec<i32> = effective
            .chunks_exact(shape.taps() * shape.in_c)
            .zip(bias)
            .map(|(weights, &bias)| {
                let sum: i32 = weights.iter().map(|&w| i32::from(w)).sum();
                bias.wrapping_sub(sum.wrapping_mul(i32::from(input_zero_point)))
            })
            .collect();
        let shifted = if unpacked { shifted(effective, &folded, requant.left()) } else { None };
        let (effective, folded, requant) = match &shifted {
            Some((weights, folded)) => (&weights[..], &folded[..], requant.without_left()),
            None => (effective, &folded[..], requant),
        };
        let Work { taps, depth, .. } = work;
        let panels = match weights {
            _ if unpacked => pack::i8_gemm(kernel.tile, effective, folded, taps, depth),
            IntegerWeights::Groups { weights, multipliers, group } => {
                let groups = (multipliers, group);
                pack::i4_group_gemm(kernel.tile, weights, groups, folded, taps, depth)
            }
            _ => pack::i4_gemm(kernel.tile, effective, folded, taps, depth),
        };
        let narrow = NarrowGroups::new(kernel.tile, effective, shape.out_c, taps, depth);
        let walk = walk(shape, shallow.as_ref(), kernel.tile);
        let padding = vec![input_zero_point; walk.depth + SLACK];
        Self { walk, shallow, kernel, panels, narrow, requant, padding, in_count }
    }
}

impl Operator for I8Conv {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let shape = self.walk.shape();
        assert!(inputs[0].len() >= self.in_count + SLACK);
        let input: &[i8] = bytemuck::cast_slice(inputs[0]);
        let input = match &self.shallow {
            None => input,
            Some(shallow) => shallow.pad(input, self.padding[0], &mut scratch),
        };
        let output = elements_mut(outputs[0], shape.out_pixels() * shape.out_c);
        self.walk.run(input, &self.padding, output, scratch, pool, |job| {
            let args = I8GemmArgs {
                rows: job.pixels.len(),
                cols: job.cols,
                channels: self.walk.depth,
                taps: self.walk.taps,
                a: job.a.as_ptr(),
                w: self.panels.panel(job.panel).as_ptr(),
                narrow: self.narrow.panel(job.panel).as_ptr(),
                c: job.c,
                c_stride: shape.out_c,
                requant: self.requant.raw(job.panel * self.kernel.tile.nr),
            };
            // SAFETY: selection gave a kernel of this CPU; pointers are rows of `input` or `padding`, both readable for
            // SLACK bytes past their channels, and the tile lies within the output.
            unsafe { (self.kernel.run)(&args) };
        });
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        Shallow::scratch_bytes::<i8>(self.shallow.as_ref()) + self.walk.scratch_bytes::<i8>(threads)
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.panels.bytes()
    }
}
