//! Convolutions of few channels, such as the first of a network that sees images.

use super::Scratch;
use super::geometry::ConvShape;
use super::walk::Walk;
use crate::graph::{Padding, Window};
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
        let channels = self.source.in_c;
        let before = self.source.window.padding;
        let (from, to) = (self.source.in_w * channels, self.shape.in_w * channels);
        let all = scratch.take::<T>(self.elements());
        for (index, row) in all[..self.elements()].chunks_exact_mut(to).enumerate() {
            let (image, y) = (index / self.shape.in_h, index % self.shape.in_h);
            let source = y.checked_sub(before.top).filter(|&y| y < self.source.in_h);
            let Some(source) = source.map(|y| image * self.source.in_h + y) else {
                row.fill(padding);
                continue;
            };
            let (left, rest) = row.split_at_mut(before.left * channels);
            let (middle, right) = rest.split_at_mut(from);
            left.fill(padding);
            middle.copy_from_slice(&input[source * from..][..from]);
            right.fill(padding);
        }
        all
    }
}
