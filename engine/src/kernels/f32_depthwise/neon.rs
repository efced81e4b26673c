//! fp32 depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32,
    vmulq_f32, vst1q_f32,
};

use super::neon_rows::{self as rows, stride_2};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Four channels of up to fourteen neighbouring pixels at a time. For windows three or five wide, stride 1 or 2, every pixel
/// of the input is loaded once per row of the window and serves all outputs that read it: on a Cortex-A53 a load takes as
/// long as two multiply-accumulates. Rows of the window outside of the input are left out.
pub(crate) static DEPTHWISE_4X14: F32Depthwise = MicroKernel {
    name: "f32_depthwise_4x14_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

const NR: usize = 4;
/// Most pixels of a segment.
const MAX_PIXELS: usize = 14;
/// Fewest pixels of a segment.
const MIN_PIXELS: usize = 6;

/// Outputs side by side, of some blocks of channels one after the other: where their sums come from and go to.
#[repr(C)]
pub(super) struct Segment {
    /// The first output, channel 0.
    c: *mut f32,
    /// Bytes between outputs.
    stride: usize,
    /// Four biases of the first block.
    bias: *const f32,
    /// Weights of the first block.
    w: *const f32,
    /// The tables of pointers behind the first.
    rows: *const *const *const f32,
    /// The first table, from the first output's first tap on.
    table: *const *const f32,
    /// Rows of the window.
    height: usize,
    /// Bytes between blocks of weights.
    step: usize,
    min: f32,
    max: f32,
    /// Whether results are kept within the bounds.
    clamped: usize,
    /// Bytes of a table before the first output's first tap.
    pub(super) skip: usize,
}

/// Code for one kind of window and so many outputs side by side. It changes `segment`.
///
/// # Safety
/// The segment's pointers are as it says for `blocks` blocks from `channel` on: there are as many tables as `height` says and
/// another one, which have the outputs' pixels, each readable for four elements from a channel on; and `height` rows of
/// weights. The outputs are writable.
pub(super) type MultiplyRows = unsafe fn(segment: &mut Segment, channel: usize, blocks: usize);

/// Segments of twice seven or six pixels, and of seven and six.
struct Segments {
    /// Of fourteen and of twelve.
    double: [MultiplyRows; 2],
    /// Of seven and of six.
    single: [MultiplyRows; 2],
}

impl Segments {
    /// The next segment of a row of `pixels`, at least six, of which `left` are left, and its pixels. Segments are few, and the
    /// shorter where they suffice: rows of any multiple of six or seven have no pixel twice.
    fn next(&self, pixels: usize, left: usize) -> (MultiplyRows, usize) {
        let doubles = left.div_ceil(14);
        match left {
            8.. if left > 12 * doubles && pixels >= 14 => (self.double[0], 14),
            8.. if pixels >= 12 => (self.double[1], 12),
            7 => (self.single[0], 7),
            _ => (self.single[1], 6),
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise(args: &F32DepthwiseArgs) {
    let segments = match (args.taps.kernel[1], args.taps.step) {
        (3, 1) => Segments {
            double: [rows::fourteen_three_wide, rows::twelve_three_wide],
            single: [rows::seven_three_wide, rows::six_three_wide],
        },
        (3, 2) => Segments {
            double: [stride_2::fourteen_three_wide, stride_2::twelve_three_wide],
            single: [stride_2::seven_three_wide, stride_2::six_three_wide],
        },
        (5, 1) => Segments {
            double: [rows::fourteen_five_wide, rows::twelve_five_wide],
            single: [rows::seven_five_wide, rows::six_five_wide],
        },
        (5, 2) => Segments {
            double: [stride_2::fourteen_five_wide, stride_2::twelve_five_wide],
            single: [stride_2::seven_five_wide, stride_2::six_five_wide],
        },
        // SAFETY: the caller vouches for `args`.
        _ => return unsafe { any_window(args) },
    };
    // SAFETY: as above.
    unsafe { if args.pixels < MIN_PIXELS { any_window(args) } else { row(args, &segments) } }
}

/// All channels of a row. The last segment begins earlier when it would go too far, and computes some pixels once more.
///
/// # Safety
/// As [`MicroKernel::run`]; the segments are for the window and its step, and the row has at least six pixels.
#[target_feature(enable = "neon")]
unsafe fn row(args: &F32DepthwiseArgs, segments: &Segments) {
    let taps = &args.taps;
    let infinite = args.min == f32::NEG_INFINITY && args.max == f32::INFINITY;
    let at_once = if args.slopes.is_null() { args.channels / NR } else { 0 };
    // SAFETY: the caller vouches for the tables and the weights; what is not stored whole goes to `tile`.
    unsafe {
        let inside = taps.inside();
        let mut pixel = 0;
        while pixel < args.pixels {
            let (multiply, pixels) = segments.next(args.pixels, args.pixels - pixel);
            let first = pixel.min(args.pixels - pixels);
            let segment = |channel: usize| {
                let bias = args.w.add(channel * (taps.count() + 1));
                Segment {
                    c: args.c.add(first * args.c_stride),
                    stride: 4 * args.c_stride,
                    bias,
                    w: bias.add(NR * (1 + inside.start * taps.kernel[1])),
                    rows: taps.rows.add(inside.start + 1),
                    table: taps.row(first, inside.start),
                    height: inside.len(),
                    step: 4 * NR * (taps.count() + 1),
                    min: args.min,
                    max: args.max,
                    clamped: usize::from(!infinite),
                    skip: size_of::<*const f32>() * first * taps.step,
                }
            };
            if at_once > 0 {
                multiply(&mut segment(0), 0, at_once);
            }
            for channel in (at_once * NR..args.channels).step_by(NR) {
                let mut tile = [[0.0_f32; NR]; MAX_PIXELS];
                let mut segment = segment(channel);
                // The code adds the channel.
                segment.c = tile.as_mut_ptr().cast::<f32>().wrapping_sub(channel);
                (segment.stride, segment.clamped) = (size_of_val(&tile[0]), 0);
                multiply(&mut segment, channel, 1);
                for (p, sums) in tile[..pixels].iter().enumerate() {
                    finish(args, channel, first + p, vld1q_f32(sums.as_ptr()));
                }
            }
            pixel = first + pixels;
        }
    }
}

/// A row of any window.
///
/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn any_window(args: &F32DepthwiseArgs) {
    for channel in (0..args.channels).step_by(NR) {
        for pixel in 0..args.pixels {
            // SAFETY: the caller vouches for `args`: taps are readable for three elements past their channels (SLACK), `w` has
            // whole blocks.
            unsafe {
                let mut w = args.w.add(channel * (args.taps.count() + 1));
                let mut acc = vld1q_f32(w);
                for y in 0..args.taps.kernel[0] {
                    let row = args.taps.row(pixel, y);
                    for tap in 0..args.taps.kernel[1] {
                        w = w.add(NR);
                        acc = vfmaq_f32(acc, vld1q_f32((*row.add(tap)).add(channel)), vld1q_f32(w));
                    }
                }
                finish(args, channel, pixel, acc);
            }
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`]; the row has the pixel.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish(args: &F32DepthwiseArgs, channel: usize, pixel: usize, acc: float32x4_t) {
    // SAFETY: `args.slopes` is null or covers the block; whole vectors are stored only where the block is whole.
    unsafe {
        let mut x = acc;
        if !args.slopes.is_null() {
            let slopes = vld1q_f32(args.slopes.add(channel));
            x = vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slopes), x);
        }
        x = vminq_f32(vmaxq_f32(x, vdupq_n_f32(args.min)), vdupq_n_f32(args.max));
        let c = args.c.add(pixel * args.c_stride + channel);
        let left = args.channels - channel;
        if left >= NR {
            vst1q_f32(c, x);
        } else {
            let mut tail = [0.0_f32; NR];
            vst1q_f32(tail.as_mut_ptr(), x);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, left);
        }
    }
}
