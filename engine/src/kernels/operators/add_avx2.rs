//! Sums of 8-bit operands on AVX2, 32 at a time: VPMULHRSW is [`I8Sum`]'s product. Bytes become the upper halves of 16 bits by
//! interleaving them with zeros, so lanes 0-7 and 16-23 go side by side, then the others; VPACKSSWB puts them in order again. A
//! compiler that has to find this itself computes in 32 bits, seven times slower.

use std::arch::x86_64::{
    __m256i, _mm_cvtsi32_si128, _mm256_adds_epi16, _mm256_blendv_epi8, _mm256_loadu_si256,
    _mm256_max_epi8, _mm256_min_epi8, _mm256_mulhrs_epi16, _mm256_packs_epi16,
    _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_setzero_si256,
    _mm256_sra_epi16, _mm256_srai_epi16, _mm256_storeu_si256, _mm256_unpackhi_epi8,
    _mm256_unpacklo_epi8,
};

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 32;

/// Computes as many sums of `y` as are a multiple of [`LANES`]. `slopes` are none, or as many as `y` has or more.
#[target_feature(enable = "avx2")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    if slopes.is_empty() {
        vectors::<false>(y, a, b, slopes, sum);
    } else {
        vectors::<true>(y, a, b, slopes, sum);
    }
}

#[target_feature(enable = "avx2")]
fn vectors<const PRELU: bool>(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    let all = y.len() / LANES * LANES;
    assert!(a.len() >= all && b.len() >= all && (!PRELU || slopes.len() >= all));
    let multiplier_a = _mm256_set1_epi16(sum.multipliers.0);
    let multiplier_b = _mm256_set1_epi16(sum.multipliers.1);
    let bias = _mm256_set1_epi16(sum.bias);
    // Half a step is added with the zero point: where only one of the two additions saturates, the result is beyond the bounds.
    let offset = _mm256_set1_epi16(sum.zero + ((1 << sum.fraction) >> 1));
    let fraction = _mm_cvtsi32_si128(sum.fraction as i32);
    let (min, max) = (_mm256_set1_epi8(sum.bounds.0), _mm256_set1_epi8(sum.bounds.1));
    for first in (0..all).step_by(LANES) {
        // SAFETY: the slices have elements from `first` on for whole vectors.
        unsafe {
            let a = halves(_mm256_loadu_si256(a.as_ptr().add(first).cast()));
            let b = halves(_mm256_loadu_si256(b.as_ptr().add(first).cast()));
            let slopes = if PRELU { paired(slopes.as_ptr().add(first)) } else { a };
            let mut sums = [_mm256_setzero_si256(); 2];
            for (i, result) in sums.iter_mut().enumerate() {
                let a = _mm256_mulhrs_epi16(a[i], multiplier_a);
                let b = _mm256_mulhrs_epi16(b[i], multiplier_b);
                let mut x = _mm256_adds_epi16(_mm256_adds_epi16(a, b), bias);
                if PRELU {
                    let mut sloped = _mm256_mulhrs_epi16(x, slopes[i]);
                    for _ in 0..sum.slope_shift {
                        sloped = _mm256_adds_epi16(sloped, sloped);
                    }
                    x = _mm256_blendv_epi8(x, sloped, _mm256_srai_epi16::<15>(x));
                }
                *result = _mm256_sra_epi16(_mm256_adds_epi16(x, offset), fraction);
            }
            let bytes = _mm256_packs_epi16(sums[0], sums[1]);
            let bytes = _mm256_min_epi8(_mm256_max_epi8(bytes, min), max);
            _mm256_storeu_si256(y.as_mut_ptr().add(first).cast(), bytes);
        }
    }
}

/// Bytes times 256.
#[inline]
#[target_feature(enable = "avx2")]
fn halves(bytes: __m256i) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    [_mm256_unpacklo_epi8(zero, bytes), _mm256_unpackhi_epi8(zero, bytes)]
}

/// 32 numbers in the order of [`halves`].
///
/// # Safety
/// `p` is readable for them.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn paired(p: *const i16) -> [__m256i; 2] {
    // SAFETY: the caller vouches for it.
    let [first, last] =
        unsafe { [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(16).cast())] };
    [_mm256_permute2x128_si256::<0x20>(first, last), _mm256_permute2x128_si256::<0x31>(first, last)]
}
