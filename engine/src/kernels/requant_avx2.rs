//! The integer output stage for AVX2, bit for bit that of [`super::requant::Factor::apply`].

use std::arch::x86_64::{
    __m128i, __m256i, _mm_max_epi8, _mm_min_epi8, _mm_packs_epi16, _mm_set1_epi8,
    _mm_setzero_si128, _mm_shuffle_epi32, _mm_storel_epi64, _mm_storeu_si128, _mm256_add_epi32,
    _mm256_add_epi64, _mm256_adds_epi16, _mm256_and_si256, _mm256_andnot_si256, _mm256_blend_epi32,
    _mm256_blendv_epi8, _mm256_blendv_pd, _mm256_blendv_ps, _mm256_castpd_si256,
    _mm256_castps_si256, _mm256_castsi256_pd, _mm256_castsi256_ps, _mm256_castsi256_si128,
    _mm256_cmpeq_epi32, _mm256_cmpeq_epi64, _mm256_extracti128_si256, _mm256_loadu_si256,
    _mm256_mul_epi32, _mm256_packs_epi32, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_shuffle_epi32, _mm256_slli_epi64, _mm256_sllv_epi32,
    _mm256_sllv_epi64, _mm256_srai_epi32, _mm256_srav_epi32, _mm256_srli_epi64, _mm256_srlv_epi32,
    _mm256_srlv_epi64, _mm256_sub_epi32, _mm256_xor_si256,
};

use std::arch::asm;

use super::micro::Requant;

/// Scales accumulators of columns `column..column + 8`: what is left is [`narrow`].
///
/// # Safety
/// The arrays of `requant` have at least `column + 8` elements.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn scale<const N: usize>(
    requant: &Requant,
    column: usize,
    mut acc: [__m256i; N],
) -> [__m256i; N] {
    if is_plain(requant) {
        // SAFETY: the caller vouches for the arrays.
        let factors = unsafe { Factors::load(requant.multiplier, requant.right, column) };
        for acc in &mut acc {
            *acc = factors.apply(*acc);
        }
        return acc;
    }
    // A copy, because vectors that a call gets a pointer to are in memory all along.
    let mut scaled = [_mm256_setzero_si256(); N];
    for (scaled, &acc) in scaled.iter_mut().zip(&acc) {
        *scaled = acc;
    }
    // SAFETY: as above.
    unsafe { scale_uncommon(requant, column, &mut scaled) };
    scaled
}

/// Whether there are neither left shifts nor PReLU, as in most layers.
#[inline]
fn is_plain(requant: &Requant) -> bool {
    requant.only_right && requant.negative_multiplier.is_null()
}

/// [`scale`] where there are left shifts or PReLU. By itself, so that the rest is short enough to be inlined and keeps
/// accumulators in registers.
///
/// # Safety
/// As [`scale`].
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn scale_uncommon(requant: &Requant, column: usize, all: &mut [__m256i]) {
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    unsafe {
        if !requant.only_right {
            for acc in all {
                *acc = scale_any(requant, column, *acc);
            }
            return;
        }
        let positive = Factors::load(requant.multiplier, requant.right, column);
        let negative = Factors::load(requant.negative_multiplier, requant.negative_right, column);
        for acc in all {
            *acc = Factors::by_sign(&positive, &negative, *acc).apply(*acc);
        }
    }
}

/// The output stage of sixteen columns, made once for many rows.
pub(crate) struct Stage16<'a> {
    requant: &'a Requant,
    /// Of eight columns each, where there are neither left shifts nor PReLU.
    factors: Option<[Factors; 2]>,
}

impl<'a> Stage16<'a> {
    /// # Safety
    /// The arrays of `requant` have sixteen elements.
    #[inline]
    #[target_feature(enable = "avx2")]
    pub(crate) unsafe fn new(requant: &'a Requant) -> Self {
        let (multiplier, right) = (requant.multiplier, requant.right);
        // SAFETY: the caller vouches for the arrays.
        let factors = is_plain(requant).then(|| unsafe {
            [Factors::load(multiplier, right, 0), Factors::load(multiplier, right, 8)]
        });
        Self { requant, factors }
    }

    /// Rows of accumulators, of columns 0 to 7 and 8 to 15, become the first `count` (up to 16) results at `c`, `stride` apart.
    ///
    /// # Safety
    /// `c` is writable for them; the arrays are still there.
    #[inline]
    #[target_feature(enable = "avx2")]
    #[expect(clippy::needless_range_loop, reason = "iterators over vectors may stay calls here")]
    pub(crate) unsafe fn store<const R: usize>(
        &self,
        acc: [[__m256i; 2]; R],
        c: *mut i8,
        stride: usize,
        count: usize,
    ) {
        let mut results = [_mm_setzero_si128(); R];
        match &self.factors {
            Some([low, high]) => {
                for r in 0..R {
                    let scaled = [low.apply(acc[r][0]), high.apply(acc[r][1])];
                    results[r] = narrow(self.requant, scaled);
                }
            }
            None => {
                let mut halves = [[_mm256_setzero_si256(); R]; 2];
                for r in 0..R {
                    [halves[0][r], halves[1][r]] = acc[r];
                }
                for (half, acc) in halves.iter_mut().enumerate() {
                    // SAFETY: the arrays have sixteen elements.
                    unsafe { scale_uncommon(self.requant, 8 * half, acc) };
                }
                for r in 0..R {
                    results[r] = narrow(self.requant, [halves[0][r], halves[1][r]]);
                }
            }
        }
        for r in 0..R {
            // SAFETY: the caller vouches for the row.
            unsafe { store(results[r], c.add(r * stride), count) };
        }
    }
}

/// Stores the first `count` (up to 16) bytes of `x`.
///
/// # Safety
/// `c` is writable for them.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) unsafe fn store(x: __m128i, c: *mut i8, count: usize) {
    // SAFETY: the whole vector goes to `c` only when all of it is wanted.
    unsafe {
        if count == 16 {
            _mm_storeu_si128(c.cast(), x);
        } else if count == 8 {
            _mm_storel_epi64(c.cast(), x);
        } else {
            store_some(x, c, count);
        }
    }
}

/// As [`store`], for any `count`.
///
/// # Safety
/// `c` is writable for so many bytes.
#[cold]
#[inline(never)]
#[target_feature(enable = "avx2")]
unsafe fn store_some(x: __m128i, c: *mut i8, count: usize) {
    let mut tail = [0_i8; 16];
    // SAFETY: as above.
    unsafe {
        _mm_storeu_si128(tail.as_mut_ptr().cast(), x);
        std::ptr::copy_nonoverlapping(tail.as_ptr(), c, count);
    }
}

/// From scaled accumulators to results, in order: adds the zero point and applies the bounds. Both narrowings saturate, which
/// changes nothing: results have 8 bits.
#[inline]
#[target_feature(enable = "avx2")]
pub(crate) fn narrow(requant: &Requant, x: [__m256i; 2]) -> __m128i {
    let words = _mm256_packs_epi32(x[0], x[1]);
    let words = _mm256_adds_epi16(words, _mm256_set1_epi16(requant.zero_point as i16));
    // Narrowing works within 128-bit halves: columns 0-3, 8-11, then 4-7, 12-15.
    let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
    let bytes = _mm_shuffle_epi32::<0b11_01_10_00>(_mm_packs_epi16(low, high));
    let bytes = _mm_max_epi8(bytes, _mm_set1_epi8(requant.min as i8));
    _mm_min_epi8(bytes, _mm_set1_epi8(requant.max as i8))
}

/// The factors of eight columns without left shifts. Both roundings are one in 64 bits:
/// `(((x * m + 2^30) >> 31) + 2^(s - 1)) >> s = (x * m + 2^30 + 2^(30 + s)) >> (31 + s)`, without the second term for a shift of
/// 0. There is no arithmetic shift of 64 bits, so 2^62 is added before the logical one, and what is left of it taken off.
///
/// Arrays have the even columns, then the odd ones, each in a lane of 64 bits.
#[derive(Clone, Copy)]
struct Factors {
    multiplier: [__m256i; 2],
    /// 31 + s.
    shift: [__m256i; 2],
    /// 2^62 + 2^30 + 2^(30 + s).
    round: [__m256i; 2],
    /// 2^(31 - s), per column.
    excess: __m256i,
}

impl Factors {
    /// # Safety
    /// The arrays have at least `column + 8` elements.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn load(multiplier: *const i32, right: *const i32, column: usize) -> Self {
        // SAFETY: the caller vouches for the arrays.
        let (multiplier, right) = unsafe { (load(multiplier, column), load(right, column)) };
        let even = _mm256_and_si256(right, _mm256_set1_epi64x(0xffff_ffff));
        let odd = _mm256_srli_epi64::<32>(right);
        let thirty_one = _mm256_set1_epi64x(31);
        Self {
            multiplier: [multiplier, _mm256_srli_epi64::<32>(multiplier)],
            shift: [_mm256_add_epi64(even, thirty_one), _mm256_add_epi64(odd, thirty_one)],
            round: [round(even), round(odd)],
            excess: _mm256_srlv_epi32(_mm256_set1_epi32(i32::MIN), right),
        }
    }

    /// The first for columns whose accumulators are at or above 0, the second for others.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn by_sign(positive: &Self, negative: &Self, x: __m256i) -> Self {
        // The sign of a lane is its highest bit.
        let signs = [_mm256_slli_epi64::<32>(x), x];
        Self {
            multiplier: select_each(positive.multiplier, negative.multiplier, signs),
            shift: select_each(positive.shift, negative.shift, signs),
            round: select_each(positive.round, negative.round, signs),
            excess: select(positive.excess, negative.excess, x),
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn apply(&self, x: __m256i) -> __m256i {
        let even = _mm256_add_epi64(multiply(x, self.multiplier[0]), self.round[0]);
        let odd = multiply(_mm256_srli_epi64::<32>(x), self.multiplier[1]);
        let odd = _mm256_srlv_epi64(_mm256_add_epi64(odd, self.round[1]), self.shift[1]);
        let even = _mm256_srlv_epi64(even, self.shift[0]);
        // Not a shift by 32, which the compiler would make one with the shift before and a comparison.
        let odd = _mm256_shuffle_epi32::<0b10_10_00_00>(odd);
        let both = _mm256_blend_epi32::<0b1010_1010>(even, odd);
        _mm256_sub_epi32(both, self.excess)
    }
}

/// VPMULDQ of operands that may come from outside of a loop, where the compiler forgets that only their low halves count, and
/// would multiply 64 bits.
#[inline]
#[target_feature(enable = "avx2")]
fn multiply(x: __m256i, y: __m256i) -> __m256i {
    let product;
    // SAFETY: nothing but these registers is read or written.
    unsafe {
        asm!("vpmuldq {}, {}, {}", out(ymm_reg) product, in(ymm_reg) x, in(ymm_reg) y,
            options(pure, nomem, nostack, preserves_flags));
    }
    product
}

/// Eight elements of an array.
///
/// # Safety
/// The array has at least `column + 8`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn load(array: *const i32, column: usize) -> __m256i {
    // SAFETY: the caller vouches for them.
    unsafe { _mm256_loadu_si256(array.add(column).cast()) }
}

/// 2^62 + 2^30 + 2^(30 + s) per lane, without the last for a shift of 0.
#[inline]
#[target_feature(enable = "avx2")]
fn round(s: __m256i) -> __m256i {
    let half = _mm256_sllv_epi64(_mm256_set1_epi64x(1 << 30), s);
    let half = _mm256_andnot_si256(_mm256_cmpeq_epi64(s, _mm256_setzero_si256()), half);
    _mm256_add_epi64(_mm256_set1_epi64x((1 << 62) + (1 << 30)), half)
}

/// Lanes of `positive`, of `negative` where those of `signs` are below 0.
#[inline]
#[target_feature(enable = "avx2")]
fn select_each(
    positive: [__m256i; 2],
    negative: [__m256i; 2],
    signs: [__m256i; 2],
) -> [__m256i; 2] {
    [lanes(positive[0], negative[0], signs[0]), lanes(positive[1], negative[1], signs[1])]
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes(positive: __m256i, negative: __m256i, signs: __m256i) -> __m256i {
    let (p, n) = (_mm256_castsi256_pd(positive), _mm256_castsi256_pd(negative));
    _mm256_castpd_si256(_mm256_blendv_pd(p, n, _mm256_castsi256_pd(signs)))
}

/// Columns of `positive`, of `negative` where `x` is below 0.
#[inline]
#[target_feature(enable = "avx2")]
fn select(positive: __m256i, negative: __m256i, x: __m256i) -> __m256i {
    let (p, n) = (_mm256_castsi256_ps(positive), _mm256_castsi256_ps(negative));
    _mm256_castps_si256(_mm256_blendv_ps(p, n, _mm256_castsi256_ps(x)))
}

/// Accumulators of columns `column..column + 8` by any factors.
///
/// # Safety
/// The arrays of `requant` have at least `column + 8` elements.
#[target_feature(enable = "avx2")]
unsafe fn scale_any(requant: &Requant, column: usize, acc: __m256i) -> __m256i {
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    let (multiplier, left, right) = unsafe {
        let m = load(requant.multiplier, column);
        let (l, r) = (load(requant.left, column), load(requant.right, column));
        if requant.negative_multiplier.is_null() {
            (m, l, r)
        } else {
            (
                select(m, load(requant.negative_multiplier, column), acc),
                select(l, load(requant.negative_left, column), acc),
                select(r, load(requant.negative_right, column), acc),
            )
        }
    };
    let x = shift_left_saturating(acc, left);
    shift_right_rounding(multiply_high(x, multiplier), right)
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
