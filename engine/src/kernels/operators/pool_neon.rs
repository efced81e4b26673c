//! The largest of two by two bytes on 64-bit NEON. A Cortex-A53 takes two cycles for a load and four more until there is
//! something to compare, during which other loads go: 13 cycles for sixteen results, where one register at a time takes 50.

use std::arch::aarch64::{int8x16_t, vdupq_n_s8, vld1q_s8, vmaxq_s8, vminq_s8, vst1q_s8};

/// Elements of a register.
const LANES: usize = 16;

/// The largest of `N` registers of each of four pixels, between the bounds.
///
/// # Safety
/// There are so many elements at all pointers.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn largest<const N: usize>(
    y: *mut i8,
    pixels: [*const i8; 4],
    bounds: Option<[int8x16_t; 2]>,
) {
    let place = |i: usize| i * LANES;
    // SAFETY: the caller vouches for the elements.
    let [a, b, c, d]: [[int8x16_t; N]; 4] =
        pixels.map(|x| std::array::from_fn(|i| unsafe { vld1q_s8(x.add(place(i))) }));
    let upper: [_; N] = std::array::from_fn(|i| vmaxq_s8(a[i], b[i]));
    let lower: [_; N] = std::array::from_fn(|i| vmaxq_s8(c[i], d[i]));
    let mut largest: [_; N] = std::array::from_fn(|i| vmaxq_s8(upper[i], lower[i]));
    if let Some([min, max]) = bounds {
        largest = largest.map(|x| vminq_s8(vmaxq_s8(x, min), max));
    }
    // SAFETY: as above.
    largest.into_iter().enumerate().for_each(|(i, x)| unsafe { vst1q_s8(y.add(place(i)), x) });
}

/// For every pixel of `output`, of so many channels, a multiple of sixteen, the largest elements of two pixels of `upper` and two
/// of `lower`, kept within the bounds.
#[target_feature(enable = "neon")]
pub(super) fn quads(
    output: &mut [i8],
    [upper, lower]: [&[i8]; 2],
    channels: usize,
    (min, max): (i8, i8),
) {
    assert!(channels.is_multiple_of(LANES) && output.len().is_multiple_of(channels));
    assert!(upper.len() >= 2 * output.len() && lower.len() >= 2 * output.len());
    let bounded = (min, max) != (i8::MIN, i8::MAX);
    let bounds = bounded.then(|| [vdupq_n_s8(min), vdupq_n_s8(max)]);
    for start in (0..output.len()).step_by(channels) {
        let (x, whole) = (2 * start, channels / (4 * LANES) * (4 * LANES));
        let pixels = |at: usize| {
            [
                &upper[x + at..],
                &upper[x + channels + at..],
                &lower[x + at..],
                &lower[x + channels + at..],
            ]
            .map(<[i8]>::as_ptr)
        };
        // SAFETY: the slices have the elements of this pixel, of which whole registers are left.
        unsafe {
            let y = output.as_mut_ptr().add(start);
            for at in (0..whole).step_by(4 * LANES) {
                largest::<4>(y.add(at), pixels(at), bounds);
            }
            for at in (whole..channels).step_by(LANES) {
                largest::<1>(y.add(at), pixels(at), bounds);
            }
        }
    }
}
