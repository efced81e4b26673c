//! One-bit tiles for AVX-512.

use std::arch::x86_64::{
    __m512i, _mm256_add_epi32, _mm256_loadu_si256, _mm256_set1_epi32, _mm256_slli_epi32,
    _mm256_sub_epi32, _mm512_add_epi64, _mm512_cvtepi64_epi32, _mm512_loadu_si512,
    _mm512_popcnt_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_xor_si512,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile};
use crate::kernels::requant_avx2::{requantize_8, store_8};

/// Eight rows by eight columns, one column per 64-bit lane: VPXORQ, VPOPCNTQ and VPADDQ per 512 products.
pub(crate) static GEMM_8X8: BinGemm = MicroKernel {
    name: "bin_gemm_8x8_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_8x8,
};

const MR: usize = 8;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq,avx2")]
unsafe fn gemm_8x8(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args` and for the features: `a` has taps * MR pointers to `words` words, `w` is a
    // whole panel.
    unsafe {
        let mut counts = [_mm512_setzero_si512(); MR];
        let mut w = args.w.add(NR / 2);
        for tap in 0..args.taps {
            let rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in 0..args.words {
                let weights = _mm512_loadu_si512(w.cast());
                for (count, row) in counts.iter_mut().zip(rows) {
                    let a = _mm512_set1_epi64(*row.add(k) as i64);
                    let differing = _mm512_popcnt_epi64(_mm512_xor_si512(a, weights));
                    *count = _mm512_add_epi64(*count, differing);
                }
                w = w.add(NR);
            }
        }
        for (r, &count) in counts.iter().enumerate().take(args.rows) {
            store_row(args, r, count);
        }
    }
}

/// # Safety
/// `args` as above, `r < args.rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx2")]
unsafe fn store_row(args: &BinGemmArgs, r: usize, count: __m512i) {
    let twice = _mm256_slli_epi32::<1>(_mm512_cvtepi64_epi32(count));
    let product = _mm256_sub_epi32(_mm256_set1_epi32(args.bits as i32), twice);
    // SAFETY: the panel starts with NR biases; `row_bias`, when not null, has MR pointers to NR corrections; `c` is
    // writable for `cols` elements.
    unsafe {
        let bias = _mm256_loadu_si256(args.w.cast());
        let mut acc = _mm256_add_epi32(_mm256_slli_epi32::<8>(product), bias);
        if !args.row_bias.is_null() {
            let row_bias = _mm256_loadu_si256((*args.row_bias.add(r)).cast());
            acc = _mm256_add_epi32(acc, row_bias);
        }
        let q = requantize_8(&args.requant, 0, acc);
        store_8(q, args.c.add(r * args.c_stride), args.cols);
    }
}
