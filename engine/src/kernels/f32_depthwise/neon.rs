//! fp32 depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_f32, vld1q_f32, vmaxq_f32, vminq_f32,
    vmulq_f32, vst1q_f32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise_8(args: &F32DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`: `a` has pixels * taps pointers to `channels` elements followed by at
    // least seven readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements.
    unsafe {
        for pixel in 0..args.pixels {
            let rows = args.a.add(pixel * args.taps);
            let c = args.c.add(pixel * args.c_stride);
            let mut w = args.w;
            let mut channel = 0;
            while channel < args.channels {
                let mut acc = [vld1q_f32(w), vld1q_f32(w.add(4))];
                w = w.add(NR);
                for tap in 0..args.taps {
                    let row = (*rows.add(tap)).add(channel);
                    acc[0] = vfmaq_f32(acc[0], vld1q_f32(row), vld1q_f32(w));
                    acc[1] = vfmaq_f32(acc[1], vld1q_f32(row.add(4)), vld1q_f32(w.add(4)));
                    w = w.add(NR);
                }
                finish(args, channel, acc, c.add(channel));
                channel += NR;
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
