//! The loop over tiles that convolutions and matrix products share.

use std::ops::Range;

use super::geometry::{ConvShape, Geometry, PADDING};
use super::scratch::{self, Scratch};
use super::{LEAST_PRODUCTS, SharedElements};
use crate::Pool;
use crate::graph::Window;
use crate::kernels::micro::{SLACK, Tile};

/// Pointers of a block: a panel of weights serves its rows while it is in cache, and a micro-kernel computes them in one call,
/// which costs as much as a tile or two of few channels.
const BLOCK_POINTERS: usize = 512;
/// Rows of a block that may take more.
const LEAST_ROWS: usize = 64;
/// Bytes of input for a block, about as many as the smallest cache has: where there are more, a call for every tile costs
/// more than it saves.
const BLOCK_BYTES: usize = 32 << 10;

/// The loop over tiles that all families share.
#[derive(Debug)]
pub(super) struct Walk {
    pub(super) geometry: Geometry,
    pub(super) tile: Tile,
    pub(super) taps: usize,
    /// Elements that a tap reads.
    pub(super) depth: usize,
    /// Elements between pixels.
    pixel: usize,
    /// Elements from the first tap of a window that lies within the input to each of its taps.
    offsets: Vec<usize>,
    /// How often all taps are read, one time after the other.
    planes: usize,
    /// Whether the pixels that an output pixel reads are copied side by side, as a single tap.
    gathered: bool,
}

/// Bytes that are copied at a time where pixels are gathered.
const PIECE: usize = size_of::<u128>();

/// Copies the first pieces of `H` rows `line` bytes apart to places `tap` bytes apart, each of which overwrites what goes beyond
/// the one before; for `count` windows `step` bytes apart, to places `row` bytes apart. Not in line: within its caller's loops
/// there would be no registers left for the pieces.
///
/// # Safety
/// A piece is readable at every row and writable at every place.
#[inline(never)]
unsafe fn copy_windows<const H: usize>(
    from: *const u8,
    [step, line]: [usize; 2],
    to: *mut u8,
    [row, tap]: [usize; 2],
    count: usize,
) {
    for window in 0..count {
        let (from, to) = (from.wrapping_add(window * step), to.wrapping_add(window * row));
        let pieces: [u128; H] = std::array::from_fn(|y| {
            // SAFETY: the caller vouches for the rows.
            unsafe { from.add(y * line).cast::<u128>().read_unaligned() }
        });
        for (y, piece) in pieces.into_iter().enumerate() {
            // SAFETY: and for the places.
            unsafe { to.add(y * tap).cast::<u128>().write_unaligned(piece) };
        }
    }
}

/// Copies `count` bytes, and up to a piece behind them.
///
/// # Safety
/// So many are readable and writable.
#[inline(always)]
unsafe fn copy_pieces(from: *const u8, to: *mut u8, count: usize) {
    // SAFETY: the caller vouches for both.
    let copy = |piece: usize| unsafe {
        let bytes = from.add(piece).cast::<u128>().read_unaligned();
        to.add(piece).cast::<u128>().write_unaligned(bytes);
    };
    // A loop over all would become a call.
    copy(0);
    if count > PIECE {
        (PIECE..count).step_by(PIECE).for_each(copy);
    }
}

/// Tiles to compute.
pub(super) struct Job<'a, I, O> {
    /// Output pixels.
    pub(super) pixels: Range<usize>,
    /// Index of the panel, and the columns to store.
    pub(super) panel: usize,
    pub(super) cols: usize,
    /// `taps * mr` pointers per tile.
    pub(super) a: &'a [*const I],
    pub(super) c: *mut O,
    /// Room for a pointer to corrections per row of tiles.
    pub(super) corrections: &'a mut [*const i32],
}

impl Walk {
    /// Taps read `depth` elements, of which pixels have `pixel`: more than one pixel where taps lie next to each other.
    pub(super) fn new(shape: &ConvShape, tile: Tile, depth: usize, pixel: usize) -> Self {
        let (geometry, taps) = (Geometry::new(shape), shape.taps());
        let offsets = geometry.offsets().map(|offset| offset * pixel).collect();
        Self { geometry, tile, taps, depth, pixel, offsets, planes: 1, gathered: false }
    }

    /// Copies the `in_c` elements from each pixel that an output pixel reads (of which a pixel itself has `pixel`) side by side.
    /// All of them must be inside of the input.
    pub(super) fn gathered(shape: &ConvShape, tile: Tile, pixel: usize) -> Self {
        let depth = shape.taps() * shape.in_c;
        Self { taps: 1, gathered: true, ..Self::new(shape, tile, depth, pixel) }
    }

    /// Reads all taps so often.
    pub(super) fn with_planes(self, planes: usize) -> Self {
        Self { planes, ..self }
    }

    /// Taps as kernels see them.
    pub(super) fn all_taps(&self) -> usize {
        self.taps * self.planes
    }

    pub(super) fn shape(&self) -> &ConvShape {
        self.geometry.shape()
    }

    /// Bytes of scratch memory for so many threads and input elements of type `I`.
    pub(super) fn scratch_bytes<I>(&self, threads: usize) -> usize {
        Scratch::bytes_per_task(threads, self.task_bytes(size_of::<I>()))
    }

    /// A pointer per row and tap of a block, and one more per row.
    fn task_bytes(&self, element: usize) -> usize {
        let rows = self.block_tiles(element) * self.tile.mr;
        rows * (self.all_taps() + 1) * size_of::<*const ()>() + self.gathered_bytes(element)
    }

    /// Bytes of the gathered pixels of a block, and the slack behind them.
    fn gathered_bytes(&self, element: usize) -> usize {
        let rows = if self.gathered { self.block_tiles(element) * self.tile.mr } else { return 0 };
        (rows * self.gathered_row(element) + SLACK).next_multiple_of(size_of::<*const ()>())
    }

    /// Bytes from one output pixel's gathered pixels to the next one's.
    fn gathered_row(&self, element: usize) -> usize {
        (self.depth * element).next_multiple_of(PIECE)
    }

    /// Calls `call` for every block of tiles and every panel. `padding` is a pixel for taps outside of the input.
    pub(super) fn run<I: Sync, O: Send>(
        &self,
        input: &[I],
        padding: &[I],
        output: &mut [O],
        mut scratch: Scratch<'_>,
        pool: &dyn Pool,
        call: impl Fn(Job<'_, I, O>) + Sync,
    ) {
        let shape = self.shape();
        let (copied, element) = (if self.gathered { PIECE } else { 0 }, size_of::<I>());
        assert!(size_of_val(input) >= shape.in_pixels() * self.pixel * element + copied);
        assert!(padding.len() >= self.depth);
        assert_eq!(output.len(), shape.out_pixels() * shape.out_c);
        let output = SharedElements::of(output);
        let Tile { mr, nr, .. } = self.tile;
        let (tiles, panels) = (shape.out_pixels().div_ceil(mr), shape.out_c.div_ceil(nr));
        let block = self.block_tiles(element);
        let compute = |tiles: Range<usize>, panels: Range<usize>, scratch: &mut [u8]| {
            let (gathered, scratch) = scratch.split_at_mut(self.gathered_bytes(element));
            let room = block * mr * self.all_taps();
            let (table, rest) = scratch::pointers(scratch, room, padding.as_ptr());
            let (corrections, _) = scratch::pointers(rest, block * mr, std::ptr::null());
            for start in tiles.clone().step_by(block) {
                let tiles = start..tiles.end.min(start + block);
                let a = match self.gathered {
                    true => self.gather(&tiles, input, gathered, table),
                    false => self.point(&tiles, input, padding, table),
                };
                self.compute(tiles, panels.clone(), a, corrections, &output, &call);
            }
        };
        let parts = scratch.per_task(pool, self.task_bytes(element));
        // A word of bits is as much work as some eight other elements.
        let words = if element == 8 { 8 } else { 1 };
        let products = (mr * nr * self.all_taps() * self.depth * words).max(1);
        let least = |others: usize| LEAST_PRODUCTS.div_ceil(products * others);
        // The largest share of a task, whether tiles of pixels are shared out or panels of channels.
        let share = |count: usize, others: usize| {
            let tasks = pool.threads().min(count / least(others)).max(1);
            count.div_ceil(tasks) * others
        };
        if share(panels, tiles) < share(tiles, panels) {
            return parts.split(pool, panels, least(tiles), |first, end, scratch| {
                compute(0..tiles, first..end, scratch);
            });
        }
        parts.split(pool, tiles, least(panels), |first, end, scratch| {
            compute(first..end, 0..panels, scratch);
        });
    }

    /// Tiles of a block, for input elements of so many bytes.
    fn block_tiles(&self, element: usize) -> usize {
        let kernel_rows = self.shape().window.kernel[0];
        let rows = BLOCK_BYTES / (element * self.depth * kernel_rows).max(1);
        let most = (BLOCK_POINTERS / self.all_taps()).max(LEAST_ROWS);
        (rows.min(most) / self.tile.mr).max(1)
    }

    /// The pointers to the input of `tiles`, in `table`.
    fn point<'a, I>(
        &self,
        tiles: &Range<usize>,
        input: &[I],
        padding: &[I],
        table: &'a mut [*const I],
    ) -> &'a [*const I] {
        let (mr, count) = (self.tile.mr, self.shape().out_pixels());
        let per_tile = mr * self.all_taps();
        let table = &mut table[..tiles.len() * per_tile];
        let start = input.as_ptr();
        if self.geometry.is_pointwise() && self.planes == 1 {
            let first = tiles.start * mr;
            let (rows, beyond) = table.split_at_mut(table.len().min(count - first));
            for (pixel, row) in rows.iter_mut().enumerate() {
                *row = start.wrapping_add((first + pixel) * self.pixel);
            }
            beyond.fill(start.wrapping_add((count - 1) * self.pixel));
        } else {
            let mut pixels = self.geometry.pixels(tiles.start * mr);
            for (tile, pointers) in tiles.clone().zip(table.chunks_exact_mut(per_tile)) {
                if let Some(corner) = pixels.inside(mr) {
                    self.point_inside(start.wrapping_add(corner * self.pixel), pointers);
                    pixels.skip(mr);
                    continue;
                }
                for row in 0..mr {
                    if row > 0 && tile * mr + row < count {
                        pixels.advance();
                    }
                    let mut entries = pointers[row..].iter_mut().step_by(mr);
                    if let Some(corner) = pixels.inside(1) {
                        let first = start.wrapping_add(corner * self.pixel);
                        for _ in 0..self.planes {
                            for (&offset, entry) in self.offsets.iter().zip(&mut entries) {
                                *entry = first.wrapping_add(offset);
                            }
                        }
                        continue;
                    }
                    for _ in 0..self.planes {
                        for &first in pixels.rows() {
                            // Not an address where the row is padding: sums of 32 bits wrap there.
                            let base = pixels.base().wrapping_add(first as usize);
                            let base = start.wrapping_add(base.wrapping_mul(self.pixel));
                            for (&column, entry) in pixels.columns().iter().zip(&mut entries) {
                                *entry = match first != PADDING && column != PADDING {
                                    true => base.wrapping_add(column as usize * self.pixel),
                                    false => padding.as_ptr(),
                                };
                            }
                        }
                    }
                }
                pixels.advance();
            }
        }
        table
    }

    /// The pointers of a tile, most of them, whose pixels follow each other and read no padding, the first pixel's from `first` on.
    fn point_inside<I>(&self, first: *const I, pointers: &mut [*const I]) {
        /// Of as many pixels as most tiles have, which need no loop.
        fn rows<I, const MR: usize>(first: *const I, step: usize, pointers: &mut [*const I]) {
            for (row, pointer) in pointers.as_chunks_mut::<MR>().0[0].iter_mut().enumerate() {
                *pointer = first.wrapping_add(row * step);
            }
        }
        let step = self.shape().window.stride[1] * self.pixel;
        let offsets = std::iter::repeat_n(&self.offsets, self.planes).flatten();
        for (pointers, &offset) in pointers.chunks_exact_mut(self.tile.mr).zip(offsets) {
            let first = first.wrapping_add(offset);
            match pointers.len() {
                8 => rows::<I, 8>(first, step, pointers),
                10 => rows::<I, 10>(first, step, pointers),
                _ => pointers.iter_mut().enumerate().for_each(|(row, pointer)| {
                    *pointer = first.wrapping_add(row * step);
                }),
            }
        }
    }

    /// Copies the pixels that the output pixels of `tiles` read to `gathered`; the pointers to them, in `table`.
    fn gather<'a, I>(
        &self,
        tiles: &Range<usize>,
        input: &[I],
        gathered: &mut [u8],
        table: &'a mut [*const I],
    ) -> &'a [*const I] {
        let (element, count) = (size_of::<I>(), self.shape().out_pixels());
        let (first, row) = (tiles.start * self.tile.mr, self.gathered_row(element));
        let (tap, from, to) = (self.shape().in_c * element, input.as_ptr(), gathered.as_mut_ptr());
        let table = &mut table[..tiles.len() * self.tile.mr];
        let whole = table.len().min(count - first);
        assert!(gathered.len() >= whole * row + PIECE);
        for (index, pointer) in table.iter_mut().enumerate() {
            *pointer = to.wrapping_add(index.min(whole - 1) * row).cast_const().cast();
        }
        let Window { stride, dilation, .. } = self.shape().window;
        let pixel = self.pixel * element;
        let (step, line) = (stride[1] * pixel, dilation[0] * self.shape().in_w * pixel);
        let mut done = 0;
        while done < whole {
            // The pixels of an output row.
            let (y, x) = ((first + done) / self.shape().out_w, (first + done) % self.shape().out_w);
            let count = (self.shape().out_w - x).min(whole - done);
            let start = self.geometry.source_row(y, 0).unwrap_or(0) * pixel + x * step;
            let from = from.cast::<u8>().wrapping_add(start);
            let to = to.wrapping_add(done * row);
            // SAFETY: windows are inside of the input, so these are elements of `input`, which is readable for a piece behind
            // its pixels; `gathered` is writable for a piece behind its rows.
            unsafe {
                match self.shape().window.kernel[0] {
                    3 if tap <= PIECE => {
                        copy_windows::<3>(from, [step, line], to, [row, tap], count);
                    }
                    5 if tap <= PIECE => {
                        copy_windows::<5>(from, [step, line], to, [row, tap], count);
                    }
                    height => (0..count * height).for_each(|index| {
                        let (pixel, y) = (index / height, index % height);
                        let to = to.wrapping_add(pixel * row + y * tap);
                        copy_pieces(from.wrapping_add(pixel * step + y * line), to, tap);
                    }),
                }
            }
            done += count;
        }
        table
    }

    fn compute<I, O>(
        &self,
        tiles: Range<usize>,
        panels: Range<usize>,
        a: &[*const I],
        corrections: &mut [*const i32],
        output: &SharedElements<'_, O>,
        call: &impl Fn(Job<'_, I, O>),
    ) {
        let shape = self.shape();
        let Tile { mr, nr, .. } = self.tile;
        let pixels = tiles.start * mr..(tiles.end * mr).min(shape.out_pixels());
        for panel in panels {
            let c = output.at(pixels.start * shape.out_c + panel * nr);
            let cols = nr.min(shape.out_c - panel * nr);
            call(Job { pixels: pixels.clone(), panel, cols, a, c, corrections });
        }
    }
}
