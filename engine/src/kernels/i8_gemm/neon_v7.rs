//! 8-bit tiles for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::neon_v7::requantize;

/// Four rows by eight columns, multiply-accumulate by lane: eight channels of each row are widened at a time.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i8_gemm_4x8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8) },
};

const MR: usize = 4;
const NR: usize = 8;

const _: () = assert!(offset_of!(I8GemmArgs, channels) == 8);
const _: () = assert!(offset_of!(I8GemmArgs, taps) == 12);
const _: () = assert!(offset_of!(I8GemmArgs, a) == 16);
const _: () = assert!(offset_of!(I8GemmArgs, w) == 20);

// r0 args, r1 out (32 accumulators); r2 taps, r3 pointers, r4-r7 rows, r8 channels left, r12 weights.
// d0-d7 eight widened channels of each of four rows, q4 widened weights, d10 weights, q8-q15 accumulators.
// One step multiplies the weights of one channel by lane `lane` of the rows' halves `a b c d`.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .macro quantrack_i8_step a, b, c, d, lane
    vld1.8 {d10}, [r12]!
    vmovl.s8 q4, d10
    vmlal.s16 q8, d8, \a[\lane]
    vmlal.s16 q9, d9, \a[\lane]
    vmlal.s16 q10, d8, \b[\lane]
    vmlal.s16 q11, d9, \b[\lane]
    vmlal.s16 q12, d8, \c[\lane]
    vmlal.s16 q13, d9, \c[\lane]
    vmlal.s16 q14, d8, \d[\lane]
    vmlal.s16 q15, d9, \d[\lane]
    .endm
    .macro quantrack_i8_rows
    vld1.8 {d0}, [r4]!
    vld1.8 {d2}, [r5]!
    vld1.8 {d4}, [r6]!
    vld1.8 {d6}, [r7]!
    vmovl.s8 q0, d0
    vmovl.s8 q1, d2
    vmovl.s8 q2, d4
    vmovl.s8 q3, d6
    .endm
    .p2align 4
    .type quantrack_i8_gemm_4x8_v7, %function
    .globl quantrack_i8_gemm_4x8_v7
quantrack_i8_gemm_4x8_v7:
    push {r4-r8, lr}
    vpush {d8-d11}
    ldr r2, [r0, #12]
    ldr r3, [r0, #16]
    ldr r12, [r0, #20]
    vld1.32 {d16-d19}, [r12]!
    vmov q10, q8
    vmov q11, q9
    vmov q12, q8
    vmov q13, q9
    vmov q14, q8
    vmov q15, q9
1:
    ldm r3!, {r4-r7}
    ldr r8, [r0, #8]
    subs r8, r8, #8
    blo 3f
2:
    quantrack_i8_rows
    quantrack_i8_step d0, d2, d4, d6, 0
    quantrack_i8_step d0, d2, d4, d6, 1
    quantrack_i8_step d0, d2, d4, d6, 2
    quantrack_i8_step d0, d2, d4, d6, 3
    quantrack_i8_step d1, d3, d5, d7, 0
    quantrack_i8_step d1, d3, d5, d7, 1
    quantrack_i8_step d1, d3, d5, d7, 2
    quantrack_i8_step d1, d3, d5, d7, 3
    subs r8, r8, #8
    bhs 2b
3:
    adds r8, r8, #8
    beq 4f
    quantrack_i8_rows
    quantrack_i8_step d0, d2, d4, d6, 0
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d0, d2, d4, d6, 1
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d0, d2, d4, d6, 2
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d0, d2, d4, d6, 3
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d1, d3, d5, d7, 0
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d1, d3, d5, d7, 1
    subs r8, r8, #1
    beq 4f
    quantrack_i8_step d1, d3, d5, d7, 2
4:
    subs r2, r2, #1
    bne 1b
    vst1.32 {d16-d19}, [r1]!
    vst1.32 {d20-d23}, [r1]!
    vst1.32 {d24-d27}, [r1]!
    vst1.32 {d28-d31}, [r1]
    vpop {d8-d11}
    pop {r4-r8, pc}
    .size quantrack_i8_gemm_4x8_v7, . - quantrack_i8_gemm_4x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i8_gemm_4x8_v7(args: *const I8GemmArgs, acc: *mut [[i32; NR]; MR]);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x8(args: &I8GemmArgs) {
    let mut acc = [[0_i32; NR]; MR];
    // SAFETY: the caller vouches for `args` (rows readable for seven elements past their channels: SLACK) and for
    // NEON; `acc` is the tile that the code fills.
    unsafe {
        quantrack_i8_gemm_4x8_v7(args, &raw mut acc);
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            requantize(acc, &args.requant, 0, args.c.add(r * args.c_stride), args.cols);
        }
    }
}
