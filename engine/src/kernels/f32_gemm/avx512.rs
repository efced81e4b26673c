//! fp32 tiles for AVX-512.

use std::arch::x86_64::{
    __m512, __mmask16, _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps,
    _mm512_mask_mul_ps, _mm512_mask_storeu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_set1_ps,
    _mm512_setzero_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, each_tile};

/// Twelve rows by thirty-two columns: 24 accumulators, 2 registers of weights, one broadcast.
pub(crate) static GEMM_12X32: F32Gemm = MicroKernel {
    name: "f32_gemm_12x32_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: 12, nr: 32, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 12, gemm::<12, 2>) },
};

/// Sixteen rows by sixteen columns, for layers of few channels.
pub(crate) static GEMM_16X16: F32Gemm = MicroKernel {
    name: "f32_gemm_16x16_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: 16, nr: 16, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 16, gemm::<16, 1>) },
};

const LANES: usize = 16;

/// # Safety
/// As [`MicroKernel::run`], for a tile of `MR` by `16 * VECTORS`.
#[target_feature(enable = "avx512f")]
unsafe fn gemm<const MR: usize, const VECTORS: usize>(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args` and for AVX-512: `a` has taps * MR pointers to `channels` elements, `w` a
    // whole panel, `c` `rows` rows of `cols` elements.
    unsafe {
        let load = |w: *const f32| -> [__m512; VECTORS] {
            std::array::from_fn(|v| _mm512_loadu_ps(w.add(LANES * v)))
        };
        let mut acc = [load(args.w); MR];
        let mut w = args.w.add(LANES * VECTORS);
        for tap in 0..args.taps {
            let rows: [*const f32; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in 0..args.channels {
                let weights = load(w);
                for (acc, row) in acc.iter_mut().zip(rows) {
                    let a = _mm512_set1_ps(*row.add(k));
                    for (acc, &weights) in acc.iter_mut().zip(&weights) {
                        *acc = _mm512_fmadd_ps(a, weights, *acc);
                    }
                }
                w = w.add(LANES * VECTORS);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            store_row(args, acc, args.c.add(r * args.c_stride));
        }
    }
}

/// # Safety
/// `c` is writable for `args.cols` elements; `args.slopes` is null or covers all columns.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn store_row<const VECTORS: usize>(
    args: &F32GemmArgs,
    acc: &[__m512; VECTORS],
    c: *mut f32,
) {
    for (v, &x) in acc.iter().enumerate() {
        let first = LANES * v;
        if first >= args.cols {
            break;
        }
        let left = (args.cols - first).min(LANES);
        let mask = (u32::MAX >> (32 - left)) as __mmask16;
        // SAFETY: as above; the mask keeps the store within `cols`.
        unsafe {
            let mut x = x;
            if !args.slopes.is_null() {
                let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
                x = _mm512_mask_mul_ps(x, negative, x, _mm512_loadu_ps(args.slopes.add(first)));
            }
            x = _mm512_max_ps(x, _mm512_set1_ps(args.min));
            x = _mm512_min_ps(x, _mm512_set1_ps(args.max));
            _mm512_mask_storeu_ps(c.add(first), mask, x);
        }
    }
}
