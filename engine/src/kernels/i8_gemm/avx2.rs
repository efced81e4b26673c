//! 8-bit tiles for AVX2.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi32, _mm256_setzero_si256, _mm256_store_si256,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_avx2::Stage16;

/// Six rows by sixteen columns, two channels at a time: VPMADDWD multiplies pairs of operands widened to 16 bits, 16 products
/// exactly. VPMADDUBSW has 32, but would saturate; made exact by signs, its sums of two still need a VPMADDWD to be widened,
/// on the same two ports.
///
/// A step is 12 multiplications (6 cycles on two ports) and 12 additions. Rows are widened in memory first, so that a pair
/// goes to every lane by a load alone. A last tile of fewer rows has a loop of its own, and so has a last panel of eight columns
/// or fewer.
pub(crate) static GEMM_6X16: I8Gemm = MicroKernel {
    name: "i8_gemm_6x16c2_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    run: gemm_6x16,
};

const MR: usize = 6;
const NR: usize = 16;
/// Columns of a vector of sums.
const LANES: usize = 8;
/// Channels of a row that are widened at a time.
const CHUNK: usize = 256;

/// Channels of some rows with 16 bits.
#[repr(C, align(32))]
struct Wide<const R: usize>([[i16; CHUNK]; R]);

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn gemm_6x16(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`, so for each tile of it.
    unsafe {
        let stage = Stage16::new(&args.requant);
        for index in 0..args.rows.div_ceil(MR) {
            let tile = args.tile(index, MR);
            match tile.rows {
                1 => rows::<1>(&tile, &stage),
                2 => rows::<2>(&tile, &stage),
                3 => rows::<3>(&tile, &stage),
                4 => rows::<4>(&tile, &stage),
                5 => rows::<5>(&tile, &stage),
                _ => rows::<6>(&tile, &stage),
            }
        }
    }
}

/// `R` rows of a tile.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of `R` rows; `stage` is that of `args`.
#[target_feature(enable = "avx2")]
unsafe fn rows<const R: usize>(args: &I8GemmArgs, stage: &Stage16<'_>) {
    // SAFETY: the caller vouches for `args` and the stage. One call of the stage for both widths, so that it is inlined.
    unsafe {
        let sums = if args.cols > LANES { sums::<R, 2>(args) } else { sums::<R, 1>(args) };
        stage.store(sums, args.c, args.c_stride, args.cols);
    }
}

/// The sums of `R` rows of a tile, by the first `V` vectors of its columns; those of other columns are any.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of `R` rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn sums<const R: usize, const V: usize>(args: &I8GemmArgs) -> [[__m256i; 2]; R] {
    let mut wide = std::mem::MaybeUninit::<Wide<R>>::uninit();
    let wide: *mut [i16; CHUNK] = wide.as_mut_ptr().cast();
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by SLACK readable ones,
    // which meet zero weights; `w` is a whole panel. `wide` has R rows, written as far as they are read.
    unsafe {
        let mut acc = [[_mm256_setzero_si256(); V]; R];
        for v in 0..V {
            let bias = _mm256_loadu_si256(args.w.add(4 * LANES * v).cast());
            for acc in &mut acc {
                acc[v] = bias;
            }
        }
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
        // Element by element: sums whose array is passed on are in memory all along.
        let mut sums = [[_mm256_setzero_si256(); 2]; R];
        for r in 0..R {
            sums[r] = [acc[r][0], acc[r][V - 1]];
        }
        sums
    }
}

/// Widens `channels` elements of `R` rows from element `first` on.
///
/// # Safety
/// `a` has R pointers that are readable for the elements rounded up to 16; `wide` has R rows.
#[inline]
#[target_feature(enable = "avx2")]
#[expect(clippy::needless_range_loop, reason = "iterators over vectors may stay calls here")]
unsafe fn widen<const R: usize>(
    a: *const *const i8,
    first: usize,
    channels: usize,
    wide: *mut [i16; CHUNK],
) {
    // SAFETY: as above; rows of `wide` are aligned, and CHUNK is a multiple of 16.
    unsafe {
        let rows = *a.cast::<[*const i8; R]>();
        for k in (0..channels).step_by(16) {
            for r in 0..R {
                let row = rows[r].add(first + k);
                let sixteen = _mm256_cvtepi8_epi16(_mm_loadu_si128(row.cast()));
                _mm256_store_si256(wide.add(r).cast::<i16>().add(k).cast(), sixteen);
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
unsafe fn multiply<const R: usize, const V: usize>(
    mut acc: [[__m256i; V]; R],
    wide: *const [i16; CHUNK],
    pairs: usize,
    mut w: *const i8,
) -> [[__m256i; V]; R] {
    for pair in 0..pairs {
        // SAFETY: as above.
        unsafe {
            let mut weights = [_mm256_setzero_si256(); V];
            for v in 0..V {
                weights[v] = _mm256_cvtepi8_epi16(_mm_loadu_si128(w.add(2 * LANES * v).cast()));
            }
            for r in 0..R {
                let a = _mm256_set1_epi32(*wide.add(r).cast::<i32>().add(pair));
                for v in 0..V {
                    acc[r][v] = _mm256_add_epi32(acc[r][v], _mm256_madd_epi16(a, weights[v]));
                }
            }
            w = w.add(2 * NR);
        }
    }
    acc
}
