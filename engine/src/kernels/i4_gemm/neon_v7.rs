//! Tiles of 8-bit activations and 4-bit weights for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};

/// Four rows by eight columns, two columns at a time, sixteen channels at a time. Products of 8 and 4 bits leave room for 36
/// of them in a 16-bit lane, so the widening that costs 8-bit kernels every third instruction comes once in 288 channels.
///
/// Sixteen registers hold the accumulators of two columns (eight), sixteen channels of four rows (four) and of two columns,
/// unpacked and packed (three). 128 products take 16 VMLAL, 3 shifts and 5 cycles of moves and loads, two of which share a
/// cycle of a Cortex-A53.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i4_gemm_4x8c16_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 4, nr: 8, kr: Tile::PAIRED_CHANNELS },
    // SAFETY: the caller vouches for `args` (rows readable for 31 elements past their channels, the panel for 64: SLACK;
    // the arrays of `requant` have eight elements) and for NEON.
    run: |args| unsafe { quantrack_i4_gemm_4x8_v7(args) },
};

// r0 weights ahead, r1 steps left in this run, r4-r7 rows, r2, r3, r8-r12 and lr activations on their way.
// On the stack, from sp on: 0 args, 4 c, 8 rows left, 12 pointers of the tile, 16 pointers ahead, 20 taps left, 24 steps left
// in the tap, 28 steps until 16 bits are full, 32 bytes into the weights of a step, 36 whether there are wide sums, 40 steps
// of a tap, 64 wide sums, 192 the sums of the tile by rows.
// q0-q3 sixteen channels of each row, q4 and q5 those of two columns, q6 those of the next step, packed; q8-q15 sums, those
// of both columns for each row.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ Sixteen channels: 24 cycles.
    .macro quantrack_i4_step
    vmlal.s8 q9, d0, d10
    ldr r2, [r4], #4
    vmlal.s8 q11, d2, d10
    ldr r8, [r5], #4
    vmlal.s8 q13, d4, d10
    ldr r10, [r6], #4
    vmlal.s8 q15, d6, d10
    ldr r12, [r7], #4
    vmlal.s8 q8, d0, d8
    ldr r3, [r4], #4
    vmlal.s8 q10, d2, d8
    ldr r9, [r5], #4
    vmlal.s8 q12, d4, d8
    ldr r11, [r6], #4
    vmlal.s8 q14, d6, d8
    ldr lr, [r7], #4
    vmov d0, r2, r3
    vmov d2, r8, r9
    vmov d4, r10, r11
    vldr d12, [r0]
    vmov d6, r12, lr
    vldr d13, [r0, #8]
    vmlal.s8 q8, d1, d9
    ldr r2, [r4], #4
    vmlal.s8 q9, d1, d11
    ldr r8, [r5], #4
    vmlal.s8 q10, d3, d9
    ldr r10, [r6], #4
    vmlal.s8 q11, d3, d11
    ldr r12, [r7], #4
    vmlal.s8 q12, d5, d9
    ldr r3, [r4], #4
    vmlal.s8 q13, d5, d11
    ldr r9, [r5], #4
    vmlal.s8 q14, d7, d9
    ldr r11, [r6], #4
    vmlal.s8 q15, d7, d11
    ldr lr, [r7], #4
    vshl.i8 q4, q6, #4
    subs r1, r1, #1
    vrshr.s8 q5, q6, #4
    add r0, r0, #64
    vmov d1, r2, r3
    vmov d3, r8, r9
    vmov d5, r10, r11
    vmov d7, r12, lr
    vshr.s8 q4, q4, #4
    .endm

    @ Two registers of 16-bit sums to the wide ones at r2 and r3 (the same place), and cleared.
    .macro quantrack_i4_widen x, y, add
    .if \add
    vld1.32 {d0-d3}, [r2]!
    vpadal.s16 q0, \x
    vpadal.s16 q1, \y
    .else
    vpaddl.s16 q0, \x
    vpaddl.s16 q1, \y
    .endif
    vmov.i16 \x, #0
    vmov.i16 \y, #0
    vst1.32 {d0-d3}, [r3]!
    .endm

    .macro quantrack_i4_widen_all add
    mov r3, r2
    quantrack_i4_widen q8, q9, \add
    quantrack_i4_widen q10, q11, \add
    quantrack_i4_widen q12, q13, \add
    quantrack_i4_widen q14, q15, \add
    .endm

    .p2align 4
    .type quantrack_i4_gemm_4x8_v7, %function
    .globl quantrack_i4_gemm_4x8_v7
quantrack_i4_gemm_4x8_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    sub sp, sp, #320
    ldr r1, [r0, #24]
    ldr r2, [r0]
    ldr r3, [r0, #16]
    ldr r5, [r0, #8]
    stm sp, {r0-r3}
    add r5, r5, #15
    mov r4, #0
    lsr r5, r5, #4
    str r5, [sp, #40]
1:
    @ Two columns of a tile, whose number times eight is r4.
    ldr r12, [sp]
    mov r5, #0
    str r4, [sp, #32]
    str r5, [sp, #36]
    ldr r0, [r12, #20]
    add r0, r0, r4
    vldr d12, [r0, #32]
    vldr d13, [r0, #40]
    add r0, r0, #96
    ldr r2, [sp, #12]
    ldr r3, [r12, #12]
    mov r6, #18
    str r2, [sp, #16]
    vshl.i8 q4, q6, #4
    str r3, [sp, #20]
    vrshr.s8 q5, q6, #4
    str r6, [sp, #28]
    vmov.i16 q8, #0
    vmov.i16 q9, #0
    vshr.s8 q4, q4, #4
    vmov.i16 q10, #0
    vmov.i16 q11, #0
    vmov.i16 q12, #0
    vmov.i16 q13, #0
    vmov.i16 q14, #0
    vmov.i16 q15, #0
    ldr r2, [sp, #16]
    ldr r12, [sp]
    ldm r2!, {r4-r7}
    str r2, [sp, #16]
    vld1.8 {d0, d1}, [r4]!
    vld1.8 {d2, d3}, [r5]!
    vld1.8 {d4, d5}, [r6]!
    vld1.8 {d6, d7}, [r7]!
2:
    @ A tap, if 16 bits have room for it.
    ldr r1, [sp, #40]
    ldr r3, [sp, #28]
3:
    cmp r1, r3
    bhi 7f
    sub r3, r3, r1
    subs r1, r1, #1
    str r3, [sp, #28]
    beq 5f
4:
    quantrack_i4_step
    bne 4b
5:
    @ Its last step, which loads the first channels of the next.
    ldr r3, [sp, #20]
    ldr r2, [sp, #16]
    subs r3, r3, #1
    str r3, [sp, #20]
    ldmne r2!, {r4-r7}
    str r2, [sp, #16]
    quantrack_i4_step
    ldr r3, [sp, #20]
    cmp r3, #0
    bne 2b
    @ The sums of both columns, four lanes each, to one place per row.
    ldr r3, [sp, #36]
    add r2, sp, #64
    vpaddl.s16 q8, q8
    vpaddl.s16 q9, q9
    vpaddl.s16 q10, q10
    vpaddl.s16 q11, q11
    vpaddl.s16 q12, q12
    vpaddl.s16 q13, q13
    vpaddl.s16 q14, q14
    vpaddl.s16 q15, q15
    cmp r3, #0
    beq 6f
    vld1.32 {d0-d3}, [r2]!
    vld1.32 {d4-d7}, [r2]!
    vadd.i32 q8, q8, q0
    vadd.i32 q9, q9, q1
    vadd.i32 q10, q10, q2
    vadd.i32 q11, q11, q3
    vld1.32 {d0-d3}, [r2]!
    vld1.32 {d4-d7}, [r2]
    vadd.i32 q12, q12, q0
    vadd.i32 q13, q13, q1
    vadd.i32 q14, q14, q2
    vadd.i32 q15, q15, q3
6:
    ldr r4, [sp, #32]
    vpadd.i32 d0, d16, d17
    vpadd.i32 d1, d18, d19
    vpadd.i32 d2, d20, d21
    vpadd.i32 d3, d22, d23
    vpadd.i32 d4, d24, d25
    vpadd.i32 d5, d26, d27
    vpadd.i32 d6, d28, d29
    vpadd.i32 d7, d30, d31
    add r2, sp, #192
    add r2, r2, r4, lsr #1
    vpadd.i32 d0, d0, d1
    vpadd.i32 d1, d2, d3
    vpadd.i32 d2, d4, d5
    vpadd.i32 d3, d6, d7
    vstr d0, [r2]
    add r4, r4, #16
    vstr d1, [r2, #32]
    cmp r4, #64
    vstr d2, [r2, #64]
    vstr d3, [r2, #96]
    bne 1b
    @ All eight columns.
    ldr r0, [sp]
    add r2, sp, #192
    ldr r3, [r0, #20]
    vld1.32 {d0-d3}, [r3]
    vld1.32 {d16-d19}, [r2]!
    vld1.32 {d20-d23}, [r2]!
    vld1.32 {d24-d27}, [r2]!
    vld1.32 {d28-d31}, [r2]
    vadd.i32 q8, q8, q0
    vadd.i32 q9, q9, q1
    vadd.i32 q10, q10, q0
    vadd.i32 q11, q11, q1
    vadd.i32 q12, q12, q0
    vadd.i32 q13, q13, q1
    vadd.i32 q14, q14, q0
    vadd.i32 q15, q15, q1
    add r12, r0, #32
    bl quantrack_requant_4x8_v7
    ldr r8, [sp, #4]
    ldr r9, [sp, #8]
    ldr r10, [r0, #28]
    ldr r11, [r0, #4]
    bl quantrack_store_4x8_v7
    ldr r2, [sp, #16]
    subs r9, r9, #4
    str r8, [sp, #4]
    str r9, [sp, #8]
    str r2, [sp, #12]
    mov r4, #0
    bhi 1b
    add sp, sp, #320
    vpop {d8-d15}
    pop {r4-r11, pc}
7:
    @ Makes room between steps, whose activations are in q0-q3.
    ldr r3, [sp, #36]
    add r2, sp, #64
    str r1, [sp, #24]
    mov r1, #1
    str r1, [sp, #36]
    vpush {d0-d3}
    cmp r3, #0
    bne 8f
    quantrack_i4_widen_all 0
    b 9f
8:
    quantrack_i4_widen_all 1
9:
    vpop {d0-d3}
    ldr r1, [sp, #24]
    mov r3, #18
    cmp r1, #18
    bls 3b
    @ A tap of many channels: as many as there is room for.
    sub r1, r1, #18
    str r1, [sp, #24]
    mov r1, #18
8:
    quantrack_i4_step
    bne 8b
    ldr r1, [sp, #24]
    mov r3, #0
    b 3b
    .size quantrack_i4_gemm_4x8_v7, . - quantrack_i4_gemm_4x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i4_gemm_4x8_v7(args: *const I8GemmArgs);
}
