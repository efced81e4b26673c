//! 8-bit tiles for AVX2.

use std::arch::x86_64::{
    __m256i, _mm_cvtepi8_epi16, _mm_loadl_epi64, _mm_loadu_si128, _mm256_add_epi32,
    _mm256_broadcastsi128_si256, _mm256_cvtepi8_epi16, _mm256_hadd_epi32, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_permutevar8x32_epi32, _mm256_setr_epi32, _mm256_setzero_si256,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_avx2::{requantize_8, store_8};

/// Three rows by eight columns, eight channels at a time: both operands are widened to 16 bits and multiplied in
/// pairs by VPMADDWD, which is exact (VPMADDUBSW would saturate). The partial sums of a column meet at the end.
pub(crate) static GEMM_3X8: I8Gemm = MicroKernel {
    name: "i8_gemm_3x8c8_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: KR },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_3x8) },
};

const MR: usize = 3;
const NR: usize = 8;
const KR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn gemm_3x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args` and for AVX2: `a` has taps * MR pointers to `channels` elements followed by
    // at least seven readable ones (SLACK), which meet zero weights; `w` is a whole panel.
    unsafe {
        // acc[r][p] holds four partial sums of column 2p and four of column 2p + 1.
        let mut acc = [[_mm256_setzero_si256(); NR / 2]; MR];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let rows: [*const i8; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in (0..args.channels).step_by(KR) {
                let a: [__m256i; MR] = std::array::from_fn(|r| {
                    let eight = _mm_cvtepi8_epi16(_mm_loadl_epi64(rows[r].add(k).cast()));
                    _mm256_broadcastsi128_si256(eight)
                });
                for p in 0..NR / 2 {
                    let pair = _mm_loadu_si128(w.add(2 * KR * p).cast());
                    let pair = _mm256_cvtepi8_epi16(pair);
                    for (acc, &a) in acc.iter_mut().zip(&a) {
                        acc[p] = _mm256_add_epi32(acc[p], _mm256_madd_epi16(a, pair));
                    }
                }
                w = w.add(KR * NR);
            }
        }
        let bias = _mm256_loadu_si256(args.w.cast());
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            let x = _mm256_add_epi32(reduce(acc), bias);
            let q = requantize_8(&args.requant, 0, x);
            store_8(q, args.c.add(r * args.c_stride), args.cols);
        }
    }
}

/// The eight column sums in order.
#[inline]
#[target_feature(enable = "avx2")]
fn reduce(acc: &[__m256i; NR / 2]) -> __m256i {
    // hadd works within 128-bit halves: even columns gather in the low half, odd ones in the high half.
    let low = _mm256_hadd_epi32(acc[0], acc[1]);
    let high = _mm256_hadd_epi32(acc[2], acc[3]);
    let all = _mm256_hadd_epi32(low, high);
    _mm256_permutevar8x32_epi32(all, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
}
