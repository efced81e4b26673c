//! The loop over tiles that convolutions and matrix products share.

use std::ops::Range;

use super::geometry::{ConvShape, Geometry};
use super::split;
use crate::Pool;
use crate::kernels::micro::Tile;

/// Rows of a block: a panel of weights serves them while it is in cache, and a micro-kernel computes them in one call.
const BLOCK_ROWS: usize = 32;
/// Bytes of input for a block that leave room for a panel of weights in the smallest cache.
const BLOCK_BYTES: usize = 16 << 10;

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
    /// How often all taps are read, one time after the other.
    planes: usize,
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
    /// Taps read `depth` elements, of which pixels have `pixel`: more than one pixel where taps lie next to each other.
    pub(super) fn new(shape: &ConvShape, tile: Tile, depth: usize, pixel: usize) -> Self {
        Self { geometry: Geometry::new(shape), tile, taps: shape.taps(), depth, pixel, planes: 1 }
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

    /// Calls `call` for every block of tiles and every panel. `padding` is a pixel for taps outside of the input.
    pub(super) fn run<I: Sync, O: Send>(
        &self,
        input: &[I],
        padding: &[I],
        output: &mut [O],
        pool: &dyn Pool,
        call: impl Fn(&Job<'_, I, O>) + Sync,
    ) {
        let shape = self.shape();
        assert!(input.len() >= shape.in_pixels() * self.pixel && padding.len() >= self.depth);
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
        if self.geometry.is_pointwise() && self.planes == 1 {
            let row = |pixel: usize| input[pixel.min(last) * self.pixel..].as_ptr();
            return pointers.extend((tiles.start * mr..tiles.end * mr).map(row));
        }
        let per_tile = mr * self.all_taps();
        pointers.resize(tiles.len() * per_tile, padding.as_ptr());
        for (tile, pointers) in tiles.clone().zip(pointers.chunks_exact_mut(per_tile)) {
            for row in 0..mr {
                self.geometry.for_taps((tile * mr + row).min(last), |tap, source| {
                    if let Some(source) = source {
                        let pointer = input[source * self.pixel..].as_ptr();
                        for plane in 0..self.planes {
                            pointers[(plane * self.taps + tap) * mr + row] = pointer;
                        }
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
