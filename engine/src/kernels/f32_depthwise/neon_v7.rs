//! fp32 depthwise rows for 32-bit ARM.

use std::arch::global_asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::neon_v7::finish_f32;

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_8_neon_v7",
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
    .type quantrack_f32_depthwise_8_v7, %function
    .globl quantrack_f32_depthwise_8_v7
quantrack_f32_depthwise_8_v7:
    vld1.32 {d16-d19}, [r3]!
1:
    ldr r12, [r0], #4
    add r12, r12, r2
    vld1.32 {d0-d3}, [r12]
    vld1.32 {d4-d7}, [r3]!
    subs r1, r1, #1
    vfma.f32 q8, q0, q2
    vfma.f32 q9, q1, q3
    bne 1b
    ldr r12, [sp]
    vst1.32 {d16-d19}, [r12]
    bx lr
    .size quantrack_f32_depthwise_8_v7, . - quantrack_f32_depthwise_8_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_f32_depthwise_8_v7(
        rows: *const *const f32,
        taps: usize,
        offset_bytes: usize,
        w: *const f32,
        acc: *mut [f32; NR],
    );
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise_8(args: &F32DepthwiseArgs) {
    let block = NR * (args.taps.count() + 1);
    let mut acc = [0.0_f32; NR];
    // SAFETY: the caller vouches for `args` (rows readable for seven elements past their channels: SLACK; `slopes` null
    // or covering whole blocks) and for NEON with VFPv4.
    unsafe {
        let taps = args.taps.per_pixel(args.pixels);
        for pixel in 0..args.pixels {
            let rows = taps.as_ptr().add(pixel * args.taps.count());
            let c = args.c.add(pixel * args.c_stride);
            for channel in (0..args.channels).step_by(NR) {
                let w = args.w.add(channel / NR * block);
                quantrack_f32_depthwise_8_v7(rows, args.taps.count(), 4 * channel, w, &raw mut acc);
                let slopes =
                    if args.slopes.is_null() { args.slopes } else { args.slopes.add(channel) };
                let count = (args.channels - channel).min(NR);
                finish_f32(&acc, slopes, [args.min, args.max], c.add(channel), count);
            }
        }
    }
}
