//! What the armv7 kernels share: the integer output stage of four rows by eight columns, and the stores behind it.
//!
//! On stable Rust 32-bit NEON is reachable only through assembly, so kernels are `global_asm!` from their arguments to their
//! results. Conventions (AAPCS): arguments in r0-r3, then the stack; r4-r11 and d8-d15 are preserved. Fused multiply-add
//! (`vfma`, VFPv4) has no form by lane, so scalars are duplicated first.
//!
//! On a Cortex-A53 two 64-bit moves from integer registers share a cycle, and integer loads are free beside a 128-bit
//! operation, which makes them the cheapest way for operands to come. LDRD and VLDR want addresses that are multiples of 4:
//! they load weights and fp32; bytes of activations come by LDR or VLD1, which take any address.

pub(super) mod elements;

use std::arch::global_asm;
use std::mem::offset_of;

use super::micro::{I8GemmArgs, Requant};

// Where kernels of 8- and 4-bit weights find their arguments.
const _: () = assert!(offset_of!(I8GemmArgs, rows) == 0);
const _: () = assert!(offset_of!(I8GemmArgs, cols) == 4);
const _: () = assert!(offset_of!(I8GemmArgs, channels) == 8);
const _: () = assert!(offset_of!(I8GemmArgs, taps) == 12);
const _: () = assert!(offset_of!(I8GemmArgs, a) == 16);
const _: () = assert!(offset_of!(I8GemmArgs, w) == 20);
const _: () = assert!(offset_of!(I8GemmArgs, c) == 24);
const _: () = assert!(offset_of!(I8GemmArgs, c_stride) == 28);
const _: () = assert!(offset_of!(I8GemmArgs, requant) == 32);

const _: () = assert!(offset_of!(Requant, multiplier) == 0);
const _: () = assert!(offset_of!(Requant, left) == 4);
const _: () = assert!(offset_of!(Requant, right) == 8);
const _: () = assert!(offset_of!(Requant, negative_multiplier) == 12);
const _: () = assert!(offset_of!(Requant, negative_left) == 16);
const _: () = assert!(offset_of!(Requant, negative_right) == 20);
const _: () = assert!(offset_of!(Requant, zero_point) == 24);
const _: () = assert!(offset_of!(Requant, min) == 28);
const _: () = assert!(offset_of!(Requant, max) == 32);
const _: () = assert!(offset_of!(Requant, only_right) == 36);

// Not for Rust: kernels call it with their tile in registers.
//   in   q8-q15 accumulators, two registers per row; r12 Requant
//   out  d0-d3 the results, a register per row
//   uses r3-r8, q4-q7; keeps all others
// Instructions wait up to four cycles for the one before, so eight registers go side by side: 45 cycles without left
// shifts. Results are narrowed to 16 bits before the zero point is added and to 8 before they are clamped: both saturate,
// and what saturates is beyond the bounds anyway.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ All eight accumulators, those of the columns' first half with the first factor.
    .macro quantrack_each op, first, second
    \op q8, q8, \first
    \op q9, q9, \second
    \op q10, q10, \first
    \op q11, q11, \second
    \op q12, q12, \first
    \op q13, q13, \second
    \op q14, q14, \first
    \op q15, q15, \second
    .endm

    @ Two accumulators: the sign chooses the left shift, and survives it.
    .macro quantrack_signed_left x, y, positive, negative
    vclt.s32 q4, \x, #0
    vclt.s32 q5, \y, #0
    vbsl q4, \negative, \positive
    vbsl q5, \negative, \positive
    vqshl.s32 \x, \x, q4
    vqshl.s32 \y, \y, q5
    .endm

    @ Two accumulators of the same columns: q0 and q1 multiplier and negated right shift, q2 and q3 those for negative
    @ accumulators, q4 zero. Of the positive and the negative part one is zero, and remains it.
    .macro quantrack_signed x, y
    vmax.s32 q5, \x, q4
    vmax.s32 q6, \y, q4
    vmin.s32 \x, \x, q4
    vmin.s32 \y, \y, q4
    vqrdmulh.s32 q5, q5, q0
    vqrdmulh.s32 q6, q6, q0
    vqrdmulh.s32 \x, \x, q2
    vqrdmulh.s32 \y, \y, q2
    vrshl.s32 q5, q5, q1
    vrshl.s32 q6, q6, q1
    vrshl.s32 \x, \x, q3
    vrshl.s32 \y, \y, q3
    vorr \x, \x, q5
    vorr \y, \y, q6
    .endm

    @ The four rows of half of the columns.
    .macro quantrack_signed_half a, b, c, d
    vld1.32 {d0, d1}, [r3]!
    vld1.32 {d2, d3}, [r5]!
    vld1.32 {d4, d5}, [r6]!
    vld1.32 {d6, d7}, [r8]!
    vneg.s32 q1, q1
    vneg.s32 q3, q3
    vmov.i32 q4, #0
    quantrack_signed \a, \b
    quantrack_signed \c, \d
    .endm

    .p2align 4
    .type quantrack_requant_4x8_v7, %function
    .globl quantrack_requant_4x8_v7
quantrack_requant_4x8_v7:
    ldr r3, [r12]
    ldr r6, [r12, #12]
    ldrb r7, [r12, #36]
    ldr r5, [r12, #8]
    cmp r6, #0
    bne 3f
    vldr d0, [r3]
    vldr d1, [r3, #8]
    vldr d2, [r3, #16]
    vldr d3, [r3, #24]
    cmp r7, #0
    bne 1f
    ldr r4, [r12, #4]
    vld1.32 {d8-d11}, [r4]
    quantrack_each vqshl.s32, q4, q5
1:
    ldrd r6, r7, [r5]
    vqrdmulh.s32 q8, q8, q0
    ldr r3, [r12, #24]
    vqrdmulh.s32 q9, q9, q1
    ldr r4, [r12, #28]
    vmov d4, r6, r7
    vldr d5, [r5, #8]
    vqrdmulh.s32 q10, q10, q0
    ldrd r6, r7, [r5, #16]
    vqrdmulh.s32 q11, q11, q1
    vmov d6, r6, r7
    vldr d7, [r5, #24]
    vqrdmulh.s32 q12, q12, q0
    ldr r5, [r12, #32]
    vqrdmulh.s32 q13, q13, q1
    vneg.s32 q2, q2
    vqrdmulh.s32 q14, q14, q0
    vneg.s32 q3, q3
    vqrdmulh.s32 q15, q15, q1
    quantrack_each vrshl.s32, q2, q3
2:
    @ Four of these share two cycles.
    vqmovn.s32 d16, q8
    vqmovn.s32 d17, q9
    vqmovn.s32 d18, q10
    vqmovn.s32 d19, q11
    vqmovn.s32 d20, q12
    vqmovn.s32 d21, q13
    vqmovn.s32 d22, q14
    vqmovn.s32 d23, q15
    vdup.16 q4, r3
    vdup.8 q5, r4
    vdup.8 q6, r5
    vqadd.s16 q8, q8, q4
    vqadd.s16 q9, q9, q4
    vqmovn.s16 d0, q8
    vqmovn.s16 d1, q9
    vqadd.s16 q10, q10, q4
    vqadd.s16 q11, q11, q4
    vqmovn.s16 d2, q10
    vqmovn.s16 d3, q11
    vmax.s8 q0, q0, q5
    vmin.s8 q0, q0, q6
    vmax.s8 q1, q1, q5
    vmin.s8 q1, q1, q6
    bx lr
3:
    ldr r8, [r12, #20]
    cmp r7, #0
    bne 4f
    ldr r4, [r12, #4]
    ldr r7, [r12, #16]
    vld1.32 {d0-d3}, [r4]
    vld1.32 {d4-d7}, [r7]
    quantrack_signed_left q8, q10, q0, q2
    quantrack_signed_left q12, q14, q0, q2
    quantrack_signed_left q9, q11, q1, q3
    quantrack_signed_left q13, q15, q1, q3
4:
    quantrack_signed_half q8, q10, q12, q14
    quantrack_signed_half q9, q11, q13, q15
    ldr r3, [r12, #24]
    ldr r4, [r12, #28]
    ldr r5, [r12, #32]
    b 2b
    .size quantrack_requant_4x8_v7, . - quantrack_requant_4x8_v7
"#,
    options(raw)
);

// Not for Rust either: stores what the output stage gives.
//   in   d0-d3 results, a register per row; r8 where the first goes; r10 bytes between rows; r11 columns, 1..=8; r9 rows
//        left, of which at most four are stored
//   out  r8 where the row behind the last one goes
//   uses r3-r5
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ So many columns of a row as r11 has bits for.
    .macro quantrack_store_columns row
    mov r4, r8
    tst r11, #8
    beq 1f
    vst1.8 {\row}, [r4]
1:
    tst r11, #4
    beq 1f
    vst1.32 {\row[0]}, [r4]!
    vshr.u64 \row, \row, #32
1:
    tst r11, #2
    beq 1f
    vst1.16 {\row[0]}, [r4]!
    vshr.u64 \row, \row, #16
1:
    tst r11, #1
    beq 1f
    vst1.8 {\row[0]}, [r4]
1:
    add r8, r8, r10
    subs r3, r3, #1
    bxeq lr
    .endm

    .p2align 4
    .type quantrack_store_4x8_v7, %function
    .globl quantrack_store_4x8_v7
quantrack_store_4x8_v7:
    cmp r11, #8
    add r3, r8, r10
    cmpeq r9, #4
    add r4, r3, r10
    blo 1f
    add r5, r4, r10
    vst1.8 {d0}, [r8]
    vst1.8 {d1}, [r3]
    vst1.8 {d2}, [r4]
    vst1.8 {d3}, [r5]
    add r8, r5, r10
    bx lr
1:
    mov r3, r9
    quantrack_store_columns d0
    quantrack_store_columns d1
    quantrack_store_columns d2
    quantrack_store_columns d3
    bx lr
    .size quantrack_store_4x8_v7, . - quantrack_store_4x8_v7
"#,
    options(raw)
);

/// The output stage of the columns from `column` on.
pub(crate) fn from_column(requant: &Requant, column: usize) -> Requant {
    let at = |array: *const i32| if array.is_null() { array } else { array.wrapping_add(column) };
    Requant {
        multiplier: at(requant.multiplier),
        left: at(requant.left),
        right: at(requant.right),
        negative_multiplier: at(requant.negative_multiplier),
        negative_left: at(requant.negative_left),
        negative_right: at(requant.negative_right),
        ..*requant
    }
}
