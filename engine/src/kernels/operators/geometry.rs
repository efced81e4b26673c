//! Which input pixels an output pixel reads.

use crate::graph::Window;
use crate::kernels::registry::Work;

/// Extents and window of a convolution or pooling, NHWC. For fully connected layers `in_w` and `out_w` are the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Input rows.
    pub in_h: usize,
    /// Input columns.
    pub in_w: usize,
    /// Input channels.
    pub in_c: usize,
    /// Output rows.
    pub out_h: usize,
    /// Output columns.
    pub out_w: usize,
    /// Output channels.
    pub out_c: usize,
    /// Kernel, stride, dilation, padding.
    pub window: Window,
}

impl ConvShape {
    /// A matrix product of `rows` by `in_c` with `in_c` by `out_c`.
    pub fn matrix(rows: usize, in_c: usize, out_c: usize) -> Self {
        let window = Window::default();
        Self { batch: 1, in_h: 1, in_w: rows, in_c, out_h: 1, out_w: rows, out_c, window }
    }

    /// What there is to compute, for the choice of a kernel; `depth` channels (bytes of them) per tap.
    pub(super) fn work(&self, columns: usize, depth: usize) -> Work {
        Work { rows: self.out_pixels(), columns, taps: self.taps(), depth }
    }

    /// Output pixels of all images.
    pub fn out_pixels(&self) -> usize {
        self.batch * self.out_h * self.out_w
    }

    /// Input pixels of all images.
    pub fn in_pixels(&self) -> usize {
        self.batch * self.in_h * self.in_w
    }

    /// Taps of the window.
    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1]
    }
}

/// Input positions per axis, computed once: a tap reads pixel `row[oy][ky] + column[ox][kx]`.
#[derive(Clone, Debug)]
pub(super) struct Geometry {
    shape: ConvShape,
    /// Index of the first pixel of the input row, per output row and vertical tap; `PADDING` outside.
    rows: Vec<u32>,
    /// Column, per output column and horizontal tap; `PADDING` outside.
    columns: Vec<u32>,
}

/// A position outside of the input.
pub(super) const PADDING: u32 = u32::MAX;

impl Geometry {
    pub(super) fn new(shape: &ConvShape) -> Self {
        let Window { kernel, stride, dilation, padding } = shape.window;
        let rows = positions(shape.out_h, kernel[0], shape.in_h, shape.in_w, |o, tap| {
            (o * stride[0] + tap * dilation[0]).checked_sub(padding.top)
        });
        let columns = positions(shape.out_w, kernel[1], shape.in_w, 1, |o, tap| {
            (o * stride[1] + tap * dilation[1]).checked_sub(padding.left)
        });
        Self { shape: shape.clone(), rows, columns }
    }

    pub(super) fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Whether output pixel `i` reads input pixel `i` and no other.
    pub(super) fn is_pointwise(&self) -> bool {
        let Window { kernel, stride, .. } = self.shape.window;
        kernel == [1, 1] && stride == [1, 1] && self.shape.in_pixels() == self.shape.out_pixels()
    }

    /// Calls `tap(index, input pixel or None for padding)` for the taps of output pixel `pixel`.
    #[inline]
    pub(super) fn for_taps(&self, pixel: usize, mut tap: impl FnMut(usize, Option<usize>)) {
        let [kh, kw] = self.shape.window.kernel;
        let (image, rest) = (pixel / self.image(), pixel % self.image());
        let (y, x) = (rest / self.shape.out_w, rest % self.shape.out_w);
        let base = image * self.shape.in_h * self.shape.in_w;
        let columns = &self.columns[x * kw..][..kw];
        for (ky, &row) in self.rows[y * kh..][..kh].iter().enumerate() {
            for (kx, &column) in columns.iter().enumerate() {
                let inside = row != PADDING && column != PADDING;
                tap(ky * kw + kx, inside.then(|| base + row as usize + column as usize));
            }
        }
    }

    /// The output pixels from `pixel` on.
    pub(super) fn pixels(&self, pixel: usize) -> Pixels<'_> {
        let (image, rest) = (pixel / self.image(), pixel % self.image());
        let (y, x) = (rest / self.shape.out_w, rest % self.shape.out_w);
        Pixels { geometry: self, base: image * self.shape.in_h * self.shape.in_w, y, x }
    }

    /// Index of the first pixel of the input row that row `tap` of the window reads for output row `row` (of all images).
    pub(super) fn source_row(&self, row: usize, tap: usize) -> Option<usize> {
        let (image, y) = (row / self.shape.out_h, row % self.shape.out_h);
        let first = self.rows[y * self.shape.window.kernel[0] + tap];
        (first != PADDING).then(|| image * self.shape.in_h * self.shape.in_w + first as usize)
    }

    /// Pixels from the first tap of a window that lies within the input to each of its taps.
    pub(super) fn offsets(&self) -> impl Iterator<Item = usize> {
        let Window { kernel: [height, width], dilation, .. } = self.shape.window;
        let line = dilation[0] * self.shape.in_w;
        (0..height).flat_map(move |y| (0..width).map(move |x| y * line + x * dilation[1]))
    }

    /// For a table that holds every column an output row reads once: the columns, and the entries from an output pixel's
    /// first tap to that of the next. Windows with gaps between or beside their columns have entries of their own.
    pub(super) fn column_table(&self) -> (Vec<Option<usize>>, usize) {
        let Window { kernel: [_, width], stride: [_, stride], dilation, .. } = self.shape.window;
        let step = if dilation[1] == 1 && stride <= width { stride } else { width };
        let entries = (self.shape.out_w - 1) * step + width;
        let column = |entry: usize| {
            let pixel = (entry / step).min(self.shape.out_w - 1);
            self.columns[pixel * width + entry - pixel * step]
        };
        let known = |column: u32| (column != PADDING).then_some(column as usize);
        ((0..entries).map(|entry| known(column(entry))).collect(), step)
    }

    fn image(&self) -> usize {
        self.shape.out_h * self.shape.out_w
    }
}

/// Output pixels one after the other.
#[derive(Clone, Debug)]
pub(super) struct Pixels<'a> {
    geometry: &'a Geometry,
    /// First input pixel of the image.
    base: usize,
    y: usize,
    x: usize,
}

impl Pixels<'_> {
    /// Goes to the next pixel.
    #[inline]
    pub(super) fn advance(&mut self) {
        let shape = self.geometry.shape();
        self.x += 1;
        if self.x == shape.out_w {
            (self.x, self.y) = (0, self.y + 1);
        }
        if self.y == shape.out_h {
            (self.y, self.base) = (0, self.base + shape.in_h * shape.in_w);
        }
    }

    /// First input pixel of the image.
    #[inline(always)]
    pub(super) fn base(&self) -> usize {
        self.base
    }

    /// The pixel that the first tap reads, if the next `count` pixels, at least one, are in one row and the windows of all lie
    /// within the input.
    #[inline(always)]
    pub(super) fn inside(&self, count: usize) -> Option<usize> {
        let width = self.geometry.shape.window.kernel[1];
        let columns = self.geometry.columns.get(self.x * width..(self.x + count) * width)?;
        let rows = self.rows();
        // Padding is before or behind what lies within.
        let (row, column) = (rows[0], columns[0]);
        let padding = [row, column, rows[rows.len() - 1], columns[columns.len() - 1]];
        let inside = !padding.contains(&PADDING);
        inside.then(|| self.base + row as usize + column as usize)
    }

    /// Goes on by `count` pixels of the row.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) {
        self.x += count - 1;
        self.advance();
    }

    /// First pixels, from [`Pixels::base`], of the input rows that the window sees, [`PADDING`] for those outside.
    #[inline(always)]
    pub(super) fn rows(&self) -> &[u32] {
        let height = self.geometry.shape.window.kernel[0];
        &self.geometry.rows[self.y * height..][..height]
    }

    /// The columns that it sees, [`PADDING`] for those outside.
    #[inline(always)]
    pub(super) fn columns(&self) -> &[u32] {
        let width = self.geometry.shape.window.kernel[1];
        &self.geometry.columns[self.x * width..][..width]
    }
}

/// Positions `[out, taps]` along an axis of `extent` in steps of `unit` pixels; `at` gives those before bounds.
fn positions(
    out: usize,
    taps: usize,
    extent: usize,
    unit: usize,
    at: impl Fn(usize, usize) -> Option<usize>,
) -> Vec<u32> {
    let mut all = Vec::with_capacity(out * taps);
    for o in 0..out {
        for tap in 0..taps {
            let inside = at(o, tap).filter(|&position| position < extent);
            all.push(inside.map_or(PADDING, |position| (position * unit) as u32));
        }
    }
    all
}
