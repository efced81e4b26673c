//! fp32 tiles for AVX2.

use std::arch::x86_64::{
    __m256, _mm256_blendv_ps, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, each_tile};

/// Six rows by sixteen columns: 12 accumulators, 2 registers of weights, one broadcast.
pub(crate) static GEMM_6X16: F32Gemm = MicroKernel {
    name: "f32_gemm_6x16_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_6x16) },
};

const MR: usize = 6;
const NR: usize = 16;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn gemm_6x16(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args` and for AVX2: `a` has taps * MR pointers to `channels` elements, `w` a whole
    // panel, `c` `rows` rows of `cols` elements.
    unsafe {
        let bias = [_mm256_loadu_ps(args.w), _mm256_loadu_ps(args.w.add(8))];
        let mut acc = [bias; MR];
        let mut w = args.w.add(NR);
        for tap in 0..args.taps {
            let rows: [*const f32; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in 0..args.channels {
                let (w0, w1) = (_mm256_loadu_ps(w), _mm256_loadu_ps(w.add(8)));
                for (acc, row) in acc.iter_mut().zip(rows) {
                    let a = _mm256_broadcast_ss(&*row.add(k));
                    acc[0] = _mm256_fmadd_ps(a, w0, acc[0]);
                    acc[1] = _mm256_fmadd_ps(a, w1, acc[1]);
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
#[target_feature(enable = "avx2")]
unsafe fn store_row(args: &F32GemmArgs, acc: &[__m256; 2], c: *mut f32) {
    // SAFETY: as above; the whole vectors go to `c` only when all NR columns are wanted.
    unsafe {
        let mut row = *acc;
        for (half, x) in row.iter_mut().enumerate() {
            if !args.slopes.is_null() {
                let scaled = _mm256_mul_ps(*x, _mm256_loadu_ps(args.slopes.add(8 * half)));
                *x = _mm256_blendv_ps(*x, scaled, *x);
            }
            *x = _mm256_max_ps(*x, _mm256_set1_ps(args.min));
            *x = _mm256_min_ps(*x, _mm256_set1_ps(args.max));
        }
        if args.cols == NR {
            _mm256_storeu_ps(c, row[0]);
            _mm256_storeu_ps(c.add(8), row[1]);
        } else {
            let mut tail = [0.0_f32; NR];
            _mm256_storeu_ps(tail.as_mut_ptr(), row[0]);
            _mm256_storeu_ps(tail.as_mut_ptr().add(8), row[1]);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, args.cols);
        }
    }
}
