//! One-bit tiles for AVX2.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi8, _mm256_add_epi64, _mm256_and_si256, _mm256_loadu_si256,
    _mm256_sad_epu8, _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setr_epi8, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256, _mm256_xor_si256,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant::requantize_one;

/// Four rows by four columns, one column per 64-bit lane. Bits are counted per nibble by table
/// (W. Muła, N. Kurz, D. Lemire, "Faster population counts using AVX2 instructions", arXiv:1611.07612); byte counts
/// are widened every 31 words.
pub(crate) static GEMM_4X4: BinGemm = MicroKernel {
    name: "bin_gemm_4x4_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x4) },
};

const MR: usize = 4;
const NR: usize = 4;
/// Words whose bit counts fit a byte.
const WORDS_PER_BYTE: usize = 31;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn gemm_4x4(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args` and for AVX2: `a` has taps * MR pointers to `words` words, `w` is a whole
    // panel.
    unsafe {
        let mut counts = [_mm256_setzero_si256(); MR];
        let mut bytes = [_mm256_setzero_si256(); MR];
        let mut pending = 0;
        let mut w = args.w.add(NR / 2);
        for tap in 0..args.taps {
            let rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in 0..args.words {
                if pending == WORDS_PER_BYTE {
                    widen(&mut counts, &mut bytes);
                    pending = 0;
                }
                let weights = _mm256_loadu_si256(w.cast());
                for (bytes, row) in bytes.iter_mut().zip(rows) {
                    let a = _mm256_set1_epi64x(*row.add(k) as i64);
                    let differing = popcount_bytes(_mm256_xor_si256(a, weights));
                    *bytes = _mm256_add_epi8(*bytes, differing);
                }
                w = w.add(NR);
                pending += 1;
            }
        }
        widen(&mut counts, &mut bytes);
        for (r, &counts) in counts.iter().enumerate().take(args.rows) {
            store_row(args, r, counts);
        }
    }
}

/// Set bits of each byte.
#[inline]
#[target_feature(enable = "avx2")]
fn popcount_bytes(x: __m256i) -> __m256i {
    let table = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3,
        3, 4,
    );
    let nibble = _mm256_set1_epi8(15);
    let low = _mm256_shuffle_epi8(table, _mm256_and_si256(x, nibble));
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(x), nibble);
    _mm256_add_epi8(low, _mm256_shuffle_epi8(table, high))
}

/// Adds the byte counts to the columns' sums, and clears them.
#[inline]
#[target_feature(enable = "avx2")]
fn widen(counts: &mut [__m256i; MR], bytes: &mut [__m256i; MR]) {
    for (count, bytes) in counts.iter_mut().zip(bytes) {
        let zero = _mm256_setzero_si256();
        *count = _mm256_add_epi64(*count, _mm256_sad_epu8(*bytes, zero));
        *bytes = zero;
    }
}

/// # Safety
/// `args` as above, `r < args.rows`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_row(args: &BinGemmArgs, r: usize, counts: __m256i) {
    let mut columns = [0_u64; NR];
    // SAFETY: the panel starts with NR biases; `row_bias`, when not null, has MR pointers to NR corrections.
    unsafe {
        _mm256_storeu_si256(columns.as_mut_ptr().cast(), counts);
        let bias = args.w.cast::<i32>();
        for (j, &count) in columns.iter().enumerate().take(args.cols) {
            let mut acc = args.accumulate(count as u32, *bias.add(j));
            if !args.row_bias.is_null() {
                acc = acc.wrapping_add(*(*args.row_bias.add(r)).add(j));
            }
            if args.sums.is_null() {
                *args.c.add(r * args.c_stride + j) = requantize_one(&args.requant, j, acc);
            } else {
                args.store_sums(r, j, &[acc]);
            }
        }
    }
}
