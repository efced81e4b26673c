//! Sums of 8-bit operands on 64-bit NEON: what the compiler makes of the loop in plain Rust takes 92 cycles of a Cortex-A53
//! for 16 sums with PReLU, because it multiplies in 32 bits and has no rounding shift; this takes about 60, one vector
//! instruction a cycle.

use std::arch::aarch64::*;

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 32;

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
///
/// Four registers of sums go through each stage one after the other: a result is ready for the next instruction but three.
#[target_feature(enable = "neon")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], sum: &I8Sum) {
    let (za, zb) = (vdup_n_s8(sum.zero_points.0), vdup_n_s8(sum.zero_points.1));
    let zero = vdupq_n_s16(sum.zero_point);
    let (min, max) = (vdupq_n_s8(sum.bounds.0), vdupq_n_s8(sum.bounds.1));
    let (multipliers, shift) = (sum.multipliers, vdupq_n_s32(-(sum.shift as i32)));
    let (positive, after) = (vdupq_n_s16(sum.positive), vdupq_n_s32(-(sum.after as i32)));
    let operands = a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0);
    for (index, (y, (a, b))) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(operands).enumerate() {
        // SAFETY: each has eight bytes from eight times its index on.
        let load = |x: &[i8; LANES], i: usize| unsafe { vld1_s8(x[8 * i..][..8].as_ptr()) };
        let a: [_; 4] = std::array::from_fn(|i| vsubl_s8(load(a, i), za));
        let b: [_; 4] = std::array::from_fn(|i| vsubl_s8(load(b, i), zb));
        let mut x: [_; 4] = std::array::from_fn(|i| weighted(a[i], b[i], multipliers, shift));
        if !slopes.is_empty() {
            let slopes: &[i16] = &slopes[index * LANES..][..LANES];
            for (i, x) in x.iter_mut().enumerate() {
                // SAFETY: eight of the slopes from eight times the index on.
                let slopes = unsafe { vld1q_s16(slopes[8 * i..][..8].as_ptr()) };
                *x = prelu(*x, slopes, positive, after);
            }
        }
        let x = x.map(|x| vqmovn_s16(vqaddq_s16(x, zero)));
        for (x, y) in x.as_chunks::<2>().0.iter().zip(y.as_chunks_mut::<16>().0) {
            let q = vminq_s8(vmaxq_s8(vcombine_s8(x[0], x[1]), min), max);
            // SAFETY: it has 16 bytes.
            unsafe { vst1q_s8(y.as_mut_ptr(), q) };
        }
    }
}
