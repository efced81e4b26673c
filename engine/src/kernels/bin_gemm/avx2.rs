//! One-bit tiles for AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_and_si128, _mm_load_si128, _mm_loadl_epi64, _mm_set1_epi8,
    _mm_slli_epi16, _mm_store_si128, _mm_unpacklo_epi8, _mm256_add_epi8, _mm256_add_epi16,
    _mm256_add_epi32, _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_castsi256_si128,
    _mm256_cvtepu16_epi32, _mm256_extracti128_si256, _mm256_loadu_si256, _mm256_set1_epi8,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_slli_epi32,
    _mm256_srli_epi16, _mm256_storeu_si256, _mm256_sub_epi32, _mm256_unpackhi_epi8,
    _mm256_unpacklo_epi8,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, Block, MicroKernel, Tile};
use crate::kernels::requant_avx2::{narrow, scale, store};

/// Eight rows by 32 columns, a byte of each column in a lane. Four bits of a row choose a table of how many of them differ from
/// any four bits of a column, which a shuffle looks up for all columns: two shuffles and two additions for 256 products,
/// where exclusive-or and a count by table (W. Muła, N. Kurz, D. Lemire, arXiv:1611.07612) are eight operations. The halves
/// of a column's bytes are taken apart once for all rows.
pub(crate) static GEMM_8X32: BinGemm = MicroKernel {
    name: "bin_gemm_8x32b_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_8x32,
};

const MR: usize = 8;
const NR: usize = Tile::BYTEWISE_COLUMNS;
/// Words whose bit counts fit a byte.
const WORDS_PER_BYTE: usize = 3;
/// Times that such counts can be added up in 16 bits.
const BYTES_PER_HALF: usize = u16::MAX as usize / (64 * WORDS_PER_BYTE);

/// For each four bits, in how many each four bits differ from them.
static DIFFERING: Tables = Tables(tables());

#[repr(C, align(64))]
struct Tables([[u8; 16]; 16]);

const fn tables() -> [[u8; 16]; 16] {
    let mut tables = [[0; 16]; 16];
    let mut index = 0;
    while index < 256 {
        tables[index / 16][index % 16] = ((index / 16) ^ (index % 16)).count_ones() as u8;
        index += 1;
    }
    tables
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn gemm_8x32(args: &BinGemmArgs) {
    for index in 0..args.rows.div_ceil(MR) {
        // SAFETY: the caller vouches for `args`, so for each tile of it. Pointers of missing rows repeat others.
        unsafe {
            let tile = args.tile(index, MR);
            match tile.rows {
                1 => rows::<1>(&tile),
                2..=4 => rows::<4>(&tile),
                _ => rows::<8>(&tile),
            }
        }
    }
}

/// Bits that differ, per row and column.
struct Counts<const R: usize> {
    bytes: [__m256i; R],
    /// Columns 0-7 and 16-23, then the others.
    halves: [[__m256i; 2]; R],
    /// Eight columns each.
    words: [[__m256i; R]; 4],
}

impl<const R: usize> Counts<R> {
    #[inline]
    #[target_feature(enable = "avx2")]
    fn widen_bytes(&mut self) {
        let zero = _mm256_setzero_si256();
        for r in 0..R {
            let (bytes, halves) = (self.bytes[r], &mut self.halves[r]);
            halves[0] = _mm256_add_epi16(halves[0], _mm256_unpacklo_epi8(bytes, zero));
            halves[1] = _mm256_add_epi16(halves[1], _mm256_unpackhi_epi8(bytes, zero));
            self.bytes[r] = zero;
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn widen_halves(&mut self) {
        for r in 0..R {
            for (i, halves) in self.halves[r].iter_mut().enumerate() {
                let low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(*halves));
                let high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256::<1>(*halves));
                self.words[i][r] = _mm256_add_epi32(self.words[i][r], low);
                self.words[2 + i][r] = _mm256_add_epi32(self.words[2 + i][r], high);
                *halves = _mm256_setzero_si256();
            }
        }
    }
}

/// A tile, of which `R` rows at most are stored.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of at most `R` rows.
#[target_feature(enable = "avx2")]
unsafe fn rows<const R: usize>(args: &BinGemmArgs) {
    let zero = _mm256_setzero_si256();
    let mut counts = Counts { bytes: [zero; R], halves: [[zero; 2]; R], words: [[zero; R]; 4] };
    let (mut in_bytes, mut in_halves) = (0, 0);
    // SAFETY: the caller vouches for `args` and for AVX2: `a` has taps * MR pointers to `words` words, `w` is a whole panel.
    unsafe {
        let mut w = args.w.cast::<u8>().add(4 * NR);
        for tap in 0..args.taps {
            for word in 0..args.words {
                if in_bytes == WORDS_PER_BYTE {
                    counts.widen_bytes();
                    (in_bytes, in_halves) = (0, in_halves + 1);
                }
                if in_halves == BYTES_PER_HALF {
                    counts.widen_halves();
                    in_halves = 0;
                }
                let held = (args.bytes - 8 * word).min(8);
                counts.bytes = count(counts.bytes, args.a.add(tap * MR), word, w, held);
                in_bytes += 1;
                w = w.add(held * NR);
            }
        }
        counts.widen_bytes();
        counts.widen_halves();
        finish(args, &mut counts.words);
    }
}

/// Offsets of the tables for each half of each byte of a word.
#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Offsets([u8; 16]);

/// Adds the bits in which a word of each row differs from that of each column, of which the first `held` bytes hold channels.
///
/// # Safety
/// `a` has R pointers to rows with that word, `w` so many of its bytes, at most eight, of all columns.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn count<const R: usize>(
    mut bytes: [__m256i; R],
    a: *const *const u64,
    word: usize,
    w: *const u8,
    held: usize,
) -> [__m256i; R] {
    let mut offsets = [Offsets([0; 16]); R];
    let low_half = _mm256_set1_epi8(15);
    // SAFETY: as above. Offsets are multiples of 16 below 256, where the tables are.
    unsafe {
        for (r, offsets) in offsets.iter_mut().enumerate() {
            let eight = _mm_loadl_epi64((*a.add(r)).add(word).cast());
            _mm_store_si128(offsets.0.as_mut_ptr().cast(), table_offsets(eight));
        }
        for byte in 0..held {
            let weights = _mm256_loadu_si256(w.add(byte * NR).cast());
            let low = _mm256_and_si256(weights, low_half);
            let high = _mm256_and_si256(_mm256_srli_epi16::<4>(weights), low_half);
            for r in 0..R {
                let differing = _mm256_shuffle_epi8(table(&offsets[r].0[2 * byte]), low);
                bytes[r] = _mm256_add_epi8(bytes[r], differing);
                let differing = _mm256_shuffle_epi8(table(&offsets[r].0[2 * byte + 1]), high);
                bytes[r] = _mm256_add_epi8(bytes[r], differing);
            }
        }
    }
    bytes
}

/// For each of eight bytes its low and its high half, times 16.
#[inline]
#[target_feature(enable = "avx2")]
fn table_offsets(eight: __m128i) -> __m128i {
    let high_half = _mm_set1_epi8(-16);
    let low = _mm_and_si128(_mm_slli_epi16::<4>(eight), high_half);
    _mm_unpacklo_epi8(low, _mm_and_si128(eight, high_half))
}

/// The table at `offset`, once for each half of a vector. The offset is read from memory, always: else the compiler keeps vectors
/// of offsets and takes bytes out of them, with two more operations, one of which competes with the shuffles.
///
/// # Safety
/// The offset is a multiple of 16.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn table(offset: &u8) -> __m256i {
    // SAFETY: a reference can be read; an 8-bit multiple of 16 is that of a table, and tables are aligned.
    unsafe {
        let offset = std::ptr::read_volatile(offset);
        let table = DIFFERING.0.as_ptr().cast::<u8>().add(usize::from(offset));
        _mm256_broadcastsi128_si256(_mm_load_si128(table.cast()))
    }
}

/// From counts to results.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile of at most `R` rows.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish<const R: usize>(args: &BinGemmArgs, counts: &mut [[__m256i; R]; 4]) {
    let bits = _mm256_set1_epi32(args.bits as i32);
    // SAFETY: the panel starts with NR biases; `row_bias`, when not null, has MR pointers to NR corrections; the arrays of
    // `requant` have NR elements, and results go to the tile's rows and columns only.
    unsafe {
        for (group, acc) in counts.iter_mut().enumerate() {
            let bias = _mm256_loadu_si256(args.w.cast::<i32>().add(8 * group).cast());
            for (r, acc) in acc.iter_mut().enumerate() {
                let sum = _mm256_sub_epi32(bits, _mm256_add_epi32(*acc, *acc));
                *acc = _mm256_add_epi32(_mm256_slli_epi32::<8>(sum), bias);
                if !args.row_bias.is_null() && r < args.rows {
                    let correction = (*args.row_bias.add(r)).add(8 * group);
                    *acc = _mm256_add_epi32(*acc, _mm256_loadu_si256(correction.cast()));
                }
            }
            if 8 * group < args.cols {
                if args.sums.is_null() {
                    *acc = scale(&args.requant, 8 * group, *acc);
                } else {
                    store_sums(args, 8 * group, acc);
                }
            }
        }
        if !args.sums.is_null() {
            return;
        }
        for first in (0..args.cols).step_by(16) {
            let (left, right) = (&counts[first / 8], &counts[first / 8 + 1]);
            for r in 0..args.rows.min(R) {
                let results = narrow(&args.requant, [left[r], right[r]]);
                let c = args.c.add(r * args.c_stride + first);
                store(results, c, (args.cols - first).min(16));
            }
        }
    }
}

/// Stores the accumulators of eight columns from `column` on.
///
/// # Safety
/// `args.sums` is not null, and the tile has the column.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn store_sums<const R: usize>(args: &BinGemmArgs, column: usize, acc: &[__m256i; R]) {
    for (r, &acc) in acc.iter().enumerate().take(args.rows) {
        let mut sums = [0; 8];
        // SAFETY: the array has eight elements; the caller vouches for the rest.
        unsafe {
            _mm256_storeu_si256(sums.as_mut_ptr().cast(), acc);
            args.store_sums(r, column, &sums[..(args.cols - column).min(8)]);
        }
    }
}
