//! fp32 depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32,
    vmulq_f32, vst1q_f32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Eight channels and four pixels at a time, so that a weight serves four pixels and a multiply-accumulate need not wait
/// for the one before.
pub(crate) static DEPTHWISE_8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_8x4_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;
/// Pixels that share a loaded weight.
const PIXELS: usize = 4;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise_8(args: &F32DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`: `a` has pixels * taps pointers to `channels` elements followed by at
    // least seven readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements.
    unsafe {
        for channel in (0..args.channels).step_by(NR) {
            let w = args.w.add(channel * (args.taps + 1));
            let bias = [vld1q_f32(w), vld1q_f32(w.add(4))];
            for pixel in (0..args.pixels).step_by(PIXELS) {
                // Behind the last pixel it is computed once more.
                let at: [usize; PIXELS] = std::array::from_fn(|p| (pixel + p).min(args.pixels - 1));
                let rows = at.map(|at| args.a.add(at * args.taps));
                let mut acc = [bias; PIXELS];
                for tap in 0..args.taps {
                    let w = w.add((tap + 1) * NR);
                    let weights = [vld1q_f32(w), vld1q_f32(w.add(4))];
                    for (acc, rows) in acc.iter_mut().zip(rows) {
                        let row = (*rows.add(tap)).add(channel);
                        acc[0] = vfmaq_f32(acc[0], vld1q_f32(row), weights[0]);
                        acc[1] = vfmaq_f32(acc[1], vld1q_f32(row.add(4)), weights[1]);
                    }
                }
                for (acc, at) in acc.into_iter().zip(at) {
                    finish(args, channel, acc, args.c.add(at * args.c_stride + channel));
                }
            }
        }
    }
}

/// # Safety
/// `c` is writable for the channels from `channel` on, at most NR; `args.slopes` is null or covers the block.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish(args: &F32DepthwiseArgs, channel: usize, mut acc: [float32x4_t; 2], c: *mut f32) {
    // SAFETY: as above; the whole vectors go to `c` only when the block is whole.
    unsafe {
        for (half, x) in acc.iter_mut().enumerate() {
            if !args.slopes.is_null() {
                let scaled = vmulq_f32(*x, vld1q_f32(args.slopes.add(channel + 4 * half)));
                *x = vbslq_f32(vcltzq_f32(*x), scaled, *x);
            }
            *x = vminq_f32(vmaxq_f32(*x, vdupq_n_f32(args.min)), vdupq_n_f32(args.max));
        }
        let left = args.channels - channel;
        if left >= NR {
            vst1q_f32(c, acc[0]);
            vst1q_f32(c.add(4), acc[1]);
        } else {
            let mut tail = [0.0_f32; NR];
            vst1q_f32(tail.as_mut_ptr(), acc[0]);
            vst1q_f32(tail.as_mut_ptr().add(4), acc[1]);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, left);
        }
    }
}
