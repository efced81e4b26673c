//! fp32 tiles for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile};

/// Five rows by eight columns. Fused multiply-add has no form by lane, so each activation goes to all lanes of a register
/// (VDUP from an integer register, two of which share a cycle of a Cortex-A53), as do two halves of weights.
///
/// Four cycles after a multiply-add no other NEON operation may issue. So the cycles of moves and loads are four apart: of
/// 16 cycles for a channel, ten multiply, four load, and a second series of such cycles costs two for one more. That is 2.5
/// products per cycle.
pub(crate) static GEMM_5X8: F32Gemm = MicroKernel {
    name: "f32_gemm_5x8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 5, nr: 8, kr: 1 },
    // SAFETY: the caller vouches for `args` (rows readable for two elements past their channels, the panel for eight: SLACK;
    // `slopes` null or eight elements) and for NEON with VFPv4.
    run: |args| unsafe { quantrack_f32_gemm_5x8_v7(args) },
};

const _: () = assert!(offset_of!(F32GemmArgs, rows) == 0);
const _: () = assert!(offset_of!(F32GemmArgs, cols) == 4);
const _: () = assert!(offset_of!(F32GemmArgs, channels) == 8);
const _: () = assert!(offset_of!(F32GemmArgs, taps) == 12);
const _: () = assert!(offset_of!(F32GemmArgs, a) == 16);
const _: () = assert!(offset_of!(F32GemmArgs, w) == 20);
const _: () = assert!(offset_of!(F32GemmArgs, c) == 24);
const _: () = assert!(offset_of!(F32GemmArgs, c_stride) == 28);
const _: () = assert!(offset_of!(F32GemmArgs, min) == 32);
const _: () = assert!(offset_of!(F32GemmArgs, max) == 36);
const _: () = assert!(offset_of!(F32GemmArgs, slopes) == 40);

// r0 weights, r1 channels left, r2 and r3 weights on their way, r4-r8 rows, r9-r12 and lr activations.
// On the stack: args, rows left, c, pointers to rows, taps left.
// q0 and q1 columns of an even channel, q2 and q3 of an odd one, q4 and q5 activations, q6-q15 accumulators.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ A channel: its columns `low` and `high`; rows 0, 2 and 4 in `x`, 1 and 3 in `y`; halves of the next channel's columns
    @ from `at` on. Leaves the next channel's rows 0 and 1 in `y` and `x`, and its others in r11, r12 and lr. The comments
    @ count cycles.
    .macro quantrack_f32_channel low, high, x, y, a, b, c, d, at, count, step
    vfma.f32 q6, \low, \x               @ 0
    ldr r9, [r4], #4
    vfma.f32 q7, \high, \x              @ 1
    ldr r10, [r5], #4
    vfma.f32 q8, \low, \y               @ 2
    vdup.32 \x, r11                     @ 3
    vldr \a, [r0, #\at]
    vfma.f32 q9, \high, \y              @ 4
    ldr r11, [r6], #4
    vfma.f32 q10, \low, \x              @ 5
    ldrd r2, r3, [r0, #\at + 24]
    vfma.f32 q11, \high, \x             @ 6
    \count
    vdup.32 \y, r12                     @ 7
    vdup.32 \x, lr
    ldr r12, [r7], #4                   @ 8
    vfma.f32 q12, \low, \y              @ 9
    ldr lr, [r8], #4
    vfma.f32 q13, \high, \y             @ 10
    vdup.32 \y, r9                      @ 11
    vldr \b, [r0, #\at + 8]
    vldr \c, [r0, #\at + 16]            @ 12
    vfma.f32 q14, \low, \x              @ 13
    \step
    vfma.f32 q15, \high, \x             @ 14
    vdup.32 \x, r10                     @ 15
    vmov \d, r2, r3
    .endm

    @ PReLU of a row's accumulators.
    .macro quantrack_f32_slopes x, y
    vmul.f32 q4, \x, q0
    vclt.f32 q2, \x, #0
    vmul.f32 q5, \y, q1
    vclt.f32 q3, \y, #0
    vbit \x, q4, q2
    vbit \y, q5, q3
    .endm

    .macro quantrack_f32_bounds op, bound
    \op q6, q6, \bound
    \op q7, q7, \bound
    \op q8, q8, \bound
    \op q9, q9, \bound
    \op q10, q10, \bound
    \op q11, q11, \bound
    \op q12, q12, \bound
    \op q13, q13, \bound
    \op q14, q14, \bound
    \op q15, q15, \bound
    .endm

    @ The r6 columns of a row to r4, and to the next row.
    .macro quantrack_f32_store a, b, c, d
    cmp r6, #8
    bne 1f
    vst1.32 {\a, \b, \c, \d}, [r4]
    b 4f
1:
    mov r8, r4
    tst r6, #4
    beq 2f
    vst1.32 {\a, \b}, [r8]!
    vmov \a, \c
    vmov \b, \d
2:
    tst r6, #2
    beq 3f
    vst1.32 {\a}, [r8]!
    vmov \a, \b
3:
    tst r6, #1
    beq 4f
    vst1.32 {\a[0]}, [r8]
4:
    add r4, r4, r7
    subs r3, r3, #1
    beq 9f
    .endm

    .p2align 4
    .type quantrack_f32_gemm_5x8_v7, %function
    .globl quantrack_f32_gemm_5x8_v7
quantrack_f32_gemm_5x8_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    ldr r1, [r0]
    ldr r2, [r0, #24]
    ldr r3, [r0, #16]
    push {r0-r4}
5:
    ldr r12, [sp]
    ldr r0, [r12, #20]
    ldr r2, [r12, #12]
    add r1, r0, #32
    vld1.32 {d12-d15}, [r0]
    vld1.32 {d0-d3}, [r1]
    mov r0, r1
    vmov q8, q6
    vmov q9, q7
    vmov q10, q6
    vmov q11, q7
    vmov q12, q6
    vmov q13, q7
    vmov q14, q6
    vmov q15, q7
6:
    ldr r3, [sp, #12]
    str r2, [sp, #16]
    ldr r12, [sp]
    ldm r3!, {r4-r8}
    ldr r1, [r12, #8]
    str r3, [sp, #12]
    ldr r9, [r4], #4
    ldr r10, [r5], #4
    vdup.32 q4, r9
    ldr r11, [r6], #4
    vdup.32 q5, r10
    ldr r12, [r7], #4
    subs r1, r1, #2
    ldr lr, [r8], #4
    blo 8f
7:
    @ The last channel of a tap reads up to two elements of each row and eight weights beyond.
    quantrack_f32_channel q0, q1, q4, q5, d4, d5, d6, d7, 32
    quantrack_f32_channel q2, q3, q5, q4, d0, d1, d2, d3, 64, "subs r1, r1, #2", "add r0, r0, #64"
    bhs 7b
8:
    adds r1, r1, #2
    beq 8f
    quantrack_f32_channel q0, q1, q4, q5, d4, d5, d6, d7, 32
    vmov q0, q2
    vmov q1, q3
    add r0, r0, #32
8:
    ldr r2, [sp, #16]
    subs r2, r2, #1
    bne 6b
    ldr r12, [sp]
    ldr r3, [r12, #40]
    ldr r6, [r12, #32]
    ldr r7, [r12, #36]
    cmp r3, #0
    beq 8f
    vld1.32 {d0-d3}, [r3]
    quantrack_f32_slopes q6, q7
    quantrack_f32_slopes q8, q9
    quantrack_f32_slopes q10, q11
    quantrack_f32_slopes q12, q13
    quantrack_f32_slopes q14, q15
8:
    vdup.32 q0, r6
    vdup.32 q1, r7
    ldr r4, [sp, #8]
    quantrack_f32_bounds vmax.f32, q0
    ldr r7, [r12, #28]
    ldr r6, [r12, #4]
    ldr r3, [sp, #4]
    lsl r7, r7, #2
    quantrack_f32_bounds vmin.f32, q1
    cmp r6, #8
    add r8, r4, r7
    cmpeq r3, #5
    add r9, r8, r7
    blo 8f
    add r10, r9, r7
    vst1.32 {d12-d15}, [r4]
    add r11, r10, r7
    vst1.32 {d16-d19}, [r8]
    vst1.32 {d20-d23}, [r9]
    add r4, r11, r7
    vst1.32 {d24-d27}, [r10]
    subs r3, r3, #5
    vst1.32 {d28-d31}, [r11]
    beq 9f
    str r3, [sp, #4]
    str r4, [sp, #8]
    b 5b
8:
    quantrack_f32_store d12, d13, d14, d15
    quantrack_f32_store d16, d17, d18, d19
    quantrack_f32_store d20, d21, d22, d23
    quantrack_f32_store d24, d25, d26, d27
    quantrack_f32_store d28, d29, d30, d31
    str r3, [sp, #4]
    str r4, [sp, #8]
    b 5b
9:
    add sp, sp, #20
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size quantrack_f32_gemm_5x8_v7, . - quantrack_f32_gemm_5x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_f32_gemm_5x8_v7(args: *const F32GemmArgs);
}
