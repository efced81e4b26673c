//! One-bit tiles for AVX-512.

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_epi64, _mm512_castsi256_si512, _mm512_cvtepi64_epi32,
    _mm512_inserti64x4, _mm512_loadu_si512, _mm512_mask_storeu_epi32, _mm512_popcnt_epi64,
    _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_slli_epi32,
    _mm512_sub_epi32, _mm512_xor_si512,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_avx512::{requantize_16, store_16};

/// Eight rows by sixteen columns, one column per 64-bit lane: VPXORQ, VPOPCNTQ and VPADDQ per 512 products.
pub(crate) static GEMM_8X16: BinGemm = MicroKernel {
    name: "bin_gemm_8x16_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_8x16) },
};

const MR: usize = 8;
const NR: usize = 16;
/// Columns of a register of counts.
const LANES: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512vpopcntdq")]
unsafe fn gemm_8x16(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args` and for the features: `a` has taps * MR pointers to `words` words, `w` is a
    // whole panel.
    unsafe {
        let mut counts = [[_mm512_setzero_si512(); NR / LANES]; MR];
        let mut w = args.w.add(NR / 2);
        for tap in 0..args.taps {
            let rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in 0..args.words {
                let weights = [0, LANES].map(|column| _mm512_loadu_si512(w.add(column).cast()));
                for (counts, row) in counts.iter_mut().zip(rows) {
                    let a = _mm512_set1_epi64(*row.add(k) as i64);
                    for (count, &weights) in counts.iter_mut().zip(&weights) {
                        let differing = _mm512_popcnt_epi64(_mm512_xor_si512(a, weights));
                        *count = _mm512_add_epi64(*count, differing);
                    }
                }
                w = w.add(NR);
            }
        }
        for (r, &counts) in counts.iter().enumerate().take(args.rows) {
            store_row(args, r, counts);
        }
    }
}

/// # Safety
/// `args` as above, `r < args.rows`.
#[inline]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
unsafe fn store_row(args: &BinGemmArgs, r: usize, [low, high]: [__m512i; NR / LANES]) {
    let low = _mm512_castsi256_si512(_mm512_cvtepi64_epi32(low));
    let count = _mm512_inserti64x4::<1>(low, _mm512_cvtepi64_epi32(high));
    let twice = _mm512_slli_epi32::<1>(count);
    let product = _mm512_sub_epi32(_mm512_set1_epi32(args.bits as i32), twice);
    // SAFETY: the panel starts with NR biases; `row_bias`, when not null, has MR pointers to NR corrections; `c` is
    // writable for `cols` elements.
    unsafe {
        let bias = _mm512_loadu_si512(args.w.cast());
        let mut acc = _mm512_add_epi32(_mm512_slli_epi32::<8>(product), bias);
        if !args.row_bias.is_null() {
            let row_bias = _mm512_loadu_si512((*args.row_bias.add(r)).cast());
            acc = _mm512_add_epi32(acc, row_bias);
        }
        if !args.sums.is_null() {
            let mask = if args.cols >= NR { u16::MAX } else { (1 << args.cols) - 1 };
            let sums = args.sums.add(r * args.c_stride);
            return _mm512_mask_storeu_epi32(sums, mask, acc);
        }
        let q = requantize_16(&args.requant, 0, acc);
        store_16(q, args.c.add(r * args.c_stride), args.cols);
    }
}
