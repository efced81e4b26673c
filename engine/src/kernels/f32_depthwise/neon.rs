//! fp32 depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32,
    vmulq_f32, vst1q_f32,
};

use super::neon_rows::{
    EightFiveWide, EightFiveWideStride2, EightThreeWide, EightThreeWideStride2, FourFiveWide,
    FourFiveWideStride2, FourThreeWide, FourThreeWideStride2, Rows,
};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Taps, Tile};

/// Four channels of up to eight neighbouring pixels at a time. For windows three or five wide, stride 1 or 2, every pixel of
/// the input is loaded once per row of the window and serves all outputs that read it: on a Cortex-A53 a load takes as
/// long as two multiply-accumulates. Four outputs side by side are enough independent sums to hide the latency of FMLA.
pub(crate) static DEPTHWISE_4X8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_4x8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

const NR: usize = 4;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise(args: &F32DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`.
    unsafe {
        match (args.taps.kernel[1], args.taps.step) {
            (3, 1) => blocks::<EightThreeWide, FourThreeWide>(args),
            (3, 2) => blocks::<EightThreeWideStride2, FourThreeWideStride2>(args),
            (5, 1) => blocks::<EightFiveWide, FourFiveWide>(args),
            (5, 2) => blocks::<EightFiveWideStride2, FourFiveWideStride2>(args),
            _ => {
                for channel in (0..args.channels).step_by(NR) {
                    (0..args.pixels).for_each(|pixel| any_window(args, channel, pixel));
                }
            }
        }
    }
}

/// All channels of a row. The last segment of a row begins earlier when it would go too far, and computes some pixels once
/// more.
///
/// # Safety
/// As [`MicroKernel::run`]; `Eight` and `Four` are for the window and its step.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn blocks<Eight: Rows<8>, Four: Rows<4>>(args: &F32DepthwiseArgs) {
    for channel in (0..args.channels).step_by(NR) {
        let mut pixel = 0;
        while pixel < args.pixels {
            let left = args.pixels - pixel;
            // SAFETY: the caller vouches for `args`, and the segments are within the row.
            unsafe {
                if left > 4 && args.pixels >= 8 {
                    segment::<Eight, 8>(args, channel, pixel.min(args.pixels - 8));
                    pixel += 8;
                } else if args.pixels >= 4 {
                    segment::<Four, 4>(args, channel, pixel.min(args.pixels - 4));
                    pixel += 4;
                } else {
                    any_window(args, channel, pixel);
                    pixel += 1;
                }
            }
        }
    }
}

/// Four channels of `PIXELS` outputs.
///
/// # Safety
/// As [`MicroKernel::run`]; the row has the pixels, `R` is for the window and its step.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn segment<R: Rows<PIXELS>, const PIXELS: usize>(
    args: &F32DepthwiseArgs,
    channel: usize,
    pixel: usize,
) {
    // SAFETY: the caller vouches for `args`: taps are readable for three elements past their channels (SLACK), `w` has whole
    // blocks.
    unsafe {
        let w = args.w.add(channel * (args.taps.count() + 1));
        let mut sums = [vld1q_f32(w); PIXELS];
        let Taps { rows, kernel, step } = args.taps;
        R::multiply(&mut sums, rows, pixel * step, kernel[0], w.add(NR), channel);
        finish(args, channel, pixel, &sums);
    }
}

/// Four channels of an output, whatever the window.
///
/// # Safety
/// As [`MicroKernel::run`]; the row has the pixel.
#[target_feature(enable = "neon")]
unsafe fn any_window(args: &F32DepthwiseArgs, channel: usize, pixel: usize) {
    // SAFETY: as for `segment`.
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
        finish(args, channel, pixel, &[acc]);
    }
}

/// # Safety
/// As [`MicroKernel::run`]; the row has the pixels.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish<const PIXELS: usize>(
    args: &F32DepthwiseArgs,
    channel: usize,
    pixel: usize,
    acc: &[float32x4_t; PIXELS],
) {
    let mut acc = *acc;
    // SAFETY: `args.slopes` is null or covers the block; whole vectors are stored only where the block is whole.
    unsafe {
        if !args.slopes.is_null() {
            let slopes = vld1q_f32(args.slopes.add(channel));
            acc = acc.map(|x| vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slopes), x));
        }
        let (min, max) = (vdupq_n_f32(args.min), vdupq_n_f32(args.max));
        acc = acc.map(|x| vminq_f32(vmaxq_f32(x, min), max));
        let c = args.c.add(pixel * args.c_stride + channel);
        let left = args.channels - channel;
        for (p, &x) in acc.iter().enumerate() {
            let c = c.add(p * args.c_stride);
            if left >= NR {
                vst1q_f32(c, x);
            } else {
                let mut tail = [0.0_f32; NR];
                vst1q_f32(tail.as_mut_ptr(), x);
                std::ptr::copy_nonoverlapping(tail.as_ptr(), c, left);
            }
        }
    }
}
