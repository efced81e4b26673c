//! fp32 depthwise rows for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Four channels of eight neighbouring pixels at a time. For windows three or five wide and stride 1, every pixel of the
/// input is loaded once per row of the window and serves all outputs that read it: column after column goes by, and with
/// it up to three or five multiply-adds.
///
/// Four cycles after a multiply-add a Cortex-A53 issues no other NEON operation, so columns are loaded four cycles apart
/// (a half by VLDR, the other through integer registers, which share a cycle), and multiplied in between: 50 cycles for the
/// 24 multiply-adds of a row of three taps, 77 for the 40 of five.
pub(crate) static DEPTHWISE_4X8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_4x8_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

const NR: usize = 4;
/// Pixels of a segment of such windows.
const PIXELS: usize = 8;

/// Four channels of a row of outputs.
#[repr(C)]
struct Block {
    w: *const f32,
    /// As [`crate::kernels::micro::Taps::rows`].
    rows: *const *const *const f32,
    /// Bytes from a table of pointers to the first one of a segment, kept by the code.
    first: usize,
    /// Bytes from a pixel to the first channel.
    channel: usize,
    height: usize,
    /// Pixels that are left, this segment's among them, kept by the code.
    left: usize,
    /// Where the segment's results go, kept by the code.
    c: *mut f32,
    /// Bytes between pixels of the result.
    c_stride: usize,
    /// Channels to store.
    cols: usize,
    /// Bytes between the pointers to the first taps of neighbouring pixels.
    step: usize,
    width: usize,
    min: f32,
    max: f32,
    /// Of the channels, or null.
    slopes: *const f32,
}

const _: () = assert!(offset_of!(Block, slopes) == 52);

// r0 weights of the next row, r1 rows of the window ahead, r2 bytes from a row's table to the first pointer, r3 bytes to the
// channel, r4 and lr pointers of a row and the next, r5-r7 and r10 pixels, r8-r11 operands on their way, r12 rows left; on
// the stack the block. q0-q4 weights of a row, those behind them pixels, q8-q15 accumulators.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ The row of a window three wide, a line a cycle. Its first two pixels are there, in the end those of the next row, whose
    @ weights replace the row's as soon as these have been multiplied; the last row loads its own again.
    .macro quantrack_f32_row_3
    vfma.f32 q8, q3, q0; ldrd r8, r9, [r7, #8]
    vfma.f32 q9, q4, q0; add r5, r5, r3
    vldr d10, [r7]; vmov d11, r8, r9
    ldr r6, [r4, #16]
    ldr lr, [r1], #4
    cmp r12, #1
    subeq r0, r0, #48
    ldrd r8, r9, [r5, #8]
    vldr d6, [r5]; vmov d7, r8, r9
    vfma.f32 q8, q4, q1; add r6, r6, r3
    vfma.f32 q10, q5, q0; ldr r7, [r4, #20]
    add lr, lr, r2
    ldrd r8, r9, [r6, #8]
    vldr d8, [r6]; vmov d9, r8, r9
    vfma.f32 q9, q5, q1; add r7, r7, r3
    vfma.f32 q8, q5, q2; ldr r5, [r4, #24]
    vfma.f32 q11, q3, q0; ldrd r8, r9, [r7, #8]
    vldr d10, [r7]; vmov d11, r8, r9
    vfma.f32 q10, q3, q1; add r5, r5, r3
    vfma.f32 q9, q3, q2; ldr r6, [r4, #28]
    vfma.f32 q12, q4, q0; ldrd r8, r9, [r5, #8]
    vldr d6, [r5]; vmov d7, r8, r9
    vfma.f32 q11, q4, q1; add r6, r6, r3
    vfma.f32 q10, q4, q2; ldr r7, [r4, #32]
    vfma.f32 q13, q5, q0; ldrd r8, r9, [r6, #8]
    vldr d8, [r6]; vmov d9, r8, r9
    vfma.f32 q12, q5, q1; add r7, r7, r3
    vfma.f32 q11, q5, q2; ldr r10, [r4, #36]
    vfma.f32 q14, q3, q0; ldrd r8, r9, [r7, #8]
    vldr d10, [r7]; vmov d11, r8, r9
    vfma.f32 q13, q3, q1; add r10, r10, r3
    vfma.f32 q12, q3, q2; ldr r5, [lr, #0]
    vfma.f32 q15, q4, q0; ldrd r8, r9, [r10, #8]
    vldr d12, [r10]; vmov d13, r8, r9
    vfma.f32 q14, q4, q1; add r5, r5, r3
    vfma.f32 q13, q4, q2; ldr r6, [lr, #4]
    vfma.f32 q15, q5, q1; ldrd r8, r9, [r5, #8]
    vldr d6, [r5]; vmov d7, r8, r9
    vfma.f32 q14, q5, q2; add r6, r6, r3
    vfma.f32 q15, q6, q2; ldr r7, [lr, #8]
    ldrd r8, r9, [r6, #8]
    vldr d8, [r6]; vmov d9, r8, r9
    add r7, r7, r3
    ldr r5, [lr, #12]
    ldrd r10, r11, [r0, #8]
    vldr d0, [r0, #0]; vmov d1, r10, r11
    ldrd r10, r11, [r0, #24]
    vldr d2, [r0, #16]; vmov d3, r10, r11
    ldrd r10, r11, [r0, #40]
    vldr d4, [r0, #32]; vmov d5, r10, r11
    mov r4, lr
    subs r12, r12, #1
    add r0, r0, #48
    .endm

    @ As above, five wide.
    .macro quantrack_f32_row_5
    vfma.f32 q8, q5, q0; ldrd r8, r9, [r7, #8]
    vfma.f32 q9, q6, q0; add r5, r5, r3
    vldr d14, [r7]; vmov d15, r8, r9
    ldr r6, [r4, #16]
    ldr lr, [r1], #4
    cmp r12, #1
    subeq r0, r0, #80
    ldrd r8, r9, [r5, #8]
    vldr d10, [r5]; vmov d11, r8, r9
    vfma.f32 q8, q6, q1; add r6, r6, r3
    vfma.f32 q10, q7, q0; ldr r7, [r4, #20]
    add lr, lr, r2
    ldrd r8, r9, [r6, #8]
    vldr d12, [r6]; vmov d13, r8, r9
    vfma.f32 q9, q7, q1; add r7, r7, r3
    vfma.f32 q8, q7, q2; ldr r5, [r4, #24]
    vfma.f32 q11, q5, q0; ldrd r8, r9, [r7, #8]
    vldr d14, [r7]; vmov d15, r8, r9
    vfma.f32 q10, q5, q1; add r5, r5, r3
    vfma.f32 q9, q5, q2; ldr r6, [r4, #28]
    vfma.f32 q8, q5, q3; ldrd r8, r9, [r5, #8]
    vldr d10, [r5]; vmov d11, r8, r9
    vfma.f32 q12, q6, q0; add r6, r6, r3
    vfma.f32 q11, q6, q1; ldr r7, [r4, #32]
    vfma.f32 q10, q6, q2; ldrd r8, r9, [r6, #8]
    vfma.f32 q9, q6, q3; add r7, r7, r3
    vfma.f32 q8, q6, q4; ldr r5, [r4, #36]
    vfma.f32 q13, q7, q0
    vldr d12, [r6]; vmov d13, r8, r9
    vfma.f32 q12, q7, q1; ldrd r8, r9, [r7, #8]
    vfma.f32 q11, q7, q2; add r5, r5, r3
    vfma.f32 q10, q7, q3; ldr r6, [r4, #40]
    vfma.f32 q9, q7, q4
    vfma.f32 q14, q5, q0
    vfma.f32 q13, q5, q1
    vldr d14, [r7]; vmov d15, r8, r9
    vfma.f32 q12, q5, q2; ldrd r8, r9, [r5, #8]
    vfma.f32 q11, q5, q3; add r6, r6, r3
    vfma.f32 q10, q5, q4; ldr r7, [r4, #44]
    vldr d10, [r5]; vmov d11, r8, r9
    vfma.f32 q15, q6, q0; ldrd r10, r11, [r0, #8]
    vfma.f32 q14, q6, q1
    vfma.f32 q13, q6, q2
    vldr d0, [r0, #0]; vmov d1, r10, r11
    vfma.f32 q12, q6, q3; ldrd r8, r9, [r6, #8]
    vfma.f32 q11, q6, q4; add r7, r7, r3
    vfma.f32 q15, q7, q1; ldr r5, [lr, #0]
    vldr d12, [r6]; vmov d13, r8, r9
    vfma.f32 q14, q7, q2; ldrd r8, r9, [r7, #8]
    vfma.f32 q13, q7, q3; add r5, r5, r3
    vfma.f32 q12, q7, q4; ldr r6, [lr, #4]
    vldr d14, [r7]; vmov d15, r8, r9
    vfma.f32 q15, q5, q2; ldrd r8, r9, [r5, #8]
    vfma.f32 q14, q5, q3; add r6, r6, r3
    vfma.f32 q13, q5, q4; ldr r7, [lr, #8]
    vldr d10, [r5]; vmov d11, r8, r9
    vfma.f32 q15, q6, q3; ldrd r8, r9, [r6, #8]
    vfma.f32 q14, q6, q4; add r7, r7, r3
    vldr d12, [r6]; vmov d13, r8, r9
    vfma.f32 q15, q7, q4; ldr r5, [lr, #12]
    ldrd r10, r11, [r0, #24]
    vldr d2, [r0, #16]; vmov d3, r10, r11
    ldrd r10, r11, [r0, #40]
    vldr d4, [r0, #32]; vmov d5, r10, r11
    ldrd r10, r11, [r0, #56]
    vldr d6, [r0, #48]; vmov d7, r10, r11
    ldrd r10, r11, [r0, #72]
    vldr d8, [r0, #64]; vmov d9, r10, r11
    mov r4, lr
    subs r12, r12, #1
    add r0, r0, #80
    .endm

    .macro quantrack_f32_rows_begin name
    .p2align 4
    .type \name, %function
    .globl \name
\name:
    push {r0, r4-r11, lr}
    vpush {d8-d15}
1:
    ldr r12, [sp, #64]
    ldm r12, {r0-r3, r12}
    .endm

    @ Of a pixel of sums: PReLU, bounds, and its `cols` (r9) channels to r8, which moves to the pixel behind the next one.
    .macro quantrack_f32_pixel sum, low, high, to
    cmp r9, #4
    bne 5f
    vst1.32 {\low, \high}, [\to], r10
    b 7f
5:
    mov r4, \to
    add \to, \to, r10
    tst r9, #2
    beq 6f
    vst1.32 {\low}, [r4]!
    vmov \low, \high
6:
    tst r9, #1
    beq 7f
    vst1.32 {\low[0]}, [r4]
7:
    .endm

    .macro quantrack_f32_slope x, y
    vmul.f32 q4, \x, q2
    vclt.f32 q6, \x, #0
    vmul.f32 q5, \y, q2
    vclt.f32 q7, \y, #0
    vbit \x, q4, q6
    vbit \y, q5, q7
    .endm

    @ Bounds in q0 and q1, slopes in q2 if r7 is not null; c and twice its stride for every second pixel.
    .macro quantrack_f32_finish
    ldr r12, [sp, #64]
    add r4, r12, #44
    ldr r7, [r12, #52]
    vld1.32 {d0[], d1[]}, [r4]!
    ldr r8, [r12, #24]
    vld1.32 {d2[], d3[]}, [r4]
    ldr r10, [r12, #28]
    ldr r9, [r12, #32]
    cmp r7, #0
    add r11, r8, r10
    lsl r10, r10, #1
    .endm

    @ The next segment of so many pixels; the last one begins earlier when it would go too far.
    .macro quantrack_f32_next name, pixels
    ldr r9, [r12, #20]
    ldr r10, [r12, #28]
    ldr r5, [r12, #24]
    subs r9, r9, #\pixels
    ldr r6, [r12, #36]
    bls 2f
    ldr r7, [r12, #8]
    cmp r9, #\pixels
    mov r1, r9
    movhi r1, #\pixels
    movlo r9, #\pixels
    mla r5, r1, r10, r5
    mla r7, r1, r6, r7
    str r9, [r12, #20]
    str r5, [r12, #24]
    str r7, [r12, #8]
    b 1b
2:
    vpop {d8-d15}
    pop {r0, r4-r11, pc}
    .size \name, . - \name
    .endm

    @ Windows of a width: `x0` and `x1` get the first row's first two pixels; `weights` loads its weights behind eight of them.
    .macro quantrack_f32_rows name, row, weights, x0l, x0h, x1l, x1h
    quantrack_f32_rows_begin \name
    ldr r4, [r1], #4
    add r8, r0, #16
    vld1.32 {d16, d17}, [r0]
    add r9, r0, #48
    add r4, r4, r2
    vld1.32 {d0-d3}, [r8]
    ldm r4, {r5-r7}
    \weights
    vmov q9, q8
    add r5, r5, r3
    vmov q10, q8
    add r6, r6, r3
    vmov q11, q8
    vmov q12, q8
    vld1.32 {\x0l, \x0h}, [r5]
    vmov q13, q8
    add r7, r7, r3
    vmov q14, q8
    ldr r5, [r4, #12]
    vmov q15, q8
    vld1.32 {\x1l, \x1h}, [r6]
2:
    \row
    bne 2b
    quantrack_f32_finish
    beq 3f
    vld1.32 {d4, d5}, [r7]
    quantrack_f32_slope q8, q9
    quantrack_f32_slope q10, q11
    quantrack_f32_slope q12, q13
    quantrack_f32_slope q14, q15
3:
    quantrack_f32_bound vmax.f32, q0
    quantrack_f32_bound vmin.f32, q1
    cmp r9, #4
    bne 4f
    vst1.32 {d16, d17}, [r8], r10
    vst1.32 {d18, d19}, [r11], r10
    add r4, r8, r10
    add r5, r11, r10
    vst1.32 {d20, d21}, [r8]
    add r6, r4, r10
    vst1.32 {d22, d23}, [r11]
    add r7, r5, r10
    vst1.32 {d24, d25}, [r4]
    vst1.32 {d26, d27}, [r5]
    vst1.32 {d28, d29}, [r6]
    vst1.32 {d30, d31}, [r7]
    b 8f
4:
    quantrack_f32_pixel q8, d16, d17, r8
    quantrack_f32_pixel q9, d18, d19, r11
    quantrack_f32_pixel q10, d20, d21, r8
    quantrack_f32_pixel q11, d22, d23, r11
    quantrack_f32_pixel q12, d24, d25, r8
    quantrack_f32_pixel q13, d26, d27, r11
    quantrack_f32_pixel q14, d28, d29, r8
    quantrack_f32_pixel q15, d30, d31, r11
8:
    quantrack_f32_next \name, 8
    .endm

    .macro quantrack_f32_bound op, bound
    \op q8, q8, \bound
    \op q9, q9, \bound
    \op q10, q10, \bound
    \op q11, q11, \bound
    \op q12, q12, \bound
    \op q13, q13, \bound
    \op q14, q14, \bound
    \op q15, q15, \bound
    .endm

    @ The weights of the first row, behind the biases and eight of them.
    .macro quantrack_f32_weights_3
    vld1.32 {d4, d5}, [r9]
    add r0, r0, #64
    .endm

    .macro quantrack_f32_weights_5
    add r10, r0, #80
    vld1.32 {d4-d7}, [r9]
    add r0, r0, #96
    vld1.32 {d8, d9}, [r10]
    .endm

    quantrack_f32_rows quantrack_f32_depthwise_3_v7, quantrack_f32_row_3, quantrack_f32_weights_3, d6, d7, d8, d9
    quantrack_f32_rows quantrack_f32_depthwise_5_v7, quantrack_f32_row_5, quantrack_f32_weights_5, d10, d11, d12, d13

    @ Any window, four pixels at a time, and rows of fewer pixels, whose last one is then computed several times.
    @ r3 bytes to the channel, r4-r7 bytes from a row's table to the pointer of each output, r8 width, r9 taps left, r10-r12
    @ pixels, lr pointers of a row.
    quantrack_f32_rows_begin quantrack_f32_depthwise_any_v7
    vld1.32 {d16, d17}, [r0]!
    ldr r8, [sp, #64]
    mov r4, r2
    ldr r10, [r8, #20]
    ldr r9, [r8, #36]
    sub r10, r10, #1
    mla r10, r10, r9, r2
    vmov q9, q8
    add r5, r4, r9
    cmp r5, r10
    movhi r5, r10
    vmov q10, q8
    add r6, r5, r9
    cmp r6, r10
    movhi r6, r10
    vmov q11, q8
    add r7, r6, r9
    cmp r7, r10
    movhi r7, r10
    ldr r8, [r8, #40]
    mov r2, r12
2:
    ldr lr, [r1], #4
    mov r9, r8
3:
    ldr r10, [lr, r4]
    ldr r11, [lr, r5]
    ldr r12, [lr, r6]
    vld1.32 {d0, d1}, [r0]!
    add r10, r10, r3
    add r11, r11, r3
    vld1.32 {d2, d3}, [r10]
    ldr r10, [lr, r7]
    vld1.32 {d4, d5}, [r11]
    add r12, r12, r3
    add r10, r10, r3
    vld1.32 {d6, d7}, [r12]
    vld1.32 {d8, d9}, [r10]
    vfma.f32 q8, q1, q0
    add lr, lr, #4
    vfma.f32 q9, q2, q0
    subs r9, r9, #1
    vfma.f32 q10, q3, q0
    vfma.f32 q11, q4, q0
    bne 3b
    subs r2, r2, #1
    bne 2b
    quantrack_f32_finish
    beq 3f
    vld1.32 {d4, d5}, [r7]
    quantrack_f32_slope q8, q9
    quantrack_f32_slope q10, q11
3:
    vmax.f32 q8, q8, q0
    vmax.f32 q9, q9, q0
    vmax.f32 q10, q10, q0
    vmax.f32 q11, q11, q0
    ldr r5, [r12, #20]
    vmin.f32 q8, q8, q1
    vmin.f32 q9, q9, q1
    vmin.f32 q10, q10, q1
    vmin.f32 q11, q11, q1
    quantrack_f32_pixel q8, d16, d17, r8
    cmp r5, #2
    blo 8f
    quantrack_f32_pixel q9, d18, d19, r11
    cmp r5, #3
    blo 8f
    quantrack_f32_pixel q10, d20, d21, r8
    cmp r5, #4
    blo 8f
    quantrack_f32_pixel q11, d22, d23, r11
8:
    quantrack_f32_next quantrack_f32_depthwise_any_v7, 4
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_f32_depthwise_3_v7(block: *mut Block);
    fn quantrack_f32_depthwise_5_v7(block: *mut Block);
    fn quantrack_f32_depthwise_any_v7(block: *mut Block);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise(args: &F32DepthwiseArgs) {
    let ([height, width], step) = (args.taps.kernel, args.taps.step);
    let rows: unsafe extern "C" fn(*mut Block) = match (width, step) {
        (3, 1) if args.pixels >= PIXELS => quantrack_f32_depthwise_3_v7,
        (5, 1) if args.pixels >= PIXELS => quantrack_f32_depthwise_5_v7,
        _ => quantrack_f32_depthwise_any_v7,
    };
    for channel in (0..args.channels).step_by(NR) {
        // SAFETY: the caller vouches for `args`: taps are readable for three elements past their channels (SLACK), there are
        // the last row's pointers once more, `w` has whole blocks, `slopes` is null or covers whole blocks; and for NEON with
        // VFPv4.
        unsafe {
            let slopes = if args.slopes.is_null() { args.slopes } else { args.slopes.add(channel) };
            let mut block = Block {
                w: args.w.add(channel * (args.taps.count() + 1)),
                rows: args.taps.rows,
                first: 0,
                channel: size_of::<f32>() * channel,
                height,
                left: args.pixels,
                c: args.c.add(channel),
                c_stride: size_of::<f32>() * args.c_stride,
                cols: (args.channels - channel).min(NR),
                step: size_of::<*const f32>() * step,
                width,
                min: args.min,
                max: args.max,
                slopes,
            };
            rows(&raw mut block);
        }
    }
}
