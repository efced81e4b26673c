//! Sums of 8-bit operands on 64-bit NEON: what the compiler makes of the loop in plain Rust takes 92 cycles of a Cortex-A53
//! for 16 sums with PReLU, because it multiplies in 32 bits and has no rounding shift; this takes 76, of
//! which 59 are the vector instructions.

use std::arch::aarch64::*;

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 16;

/// Shifts right by `-shift` with rounding, then narrows with saturation.
#[inline]
#[target_feature(enable = "neon")]
fn narrow(low: int32x4_t, high: int32x4_t, shift: int32x4_t) -> int16x8_t {
    vqmovn_high_s32(vqmovn_s32(vrshlq_s32(low, shift)), vrshlq_s32(high, shift))
}

/// The accumulators of eight sums.
#[inline]
#[target_feature(enable = "neon")]
fn weighted(a: int16x8_t, b: int16x8_t, (ma, mb): (i16, i16), shift: int32x4_t) -> int16x8_t {
    let low = vmlal_n_s16(vmull_n_s16(vget_low_s16(a), ma), vget_low_s16(b), mb);
    let high = vmlal_high_n_s16(vmull_high_n_s16(a, ma), b, mb);
    narrow(low, high, shift)
}

/// Multiplies what is negative by its slope, the rest by `positive`.
#[inline]
#[target_feature(enable = "neon")]
fn prelu(x: int16x8_t, slopes: int16x8_t, positive: int16x8_t, shift: int32x4_t) -> int16x8_t {
    let slopes = vbslq_s16(vcltzq_s16(x), slopes, positive);
    let low = vmull_s16(vget_low_s16(x), vget_low_s16(slopes));
    narrow(low, vmull_high_s16(x, slopes), shift)
}

/// Computes as many sums of `y` as are a multiple of [`LANES`]; `slopes` are none, or as many as `y` has.
#[target_feature(enable = "neon")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    let (za, zb) = (vdupq_n_s8(sum.zero_points.0), vdupq_n_s8(sum.zero_points.1));
    let zero = vdupq_n_s16(sum.zero_point);
    let (min, max) = (vdupq_n_s8(sum.bounds.0), vdupq_n_s8(sum.bounds.1));
    let (multipliers, shift) = (sum.multipliers, vdupq_n_s32(-(sum.shift as i32)));
    let (positive, after) = (vdupq_n_s16(sum.positive), vdupq_n_s32(-(sum.after as i32)));
    let operands = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    for (index, (y, (a, b))) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(operands).enumerate() {
        // SAFETY: both have 16 bytes.
        let (a, b) = unsafe { (vld1q_s8(a.as_ptr()), vld1q_s8(b.as_ptr())) };
        let (low, high) = (vget_low_s8(a), vsubl_high_s8(a, za));
        let (low_b, high_b) = (vget_low_s8(b), vsubl_high_s8(b, zb));
        let low = vsubl_s8(low, vget_low_s8(za));
        let low_b = vsubl_s8(low_b, vget_low_s8(zb));
        let mut low = weighted(low, low_b, multipliers, shift);
        let mut high = weighted(high, high_b, multipliers, shift);
        if !slopes.is_empty() {
            let slopes: &[i16] = &slopes[index * LANES..][..LANES];
            // SAFETY: there are 16.
            let (first, second) =
                unsafe { (vld1q_s16(slopes.as_ptr()), vld1q_s16(slopes.as_ptr().add(8))) };
            low = prelu(low, first, positive, after);
            high = prelu(high, second, positive, after);
        }
        let q = vqmovn_high_s16(vqmovn_s16(vqaddq_s16(low, zero)), vqaddq_s16(high, zero));
        // SAFETY: it has 16 bytes.
        unsafe { vst1q_s8(y.as_mut_ptr(), vminq_s8(vmaxq_s8(q, min), max)) };
    }
}
