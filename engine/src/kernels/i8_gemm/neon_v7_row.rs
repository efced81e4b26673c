//! 8-bit products of few rows for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};

/// One row by eight columns, sixteen channels at a time: a column's products are added in pairs in 16 bits, which weights of
/// -127..=127 cannot overflow, and then lanes by twos in 32 bits. For fully connected layers on a single row, where tiles
/// would widen weights that no other row shares.
///
/// 128 products take 41 cycles of a Cortex-A53: VMULL, VMLAL, VPADAL (two cycles) and one for two loads for each column.
pub(crate) static GEMM_1X8: I8Gemm = MicroKernel {
    name: "i8_gemm_1x8c16_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 1, nr: 8, kr: 16 },
    // SAFETY: the caller vouches for `args` (rows readable for 31 elements past their channels, the panel for 48: SLACK; the
    // arrays of `requant` have eight elements) and for NEON.
    run: |args| unsafe { quantrack_i8_gemm_1x8_v7(args) },
};

// r0 weights, r1 pointers to rows, r2 taps left, r3 steps left in the tap, r4 row, r5-r9 and lr operands on their way, r10 args,
// r11 rows left, r12 c.
// q0 channels of the row, q1 and q2 a column, q3-q5 products, q8-q15 sums of a column.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ A column: `low` and `high` are its sixteen weights, `x` its products, `y` those of the column before, which go to `sum`.
    @ Loads the column two ahead from `at` on.
    .macro quantrack_i8_column low, high, x, y, sum, at, i0
    vmull.s8 \x, \low, d0
    ldrd r6, r7, [r0, #\at + 8]
    vmlal.s8 \x, \high, d1
    \i0
    vpadal.s16 \sum, \y
    vldr \low, [r0, #\at]
    vmov \high, r6, r7
    .endm

    .p2align 4
    .type quantrack_i8_gemm_1x8_v7, %function
    .globl quantrack_i8_gemm_1x8_v7
quantrack_i8_gemm_1x8_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    mov r10, r0
    ldr r1, [r0, #16]
    ldr r11, [r0]
    ldr r12, [r0, #24]
1:
    ldr r0, [r10, #20]
    ldr r2, [r10, #12]
    add r0, r0, #32
    vmov.i32 q8, #0
    vmov.i32 q9, #0
    vmov.i32 q10, #0
    vmov.i32 q11, #0
    vmov.i32 q12, #0
    vmov.i32 q13, #0
    vmov.i32 q14, #0
    vmov.i32 q15, #0
    vld1.8 {d2-d5}, [r0]
    @ No products before the first column.
    vmov.i16 q4, #0
2:
    ldr r4, [r1], #4
    ldr r3, [r10, #8]
    add r3, r3, #15
    lsr r3, r3, #4
    vld1.8 {d0, d1}, [r4]!
3:
    quantrack_i8_column d2, d3, q3, q4, q15, 32, "ldr r5, [r4], #4"
    quantrack_i8_column d4, d5, q4, q3, q8, 48
    quantrack_i8_column d2, d3, q3, q4, q9, 64, "ldr r8, [r4], #4"
    quantrack_i8_column d4, d5, q4, q3, q10, 80
    quantrack_i8_column d2, d3, q3, q4, q11, 96, "ldr r9, [r4], #4"
    quantrack_i8_column d4, d5, q4, q3, q12, 112, "ldr lr, [r4], #4"
    quantrack_i8_column d2, d3, q3, q4, q13, 128, "subs r3, r3, #1"
    quantrack_i8_column d4, d5, q4, q3, q14, 144
    add r0, r0, #128
    vmov d0, r5, r8
    vmov d1, r9, lr
    bne 3b
    subs r2, r2, #1
    bne 2b
    vpadal.s16 q15, q4
    ldr r0, [r10, #20]
    vpadd.i32 d16, d16, d17
    vpadd.i32 d17, d18, d19
    vpadd.i32 d18, d20, d21
    vpadd.i32 d19, d22, d23
    vld1.32 {d0-d3}, [r0]
    vpadd.i32 d20, d24, d25
    vpadd.i32 d21, d26, d27
    vpadd.i32 d22, d28, d29
    vpadd.i32 d23, d30, d31
    vpadd.i32 d16, d16, d17
    vpadd.i32 d17, d18, d19
    vpadd.i32 d18, d20, d21
    vpadd.i32 d19, d22, d23
    vadd.i32 q8, q8, q0
    vadd.i32 q9, q9, q1
    mov r0, r10
    mov r2, r11
    mov r9, r12
    add r12, r10, #32
    bl quantrack_requant_4x8_v7
    mov r8, r9
    ldr r11, [r10, #4]
    mov r9, #1
    ldr r10, [r10, #28]
    bl quantrack_store_4x8_v7
    mov r10, r0
    mov r12, r8
    subs r11, r2, #1
    bne 1b
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size quantrack_i8_gemm_1x8_v7, . - quantrack_i8_gemm_1x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i8_gemm_1x8_v7(args: *const I8GemmArgs);
}
