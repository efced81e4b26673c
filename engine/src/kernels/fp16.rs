//! Between fp16 and fp32, on the instructions that nearly every CPU has for it. All round to nearest even, so results are
//! the same bits everywhere.

use half::f16;
use half::slice::HalfFloatSliceExt;

/// `wide[i] = narrow[i]`.
pub(super) fn widen(narrow: &[f16], wide: &mut [f32]) {
    assert_eq!(narrow.len(), wide.len());
    let vectors = widen_vectors(narrow, wide);
    narrow[vectors..].convert_to_f32_slice(&mut wide[vectors..]);
}

/// `narrow[i] = wide[i]`, rounded.
pub(super) fn narrow(wide: &[f32], narrow: &mut [f16]) {
    assert_eq!(wide.len(), narrow.len());
    let vectors = narrow_vectors(wide, narrow);
    narrow[vectors..].convert_from_f32_slice(&wide[vectors..]);
}

/// Elements of a vector step.
#[cfg(target_arch = "aarch64")]
const STEP: usize = 16;

/// Converts whole steps, and says how many elements these are. FCVTL belongs to every 64-bit ARM CPU, though
/// arithmetic on fp16 does not; its intrinsics are not stable. A step is loaded while the one before is stored.
#[cfg(target_arch = "aarch64")]
fn widen_vectors(narrow: &[f16], wide: &mut [f32]) -> usize {
    let steps = narrow.len().min(wide.len()) / STEP;
    if steps > 0 {
        // SAFETY: reads and writes `steps` steps of each.
        unsafe {
            std::arch::asm!(
                "ldp q0, q1, [{narrow}], #32",
                "2:",
                "fcvtl v2.4s, v0.4h",
                "subs {steps}, {steps}, #1",
                "fcvtl2 v3.4s, v0.8h",
                "fcvtl v4.4s, v1.4h",
                "fcvtl2 v5.4s, v1.8h",
                "b.eq 3f",
                "ldp q0, q1, [{narrow}], #32",
                "stp q2, q3, [{wide}]",
                "stp q4, q5, [{wide}, #32]",
                "add {wide}, {wide}, #64",
                "b 2b",
                "3:",
                "stp q2, q3, [{wide}]",
                "stp q4, q5, [{wide}, #32]",
                narrow = inout(reg) narrow.as_ptr() => _,
                wide = inout(reg) wide.as_mut_ptr() => _,
                steps = inout(reg) steps => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
                options(nostack),
            );
        }
    }
    steps * STEP
}

/// As [`widen_vectors`], the other way.
#[cfg(target_arch = "aarch64")]
fn narrow_vectors(wide: &[f32], narrow: &mut [f16]) -> usize {
    let steps = wide.len().min(narrow.len()) / STEP;
    if steps > 0 {
        // SAFETY: reads and writes `steps` steps of each.
        unsafe {
            std::arch::asm!(
                "ldp q0, q1, [{wide}], #64",
                "ldp q2, q3, [{wide}, #-32]",
                "2:",
                "fcvtn v4.4h, v0.4s",
                "subs {steps}, {steps}, #1",
                "fcvtn v5.4h, v2.4s",
                "fcvtn2 v4.8h, v1.4s",
                "fcvtn2 v5.8h, v3.4s",
                "b.eq 3f",
                "ldp q0, q1, [{wide}], #64",
                "ldp q2, q3, [{wide}, #-32]",
                "stp q4, q5, [{narrow}], #32",
                "b 2b",
                "3:",
                "stp q4, q5, [{narrow}]",
                wide = inout(reg) wide.as_ptr() => _,
                narrow = inout(reg) narrow.as_mut_ptr() => _,
                steps = inout(reg) steps => _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _,
                options(nostack),
            );
        }
    }
    steps * STEP
}

#[cfg(target_arch = "x86_64")]
fn widen_vectors(narrow: &[f16], wide: &mut [f32]) -> usize {
    use std::arch::x86_64::{_mm_loadu_si128, _mm256_cvtph_ps, _mm256_storeu_ps};
    #[target_feature(enable = "avx,f16c")]
    fn body(narrow: &[f16], wide: &mut [f32]) -> usize {
        for (narrow, wide) in narrow.chunks_exact(8).zip(wide.chunks_exact_mut(8)) {
            // SAFETY: reads and writes the 8 elements of each.
            unsafe {
                let halves = _mm_loadu_si128(narrow.as_ptr().cast());
                _mm256_storeu_ps(wide.as_mut_ptr(), _mm256_cvtph_ps(halves));
            }
        }
        narrow.len() / 8 * 8
    }
    if !is_x86_feature_detected!("f16c") {
        return 0;
    }
    // SAFETY: the CPU has it, and with it AVX.
    unsafe { body(narrow, wide) }
}

#[cfg(target_arch = "x86_64")]
fn narrow_vectors(wide: &[f32], narrow: &mut [f16]) -> usize {
    use std::arch::x86_64::{
        _MM_FROUND_TO_NEAREST_INT, _mm_storeu_si128, _mm256_cvtps_ph, _mm256_loadu_ps,
    };
    #[target_feature(enable = "avx,f16c")]
    fn body(wide: &[f32], narrow: &mut [f16]) -> usize {
        for (wide, narrow) in wide.chunks_exact(8).zip(narrow.chunks_exact_mut(8)) {
            // SAFETY: reads and writes the 8 elements of each.
            unsafe {
                let halves =
                    _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(_mm256_loadu_ps(wide.as_ptr()));
                _mm_storeu_si128(narrow.as_mut_ptr().cast(), halves);
            }
        }
        wide.len() / 8 * 8
    }
    if !is_x86_feature_detected!("f16c") {
        return 0;
    }
    // SAFETY: the CPU has it, and with it AVX.
    unsafe { body(wide, narrow) }
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
fn widen_vectors(_: &[f16], _: &mut [f32]) -> usize {
    0
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "x86_64")))]
fn narrow_vectors(_: &[f32], _: &mut [f16]) -> usize {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fp16_number_goes_there_and_back() {
        let all: Vec<f16> = (0..=u16::MAX).map(f16::from_bits).collect();
        for count in [all.len(), 1, 15, 16, 17, 40] {
            let mut wide = vec![0.0; count];
            widen(&all[..count], &mut wide);
            assert!(wide.iter().zip(&all).all(|(wide, narrow)| {
                wide.to_bits() == narrow.to_f32().to_bits() || narrow.is_nan() && wide.is_nan()
            }));
            let mut back = vec![f16::ZERO; count];
            narrow(&wide, &mut back);
            assert!(back.iter().zip(&all).all(|(back, narrow)| {
                back.to_bits() == narrow.to_bits() || narrow.is_nan() && back.is_nan()
            }));
        }
    }

    #[test]
    fn halfway_goes_to_even_and_too_large_to_infinity() {
        // Around every power of two, ties included.
        let wide: Vec<f32> = (0..1 << 16).map(|i: u32| f32::from_bits(i << 16 | i << 12)).collect();
        let mut got = vec![f16::ZERO; wide.len()];
        narrow(&wide, &mut got);
        for (&wide, got) in wide.iter().zip(got).filter(|(wide, _)| !wide.is_nan()) {
            assert_eq!(got.to_bits(), f16::from_f32(wide).to_bits(), "{wide}");
        }
    }
}
