//! 8-bit tiles for 64-bit ARM cores that reorder instructions and have no SDOT.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vaddq_s32, vdupq_n_s8, vdupq_n_s32, vget_low_s8, vld1q_s8, vld1q_s32,
    vmlal_high_s8, vmull_s8, vpadalq_s16, vpaddq_s32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by four columns, sixteen channels at a time: SMULL and SMLAL2 add two products of eight lanes in 16 bits, SADALP adds
/// pairs of them to 32 bits.
///
/// A Cortex-A72 multiplies in one of its two pipes, eight products of 8 bits per cycle but only four of 16 bits, and adds (SADALP)
/// in the other: 256 products take 32 cycles, 8 MAC per cycle. So tiles by lane (SMLAL of 16 bits), which the in-order cores have,
/// would take twice as long, and sums of four products in 16 bits would save nothing. A last tile of fewer rows has a loop
/// of its own.
pub(crate) static GEMM_4X4: I8Gemm = MicroKernel {
    name: "i8_gemm_4x4c16_neon_ooo",
    isa: Isa::NeonOoo,
    tile: Tile { mr: MR, nr: NR, kr: KR },
    run: gemm_4x4,
};

const MR: usize = 4;
const NR: usize = 4;
const KR: usize = 16;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &I8GemmArgs) {
    for index in 0..args.rows.div_ceil(MR) {
        // SAFETY: the caller vouches for `args`, so for each tile of it.
        unsafe {
            let tile = args.tile(index, MR);
            match tile.rows {
                1 => rows::<1>(&tile),
                2 => rows::<2>(&tile),
                3 => rows::<3>(&tile),
                _ => rows::<4>(&tile),
            }
        }
    }
}

/// `R` rows of a tile.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of `R` rows.
#[target_feature(enable = "neon")]
#[expect(clippy::needless_range_loop, reason = "iterators over vectors may stay calls here")]
unsafe fn rows<const R: usize>(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least fifteen readable
    // ones (SLACK), which meet zero weights; `w` is a whole panel, `c` R rows of `cols` elements, the arrays of `requant` have
    // NR elements.
    unsafe {
        let mut acc = [[vdupq_n_s32(0); NR]; R];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let rows = *args.a.add(tap * MR).cast::<[*const i8; R]>();
            for k in (0..args.channels).step_by(KR) {
                let mut a = [vdupq_n_s8(0); R];
                for r in 0..R {
                    a[r] = vld1q_s8(rows[r].add(k));
                }
                for j in 0..NR {
                    let weights = vld1q_s8(w.add(KR * j));
                    for r in 0..R {
                        acc[r][j] = multiply_add(acc[r][j], a[r], weights);
                    }
                }
                w = w.add(KR * NR);
            }
        }
        let bias = vld1q_s32(args.w.cast());
        let mut sums = [bias; MR];
        for r in 0..R {
            let [a, b, c, d] = acc[r];
            sums[r] = vaddq_s32(bias, vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
        }
        store_4x4(&args.requant, sums, args.c, args.c_stride, (R, args.cols));
    }
}

/// Adds sixteen products, four to a lane. Two of them fit 16 bits, as weights are -127..=127.
#[inline]
#[target_feature(enable = "neon")]
fn multiply_add(acc: int32x4_t, a: int8x16_t, w: int8x16_t) -> int32x4_t {
    vpadalq_s16(acc, vmlal_high_s8(vmull_s8(vget_low_s8(a), vget_low_s8(w)), a, w))
}
