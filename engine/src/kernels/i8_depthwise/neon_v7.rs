//! 8-bit depthwise rows for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::neon_v7::requantize;

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;

// r0 pointers of one pixel, r1 taps, r2 offset of the block in bytes, r3 weights of the block, [sp] out (8).
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .p2align 4
    .type quantrack_i8_depthwise_8_v7, %function
    .globl quantrack_i8_depthwise_8_v7
quantrack_i8_depthwise_8_v7:
    vld1.32 {d16-d19}, [r3]!
1:
    ldr r12, [r0], #4
    add r12, r12, r2
    vld1.8 {d0}, [r12]
    vld1.8 {d2}, [r3]!
    subs r1, r1, #1
    vmovl.s8 q0, d0
    vmovl.s8 q1, d2
    vmlal.s16 q8, d0, d2
    vmlal.s16 q9, d1, d3
    bne 1b
    ldr r12, [sp]
    vst1.32 {d16-d19}, [r12]
    bx lr
    .size quantrack_i8_depthwise_8_v7, . - quantrack_i8_depthwise_8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i8_depthwise_8_v7(
        rows: *const *const i8,
        taps: usize,
        offset_bytes: usize,
        w: *const i8,
        acc: *mut [i32; NR],
    );
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise_8(args: &I8DepthwiseArgs) {
    let block = NR * (args.taps.count() + 4);
    let mut acc = [0_i32; NR];
    // SAFETY: the caller vouches for `args` (rows readable for seven elements past their channels: SLACK; the arrays of
    // `requant` cover whole blocks) and for NEON.
    unsafe {
        let taps = args.taps.per_pixel(args.pixels);
        for pixel in 0..args.pixels {
            let rows = taps.as_ptr().add(pixel * args.taps.count());
            let c = args.c.add(pixel * args.c_stride);
            for channel in (0..args.channels).step_by(NR) {
                let w = args.w.add(channel / NR * block);
                quantrack_i8_depthwise_8_v7(rows, args.taps.count(), channel, w, &raw mut acc);
                let count = (args.channels - channel).min(NR);
                requantize(&acc, &args.requant, channel, c.add(channel), count);
            }
        }
    }
}
