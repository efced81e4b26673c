//! Convolutions of few channels, such as the first of a network that sees images.

use std::borrow::Cow;

use super::Scratch;
use super::geometry::ConvShape;
use crate::graph::{Padding, Window};

/// Channels up to which a tap is too little work for a pointer of its own.
const FEW: usize = 4;

/// The pixels of a row of the window lie next to each other, so that they are a single tap of `width * channels` elements:
/// for that the input is copied with its padding around it.
#[derive(Debug)]
pub(super) struct Shallow {
    source: ConvShape,
    /// Of the padded input; a window one wide.
    shape: ConvShape,
}

impl Shallow {
    /// Nothing for layers of more channels or other windows. Rows of the window are lengthened (with weights of zero) to a
    /// multiple of `unit` elements where that is a step of two at most.
    pub(super) fn new(source: &ConvShape, unit: usize) -> Option<Self> {
        let Window { kernel: [height, width], stride, dilation, padding } = source.window;
        if source.in_c > FEW || width == 1 || dilation[1] != 1 {
            return None;
        }
        let row = width * source.in_c;
        let whole = row.next_multiple_of(unit);
        let window = Window { kernel: [height, 1], stride, dilation, padding: Padding::default() };
        let shape = ConvShape {
            in_h: source.in_h + padding.top + padding.bottom,
            in_w: source.in_w + padding.left + padding.right,
            in_c: if whole - row <= 2 { whole } else { row },
            window,
            ..source.clone()
        };
        Some(Self { source: source.clone(), shape })
    }

    /// What remains to be computed.
    pub(super) fn shape(&self) -> &ConvShape {
        &self.shape
    }

    /// Bytes of scratch memory that padding takes, if there is any.
    pub(super) fn scratch_bytes<T>(this: Option<&Self>) -> usize {
        this.map_or(0, |this| Scratch::bytes_for::<T>(this.elements()))
    }

    /// Elements of the padded input.
    fn elements(&self) -> usize {
        self.shape.in_pixels() * self.source.in_c
    }

    /// Weights `[out_c, height, width, in_c]` with the rows of the window as long as they are computed.
    pub(super) fn weights<'a, T: Copy + Default>(&self, weights: &'a [T]) -> Cow<'a, [T]> {
        let row = self.source.window.kernel[1] * self.source.in_c;
        let missing = self.shape.in_c - row;
        if missing == 0 {
            return Cow::Borrowed(weights);
        }
        let rows = weights.chunks_exact(row);
        rows.flat_map(|row| row.iter().copied().chain(std::iter::repeat_n(T::default(), missing)))
            .collect()
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
        // Lengthened rows of the window end behind the last pixel, where scratch memory holds anything.
        all[self.elements()..][..FEW].fill(padding);
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
