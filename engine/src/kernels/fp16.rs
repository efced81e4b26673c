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
/// arithmetic on fp16 does not; its intrinsics are not stable.
///
/// A Cortex-A53 loads a vector in two cycles in which it does nothing else. So the next step comes by integer loads beside
/// conversions, and moves to vector registers, two of which share a cycle, or go beside stores: 9 cycles.
#[cfg(target_arch = "aarch64")]
fn widen_vectors(narrow: &[f16], wide: &mut [f32]) -> usize {
    let steps = narrow.len().min(wide.len()) / STEP;
    if steps > 0 {
        // SAFETY: reads and writes `steps` steps of each.
        unsafe {
            std::arch::asm!(
                "ldr d0, [{narrow}]",
                "ldr d1, [{narrow}, #8]",
                "ldr d2, [{narrow}, #16]",
                "ldr d3, [{narrow}, #24]",
                "subs {steps}, {steps}, #1",
                "b.eq 3f",
                "2:",
                "fcvtl v4.4s, v0.4h",
                "ldr {x0}, [{narrow}, #32]",
                "fcvtl v5.4s, v1.4h",
                "ldr {x1}, [{narrow}, #40]",
                "fcvtl v6.4s, v2.4h",
                "ldr {x2}, [{narrow}, #48]",
                "fcvtl v7.4s, v3.4h",
                "ldr {x3}, [{narrow}, #56]",
                "stp q4, q5, [{wide}]",
                "subs {steps}, {steps}, #1",
                "fmov d0, {x0}",
                "fmov d1, {x1}",
                "stp q6, q7, [{wide}, #32]",
                "add {narrow}, {narrow}, #32",
                "fmov d2, {x2}",
                "fmov d3, {x3}",
                "add {wide}, {wide}, #64",
                "b.ne 2b",
                "3:",
                "fcvtl v4.4s, v0.4h",
                "fcvtl v5.4s, v1.4h",
                "fcvtl v6.4s, v2.4h",
                "fcvtl v7.4s, v3.4h",
                "stp q4, q5, [{wide}]",
                "stp q6, q7, [{wide}, #32]",
                narrow = inout(reg) narrow.as_ptr() => _,
                wide = inout(reg) wide.as_mut_ptr() => _,
                steps = inout(reg) steps => _,
                x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
                out("v0") _, out("v1") _, out("v2") _, out("v3") _,
                out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                options(nostack),
            );
        }
    }
    steps * STEP
}

/// As [`widen_vectors`], the other way: upper halves of vectors come by integer loads, 11 cycles.
#[cfg(target_arch = "aarch64")]
fn narrow_vectors(wide: &[f32], narrow: &mut [f16]) -> usize {
    let steps = wide.len().min(narrow.len()) / STEP;
    if steps > 0 {
        // SAFETY: reads and writes `steps` steps of each.
        unsafe {
            std::arch::asm!(
                "ldp q0, q1, [{wide}]",
                "ldp q2, q3, [{wide}, #32]",
                "subs {steps}, {steps}, #1",
                "b.eq 3f",
                "2:",
                "fcvtn v4.4h, v0.4s",
                "ldr {x0}, [{wide}, #72]",
                "fcvtn v5.4h, v2.4s",
                "ldr {x1}, [{wide}, #88]",
                "fcvtn2 v4.8h, v1.4s",
                "ldr {x2}, [{wide}, #104]",
                "fcvtn2 v5.8h, v3.4s",
                "ldr {x3}, [{wide}, #120]",
                "ldr d0, [{wide}, #64]",
                "subs {steps}, {steps}, #1",
                "ldr d1, [{wide}, #80]",
                "add {narrow}, {narrow}, #32",
                "ldr d2, [{wide}, #96]",
                "ins v0.d[1], {x0}",
                "ldr d3, [{wide}, #112]",
                "ins v1.d[1], {x1}",
                "stp q4, q5, [{narrow}, #-32]",
                "ins v2.d[1], {x2}",
                "add {wide}, {wide}, #64",
                "ins v3.d[1], {x3}",
                "b.ne 2b",
                "3:",
                "fcvtn v4.4h, v0.4s",
                "fcvtn v5.4h, v2.4s",
                "fcvtn2 v4.8h, v1.4s",
                "fcvtn2 v5.8h, v3.4s",
                "stp q4, q5, [{narrow}]",
                wide = inout(reg) wide.as_ptr() => _,
                narrow = inout(reg) narrow.as_mut_ptr() => _,
                steps = inout(reg) steps => _,
                x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
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

#[cfg(target_arch = "arm")]
use super::neon_v7::elements::{narrow as narrow_vectors, widen as widen_vectors};

#[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64")))]
fn widen_vectors(_: &[f16], _: &mut [f32]) -> usize {
    0
}

#[cfg(not(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64")))]
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
