//! fp32 tiles for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::neon_v7::finish_f32;

/// Four rows by eight columns: the largest tile for 16 registers. Two channels per pass; each scalar is duplicated
/// once for two fused multiply-adds.
pub(crate) static GEMM_4X8: F32Gemm = MicroKernel {
    name: "f32_gemm_4x8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8) },
};

const MR: usize = 4;
const NR: usize = 8;

const _: () = assert!(offset_of!(F32GemmArgs, channels) == 8);
const _: () = assert!(offset_of!(F32GemmArgs, taps) == 12);
const _: () = assert!(offset_of!(F32GemmArgs, a) == 16);
const _: () = assert!(offset_of!(F32GemmArgs, w) == 20);

// r0 args, r1 out (32 accumulators); r2 taps, r3 pointers, r4-r7 rows, r8 channels left, r12 weights.
// q0-q3 weights of two channels, d8-d11 two channels of each row, q6-q7 scalars, q8-q15 accumulators.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .p2align 4
    .type quantrack_f32_gemm_4x8_v7, %function
    .globl quantrack_f32_gemm_4x8_v7
quantrack_f32_gemm_4x8_v7:
    push {r4-r8, lr}
    vpush {d8-d15}
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
    subs r8, r8, #2
    blo 3f
2:
    vld1.32 {d0-d3}, [r12]!
    vld1.32 {d8}, [r4]!
    vld1.32 {d9}, [r5]!
    vdup.32 q6, d8[0]
    vld1.32 {d10}, [r6]!
    vdup.32 q7, d9[0]
    vfma.f32 q8, q0, q6
    vfma.f32 q9, q1, q6
    vld1.32 {d11}, [r7]!
    vdup.32 q6, d10[0]
    vfma.f32 q10, q0, q7
    vfma.f32 q11, q1, q7
    vld1.32 {d4-d7}, [r12]!
    vdup.32 q7, d11[0]
    vfma.f32 q12, q0, q6
    vfma.f32 q13, q1, q6
    vdup.32 q6, d8[1]
    vfma.f32 q14, q0, q7
    vfma.f32 q15, q1, q7
    vdup.32 q7, d9[1]
    vfma.f32 q8, q2, q6
    vfma.f32 q9, q3, q6
    vdup.32 q6, d10[1]
    vfma.f32 q10, q2, q7
    vfma.f32 q11, q3, q7
    vdup.32 q7, d11[1]
    vfma.f32 q12, q2, q6
    vfma.f32 q13, q3, q6
    vfma.f32 q14, q2, q7
    vfma.f32 q15, q3, q7
    subs r8, r8, #2
    bhs 2b
3:
    adds r8, r8, #2
    beq 4f
    vld1.32 {d0-d3}, [r12]!
    vld1.32 {d8[], d9[]}, [r4]
    vld1.32 {d10[], d11[]}, [r5]
    vld1.32 {d12[], d13[]}, [r6]
    vld1.32 {d14[], d15[]}, [r7]
    vfma.f32 q8, q0, q4
    vfma.f32 q9, q1, q4
    vfma.f32 q10, q0, q5
    vfma.f32 q11, q1, q5
    vfma.f32 q12, q0, q6
    vfma.f32 q13, q1, q6
    vfma.f32 q14, q0, q7
    vfma.f32 q15, q1, q7
4:
    subs r2, r2, #1
    bne 1b
    vst1.32 {d16-d19}, [r1]!
    vst1.32 {d20-d23}, [r1]!
    vst1.32 {d24-d27}, [r1]!
    vst1.32 {d28-d31}, [r1]
    vpop {d8-d15}
    pop {r4-r8, pc}
    .size quantrack_f32_gemm_4x8_v7, . - quantrack_f32_gemm_4x8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_f32_gemm_4x8_v7(args: *const F32GemmArgs, acc: *mut [[f32; NR]; MR]);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x8(args: &F32GemmArgs) {
    let mut acc = [[0.0_f32; NR]; MR];
    // SAFETY: the caller vouches for `args` and for NEON with VFPv4; `acc` is the tile that the code fills.
    unsafe {
        quantrack_f32_gemm_4x8_v7(args, &raw mut acc);
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            let c = args.c.add(r * args.c_stride);
            finish_f32(acc, args.slopes, [args.min, args.max], c, args.cols);
        }
    }
}
