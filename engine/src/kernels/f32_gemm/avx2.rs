//! fp32 tiles for AVX2.

use std::arch::x86_64::{
    __m256, _mm256_blendv_ps, _mm256_broadcast_ss, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps,
    _mm256_min_ps, _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, F32Gemm, F32GemmArgs, MicroKernel, Tile};

/// Six rows by sixteen columns: 12 accumulators, 2 registers of weights, one broadcast. A step is 12 multiply-adds, 6 cycles,
/// with 8 loads beside them. A last tile of fewer rows has a loop of its own, and so has a last panel of eight columns or fewer.
pub(crate) static GEMM_6X16: F32Gemm = MicroKernel {
    name: "f32_gemm_6x16_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 6, nr: 16, kr: 1 },
    run: gemm_6x16,
};

/// One row by 64 columns, for vectors: 8 accumulators, as many as multiply-adds in flight, and weights that are read from
/// memory once, in order.
pub(crate) static GEMM_1X64: F32Gemm = MicroKernel {
    name: "f32_gemm_1x64_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 1, nr: 64, kr: 1 },
    run: gemm_1x64,
};

/// Elements of a vector.
const LANES: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn gemm_6x16(args: &F32GemmArgs) {
    for index in 0..args.rows.div_ceil(6) {
        // SAFETY: the caller vouches for `args`, so for each tile of it.
        unsafe {
            let tile = args.tile(index, 6);
            if tile.cols > LANES { tile_6x16::<2>(&tile) } else { tile_6x16::<1>(&tile) }
        }
    }
}

/// The first `V` vectors of columns of a tile.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of so many columns.
#[target_feature(enable = "avx2,fma")]
unsafe fn tile_6x16<const V: usize>(tile: &F32GemmArgs) {
    // SAFETY: the caller vouches for the tile.
    unsafe {
        match tile.rows {
            1 => rows::<1, V, 6, 16>(tile),
            2 => rows::<2, V, 6, 16>(tile),
            3 => rows::<3, V, 6, 16>(tile),
            4 => rows::<4, V, 6, 16>(tile),
            5 => rows::<5, V, 6, 16>(tile),
            _ => rows::<6, V, 6, 16>(tile),
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn gemm_1x64(args: &F32GemmArgs) {
    for index in 0..args.rows {
        // SAFETY: the caller vouches for `args`, so for each row of it.
        unsafe { rows::<1, 8, 1, 64>(&args.tile(index, 1)) };
    }
}

/// `R` rows of a tile of `MR`, by the first `V` vectors of its `NR` columns.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of `R` rows and no more columns than those.
#[target_feature(enable = "avx2,fma")]
unsafe fn rows<const R: usize, const V: usize, const MR: usize, const NR: usize>(
    args: &F32GemmArgs,
) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements, `w` a whole panel, `c` R rows
    // of `cols` elements.
    unsafe {
        let mut acc = [vectors::<V>(args.w); R];
        let mut w = args.w.add(NR);
        for tap in 0..args.taps {
            let rows = *args.a.add(tap * MR).cast::<[*const f32; R]>();
            for k in 0..args.channels {
                let weights = vectors::<V>(w);
                for r in 0..R {
                    let a = _mm256_broadcast_ss(&*rows[r].add(k));
                    for v in 0..V {
                        acc[r][v] = _mm256_fmadd_ps(a, weights[v], acc[r][v]);
                    }
                }
                w = w.add(NR);
            }
        }
        for (r, &acc) in acc.iter().enumerate() {
            store_row(args, acc, args.c.add(r * args.c_stride));
        }
    }
}

/// `V` vectors from `p` on. (No closures nor arrays by value in loops here: what calls and drops them
/// has not the instructions, so it may stay a call.)
///
/// # Safety
/// `p` is readable for them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn vectors<const V: usize>(p: *const f32) -> [__m256; V] {
    let mut all = [_mm256_setzero_ps(); V];
    for (v, vector) in all.iter_mut().enumerate() {
        // SAFETY: the caller vouches for it.
        *vector = unsafe { _mm256_loadu_ps(p.add(LANES * v)) };
    }
    all
}

/// # Safety
/// `c` is writable for `args.cols` elements; `args.slopes` is null or as long as the panel is wide.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_row<const V: usize>(args: &F32GemmArgs, mut row: [__m256; V], c: *mut f32) {
    let (min, max) = (_mm256_set1_ps(args.min), _mm256_set1_ps(args.max));
    // SAFETY: as above; vectors go to `c` only where all their columns are wanted.
    unsafe {
        if !args.slopes.is_null() {
            for (v, x) in row.iter_mut().enumerate() {
                let slopes = _mm256_loadu_ps(args.slopes.add(LANES * v));
                *x = _mm256_blendv_ps(*x, _mm256_mul_ps(*x, slopes), *x);
            }
        }
        for (v, &x) in row.iter().enumerate() {
            let x = _mm256_min_ps(_mm256_max_ps(x, min), max);
            let first = LANES * v;
            if first + LANES <= args.cols {
                _mm256_storeu_ps(c.add(first), x);
            } else if first < args.cols {
                let mut tail = [0.0_f32; LANES];
                _mm256_storeu_ps(tail.as_mut_ptr(), x);
                std::ptr::copy_nonoverlapping(tail.as_ptr(), c.add(first), args.cols - first);
            }
        }
    }
}
