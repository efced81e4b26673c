//! 8-bit tiles for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};

/// Four rows by eight columns, multiply-accumulate by lane: eight channels of a row are widened to 16 bits once for eight
/// columns, eight columns of a channel once for four rows, and nothing is added across lanes in the end.
///
/// A Cortex-A53 issues one 128-bit NEON operation per cycle, an integer load beside it, and two moves from integer to NEON
/// registers together: operands come that way. 256 products take 64 VMLAL, 12 VMOVL and 6 cycles of moves.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i8_gemm_4x8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 4, nr: 8, kr: 1 },
    // SAFETY: the caller vouches for `args` (rows readable for fifteen elements past their channels, the panel for sixteen:
    // SLACK; the arrays of `requant` have eight elements) and for NEON.
    run: |args| unsafe { quantrack_i8_gemm_4x8_v7(args) },
};

// r0 weights, r1 pointers to rows, r2 taps left, r3 groups of eight channels left, r4-r7 operands on their way, r8-r11 rows.
// On the stack: c, rows left, args.
// q0-q3 eight channels of each row, q4 and q5 the columns of the even and the odd channel, d12 and d13 bytes of the columns
// of the next two, d14 and d15 bytes of the rows' next channels, q8-q15 accumulators.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ A channel: its columns `low` and `high` times its lane of the rows, and instructions to be issued beside.
    .macro quantrack_i8_lane low, high, a, b, c, d, i0, i1, i2, i3, i4, i5, i6, i7
    vmlal.s16 q8, \low, \a
    \i0
    vmlal.s16 q9, \high, \a
    \i1
    vmlal.s16 q10, \low, \b
    \i2
    vmlal.s16 q11, \high, \b
    \i3
    vmlal.s16 q12, \low, \c
    \i4
    vmlal.s16 q13, \high, \c
    \i5
    vmlal.s16 q14, \low, \d
    \i6
    vmlal.s16 q15, \high, \d
    \i7
    .endm

    @ An even channel, whose columns are followed by those of the channel two ahead: 10 cycles.
    .macro quantrack_i8_even a, b, c, d, at, i2, i3
    quantrack_i8_lane d8, d9, \a, \b, \c, \d, "ldrd r4, r5, [r0, #\at]", "ldrd r6, r7, [r0, #\at + 8]", "\i2", "\i3"
    vmov d12, r4, r5
    vmov d13, r6, r7
    vmovl.s8 q4, d12
    .endm

    @ An odd channel: 9 cycles.
    .macro quantrack_i8_odd a, b, c, d, i0, i1, i2, i3
    quantrack_i8_lane d10, d11, \a, \b, \c, \d, "\i0", "\i1", "\i2", "\i3"
    vmovl.s8 q5, d13
    .endm

    @ One of the last channels of a tap.
    .macro quantrack_i8_rest a, b, c, d
    vld1.8 {d12}, [r0]!
    vmovl.s8 q4, d12
    quantrack_i8_lane d8, d9, \a, \b, \c, \d
    subs r4, r4, #1
    beq 5f
    .endm

    .p2align 4
    .type quantrack_i8_gemm_4x8_v7, %function
    .globl quantrack_i8_gemm_4x8_v7
quantrack_i8_gemm_4x8_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    ldr r1, [r0, #16]
    ldr r2, [r0, #24]
    ldr r3, [r0]
    push {r0, r2, r3, lr}
1:
    ldr r12, [sp]
    ldr r0, [r12, #20]
    vld1.32 {d16-d19}, [r0]!
    ldr r2, [r12, #12]
    vmov q10, q8
    ldr r12, [r12, #8]
    vmov q11, q9
    vmov q12, q8
    vmov q13, q9
    vmov q14, q8
    vmov q15, q9
    vld1.8 {d12, d13}, [r0]
    vmovl.s8 q4, d12
    vmovl.s8 q5, d13
2:
    ldm r1!, {r8-r11}
    lsr r3, r12, #3
    ldr r4, [r8], #4
    ldr r5, [r8], #4
    ldr r6, [r9], #4
    ldr r7, [r9], #4
    vmov d0, r4, r5
    vmov d2, r6, r7
    ldr r4, [r10], #4
    vmovl.s8 q0, d0
    ldr r5, [r10], #4
    vmovl.s8 q1, d2
    ldr r6, [r11], #4
    ldr r7, [r11], #4
    vmov d4, r4, r5
    vmov d6, r6, r7
    cmp r3, #0
    vmovl.s8 q2, d4
    vmovl.s8 q3, d6
    beq 4f
3:
    quantrack_i8_even d0[0], d2[0], d4[0], d6[0], 16
    quantrack_i8_odd d0[1], d2[1], d4[1], d6[1]
    quantrack_i8_even d0[2], d2[2], d4[2], d6[2], 32
    quantrack_i8_odd d0[3], d2[3], d4[3], d6[3]
    quantrack_i8_even d1[0], d3[0], d5[0], d7[0], 48, "add r0, r0, #64"
    quantrack_i8_odd d1[1], d3[1], d5[1], d7[1], "ldr r4, [r8], #4", "ldr r6, [r9], #4", "ldr r5, [r8], #4", "ldr r7, [r9], #4"
    vmov d14, r4, r5
    vmov d15, r6, r7
    @ The last group of a tap reads up to eight elements of each row and sixteen bytes of weights beyond.
    quantrack_i8_even d1[2], d3[2], d5[2], d7[2], 0, "subs r3, r3, #1"
    vmlal.s16 q8, d10, d1[3]
    ldr r4, [r10], #4
    vmlal.s16 q9, d11, d1[3]
    ldr r6, [r11], #4
    vmlal.s16 q10, d10, d3[3]
    ldr r5, [r10], #4
    vmlal.s16 q11, d11, d3[3]
    ldr r7, [r11], #4
    vmovl.s8 q0, d14
    vmovl.s8 q1, d15
    vmlal.s16 q12, d10, d5[3]
    vmlal.s16 q13, d11, d5[3]
    vmov d14, r4, r5
    vmov d15, r6, r7
    vmlal.s16 q14, d10, d7[3]
    vmlal.s16 q15, d11, d7[3]
    vmovl.s8 q2, d14
    vmovl.s8 q3, d15
    vmovl.s8 q5, d13
    bne 3b
4:
    @ The last one to seven channels of the tap, whose activations are there.
    ands r4, r12, #7
    beq 6f
    quantrack_i8_rest d0[0], d2[0], d4[0], d6[0]
    quantrack_i8_rest d0[1], d2[1], d4[1], d6[1]
    quantrack_i8_rest d0[2], d2[2], d4[2], d6[2]
    quantrack_i8_rest d0[3], d2[3], d4[3], d6[3]
    quantrack_i8_rest d1[0], d3[0], d5[0], d7[0]
    quantrack_i8_rest d1[1], d3[1], d5[1], d7[1]
    quantrack_i8_rest d1[2], d3[2], d5[2], d7[2]
5:
    vld1.8 {d12, d13}, [r0]
    vmovl.s8 q4, d12
    vmovl.s8 q5, d13
6:
    subs r2, r2, #1
    bne 2b
    ldr r12, [sp]
    ldr r11, [r12, #4]
    ldr r10, [r12, #28]
    add r12, r12, #32
    bl quantrack_requant_4x8_v7
    ldrd r8, r9, [sp, #4]
    bl quantrack_store_4x8_v7
    subs r9, r9, #4
    strd r8, r9, [sp, #4]
    bhi 1b
    add sp, sp, #16
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size quantrack_i8_gemm_4x8_v7, . - quantrack_i8_gemm_4x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i8_gemm_4x8_v7(args: *const I8GemmArgs);
}
