//! Vectors of fp32 numbers, for loops that are written once for all instruction sets where the compiler would not find the
//! vectors itself. Every operation is one of IEEE 754 on each element, so results do not depend on the length.

/// Numbers that lie next to each other.
///
/// Operations are inlined into functions that enable the instruction set: a vector exists where its CPU was asked for.
pub(super) trait Vector: Copy {
    /// Elements.
    const LANES: usize;

    /// # Safety
    /// `from` is readable for [`Vector::LANES`] elements, and the CPU has the instruction set.
    unsafe fn load(from: *const f32) -> Self;

    /// # Safety
    /// `to` is writable for [`Vector::LANES`] elements.
    unsafe fn store(self, to: *mut f32);

    /// The same number everywhere.
    ///
    /// # Safety
    /// The CPU has the instruction set.
    unsafe fn splat(x: f32) -> Self;

    /// `self + other`.
    fn add(self, other: Self) -> Self;
    /// `self - other`.
    fn sub(self, other: Self) -> Self;
    /// `self * other`.
    fn mul(self, other: Self) -> Self;
    /// `self * slopes` where `self` is below 0.
    fn prelu(self, slopes: Self) -> Self;
    /// As [`clamp_f32`](super::micro::clamp_f32).
    fn clamp(self, min: Self, max: Self) -> Self;
}

impl Vector for f32 {
    const LANES: usize = 1;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for it.
        unsafe { *from }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for it.
        unsafe { *to = self }
    }

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self + other
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        self - other
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        self * other
    }

    #[inline(always)]
    fn prelu(self, slopes: Self) -> Self {
        if self < 0.0 { self * slopes } else { self }
    }

    #[inline(always)]
    fn clamp(self, min: Self, max: Self) -> Self {
        super::micro::clamp_f32(self, min, max)
    }
}

/// Implements [`Vector`] on intrinsics.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
macro_rules! vector {
    ($vector:ty, $lanes:literal, $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident,
     |$x:ident, $scaled:ident| $prelu:expr, |$y:ident, $min:ident, $max:ident| $clamp:expr) => {
        // SAFETY of all blocks: a vector exists only where the CPU has its instructions; memory as the callers vouch.
        impl Vector for $vector {
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: as above.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            fn mul(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $mul(self, other) }
            }

            #[inline(always)]
            fn prelu(self, slopes: Self) -> Self {
                let ($x, $scaled) = (self, self.mul(slopes));
                // SAFETY: as above.
                unsafe { $prelu }
            }

            #[inline(always)]
            fn clamp(self, $min: Self, $max: Self) -> Self {
                let $y = self;
                // SAFETY: as above.
                unsafe { $clamp }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Vector;

    // MAXPS and MINPS give the second operand unless the first is beyond it.
    vector!(
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps,
        |x, scaled| {
            let negative = _mm256_cmp_ps::<_CMP_LT_OQ>(x, _mm256_setzero_ps());
            _mm256_blendv_ps(x, scaled, negative)
        },
        |x, min, max| _mm256_min_ps(_mm256_max_ps(x, min), max)
    );
    vector!(
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps,
        |x, scaled| {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
            _mm512_mask_mov_ps(x, negative, scaled)
        },
        |x, min, max| _mm512_min_ps(_mm512_max_ps(x, min), max)
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use std::arch::aarch64::*;

    use super::Vector;

    // FMAXNM and FMINNM give the bound for what is not a number.
    vector!(
        float32x4_t,
        4,
        vld1q_f32,
        vst1q_f32,
        vdupq_n_f32,
        vaddq_f32,
        vsubq_f32,
        vmulq_f32,
        |x, scaled| vbslq_f32(vcltzq_f32(x), scaled, x),
        |x, min, max| vminnmq_f32(vmaxnmq_f32(x, min), max)
    );
}
