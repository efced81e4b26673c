//! What the armv7 kernels share. On stable Rust 32-bit NEON is reachable only through assembly: each kernel
//! accumulates a tile in `global_asm!` and finishes it with one of the two output stages here.
//!
//! Conventions (AAPCS): arguments in r0-r3, then the stack; r4-r11 and d8-d15 are preserved. Fused multiply-add
//! (`vfma`, VFPv4) has no form by lane, so scalars are duplicated first.

use std::arch::global_asm;

use super::micro::Requant;

// r0 accumulators, r1 Requant, r2 first column, r3 groups of four, [sp] out.
// Requant is { multiplier, left, right, negative multiplier, left, right, zero_point, min, max }.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .p2align 4
    .type quantrack_requant_v7, %function
    .globl quantrack_requant_v7
quantrack_requant_v7:
    ldr r12, [sp]
    push {r4-r9}
    ldm r1!, {r4-r9}
    add r4, r4, r2, lsl #2
    add r5, r5, r2, lsl #2
    add r6, r6, r2, lsl #2
    cmp r7, #0
    addne r7, r7, r2, lsl #2
    addne r8, r8, r2, lsl #2
    addne r9, r9, r2, lsl #2
    vld1.32 {d16[], d17[]}, [r1]!
    vld1.32 {d18[], d19[]}, [r1]!
    vld1.32 {d20[], d21[]}, [r1]
1:
    vld1.32 {d0, d1}, [r0]!
    vld1.32 {d2, d3}, [r4]!
    vld1.32 {d4, d5}, [r5]!
    vld1.32 {d6, d7}, [r6]!
    cmp r7, #0
    beq 2f
    vclt.s32 q11, q0, #0
    vld1.32 {d24, d25}, [r7]!
    vbit q1, q12, q11
    vld1.32 {d24, d25}, [r8]!
    vbit q2, q12, q11
    vld1.32 {d24, d25}, [r9]!
    vbit q3, q12, q11
2:
    vqshl.s32 q0, q0, q2
    vneg.s32 q3, q3
    vqrdmulh.s32 q0, q0, q1
    vrshl.s32 q0, q0, q3
    vqadd.s32 q0, q0, q8
    vmax.s32 q0, q0, q9
    vmin.s32 q0, q0, q10
    vmovn.i32 d0, q0
    vmovn.i16 d0, q0
    vst1.32 {d0[0]}, [r12]!
    subs r3, r3, #1
    bne 1b
    pop {r4-r9}
    bx lr
    .size quantrack_requant_v7, . - quantrack_requant_v7
"#,
    options(raw)
);

// r0 accumulators, r1 groups of four, r2 slopes or null, r3 { min, max }, [sp] out.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .p2align 4
    .type quantrack_f32_finish_v7, %function
    .globl quantrack_f32_finish_v7
quantrack_f32_finish_v7:
    ldr r12, [sp]
    vld1.32 {d16[], d17[]}, [r3]!
    vld1.32 {d18[], d19[]}, [r3]
1:
    vld1.32 {d0, d1}, [r0]!
    cmp r2, #0
    beq 2f
    vld1.32 {d2, d3}, [r2]!
    vmul.f32 q1, q0, q1
    vclt.f32 q2, q0, #0
    vbit q0, q1, q2
2:
    vmax.f32 q0, q0, q8
    vmin.f32 q0, q0, q9
    vst1.32 {d0, d1}, [r12]!
    subs r1, r1, #1
    bne 1b
    bx lr
    .size quantrack_f32_finish_v7, . - quantrack_f32_finish_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_requant_v7(
        acc: *const i32,
        requant: *const Requant,
        column: usize,
        groups: usize,
        out: *mut i8,
    );
    fn quantrack_f32_finish_v7(
        acc: *const f32,
        groups: usize,
        slopes: *const f32,
        bounds: *const [f32; 2],
        out: *mut f32,
    );
}

/// Requantizes `N` accumulators (a multiple of 4) of columns `column..column + N`, and stores the first `count`.
///
/// # Safety
/// The arrays of `requant` have `column + N` elements; `c` is writable for `count <= N` bytes.
pub(crate) unsafe fn requantize<const N: usize>(
    acc: &[i32; N],
    requant: &Requant,
    column: usize,
    c: *mut i8,
    count: usize,
) {
    const { assert!(N.is_multiple_of(4)) };
    let mut q = [0_i8; N];
    // SAFETY: `acc` and `q` have N elements; the caller vouches for the rest.
    unsafe {
        quantrack_requant_v7(acc.as_ptr(), requant, column, N / 4, q.as_mut_ptr());
        std::ptr::copy_nonoverlapping(q.as_ptr(), c, count);
    }
}

/// Applies PReLU and bounds to `N` accumulators (a multiple of 4), and stores the first `count`.
///
/// # Safety
/// `slopes` is null or has `N` elements; `c` is writable for `count <= N` elements.
pub(crate) unsafe fn finish_f32<const N: usize>(
    acc: &[f32; N],
    slopes: *const f32,
    bounds: [f32; 2],
    c: *mut f32,
    count: usize,
) {
    const { assert!(N.is_multiple_of(4)) };
    let mut row = [0.0_f32; N];
    // SAFETY: `acc` and `row` have N elements; the caller vouches for the rest.
    unsafe {
        quantrack_f32_finish_v7(acc.as_ptr(), N / 4, slopes, &raw const bounds, row.as_mut_ptr());
        std::ptr::copy_nonoverlapping(row.as_ptr(), c, count);
    }
}
