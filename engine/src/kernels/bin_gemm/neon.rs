//! One-bit tiles for 64-bit ARM.

use std::arch::aarch64::{
    int32x4_t, uint8x16_t, uint32x4_t, vaddq_s32, vaddq_u8, vcntq_u8, vcombine_u64, vcreate_u64,
    vdupq_n_s32, vdupq_n_u8, vdupq_n_u32, veorq_u8, vld1q_s32, vld1q_u64, vpadalq_u16, vpaddlq_u8,
    vpaddq_u16, vreinterpretq_s32_u32, vreinterpretq_u8_u64, vshlq_n_s32, vsubq_s32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{requantize, store_8};

/// Four rows by four columns of 128-bit groups: EOR, CNT and a byte-wise ADD per 128 products; the bytes are
/// widened only every 31 groups (31 * 8 = 248 still fits), by pairwise adds that leave one column per lane.
pub(crate) static GEMM_4X4: BinGemm = MicroKernel {
    name: "bin_gemm_4x4_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    run: gemm_4x4,
};

const MR: usize = 4;
const NR: usize = 4;
/// 64-bit words of a group.
const KR: usize = 2;
/// Groups whose bit counts fit a byte.
const GROUPS_PER_BYTE: usize = 31;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `words` words, `w` a whole panel (words
    // padded to KR with zeros), `c` `rows` rows of `cols` elements. NEON is part of the architecture.
    unsafe {
        let bias = vld1q_s32(args.w.cast::<i32>());
        let mut w = args.w.add(NR / 2);
        let mut counts = [vdupq_n_u32(0); MR];
        let mut bytes = [[vdupq_n_u8(0); NR]; MR];
        let mut pending = 0;
        for tap in 0..args.taps {
            let rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            let mut k = 0;
            while k < args.words {
                if pending == GROUPS_PER_BYTE {
                    widen(&mut counts, &mut bytes);
                    pending = 0;
                }
                let columns: [uint8x16_t; NR] =
                    std::array::from_fn(|j| vreinterpretq_u8_u64(vld1q_u64(w.add(KR * j))));
                for (bytes, row) in bytes.iter_mut().zip(rows) {
                    let a = load_group(row.add(k), args.words - k);
                    for (bytes, &column) in bytes.iter_mut().zip(&columns) {
                        *bytes = vaddq_u8(*bytes, vcntq_u8(veorq_u8(a, column)));
                    }
                }
                w = w.add(KR * NR);
                k += KR;
                pending += 1;
            }
        }
        widen(&mut counts, &mut bytes);
        for (r, &count) in counts.iter().enumerate().take(args.rows) {
            store_row(args, r, bias, count);
        }
    }
}

/// A group of a row; the second word of a last, single one is 0 like its weights.
///
/// # Safety
/// `row` is readable for `left` words.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn load_group(row: *const u64, left: usize) -> uint8x16_t {
    // SAFETY: as above.
    let group = unsafe {
        if left >= KR { vld1q_u64(row) } else { vcombine_u64(vcreate_u64(*row), vcreate_u64(0)) }
    };
    vreinterpretq_u8_u64(group)
}

/// Adds the byte counts of each row to its four columns' sums, and clears them.
#[inline]
#[target_feature(enable = "neon")]
fn widen(counts: &mut [uint32x4_t; MR], bytes: &mut [[uint8x16_t; NR]; MR]) {
    for (count, bytes) in counts.iter_mut().zip(bytes) {
        let low = vpaddq_u16(vpaddlq_u8(bytes[0]), vpaddlq_u8(bytes[1]));
        let high = vpaddq_u16(vpaddlq_u8(bytes[2]), vpaddlq_u8(bytes[3]));
        *count = vpadalq_u16(*count, vpaddq_u16(low, high));
        *bytes = [vdupq_n_u8(0); NR];
    }
}

/// # Safety
/// `args` as in [`gemm_4x4`], `r < args.rows`.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store_row(args: &BinGemmArgs, r: usize, bias: int32x4_t, count: uint32x4_t) {
    // SAFETY: as above; `row_bias`, when not null, has MR pointers to NR elements.
    unsafe {
        let bits = vdupq_n_s32(args.bits as i32);
        let twice = vshlq_n_s32::<1>(vreinterpretq_s32_u32(count));
        let mut acc = vaddq_s32(vshlq_n_s32::<8>(vsubq_s32(bits, twice)), bias);
        if !args.row_bias.is_null() {
            acc = vaddq_s32(acc, vld1q_s32(*args.row_bias.add(r)));
        }
        let q = requantize(&args.requant, 0, acc);
        store_8(q, q, args.c.add(r * args.c_stride), args.cols);
    }
}
