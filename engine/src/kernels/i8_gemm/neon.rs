//! 8-bit tiles for 64-bit ARM.

use std::arch::aarch64::{
    int16x8_t, int32x4_t, vdupq_n_s16, vget_low_s8, vget_low_s16, vld1_s8, vld1q_s8, vld1q_s32,
    vmlal_high_laneq_s16, vmlal_laneq_s16, vmovl_high_s8, vmovl_s8,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_neon::{requantize, store_8};

/// Four rows by sixteen columns, multiply-accumulate by lane: a column of weights is widened once for four rows,
/// eight channels of a row once for sixteen columns. 64 products take 16 SMLAL and 2 SSHLL.
pub(crate) static GEMM_4X16: I8Gemm = MicroKernel {
    name: "i8_gemm_4x16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x16) },
};

const MR: usize = 4;
const NR: usize = 16;

type Accumulators = [[int32x4_t; 4]; MR];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x16(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least
    // seven readable ones (SLACK), `w` a whole panel, `c` `rows` rows of `cols` elements. NEON is part of the
    // architecture.
    unsafe {
        let bias = args.w.cast::<i32>();
        let bias: [int32x4_t; 4] = std::array::from_fn(|j| vld1q_s32(bias.add(4 * j)));
        let mut acc: Accumulators = [bias; MR];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let rows: [*const i8; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            let mut k = 0;
            while k + 8 <= args.channels {
                let a = load_rows(&rows, k);
                step::<0>(&mut acc, &a, w);
                step::<1>(&mut acc, &a, w.add(NR));
                step::<2>(&mut acc, &a, w.add(2 * NR));
                step::<3>(&mut acc, &a, w.add(3 * NR));
                step::<4>(&mut acc, &a, w.add(4 * NR));
                step::<5>(&mut acc, &a, w.add(5 * NR));
                step::<6>(&mut acc, &a, w.add(6 * NR));
                step::<7>(&mut acc, &a, w.add(7 * NR));
                w = w.add(8 * NR);
                k += 8;
            }
            if k < args.channels {
                w = remainder(&mut acc, &load_rows(&rows, k), w, args.channels - k);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            store_row(args, acc, args.c.add(r * args.c_stride));
        }
    }
}

/// Eight channels of each row, widened to 16 bits.
///
/// # Safety
/// Each row is readable for `k + 8` elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_rows(rows: &[*const i8; MR], k: usize) -> [int16x8_t; MR] {
    let mut wide = [vdupq_n_s16(0); MR];
    for (wide, row) in wide.iter_mut().zip(rows) {
        // SAFETY: as above.
        *wide = unsafe { vmovl_s8(vld1_s8(row.add(k))) };
    }
    wide
}

/// Adds the products of channel `LANE` with its `NR` weights.
///
/// # Safety
/// `w` is readable for NR elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn step<const LANE: i32>(acc: &mut Accumulators, a: &[int16x8_t; MR], w: *const i8) {
    // SAFETY: as above.
    let w = unsafe { vld1q_s8(w) };
    let (low, high) = (vmovl_s8(vget_low_s8(w)), vmovl_high_s8(w));
    for (acc, &a) in acc.iter_mut().zip(a) {
        acc[0] = vmlal_laneq_s16::<LANE>(acc[0], vget_low_s16(low), a);
        acc[1] = vmlal_high_laneq_s16::<LANE>(acc[1], low, a);
        acc[2] = vmlal_laneq_s16::<LANE>(acc[2], vget_low_s16(high), a);
        acc[3] = vmlal_high_laneq_s16::<LANE>(acc[3], high, a);
    }
}

/// The last 1..=7 channels of a tap; returns the address after their weights.
///
/// # Safety
/// `w` is readable for `count * NR` elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn remainder(
    acc: &mut Accumulators,
    a: &[int16x8_t; MR],
    w: *const i8,
    count: usize,
) -> *const i8 {
    // SAFETY: as above, each step reads the weights of a lane below `count`.
    unsafe {
        step::<0>(acc, a, w);
        if count > 1 {
            step::<1>(acc, a, w.add(NR));
        }
        if count > 2 {
            step::<2>(acc, a, w.add(2 * NR));
        }
        if count > 3 {
            step::<3>(acc, a, w.add(3 * NR));
        }
        if count > 4 {
            step::<4>(acc, a, w.add(4 * NR));
        }
        if count > 5 {
            step::<5>(acc, a, w.add(5 * NR));
        }
        if count > 6 {
            step::<6>(acc, a, w.add(6 * NR));
        }
    }
    // SAFETY: stays within, or one past the end of, the weights.
    unsafe { w.add(count * NR) }
}

/// # Safety
/// `c` is writable for `args.cols` elements; the arrays of `args.requant` have NR elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_row(args: &I8GemmArgs, acc: &[int32x4_t; 4], c: *mut i8) {
    // SAFETY: as above.
    unsafe {
        let q: [int32x4_t; 4] = std::array::from_fn(|j| requantize(&args.requant, 4 * j, acc[j]));
        store_8(q[0], q[1], c, args.cols.min(8));
        if args.cols > 8 {
            store_8(q[2], q[3], c.add(8), args.cols - 8);
        }
    }
}
