//! The integer output stage for AVX2, bit for bit that of [`super::requant::Factor::apply`].

use std::arch::x86_64::{
    __m256i, _mm_packs_epi16, _mm_packs_epi32, _mm_storel_epi64, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_and_si256, _mm256_blend_epi32, _mm256_blendv_epi8,
    _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_max_epi32, _mm256_min_epi32, _mm256_mul_epi32, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_slli_epi64, _mm256_sllv_epi32, _mm256_srai_epi32, _mm256_srav_epi32, _mm256_srli_epi64,
    _mm256_srlv_epi32, _mm256_sub_epi32, _mm256_xor_si256,
};

use super::micro::Requant;

/// Eight accumulators of columns `column..column + 8` become results between `min` and `max`.
///
/// # Safety
/// The arrays of `requant` have at least `column + 8` elements.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn requantize_8(requant: &Requant, column: usize, acc: __m256i) -> __m256i {
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    let (multiplier, left, right) = unsafe {
        let load = |array: *const i32| _mm256_loadu_si256(array.add(column).cast());
        let (m, l, r) = (load(requant.multiplier), load(requant.left), load(requant.right));
        if requant.negative_multiplier.is_null() {
            (m, l, r)
        } else {
            let negative = _mm256_srai_epi32::<31>(acc);
            (
                _mm256_blendv_epi8(m, load(requant.negative_multiplier), negative),
                _mm256_blendv_epi8(l, load(requant.negative_left), negative),
                _mm256_blendv_epi8(r, load(requant.negative_right), negative),
            )
        }
    };
    let x = shift_left_saturating(acc, left);
    let x = shift_right_rounding(multiply_high(x, multiplier), right);
    // Bounds before the zero point: then the addition cannot overflow.
    let low = _mm256_set1_epi32(requant.min - requant.zero_point);
    let high = _mm256_set1_epi32(requant.max - requant.zero_point);
    let x = _mm256_min_epi32(_mm256_max_epi32(x, low), high);
    _mm256_add_epi32(x, _mm256_set1_epi32(requant.zero_point))
}

/// SQSHL.
#[inline]
#[target_feature(enable = "avx2")]
fn shift_left_saturating(x: __m256i, left: __m256i) -> __m256i {
    let shifted = _mm256_sllv_epi32(x, left);
    let same = _mm256_cmpeq_epi32(_mm256_srav_epi32(shifted, left), x);
    let limit = _mm256_xor_si256(_mm256_srai_epi32::<31>(x), _mm256_set1_epi32(i32::MAX));
    _mm256_blendv_epi8(limit, shifted, same)
}

/// SQRDMULH for multipliers other than `i32::MIN`: `(x * m + 2^30) >> 31`, of which 32 bits are kept.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply_high(x: __m256i, m: __m256i) -> __m256i {
    let round = _mm256_set1_epi64x(1 << 30);
    let even = _mm256_add_epi64(_mm256_mul_epi32(x, m), round);
    let odd = _mm256_mul_epi32(_mm256_srli_epi64::<32>(x), _mm256_srli_epi64::<32>(m));
    let odd = _mm256_add_epi64(odd, round);
    _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<31>(even), _mm256_slli_epi64::<1>(odd))
}

/// SRSHL: the shift plus the last bit shifted out.
#[inline]
#[target_feature(enable = "avx2")]
fn shift_right_rounding(x: __m256i, right: __m256i) -> __m256i {
    let one = _mm256_set1_epi32(1);
    // For a shift of 0 the count is -1, which gives 0.
    let last = _mm256_and_si256(_mm256_srlv_epi32(x, _mm256_sub_epi32(right, one)), one);
    _mm256_add_epi32(_mm256_srav_epi32(x, right), last)
}

/// Stores `count` (1..=8) of the eight results, each within -128..=127, to `c`.
///
/// # Safety
/// `c` is writable for `count` bytes.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn store_8(x: __m256i, c: *mut i8, count: usize) {
    let words = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let bytes = _mm_packs_epi16(words, words);
    // SAFETY: the whole vector goes to `c` only when all eight are wanted.
    unsafe {
        if count >= 8 {
            _mm_storel_epi64(c.cast(), bytes);
        } else {
            let mut tail = [0_i8; 8];
            _mm_storel_epi64(tail.as_mut_ptr().cast(), bytes);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, count);
        }
    }
}
