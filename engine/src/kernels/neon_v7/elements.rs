//! Loops over elements on 32-bit ARM, where the compiler has no vectors of fp32 (NEON flushes what is below the smallest normal
//! number, which IEEE 754 does not) and converts fp16 by calls.

use std::arch::global_asm;

use half::f16;

use crate::kernels::isa::has_neon_v7;

/// Elements of a step.
const STEP: usize = 8;

// Arguments in r0-r3, then on the stack; r2 or, of sums, r3 counts steps, of which there is one at least. q0-q3 and q8-q15 may be
// overwritten.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    .balign 16
    .global quantrack_f16_widen_v7
    .hidden quantrack_f16_widen_v7
    .type quantrack_f16_widen_v7, %function
quantrack_f16_widen_v7:
    vld1.16 {d0-d1}, [r1]!
    vcvt.f32.f16 q8, d0
    vcvt.f32.f16 q9, d1
    subs r2, r2, #1
    vst1.32 {d16-d19}, [r0]!
    bne quantrack_f16_widen_v7
    bx lr
    .size quantrack_f16_widen_v7, . - quantrack_f16_widen_v7

    .balign 16
    .global quantrack_f16_narrow_v7
    .hidden quantrack_f16_narrow_v7
    .type quantrack_f16_narrow_v7, %function
quantrack_f16_narrow_v7:
    vld1.32 {d16-d19}, [r1]!
    vcvt.f16.f32 d0, q8
    vcvt.f16.f32 d1, q9
    subs r2, r2, #1
    vst1.16 {d0-d1}, [r0]!
    bne quantrack_f16_narrow_v7
    bx lr
    .size quantrack_f16_narrow_v7, . - quantrack_f16_narrow_v7

    .balign 16
    .global quantrack_f32_add_v7
    .hidden quantrack_f32_add_v7
    .type quantrack_f32_add_v7, %function
quantrack_f32_add_v7:
    ldr r12, [sp]
    vld1.32 {d0[], d1[]}, [r12]!
    vld1.32 {d2[], d3[]}, [r12]
2:
    vld1.32 {d16-d19}, [r1]!
    vld1.32 {d20-d23}, [r2]!
    vadd.f32 q8, q8, q10
    vadd.f32 q9, q9, q11
    subs r3, r3, #1
    vmax.f32 q8, q8, q0
    vmax.f32 q9, q9, q0
    vmin.f32 q8, q8, q1
    vmin.f32 q9, q9, q1
    vst1.32 {d16-d19}, [r0]!
    bne 2b
    bx lr
    .size quantrack_f32_add_v7, . - quantrack_f32_add_v7

    .balign 16
    .global quantrack_f32_add_prelu_v7
    .hidden quantrack_f32_add_prelu_v7
    .type quantrack_f32_add_prelu_v7, %function
quantrack_f32_add_prelu_v7:
    ldr r12, [sp]
2:
    vld1.32 {d16-d19}, [r1]!
    vld1.32 {d20-d23}, [r2]!
    vld1.32 {d24-d27}, [r12]!
    vadd.f32 q8, q8, q10
    vadd.f32 q9, q9, q11
    subs r3, r3, #1
    vclt.f32 q14, q8, #0
    vclt.f32 q15, q9, #0
    vmul.f32 q12, q12, q8
    vmul.f32 q13, q13, q9
    vbit q8, q12, q14
    vbit q9, q13, q15
    vst1.32 {d16-d19}, [r0]!
    bne 2b
    bx lr
    .size quantrack_f32_add_prelu_v7, . - quantrack_f32_add_prelu_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_f16_widen_v7(to: *mut f32, from: *const f16, steps: usize);
    fn quantrack_f16_narrow_v7(to: *mut f16, from: *const f32, steps: usize);
    fn quantrack_f32_add_v7(
        y: *mut f32,
        a: *const f32,
        b: *const f32,
        steps: usize,
        bounds: *const [f32; 2],
    );
    fn quantrack_f32_add_prelu_v7(
        y: *mut f32,
        a: *const f32,
        b: *const f32,
        steps: usize,
        slopes: *const f32,
    );
    /// Of the C library: a value of the auxiliary vector.
    fn getauxval(kind: usize) -> usize;
}

/// Whether the CPU has NEON and VFPv4, to which conversions of fp16 belong.
fn available() -> bool {
    const AT_HWCAP: usize = 16;
    // SAFETY: takes a number and gives one, for any number.
    has_neon_v7(unsafe { getauxval(AT_HWCAP) } as u64)
}

/// Widens whole steps, and says how many elements these are.
pub(in crate::kernels) fn widen(narrow: &[f16], wide: &mut [f32]) -> usize {
    let steps = narrow.len().min(wide.len()) / STEP;
    if steps == 0 || !available() {
        return 0;
    }
    // SAFETY: the CPU can; reads and writes `steps` steps of each.
    unsafe { quantrack_f16_widen_v7(wide.as_mut_ptr(), narrow.as_ptr(), steps) };
    steps * STEP
}

/// As [`widen`], the other way.
pub(in crate::kernels) fn narrow(wide: &[f32], narrow: &mut [f16]) -> usize {
    let steps = narrow.len().min(wide.len()) / STEP;
    if steps == 0 || !available() {
        return 0;
    }
    // SAFETY: the CPU can; reads and writes `steps` steps of each.
    unsafe { quantrack_f16_narrow_v7(narrow.as_mut_ptr(), wide.as_ptr(), steps) };
    steps * STEP
}

/// Whole steps of sums within bounds, or with PReLU if there are slopes, as many as sums; says how many elements these are.
///
/// # Safety
/// The CPU has NEON.
pub(in crate::kernels) unsafe fn add(
    y: &mut [f32],
    a: &[f32],
    b: &[f32],
    slopes: &[f32],
    bounds: (f32, f32),
) -> usize {
    let (a, b) = (&a[..y.len()], &b[..y.len()]);
    let steps = y.len() / STEP;
    if steps == 0 {
        return 0;
    }
    if slopes.is_empty() {
        let bounds = [bounds.0, bounds.1];
        // SAFETY: the caller vouches for the CPU; all slices have so many steps.
        unsafe { quantrack_f32_add_v7(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), steps, &bounds) };
    } else {
        let slopes = slopes[..y.len()].as_ptr();
        // SAFETY: likewise.
        unsafe {
            quantrack_f32_add_prelu_v7(y.as_mut_ptr(), a.as_ptr(), b.as_ptr(), steps, slopes);
        }
    }
    steps * STEP
}
