//! Convolutions of few channels, such as the first of a network that sees images.

use std::ops::Range;

use half::f16;

use super::Scratch;
use super::geometry::ConvShape;
use super::walk::Walk;
use crate::graph::{Padding, Window};
use crate::kernels::fp16;
use crate::kernels::micro::Tile;

/// Channels up to which a tap is too little work for a pointer of its own.
const FEW: usize = 4;

/// The pixels of a row of the window lie next to each other: the input is copied with its padding around it, so that all rows
/// can be copied side by side ([`Walk::gathered`](super::walk::Walk::gathered)), and a tap be all of the window.
#[derive(Debug)]
pub(super) struct Shallow {
    source: ConvShape,
    /// Of the padded input; a window one wide, whose pixels are rows of the window.
    shape: ConvShape,
}

impl Shallow {
    /// Nothing for layers of more channels or other windows.
    pub(super) fn new(source: &ConvShape) -> Option<Self> {
        let Window { kernel: [height, width], stride, dilation, padding } = source.window;
        if source.in_c > FEW || width == 1 || dilation[1] != 1 {
            return None;
        }
        let window = Window { kernel: [height, 1], stride, dilation, padding: Padding::default() };
        let shape = ConvShape {
            in_h: source.in_h + padding.top + padding.bottom,
            in_w: source.in_w + padding.left + padding.right,
            in_c: width * source.in_c,
            window,
            ..source.clone()
        };
        // What a window reads of the copy lies within it, as shapes are inferred.
        let fits = |out: usize, axis: usize, taps: usize, extent: usize| {
            out.saturating_sub(1) * stride[axis] + (taps - 1) * dilation[axis] < extent
        };
        let inside =
            fits(shape.out_h, 0, height, shape.in_h) && fits(shape.out_w, 1, width, shape.in_w);
        inside.then(|| Self { source: source.clone(), shape })
    }

    /// How the layer is computed.
    pub(super) fn walk(&self, tile: Tile) -> Walk {
        Walk::gathered(&self.shape, tile, self.source.in_c)
    }

    /// Bytes of scratch memory that padding takes, if there is any.
    pub(super) fn scratch_bytes<T>(this: Option<&Self>) -> usize {
        this.map_or(0, |this| Scratch::bytes_for::<T>(this.elements()))
    }

    /// Elements of the padded input.
    fn elements(&self) -> usize {
        self.shape.in_pixels() * self.source.in_c
    }

    /// A copy of `input` with a border of `padding`.
    pub(super) fn pad<'a, T: bytemuck::Pod>(
        &self,
        input: &[T],
        padding: T,
        scratch: &mut Scratch<'a>,
    ) -> &'a [T] {
        let rows = 0..self.shape.batch * self.shape.in_h;
        self.pad_rows(input, rows, padding, scratch, <[T]>::copy_from_slice)
    }

    /// Some rows of it (of all images), made by `copy`.
    fn pad_rows<'a, S, T: bytemuck::Pod>(
        &self,
        input: &[S],
        rows: Range<usize>,
        padding: T,
        scratch: &mut Scratch<'a>,
        copy: impl Fn(&mut [T], &[S]),
    ) -> &'a [T] {
        let channels = self.source.in_c;
        let before = self.source.window.padding;
        let (from, to) = (self.source.in_w * channels, self.shape.in_w * channels);
        let all = scratch.take::<T>(rows.len() * to);
        for (index, row) in rows.clone().zip(all[..rows.len() * to].chunks_exact_mut(to)) {
            let (image, y) = (index / self.shape.in_h, index % self.shape.in_h);
            let source = y.checked_sub(before.top).filter(|&y| y < self.source.in_h);
            let Some(source) = source.map(|y| image * self.source.in_h + y) else {
                row.fill(padding);
                continue;
            };
            let (left, rest) = row.split_at_mut(before.left * channels);
            let (middle, right) = rest.split_at_mut(from);
            left.fill(padding);
            copy(middle, &input[source * from..][..from]);
            right.fill(padding);
        }
        all
    }

    /// The layer for `rows` rows of results, whose input are the rows that [`Shallow::strip`] copies.
    fn strip_shape(&self, rows: usize) -> ConvShape {
        let Window { kernel, stride, dilation, .. } = self.shape.window;
        let in_h = (rows - 1) * stride[0] + (kernel[0] - 1) * dilation[0] + 1;
        ConvShape { batch: 1, in_h, out_h: rows, ..self.shape.clone() }
    }

    /// How it is computed.
    pub(super) fn strip_walk(&self, rows: usize, tile: Tile) -> Walk {
        Walk::gathered(&self.strip_shape(rows), tile, self.source.in_c)
    }

    /// Elements of the input of so many rows of results.
    pub(super) fn strip_elements(&self, rows: usize) -> usize {
        self.strip_shape(rows).in_pixels() * self.source.in_c
    }

    /// What `rows` rows of results, from row `first` of an image on, read of the padded input, as fp32.
    pub(super) fn strip<'a>(
        &self,
        input: &[f16],
        [image, first, rows]: [usize; 3],
        scratch: &mut Scratch<'a>,
    ) -> &'a [f32] {
        let start = image * self.shape.in_h + first * self.shape.window.stride[0];
        let rows = start..start + self.strip_shape(rows).in_h;
        self.pad_rows(input, rows, 0.0, scratch, |wide, narrow| fp16::widen(narrow, wide))
    }
}
