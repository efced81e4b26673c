//! 4-bit tiles for 64-bit ARM.

use std::arch::aarch64::{
    int8x16_t, int16x8_t, int32x4_t, vaddq_s32, vdupq_n_s16, vdupq_n_s32, vget_low_s8, vld1q_s8,
    vld1q_s32, vmlal_high_s8, vmlal_s8, vpadalq_s16, vpaddq_s32, vshlq_n_s8, vshrq_n_s8,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{requantize, store_8};

/// Four rows by four columns, sixteen channels of a row and of a column per SMLAL and SMLAL2. Products of 8 and 4 bits
/// leave room for 36 of them in a 16-bit lane, so the widening that costs 8-bit kernels every other instruction comes
/// once in 288 channels. 32 channels of a column unpack with three shifts for four rows.
pub(crate) static GEMM_4X4: I8Gemm = MicroKernel {
    name: "i4_gemm_4x4_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: KR },
    run: gemm_4x4,
};

const MR: usize = 4;
const NR: usize = 4;
const KR: usize = 32;
/// Steps of KR channels after which 16-bit lanes are full: each adds four products of at most 7 * 128.
const STEPS: usize = 9;

type Narrow = [[int16x8_t; NR]; MR];
type Wide = [[int32x4_t; NR]; MR];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least 31
    // readable ones (SLACK), which meet zero weights; `w` is a whole panel, `c` `rows` rows of `cols` elements.
    unsafe {
        let mut wide: Wide = [[vdupq_n_s32(0); NR]; MR];
        let mut narrow: Narrow = [[vdupq_n_s16(0); NR]; MR];
        let mut room = STEPS;
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let rows: [*const i8; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in (0..args.channels).step_by(KR) {
                step(&mut narrow, rows.map(|row| row.add(k)), w);
                w = w.add(NR * KR / 2);
                room -= 1;
                if room == 0 {
                    widen(&mut wide, &mut narrow);
                    room = STEPS;
                }
            }
        }
        widen(&mut wide, &mut narrow);
        let bias = vld1q_s32(args.w.cast());
        for (r, wide) in wide.iter().enumerate().take(args.rows) {
            let pairs = [vpaddq_s32(wide[0], wide[1]), vpaddq_s32(wide[2], wide[3])];
            let acc = vaddq_s32(vpaddq_s32(pairs[0], pairs[1]), bias);
            let q = requantize(&args.requant, 0, acc);
            store_8(q, q, args.c.add(r * args.c_stride), args.cols);
        }
    }
}

/// Adds the products of KR channels.
///
/// # Safety
/// Each row is readable for KR elements, `w` for NR columns of KR weights.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn step(narrow: &mut Narrow, rows: [*const i8; MR], w: *const i8) {
    // SAFETY: as above.
    unsafe {
        let first: [int8x16_t; MR] = std::array::from_fn(|r| vld1q_s8(rows[r]));
        let second: [int8x16_t; MR] = std::array::from_fn(|r| vld1q_s8(rows[r].add(16)));
        for j in 0..NR {
            let packed = vld1q_s8(w.add(16 * j));
            let (low, high) = (vshrq_n_s8::<4>(vshlq_n_s8::<4>(packed)), vshrq_n_s8::<4>(packed));
            for r in 0..MR {
                let mut acc = narrow[r][j];
                acc = vmlal_s8(acc, vget_low_s8(first[r]), vget_low_s8(low));
                acc = vmlal_high_s8(acc, first[r], low);
                acc = vmlal_s8(acc, vget_low_s8(second[r]), vget_low_s8(high));
                narrow[r][j] = vmlal_high_s8(acc, second[r], high);
            }
        }
    }
}

/// Moves the sums of 16-bit lanes to 32-bit ones.
#[inline]
#[target_feature(enable = "neon")]
fn widen(wide: &mut Wide, narrow: &mut Narrow) {
    for (wide, narrow) in wide.iter_mut().flatten().zip(narrow.iter_mut().flatten()) {
        *wide = vpadalq_s16(*wide, *narrow);
        *narrow = vdupq_n_s16(0);
    }
}
