//! 3x3 convolutions by Winograd's minimal filtering: tiles of 4x4 results from 6x6 inputs take 36 products per pair of
//! channels where windows take 144.
//!
//! Inputs of a block of tiles are transformed, for each of the 36 points the tiles' channels are multiplied with a panel of
//! transformed weights (on the micro-kernels of matrix products), and the panel's sums are transformed to results,
//! where bias and activation are applied. A block and a panel's sums stay in the second cache.
//!
//! Results around 1 that sum up 256 channels are off by 2e-5 at most.

#[cfg(test)]
mod tests;
mod transform;

use std::ops::Range;

use half::f16;
use transform::{IN, InputTile, OUT, POINTS, ResultTile};

use super::geometry::ConvShape;
use super::{LEAST_PRODUCTS, Operator, Scratch, SharedElements, elements, elements_mut, scratch};
use crate::graph::Window;
use crate::kernels::fp16;
use crate::kernels::isa::CpuFeatures;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, SLACK};
use crate::kernels::pack::{self, Panels};
use crate::kernels::registry::{self, Work};
use crate::kernels::vectorize::Vectorizer;
use crate::{Pool, Serial};

/// Bytes of transformed inputs of a block, most of the smallest second cache of interest (512 KiB).
const BLOCK_BYTES: usize = 384 << 10;
/// Tiles of a block below which reading the weights again for every block takes longer than a larger block.
const LEAST_TILES: usize = 16;

/// fp32 arithmetic on fp32 or fp16 operands; weights are kept transformed, as fp32.
#[derive(Debug)]
pub(super) struct F32Winograd {
    shape: ConvShape,
    kernel: &'static F32Gemm,
    vectorizer: Vectorizer,
    /// For each panel of columns one panel per point, without biases.
    panels: Panels<f32>,
    /// Biases and PReLU slopes (none or as many), padded to whole panels.
    bias: Vec<f32>,
    slopes: Vec<f32>,
    bounds: (f32, f32),
    half: bool,
}

/// Pixels of a tile's inputs, of the results as they are stored.
enum Stored<'a> {
    F32(&'a [f32]),
    F16(&'a [f16]),
}

/// Transformed inputs of a block of tiles, `[points, rows, channels]`.
struct Block {
    tiles: Range<usize>,
    /// Tiles, rounded up to whole tiles of the micro-kernel.
    rows: usize,
}

impl F32Winograd {
    /// Whether a layer is faster this way. It depends on the shape alone, so that results are the same on every machine.
    pub(super) fn suits(shape: &ConvShape) -> bool {
        let Window { kernel, stride, dilation, .. } = shape.window;
        if kernel != [3, 3] || stride != [1, 1] || dilation != [1, 1] {
            return false;
        }
        let channels = shape.in_c * shape.out_c;
        // Products, those that transforms would take the time of, and those that more weights would.
        let tiles = tiles(shape).next_multiple_of(8);
        let products = tiles * POINTS * channels;
        let transforms = tiles * POINTS * 10 * (shape.in_c + shape.out_c);
        let weights = if 4 * POINTS * channels > BLOCK_BYTES { 200 * channels } else { 0 };
        products + transforms + weights < shape.out_pixels() * shape.taps() * channels
    }

    /// As [`F32Conv::new`](super::F32Conv::new), for shapes that suit.
    pub(super) fn new(
        cpu: &CpuFeatures,
        shape: &ConvShape,
        weights: &[f32],
        bias: &[f32],
        slopes: Option<&[f32]>,
        bounds: (f32, f32),
        half: bool,
    ) -> Self {
        let (in_c, out_c) = (shape.in_c, shape.out_c);
        assert_eq!(weights.len(), out_c * 9 * in_c, "a window per pair of channels");
        assert_eq!(bias.len(), out_c, "a bias per output channel");
        assert!(slopes.is_none_or(|slopes| slopes.len() == out_c), "a slope per channel");
        let rows = tiles(shape).min(most_tiles(shape)).max(LEAST_TILES);
        let work = Work { rows, columns: out_c, taps: 1, depth: in_c };
        let kernel = registry::select(registry::f32_gemm(), cpu, work);
        let columns = out_c.next_multiple_of(kernel.tile.nr);
        let panels = pack_points(kernel.tile.nr, weights, in_c, columns);
        let panels = pack::f32_gemm(kernel.tile, &panels, &vec![0.0; POINTS * columns], 1, in_c);
        Self {
            shape: shape.clone(),
            kernel,
            vectorizer: Vectorizer::new(cpu),
            panels,
            bias: pack::padded(bias, columns),
            slopes: slopes.map_or(Vec::new(), |slopes| pack::padded(slopes, columns)),
            bounds,
            half,
        }
    }

    /// Tiles of a block that are as even as possible, of `tiles` in all, rounded up to tiles of the micro-kernel.
    fn block_tiles(&self, tiles: usize) -> usize {
        let blocks = tiles.div_ceil(most_tiles(&self.shape)).max(1);
        tiles.div_ceil(blocks).next_multiple_of(self.kernel.tile.mr)
    }

    /// The most tiles of a block.
    fn most_rows(&self) -> usize {
        tiles(&self.shape).min(most_tiles(&self.shape)).next_multiple_of(self.kernel.tile.mr)
    }

    fn compute(
        &self,
        input: &Stored<'_>,
        output: &SharedElements<'_, f32>,
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let tiles = tiles(&self.shape);
        let blocks = |range: Range<usize>, memory: &mut [u8], pool: &dyn Pool| {
            let size = self.block_tiles(range.len());
            for first in range.clone().step_by(size) {
                let scratch = Scratch::within(&mut *memory);
                self.block(first..range.end.min(first + size), input, output, scratch, pool);
            }
        };
        if self.shares_blocks(pool.threads()) {
            return blocks(0..tiles, scratch.take(self.block_bytes(pool.threads())), pool);
        }
        let parts = scratch.per_task(pool, self.block_bytes(1));
        let least = LEAST_PRODUCTS / (POINTS * self.shape.in_c * self.shape.out_c);
        parts.split(pool, tiles, least, |first, end, part| blocks(first..end, part, &Serial));
    }

    /// Whether there are so few tiles that threads share a block, rather than have blocks of their own.
    fn shares_blocks(&self, threads: usize) -> bool {
        tiles(&self.shape) < LEAST_TILES * threads
    }

    /// Bytes of scratch memory for a block that so many threads share.
    fn block_bytes(&self, threads: usize) -> usize {
        Scratch::bytes_for::<f32>(POINTS * self.most_rows() * self.shape.in_c)
            + Scratch::bytes_per_task(threads, self.task_bytes())
    }

    /// Of these those that each of the threads has: for a tile's inputs, or for pointers and products of a panel.
    fn task_bytes(&self) -> usize {
        let rows = self.most_rows();
        let products = Scratch::bytes_for::<f32>(POINTS * rows * self.kernel.tile.nr);
        let pointers = Scratch::bytes_for::<*const f32>(POINTS * rows);
        Scratch::bytes_for::<f32>(POINTS * self.shape.in_c).max(products + pointers)
    }

    fn block(
        &self,
        tiles: Range<usize>,
        input: &Stored<'_>,
        output: &SharedElements<'_, f32>,
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let rows = tiles.len().next_multiple_of(self.kernel.tile.mr);
        let block = Block { tiles, rows };
        let transformed = SharedElements::of(scratch.take(POINTS * rows * self.shape.in_c));
        let parts = scratch.per_task(pool, self.task_bytes());
        parts.split(pool, block.tiles.len(), 1, |first, end, part| {
            self.transform_inputs(&block, first..end, input, &transformed, Scratch::within(part));
        });
        let panels = self.bias.len() / self.kernel.tile.nr;
        parts.split(pool, panels, 1, |first, end, part| {
            self.multiply(&block, first..end, &transformed, output, Scratch::within(part));
        });
    }

    /// The image, and the first row and column of results, of a tile.
    fn place(&self, tile: usize) -> [usize; 3] {
        let (down, across) = (self.shape.out_h.div_ceil(OUT), self.shape.out_w.div_ceil(OUT));
        [tile / (down * across), tile / across % down * OUT, tile % across * OUT]
    }

    fn transform_inputs(
        &self,
        block: &Block,
        indices: Range<usize>,
        input: &Stored<'_>,
        transformed: &SharedElements<'_, f32>,
        mut scratch: Scratch<'_>,
    ) {
        let channels = self.shape.in_c;
        let patch = scratch.take::<f32>(POINTS * channels);
        for index in indices {
            let mut spare = patch.chunks_exact_mut(IN * channels);
            let place = self.place(block.tiles.start + index);
            let rows = std::array::from_fn(|y| {
                self.input_row(input, place, y, spare.next().unwrap_or_default())
            });
            let to = transformed.at(index * channels);
            self.vectorizer.lanewise(InputTile {
                rows,
                channels,
                to,
                plane: block.rows * channels,
            });
        }
    }

    /// Row `y` of the inputs of a tile: where it is, or if that is not all within the image, or fp16, copied to `spare`.
    fn input_row<'a>(
        &self,
        input: &Stored<'a>,
        [image, row, column]: [usize; 3],
        y: usize,
        spare: &'a mut [f32],
    ) -> &'a [f32] {
        let ConvShape { in_h, in_w, in_c, .. } = self.shape;
        let padding = self.shape.window.padding;
        let Some(y) = (row + y).checked_sub(padding.top).filter(|&y| y < in_h) else {
            spare.fill(0.0);
            return spare;
        };
        let first = (image * in_h + y) * in_w;
        let begin = column.saturating_sub(padding.left).min(in_w);
        let end = (column + IN).saturating_sub(padding.left).min(in_w).max(begin);
        let inside = (first + begin) * in_c..(first + end) * in_c;
        let before = padding.left.saturating_sub(column).min(IN) * in_c;
        let middle = before..before + inside.len();
        match input {
            Stored::F32(input) if end - begin == IN => return &input[inside],
            Stored::F32(input) => spare[middle.clone()].copy_from_slice(&input[inside]),
            Stored::F16(input) => {
                fp16::widen(&input[inside], &mut spare[middle.clone()]);
            }
        }
        spare[..middle.start].fill(0.0);
        spare[middle.end..].fill(0.0);
        spare
    }

    fn multiply(
        &self,
        block: &Block,
        panels: Range<usize>,
        transformed: &SharedElements<'_, f32>,
        output: &SharedElements<'_, f32>,
        mut scratch: Scratch<'_>,
    ) {
        let (channels, rows, nr) = (self.shape.in_c, block.rows, self.kernel.tile.nr);
        let products = &mut scratch.take::<f32>(POINTS * rows * nr)[..POINTS * rows * nr];
        let room = scratch.take(Scratch::bytes_for::<*const f32>(POINTS * rows) - SLACK);
        let (pointers, _) = scratch::pointers(room, POINTS * rows, transformed.at(0).cast_const());
        // Rows beyond the last tile repeat it.
        let last = block.tiles.len() - 1;
        for (at, pointer) in pointers.iter_mut().enumerate() {
            *pointer = transformed.at((at / rows * rows + (at % rows).min(last)) * channels);
        }
        for panel in panels {
            let points = pointers.chunks_exact(rows).zip(products.chunks_exact_mut(rows * nr));
            for (point, (pointers, products)) in points.enumerate() {
                let args = F32GemmArgs {
                    rows,
                    cols: nr,
                    channels,
                    taps: 1,
                    a: pointers.as_ptr(),
                    w: self.panels.panel(panel * POINTS + point).as_ptr(),
                    c: products.as_mut_ptr(),
                    c_stride: nr,
                    min: f32::NEG_INFINITY,
                    max: f32::INFINITY,
                    slopes: std::ptr::null(),
                };
                // SAFETY: selection gave a kernel of this CPU; pointers are rows of transformed inputs, which have slack
                // behind them, and `rows` rows of `nr` products have room.
                unsafe { (self.kernel.run)(&args) };
            }
            for index in 0..block.tiles.len() {
                self.results(block, index, panel, products, output);
            }
        }
    }

    /// Transforms a tile's products of a panel to results.
    fn results(
        &self,
        block: &Block,
        index: usize,
        panel: usize,
        products: &[f32],
        output: &SharedElements<'_, f32>,
    ) {
        let (nr, out_c) = (self.kernel.tile.nr, self.shape.out_c);
        let [image, row, column] = self.place(block.tiles.start + index);
        let first = panel * nr;
        let columns = nr.min(out_c - first);
        let extent = [OUT.min(self.shape.out_h - row), OUT.min(self.shape.out_w - column)];
        let pixel = (image * self.shape.out_h + row) * self.shape.out_w + column;
        let slopes = if self.slopes.is_empty() { &[] } else { &self.slopes[first..][..nr] };
        let tile = ResultTile {
            from: products[index * nr..].as_ptr(),
            plane: block.rows * nr,
            bias: &self.bias[first..][..nr],
            slopes,
            bounds: self.bounds,
            to: output.at(pixel * out_c + first),
            row: self.shape.out_w * out_c,
            pixel: out_c,
            extent,
            columns,
        };
        self.vectorizer.lanewise(tile);
    }
}

/// Tiles of all images.
fn tiles(shape: &ConvShape) -> usize {
    shape.batch * shape.out_h.div_ceil(OUT) * shape.out_w.div_ceil(OUT)
}

/// Most tiles whose transformed inputs make a block.
fn most_tiles(shape: &ConvShape) -> usize {
    (BLOCK_BYTES / (4 * POINTS * shape.in_c)).max(LEAST_TILES)
}

/// Transformed weights `[panels, points, nr, in_c]` of weights `[out_c, 3, 3, in_c]`, zeros for columns beyond the last.
fn pack_points(nr: usize, weights: &[f32], in_c: usize, columns: usize) -> Vec<f32> {
    let mut packed = vec![0.0; columns * POINTS * in_c];
    for (column, weights) in weights.chunks_exact(9 * in_c).enumerate() {
        for k in 0..in_c {
            let window = |y: usize, x: usize| weights[(y * 3 + x) * in_c + k];
            let window = std::array::from_fn(|y| std::array::from_fn(|x| window(y, x)));
            for (point, weight) in transform::weights(window).into_iter().enumerate() {
                let row = (column / nr * POINTS + point) * nr + column % nr;
                packed[row * in_c + k] = weight;
            }
        }
    }
    packed
}

impl Operator for F32Winograd {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        let in_count = self.shape.in_pixels() * self.shape.in_c;
        let out_count = self.shape.out_pixels() * self.shape.out_c;
        if self.half {
            let wide = &mut scratch.take::<f32>(out_count)[..out_count];
            let input = Stored::F16(elements(inputs[0], in_count));
            self.compute(&input, &SharedElements::of(wide), scratch, pool);
            fp16::narrow(wide, elements_mut(outputs[0], out_count));
        } else {
            let input = Stored::F32(elements(inputs[0], in_count));
            let output = SharedElements::of(elements_mut(outputs[0], out_count));
            self.compute(&input, &output, scratch, pool);
        }
    }

    fn scratch_bytes(&self, threads: usize) -> usize {
        let out_count = self.shape.out_pixels() * self.shape.out_c;
        let half = if self.half { Scratch::bytes_for::<f32>(out_count) } else { 0 };
        half + match self.shares_blocks(threads) {
            true => Scratch::bytes_for::<u8>(self.block_bytes(threads)),
            false => Scratch::bytes_per_task(threads, self.block_bytes(1)),
        }
    }

    fn kernel(&self) -> &'static str {
        self.kernel.name
    }

    fn weight_bytes(&self) -> usize {
        self.panels.bytes() + size_of_val(&self.bias[..]) + size_of_val(&self.slopes[..])
    }
}
