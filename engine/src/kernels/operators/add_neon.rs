//! Sums of 8-bit operands on 64-bit NEON, for which compilers have no saturating instructions: 32 of them take 40 cycles of a
//! Cortex-A53, with PReLU 75. Four registers of eight sums go side by side, because instructions wait up to four cycles for the
//! one before.

use std::arch::aarch64::*;

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 32;

/// Operands times 2^8, and a factor.
///
/// # Safety
/// There are [`LANES`] of them.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn weighted(x: *const i8, factor: i16) -> [int16x8_t; 4] {
    // SAFETY: the caller vouches for 32 bytes.
    let [low, high] = unsafe { [vld1q_s8(x), vld1q_s8(x.add(16))] };
    let x = [vget_low_s8(low), vget_high_s8(low), vget_low_s8(high), vget_high_s8(high)];
    x.map(|x| vshll_n_s8::<8>(x)).map(|x| vqrdmulhq_n_s16(x, factor))
}

/// One operation on all of both.
#[inline]
#[target_feature(enable = "neon")]
fn saturating_add(x: [int16x8_t; 4], y: [int16x8_t; 4]) -> [int16x8_t; 4] {
    [0, 1, 2, 3].map(|i| vqaddq_s16(x[i], y[i]))
}

/// Multiplies what is negative by its slope. `shift` is null where no slope is beyond 1: then the product with the slope is
/// the larger number below 0, and the smaller above.
///
/// # Safety
/// There are [`LANES`] slopes.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn prelu(x: [int16x8_t; 4], slopes: *const i16, shift: Option<int16x8_t>) -> [int16x8_t; 4] {
    // SAFETY: the caller vouches for 32 slopes.
    let slopes = [0, 1, 2, 3].map(|i| unsafe { vld1q_s16(slopes.add(8 * i)) });
    let products = [0, 1, 2, 3].map(|i| vqrdmulhq_s16(x[i], slopes[i]));
    match shift {
        None => [0, 1, 2, 3].map(|i| vmaxq_s16(x[i], products[i])),
        Some(shift) => {
            let negative = x.map(|x| vcltzq_s16(x));
            let products = products.map(|product| vqshlq_s16(product, shift));
            [0, 1, 2, 3].map(|i| vbslq_s16(negative[i], products[i], x[i]))
        }
    }
}

/// Computes as many sums of `y` as are a multiple of [`LANES`]; `slopes` are none, or as many as `y` has.
#[target_feature(enable = "neon")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    let (bias, zero) = (vdupq_n_s16(sum.bias), vdupq_n_s16(sum.zero));
    let (min, max) = (vdupq_n_s8(sum.bounds.0), vdupq_n_s8(sum.bounds.1));
    let fraction = vdupq_n_s16(-(sum.fraction as i16));
    let shift = (sum.slope_shift > 0).then(|| vdupq_n_s16(sum.slope_shift as i16));
    let operands = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    for (index, (y, (a, b))) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(operands).enumerate() {
        // SAFETY: both have 32 bytes.
        let (a, b) = unsafe {
            (weighted(a.as_ptr(), sum.multipliers.0), weighted(b.as_ptr(), sum.multipliers.1))
        };
        let mut x = saturating_add(saturating_add(a, b), [bias; 4]);
        if !slopes.is_empty() {
            let slopes: &[i16] = &slopes[index * LANES..][..LANES];
            // SAFETY: there are 32.
            x = unsafe { prelu(x, slopes.as_ptr(), shift) };
        }
        let [a, b, c, d] = saturating_add(x, [zero; 4]).map(|x| vrshlq_s16(x, fraction));
        let q = [vqmovn_high_s16(vqmovn_s16(a), b), vqmovn_high_s16(vqmovn_s16(c), d)];
        let [low, high] = q.map(|q| vmaxq_s8(q, min)).map(|q| vminq_s8(q, max));
        // SAFETY: it has 32 bytes.
        unsafe {
            vst1q_s8(y.as_mut_ptr(), low);
            vst1q_s8(y.as_mut_ptr().add(16), high);
        }
    }
}
