//! fp32 tiles for 64-bit ARM.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_lane_f32, vfmaq_n_f32, vld1_f32,
    vld1q_f32, vmaxq_f32, vminq_f32, vmulq_f32, vst1q_f32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile};

/// Six rows by eight columns: 12 accumulators, 4 registers of weights, and rows read two channels at a time so
/// that one 64-bit load feeds four fused multiply-adds.
pub(crate) static GEMM_6X8: F32Gemm = MicroKernel {
    name: "f32_gemm_6x8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_6x8,
};

const MR: usize = 6;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_6x8(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements, `w` a whole panel,
    // `c` `rows` rows of `cols` elements, `slopes` is null or NR elements. NEON is part of the architecture.
    unsafe {
        let mut w = args.w.add(NR);
        let bias = [vld1q_f32(args.w), vld1q_f32(args.w.add(4))];
        let mut acc = [bias; MR];
        for tap in 0..args.taps {
            let rows: [*const f32; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            let mut k = 0;
            while k + 2 <= args.channels {
                let (w0, w1) = (vld1q_f32(w), vld1q_f32(w.add(4)));
                let (w2, w3) = (vld1q_f32(w.add(8)), vld1q_f32(w.add(12)));
                for (acc, row) in acc.iter_mut().zip(rows) {
                    let a = vld1_f32(row.add(k));
                    acc[0] = vfmaq_lane_f32::<0>(acc[0], w0, a);
                    acc[1] = vfmaq_lane_f32::<0>(acc[1], w1, a);
                    acc[0] = vfmaq_lane_f32::<1>(acc[0], w2, a);
                    acc[1] = vfmaq_lane_f32::<1>(acc[1], w3, a);
                }
                w = w.add(2 * NR);
                k += 2;
            }
            if k < args.channels {
                let (w0, w1) = (vld1q_f32(w), vld1q_f32(w.add(4)));
                for (acc, row) in acc.iter_mut().zip(rows) {
                    let a = *row.add(k);
                    acc[0] = vfmaq_n_f32(acc[0], w0, a);
                    acc[1] = vfmaq_n_f32(acc[1], w1, a);
                }
                w = w.add(NR);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            store_row(args, acc, args.c.add(r * args.c_stride));
        }
    }
}

/// # Safety
/// `c` is writable for `args.cols` elements; `args.slopes` is null or NR elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_row(args: &F32GemmArgs, acc: &[float32x4_t; 2], c: *mut f32) {
    // SAFETY: as above; the whole vectors go to `c` only when all NR columns are wanted.
    unsafe {
        let mut row = *acc;
        for (half, x) in row.iter_mut().enumerate() {
            if !args.slopes.is_null() {
                let scaled = vmulq_f32(*x, vld1q_f32(args.slopes.add(4 * half)));
                *x = vbslq_f32(vcltzq_f32(*x), scaled, *x);
            }
            *x = vminq_f32(vmaxq_f32(*x, vdupq_n_f32(args.min)), vdupq_n_f32(args.max));
        }
        if args.cols == NR {
            vst1q_f32(c, row[0]);
            vst1q_f32(c.add(4), row[1]);
        } else {
            let mut tail = [0.0_f32; NR];
            vst1q_f32(tail.as_mut_ptr(), row[0]);
            vst1q_f32(tail.as_mut_ptr().add(4), row[1]);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, args.cols);
        }
    }
}
