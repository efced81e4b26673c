//! Sums of 8-bit operands on 64-bit NEON, for which compilers have no saturating instructions: 16 of them take 26 cycles of a
//! Cortex-A53, with PReLU 34.

use std::arch::aarch64::*;

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 16;

/// The accumulators of eight sums.
#[inline]
#[target_feature(enable = "neon")]
fn weighted(a: int8x8_t, b: int8x8_t, (ma, mb): (i16, i16), bias: int16x8_t) -> int16x8_t {
    let a = vqrdmulhq_n_s16(vshll_n_s8::<8>(a), ma);
    let b = vqrdmulhq_n_s16(vshll_n_s8::<8>(b), mb);
    vqaddq_s16(vqaddq_s16(a, b), bias)
}

/// Multiplies what is negative by its slope. `shift` is null where no slope is beyond 1: then the product with the slope is
/// the larger number below 0, and the smaller above.
#[inline]
#[target_feature(enable = "neon")]
fn prelu(x: int16x8_t, slopes: int16x8_t, shift: Option<int16x8_t>) -> int16x8_t {
    let product = vqrdmulhq_s16(x, slopes);
    match shift {
        None => vmaxq_s16(x, product),
        Some(shift) => vbslq_s16(vcltzq_s16(x), vqshlq_s16(product, shift), x),
    }
}

/// Computes as many sums of `y` as are a multiple of [`LANES`]; `slopes` are none, or as many as `y` has.
#[target_feature(enable = "neon")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    let (bias, zero) = (vdupq_n_s16(sum.bias), vdupq_n_s16(sum.zero));
    let (min, max) = (vdupq_n_s8(sum.bounds.0), vdupq_n_s8(sum.bounds.1));
    let (multipliers, fraction) = (sum.multipliers, vdupq_n_s16(-(sum.fraction as i16)));
    let shift = (sum.slope_shift > 0).then(|| vdupq_n_s16(sum.slope_shift as i16));
    let operands = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    for (index, (y, (a, b))) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(operands).enumerate() {
        // SAFETY: both have 16 bytes.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        let mut low = weighted(vget_low_s8(a), vget_low_s8(b), multipliers, bias);
        let mut high = weighted(vget_high_s8(a), vget_high_s8(b), multipliers, bias);
        if !slopes.is_empty() {
            let slopes: &[i16] = &slopes[index * LANES..][..LANES];
            // SAFETY: there are 16.
            let (first, second) =
                unsafe { (vld1q_s16(slopes.as_ptr()), vld1q_s16(slopes.as_ptr().add(8))) };
            low = prelu(low, first, shift);
            high = prelu(high, second, shift);
        }
        let [low, high] = [low, high].map(|x| vrshlq_s16(vqaddq_s16(x, zero), fraction));
        let q = vqmovn_high_s16(vqmovn_s16(low), high);
        // SAFETY: it has 16 bytes.
        unsafe { vst1q_s8(y.as_mut_ptr(), vminq_s8(vmaxq_s8(q, min), max)) };
    }
}
