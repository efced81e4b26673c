//! fp32 kernel of one row by sixteen columns for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, clamp_f32, each_tile};

/// One row by sixteen columns, for fully connected layers of a single row, which meet each weight once. Lanes are columns, so
/// that each is summed over the channels in order.
///
/// Weights come a channel ahead, as in the tile of five rows: halves by VLDR, the others through integer registers. Four cycles
/// after a multiply-add no other NEON operation may issue: two multiply, two load, and so on, and after two channels the
/// activations of two more go to all lanes: 20 cycles for 32 products.
pub(crate) static GEMM_1X16: F32Gemm = MicroKernel {
    name: "f32_gemm_1x16_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 1, gemm_1x16) },
};

const NR: usize = 16;

// r0 sums, r1 pointers to rows, r2 weights ahead, r3 channels, r4 row, r5 channels left, r6-r9 weights on their way, r10 and
// r12 activations, lr taps left. q0-q3 and q4-q7 weights of two channels, q12 and q13 their activations, q8-q11 sums.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ A channel: weights `a` to `d` times `x`, those of the next channel from `at` on.
    .macro quantrack_f32_row_channel a, b, c, d, x, a0, a1, b0, b1, c0, c1, d0, d1, at
    vfma.f32 q8, \a, \x
    ldrd r6, r7, [r2, #\at + 8]
    vfma.f32 q9, \b, \x
    ldrd r8, r9, [r2, #\at + 24]
    vldr \a0, [r2, #\at]
    vmov \a1, r6, r7
    vldr \b0, [r2, #\at + 16]
    vmov \b1, r8, r9
    vfma.f32 q10, \c, \x
    ldrd r6, r7, [r2, #\at + 40]
    vfma.f32 q11, \d, \x
    ldrd r8, r9, [r2, #\at + 56]
    vldr \c0, [r2, #\at + 32]
    vmov \c1, r6, r7
    vldr \d0, [r2, #\at + 48]
    vmov \d1, r8, r9
    .endm

    .p2align 4
    .global quantrack_f32_multiply_1x16_v7
    .hidden quantrack_f32_multiply_1x16_v7
    .type quantrack_f32_multiply_1x16_v7, %function
quantrack_f32_multiply_1x16_v7:
    push {r4-r10, lr}
    vpush {d8-d15}
    ldr lr, [sp, #96]
    vld1.32 {d16-d19}, [r0]!
    vld1.32 {d20-d23}, [r0]
    sub r0, r0, #32
    vld1.32 {d0-d3}, [r2]!
    vld1.32 {d4-d7}, [r2]!
2:
    ldr r4, [r1], #4
    mov r5, r3
    ldr r12, [r4], #4
    ldr r10, [r4], #4
    vdup.32 q12, r12
    vdup.32 q13, r10
3:
    subs r5, r5, #2
    ldr r12, [r4], #4
    quantrack_f32_row_channel q0, q1, q2, q3, q12, d8, d9, d10, d11, d12, d13, d14, d15, 0
    blt 4f
    quantrack_f32_row_channel q4, q5, q6, q7, q13, d0, d1, d2, d3, d4, d5, d6, d7, 64
    ldr r10, [r4], #4
    add r2, r2, #128
    cmp r5, #0
    vdup.32 q12, r12
    vdup.32 q13, r10
    bne 3b
    b 5f
4:
    add r2, r2, #64
    vmov q0, q4
    vmov q1, q5
    vmov q2, q6
    vmov q3, q7
5:
    subs lr, lr, #1
    bne 2b
    vst1.32 {d16-d19}, [r0]!
    vst1.32 {d20-d23}, [r0]
    vpop {d8-d15}
    pop {r4-r10, pc}
    .size quantrack_f32_multiply_1x16_v7, . - quantrack_f32_multiply_1x16_v7
"#,
    options(raw)
);

unsafe extern "C" {
    /// Adds the products of all taps and channels to sixteen sums. Reads the weights of a channel past the last, and two
    /// activations.
    fn quantrack_f32_multiply_1x16_v7(
        sums: *mut [f32; NR],
        rows: *const *const f32,
        w: *const f32,
        channels: usize,
        taps: usize,
    );
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_1x16(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args` (the row readable for two elements past its channels, the panel for sixteen: SLACK;
    // `slopes` null or NR elements, `c` writable for `cols`) and for NEON with VFPv4.
    unsafe {
        let mut sums = *args.w.cast::<[f32; NR]>();
        let w = args.w.add(NR);
        quantrack_f32_multiply_1x16_v7(&mut sums, args.a, w, args.channels, args.taps);
        for (column, &x) in sums.iter().enumerate().take(args.cols) {
            let sloped = !args.slopes.is_null() && x < 0.0;
            let x = if sloped { x * *args.slopes.add(column) } else { x };
            *args.c.add(column) = clamp_f32(x, args.min, args.max);
        }
    }
}
