//! The integer output stage for AVX-512, bit for bit that of [`super::requant::Factor::apply`].

use std::arch::x86_64::{
    __m512i, _mm512_add_epi32, _mm512_add_epi64, _mm512_and_si512, _mm512_cmpneq_epi32_mask,
    _mm512_loadu_si512, _mm512_mask_blend_epi32, _mm512_mask_cvtepi32_storeu_epi8,
    _mm512_mask_loadu_epi32, _mm512_max_epi32, _mm512_min_epi32, _mm512_movepi32_mask,
    _mm512_mul_epi32, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_slli_epi64, _mm512_sllv_epi32,
    _mm512_srai_epi32, _mm512_srav_epi32, _mm512_srli_epi64, _mm512_srlv_epi32, _mm512_sub_epi32,
    _mm512_test_epi32_mask, _mm512_xor_si512,
};

use super::micro::Requant;

/// Sixteen accumulators of columns `column..column + 16` become results between `min` and `max`.
///
/// # Safety
/// The arrays of `requant` have at least `column + 16` elements.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
pub(crate) unsafe fn requantize_16(requant: &Requant, column: usize, acc: __m512i) -> __m512i {
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    let (multiplier, left, right) = unsafe {
        let load = |array: *const i32| _mm512_loadu_si512(array.add(column).cast());
        let (m, l, r) = (load(requant.multiplier), load(requant.left), load(requant.right));
        if requant.negative_multiplier.is_null() {
            (m, l, r)
        } else {
            let negative = _mm512_movepi32_mask(acc);
            let replace = |positive, array: *const i32| {
                _mm512_mask_loadu_epi32(positive, negative, array.add(column))
            };
            (
                replace(m, requant.negative_multiplier),
                replace(l, requant.negative_left),
                replace(r, requant.negative_right),
            )
        }
    };
    // Factors of 1 and more, which shift to the left, are rare.
    let x = if _mm512_test_epi32_mask(left, left) == 0 {
        acc
    } else {
        shift_left_saturating(acc, left)
    };
    let x = shift_right_rounding(multiply_high(x, multiplier), right);
    // Bounds before the zero point: then the addition cannot overflow.
    let low = _mm512_set1_epi32(requant.min - requant.zero_point);
    let high = _mm512_set1_epi32(requant.max - requant.zero_point);
    let x = _mm512_min_epi32(_mm512_max_epi32(x, low), high);
    _mm512_add_epi32(x, _mm512_set1_epi32(requant.zero_point))
}

/// SQSHL.
#[inline]
#[target_feature(enable = "avx512f")]
fn shift_left_saturating(x: __m512i, left: __m512i) -> __m512i {
    let shifted = _mm512_sllv_epi32(x, left);
    let lossy = _mm512_cmpneq_epi32_mask(_mm512_srav_epi32(shifted, left), x);
    let limit = _mm512_xor_si512(_mm512_srai_epi32::<31>(x), _mm512_set1_epi32(i32::MAX));
    _mm512_mask_blend_epi32(lossy, shifted, limit)
}

/// SQRDMULH for multipliers other than `i32::MIN`: `(x * m + 2^30) >> 31`, of which 32 bits are kept.
#[inline]
#[target_feature(enable = "avx512f")]
fn multiply_high(x: __m512i, m: __m512i) -> __m512i {
    let round = _mm512_set1_epi64(1 << 30);
    let even = _mm512_add_epi64(_mm512_mul_epi32(x, m), round);
    let odd = _mm512_mul_epi32(_mm512_srli_epi64::<32>(x), _mm512_srli_epi64::<32>(m));
    let odd = _mm512_slli_epi64::<1>(_mm512_add_epi64(odd, round));
    _mm512_mask_blend_epi32(0b1010_1010_1010_1010, _mm512_srli_epi64::<31>(even), odd)
}

/// SRSHL: the shift plus the last bit shifted out.
#[inline]
#[target_feature(enable = "avx512f")]
fn shift_right_rounding(x: __m512i, right: __m512i) -> __m512i {
    let one = _mm512_set1_epi32(1);
    // For a shift of 0 the count is -1, which gives 0.
    let last = _mm512_and_si512(_mm512_srlv_epi32(x, _mm512_sub_epi32(right, one)), one);
    _mm512_add_epi32(_mm512_srav_epi32(x, right), last)
}

/// Stores the first `count` (at least 1) of sixteen results, each within -128..=127, to `c`.
///
/// # Safety
/// `c` is writable for `count` bytes, at most 16 of which are written.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) unsafe fn store_16(x: __m512i, c: *mut i8, count: usize) {
    let mask = if count >= 16 { u16::MAX } else { (1 << count) - 1 };
    // SAFETY: bytes outside the mask are not touched.
    unsafe { _mm512_mask_cvtepi32_storeu_epi8(c, mask, x) };
}
