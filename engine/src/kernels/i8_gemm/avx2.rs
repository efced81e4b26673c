//! 8-bit tiles for AVX2.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi32, _mm256_store_si256,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_avx2::{narrow, scale, store};

/// Six rows by sixteen columns, two channels at a time: VPMADDWD multiplies pairs of operands widened to 16 bits, 16 products
/// exactly. VPMADDUBSW has 32, but would saturate; made exact by signs, its sums of two still need a VPMADDWD to be widened,
/// on the same two ports.
///
/// A step is 12 multiplications (6 cycles on two ports) and 12 additions. Rows are widened in memory first, so that a pair
/// goes to every lane by a load alone. A last tile of fewer rows has a loop of its own.
pub(crate) static GEMM_6X16: I8Gemm = MicroKernel {
    name: "i8_gemm_6x16c2_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    run: gemm_6x16,
};

const MR: usize = 6;
const NR: usize = 16;
/// Channels of a row that are widened at a time.
const CHUNK: usize = 256;

/// Channels of some rows with 16 bits.
#[repr(C, align(32))]
struct Wide<const R: usize>([[i16; CHUNK]; R]);

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn gemm_6x16(args: &I8GemmArgs) {
    for index in 0..args.rows.div_ceil(MR) {
        // SAFETY: the caller vouches for `args`, so for each tile of it.
        unsafe {
            let tile = args.tile(index, MR);
            match tile.rows {
                1 => rows::<1>(&tile),
                2 => rows::<2>(&tile),
                3 => rows::<3>(&tile),
                4 => rows::<4>(&tile),
                5 => rows::<5>(&tile),
                _ => rows::<6>(&tile),
            }
        }
    }
}

/// `R` rows of a tile.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of `R` rows.
#[target_feature(enable = "avx2")]
unsafe fn rows<const R: usize>(args: &I8GemmArgs) {
    let mut wide = std::mem::MaybeUninit::<Wide<R>>::uninit();
    let wide: *mut [i16; CHUNK] = wide.as_mut_ptr().cast();
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by SLACK readable ones,
    // which meet zero weights; `w` is a whole panel. `wide` has R rows, written as far as they are read.
    unsafe {
        let mut acc = [
            [_mm256_loadu_si256(args.w.cast()); R],
            [_mm256_loadu_si256(args.w.add(32).cast()); R],
        ];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let a = args.a.add(tap * MR);
            for first in (0..args.channels).step_by(CHUNK) {
                let channels = CHUNK.min(args.channels - first);
                widen::<R>(a, first, channels, wide);
                let pairs = channels.div_ceil(2);
                acc = multiply(acc, wide, pairs, w);
                w = w.add(2 * NR * pairs);
            }
        }
        let (low, high) = (scale(&args.requant, 0, acc[0]), scale(&args.requant, 8, acc[1]));
        for r in 0..R {
            let results = narrow(&args.requant, [low[r], high[r]]);
            store(results, args.c.add(r * args.c_stride), args.cols);
        }
    }
}

/// Widens `channels` elements of `R` rows from element `first` on.
///
/// # Safety
/// `a` has R pointers that are readable for the elements rounded up to 16; `wide` has R rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn widen<const R: usize>(
    a: *const *const i8,
    first: usize,
    channels: usize,
    wide: *mut [i16; CHUNK],
) {
    for r in 0..R {
        // SAFETY: as above; rows of `wide` are aligned, and CHUNK is a multiple of 16.
        unsafe {
            let (row, to) = ((*a.add(r)).add(first), wide.add(r).cast::<i16>());
            for k in (0..channels).step_by(16) {
                let sixteen = _mm256_cvtepi8_epi16(_mm_loadu_si128(row.add(k).cast()));
                _mm256_store_si256(to.add(k).cast(), sixteen);
            }
        }
    }
}

/// Adds the products of pairs of channels. Sums come and go by value: of what a pointer leads to, each step would be stored.
///
/// # Safety
/// `wide` has R rows with so many pairs, `w` NR pairs of weights for each.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(clippy::needless_range_loop, reason = "iterators over vectors may stay calls here")]
unsafe fn multiply<const R: usize>(
    mut acc: [[__m256i; R]; 2],
    wide: *const [i16; CHUNK],
    pairs: usize,
    mut w: *const i8,
) -> [[__m256i; R]; 2] {
    for pair in 0..pairs {
        // SAFETY: as above.
        unsafe {
            let w0 = _mm256_cvtepi8_epi16(_mm_loadu_si128(w.cast()));
            let w1 = _mm256_cvtepi8_epi16(_mm_loadu_si128(w.add(NR).cast()));
            for r in 0..R {
                let a = _mm256_set1_epi32(*wide.add(r).cast::<i32>().add(pair));
                acc[0][r] = _mm256_add_epi32(acc[0][r], _mm256_madd_epi16(a, w0));
                acc[1][r] = _mm256_add_epi32(acc[1][r], _mm256_madd_epi16(a, w1));
            }
            w = w.add(2 * NR);
        }
    }
    acc
}
