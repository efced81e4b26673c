//! 8-bit depthwise rows for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Requant, Tile};
use crate::kernels::neon_v7::from_column;

/// Eight channels of four neighbouring pixels at a time. For windows three or five wide, stride 1 or 2, every pixel of the
/// input is loaded once per row of the window and serves all outputs that read it. Products are added in 16 bits before
/// they are widened to 32: those of a whole row of the window where its weights are small enough, which is known when they
/// are packed ([`I8DepthwiseArgs::narrow`]), else of two taps, which weights of -127..=127 cannot overflow.
///
/// Of four pixels' accumulators, two of products and what they read, sixteen registers hold two pixels' worth: a row of the
/// window is multiplied for two pixels and then for two more. Products wait four cycles to be added, in which the next
/// operands are loaded; pointers are loaded beside the multiplications.
pub(crate) static DEPTHWISE_8X4: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8x4_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

const NR: usize = 8;
/// Pixels of a segment.
const PIXELS: usize = 4;

/// Eight channels of a row of outputs.
#[repr(C)]
struct Block {
    w: *const i8,
    /// As [`crate::kernels::micro::Taps::rows`].
    rows: *const *const *const i8,
    /// Bytes from a table of pointers to the first one of a segment, kept by the code.
    first: usize,
    /// The first channel.
    channel: usize,
    height: usize,
    narrow: *const bool,
    /// Pixels that are left, this segment's among them, kept by the code.
    left: usize,
    /// Where the segment's results go, kept by the code.
    c: *mut i8,
    c_stride: usize,
    /// Channels to store.
    cols: usize,
    /// Bytes between the pointers to the first taps of neighbouring pixels.
    step: usize,
    width: usize,
    requant: Requant,
}

const _: () = assert!(offset_of!(Block, requant) == 48);

// r0 weights, r1 rows of the window ahead, r2 bytes from a row's table to the first pointer, r3 channel, r4-r10 pixels, r11
// pointers of a row, r12 rows left, lr whether rows are narrow; on the stack the block.
// d0-d6 pixels, d7-d11 weights of a row, q6 and q7 products of two outputs, q8-q15 accumulators.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    .macro quantrack_i8_rows_begin name
    .p2align 4
    .type \name, %function
    .globl \name
\name:
    push {r0, r4-r11, lr}
    vpush {d8-d15}
1:
    ldr r12, [sp, #64]
    ldm r12, {r0-r3, r12, lr}
    ldr r11, [r1], #4
    vld1.32 {d16-d19}, [r0]!
    .endm

    .macro quantrack_i8_biases i0, i1, i2, i3, i4, i5
    vmov q10, q8
    \i0
    vmov q11, q9
    \i1
    vmov q12, q8
    \i2
    vmov q13, q9
    \i3
    vmov q14, q8
    \i4
    vmov q15, q9
    \i5
    .endm

    @ The last segment begins earlier when it would go too far.
    .macro quantrack_i8_rows_end name
    ldr r9, [sp, #64]
    add r12, r9, #48
    bl quantrack_requant_4x8_v7
    ldr r8, [r9, #28]
    ldr r10, [r9, #32]
    ldr r11, [r9, #36]
    mov r0, r9
    ldr r9, [r9, #24]
    bl quantrack_store_4x8_v7
    ldr r5, [r0, #28]
    subs r9, r9, #4
    ldr r6, [r0, #40]
    bls 2f
    ldr r7, [r0, #8]
    cmp r9, #4
    mov r1, r9
    movhi r1, #4
    movlo r9, #4
    mla r5, r1, r10, r5
    mla r7, r1, r6, r7
    str r9, [r0, #24]
    str r5, [r0, #28]
    str r7, [r0, #8]
    b 1b
2:
    vpop {d8-d15}
    pop {r0, r4-r11, pc}
    .size \name, . - \name
    .endm

    @ Adds the products of two outputs.
    .macro quantrack_i8_add a, b, c, d, i0, i1, i2, i3
    vaddw.s16 \a, \a, d12
    \i0
    vaddw.s16 \b, \b, d13
    \i1
    vaddw.s16 \c, \c, d14
    \i2
    vaddw.s16 \d, \d, d15
    \i3
    .endm

    @ Two outputs of three taps, the second of which ends with w, y, z, and instructions to be issued beside. `gap` is what
    @ to do while products are not there yet.
    .macro quantrack_i8_three wide, gap, u, v, w, x, y, z, a, b, c, d, i0, i1, i2, i3, i4, i5, j0, j1, j2, j3
    vmull.s8 q6, \u, d7
    \i0
    vmull.s8 q7, \x, d7
    \i1
    vmlal.s8 q6, \v, d8
    \i2
    vmlal.s8 q7, \y, d8
    \i3
    .if \wide
    vmull.s8 q5, \w, d9
    .else
    vmlal.s8 q6, \w, d9
    .endif
    \i4
    .if \wide
    quantrack_i8_add \a, \b, \c, \d
    vmull.s8 q6, \z, d9
    .else
    vmlal.s8 q7, \z, d9
    .endif
    \i5
    \gap
    .if \wide
    vaddw.s16 \a, \a, d10
    \j0
    vaddw.s16 \b, \b, d11
    \j1
    vaddw.s16 \c, \c, d12
    \j2
    vaddw.s16 \d, \d, d13
    \j3
    .else
    quantrack_i8_add \a, \b, \c, \d, "\j0", "\j1", "\j2", "\j3"
    .endif
    .endm

    @ Two outputs of five taps.
    .macro quantrack_i8_five wide, gap, u, v, w, x, y, s, t, p, q, r, a, b, c, d, i0, i1, i2, i3, i4, i5, i6, i7, j0, j1, j2, j3
    vmull.s8 q6, \u, d7
    \i0
    vmull.s8 q7, \s, d7
    \i1
    vmlal.s8 q6, \v, d8
    \i2
    vmlal.s8 q7, \t, d8
    \i3
    .if \wide
    quantrack_i8_add \a, \b, \c, \d
    vmull.s8 q6, \w, d9
    vmull.s8 q7, \p, d9
    .else
    vmlal.s8 q6, \w, d9
    .endif
    \i4
    .if \wide == 0
    vmlal.s8 q7, \p, d9
    .endif
    \i5
    vmlal.s8 q6, \x, d10
    \i6
    vmlal.s8 q7, \q, d10
    \i7
    .if \wide
    quantrack_i8_add \a, \b, \c, \d
    vmull.s8 q6, \y, d11
    vmull.s8 q7, \r, d11
    .else
    vmlal.s8 q6, \y, d11
    vmlal.s8 q7, \r, d11
    .endif
    \gap
    quantrack_i8_add \a, \b, \c, \d, "\j0", "\j1", "\j2", "\j3"
    .endm

    @ Pointers of the first row's first pixels.
    .macro quantrack_i8_first
    add r11, r11, r2
    ldm r11, {r4-r9}
    quantrack_i8_biases "ldrb r10, [lr], #1; add r4, r4, r3", "add r5, r5, r3", "add r6, r6, r3", "add r7, r7, r3", "add r8, r8, r3", "add r9, r9, r3"
    .endm

    @ The rows of a window: with products added up in 16 bits, or widened in between.
    .macro quantrack_i8_all_rows row
    cmp r10, #0
    beq 3f
2:
    \row 0
    cmp r12, #0
    beq 4f
    cmp r10, #0
    bne 2b
3:
    \row 1
    cmp r12, #0
    beq 4f
    cmp r10, #0
    bne 2b
    b 3b
4:
    .endm

    .macro quantrack_i8_weights_3
    vldr d7, [r0]
    vldr d8, [r0, #8]
    vldr d9, [r0, #16]
    add r0, r0, #24
    .endm

    .macro quantrack_i8_weights_5
    vldr d7, [r0]
    vldr d8, [r0, #8]
    vldr d9, [r0, #16]
    vldr d10, [r0, #24]
    vldr d11, [r0, #32]
    add r0, r0, #40
    .endm

    @ The last pixels of a row, to where those have been that only the first two outputs read.
    .macro quantrack_i8_pixels_2
    vld1.8 {d0}, [r4]
    vld1.8 {d1}, [r5]
    .endm

    .macro quantrack_i8_pixels_4
    vld1.8 {d0}, [r4]
    vld1.8 {d1}, [r5]
    vld1.8 {d2}, [r6]
    vld1.8 {d3}, [r7]
    .endm

    @ Beside the first two outputs' products, pointers of the last pixels and then the next row's are loaded; beside the
    @ others', the channel is added to these.

    @ Three wide, stride 1: pixels 0 to 3 for the first two outputs, 2 to 5 for the others. 29 cycles.
    .macro quantrack_i8_row_3x1 wide
    vld1.8 {d0}, [r4]
    subs r12, r12, #1
    vld1.8 {d1}, [r5]
    vld1.8 {d2}, [r6]
    vld1.8 {d3}, [r7]
    quantrack_i8_three \wide, quantrack_i8_pixels_2, d0, d1, d2, d1, d2, d3, q8, q9, q10, q11, "ldr r4, [r11, #16]", "ldr r5, [r11, #20]", "ldr r11, [r1], #4", "add r4, r4, r3", "add r5, r5, r3", "add r11, r11, r2", "ldrbne r10, [lr], #1", "ldr r4, [r11]", "ldr r5, [r11, #4]", "ldr r6, [r11, #8]"
    quantrack_i8_three \wide, quantrack_i8_weights_3, d2, d3, d0, d3, d0, d1, q12, q13, q14, q15, "ldr r7, [r11, #12]", "add r4, r4, r3", "add r5, r5, r3", "add r6, r6, r3", "add r7, r7, r3"
    .endm

    @ Three wide, stride 2: pixels 0 to 4 for the first two outputs, 4 to 8 for the others. 35 cycles.
    .macro quantrack_i8_row_3x2 wide
    vld1.8 {d0}, [r4]
    subs r12, r12, #1
    vld1.8 {d1}, [r5]
    vld1.8 {d2}, [r6]
    vld1.8 {d3}, [r7]
    vld1.8 {d4}, [r8]
    quantrack_i8_three \wide, quantrack_i8_pixels_4, d0, d1, d2, d2, d3, d4, q8, q9, q10, q11, "ldr r4, [r11, #20]", "ldr r5, [r11, #24]", "ldr r6, [r11, #28]; add r4, r4, r3", "ldr r7, [r11, #32]; add r5, r5, r3", "ldr r11, [r1], #4; add r6, r6, r3", "add r7, r7, r3", "ldrbne r10, [lr], #1; add r11, r11, r2", "ldr r4, [r11]", "ldr r5, [r11, #4]", "ldr r6, [r11, #8]"
    quantrack_i8_three \wide, quantrack_i8_weights_3, d4, d0, d1, d1, d2, d3, q12, q13, q14, q15, "ldr r7, [r11, #12]", "ldr r8, [r11, #16]", "add r4, r4, r3; add r5, r5, r3", "add r6, r6, r3", "add r7, r7, r3; add r8, r8, r3"
    .endm

    @ Five wide, stride 1: pixels 0 to 5 for the first two outputs, 2 to 7 for the others. 41 cycles.
    .macro quantrack_i8_row_5x1 wide
    vld1.8 {d0}, [r4]
    subs r12, r12, #1
    vld1.8 {d1}, [r5]
    vld1.8 {d2}, [r6]
    vld1.8 {d3}, [r7]
    vld1.8 {d4}, [r8]
    vld1.8 {d5}, [r9]
    quantrack_i8_five \wide, quantrack_i8_pixels_2, d0, d1, d2, d3, d4, d1, d2, d3, d4, d5, q8, q9, q10, q11, "ldr r4, [r11, #24]", "ldr r5, [r11, #28]", "ldr r11, [r1], #4", "add r4, r4, r3", "add r5, r5, r3", "add r11, r11, r2", "ldrbne r10, [lr], #1", "", "ldr r4, [r11]", "ldr r5, [r11, #4]", "ldr r6, [r11, #8]", "ldr r7, [r11, #12]"
    quantrack_i8_five \wide, quantrack_i8_weights_5, d2, d3, d4, d5, d0, d3, d4, d5, d0, d1, q12, q13, q14, q15, "ldr r8, [r11, #16]", "ldr r9, [r11, #20]", "add r4, r4, r3", "add r5, r5, r3", "add r6, r6, r3", "add r7, r7, r3", "add r8, r8, r3", "add r9, r9, r3"
    .endm

    @ Five wide, stride 2: pixels 0 to 6 for the first two outputs, 4 to 10 for the others. 47 cycles.
    .macro quantrack_i8_row_5x2 wide
    ldr r10, [r11, #24]
    vld1.8 {d0}, [r4]
    subs r12, r12, #1
    vld1.8 {d1}, [r5]
    vld1.8 {d2}, [r6]
    add r10, r10, r3
    vld1.8 {d3}, [r7]
    vld1.8 {d4}, [r8]
    vld1.8 {d5}, [r9]
    vld1.8 {d6}, [r10]
    quantrack_i8_five \wide, quantrack_i8_pixels_4, d0, d1, d2, d3, d4, d2, d3, d4, d5, d6, q8, q9, q10, q11, "ldr r4, [r11, #28]", "ldr r5, [r11, #32]", "ldr r6, [r11, #36]; add r4, r4, r3", "ldr r7, [r11, #40]; add r5, r5, r3", "ldr r11, [r1], #4; add r6, r6, r3", "add r7, r7, r3", "ldrbne r10, [lr], #1; add r11, r11, r2", "", "ldr r4, [r11]", "ldr r5, [r11, #4]", "ldr r6, [r11, #8]", "ldr r7, [r11, #12]"
    quantrack_i8_five \wide, quantrack_i8_weights_5, d4, d5, d6, d0, d1, d6, d0, d1, d2, d3, q12, q13, q14, q15, "ldr r8, [r11, #16]", "ldr r9, [r11, #20]", "add r4, r4, r3", "add r5, r5, r3", "add r6, r6, r3", "add r7, r7, r3", "add r8, r8, r3", "add r9, r9, r3"
    .endm

    .macro quantrack_i8_rows name, row, weights
    quantrack_i8_rows_begin \name
    quantrack_i8_first
    \weights
    quantrack_i8_all_rows \row
    quantrack_i8_rows_end \name
    .endm

    quantrack_i8_rows quantrack_i8_depthwise_3x1_v7, quantrack_i8_row_3x1, quantrack_i8_weights_3
    quantrack_i8_rows quantrack_i8_depthwise_3x2_v7, quantrack_i8_row_3x2, quantrack_i8_weights_3
    quantrack_i8_rows quantrack_i8_depthwise_5x1_v7, quantrack_i8_row_5x1, quantrack_i8_weights_5
    quantrack_i8_rows quantrack_i8_depthwise_5x2_v7, quantrack_i8_row_5x2, quantrack_i8_weights_5

    @ Any window, and rows of few pixels, whose last one is then computed several times.
    @ r3 channel, r4-r7 bytes from a row's table to the pointer of each output, r8 height, r9 width, r10 taps left.
    quantrack_i8_rows_begin quantrack_i8_depthwise_any_v7
    ldr r8, [sp, #64]
    ldr r10, [r8, #24]
    ldr r9, [r8, #40]
    sub r10, r10, #1
    quantrack_i8_biases "mla r10, r10, r9, r2", "add r5, r2, r9"
    mov r4, r2
    cmp r5, r10
    movhi r5, r10
    add r6, r5, r9
    cmp r6, r10
    movhi r6, r10
    add r7, r6, r9
    cmp r7, r10
    movhi r7, r10
    ldr r9, [r8, #44]
    mov r8, r12
2:
    mov r10, r9
3:
    vld1.8 {d7}, [r0]!
    ldr r12, [r11, r4]
    ldr lr, [r11, r5]
    add r12, r12, r3
    vld1.8 {d0}, [r12]
    add lr, lr, r3
    ldr r12, [r11, r6]
    vld1.8 {d1}, [lr]
    ldr lr, [r11, r7]
    add r12, r12, r3
    vld1.8 {d2}, [r12]
    add lr, lr, r3
    vld1.8 {d3}, [lr]
    vmull.s8 q6, d0, d7
    vmull.s8 q7, d1, d7
    add r11, r11, #4
    vmull.s8 q4, d2, d7
    subs r10, r10, #1
    vmull.s8 q5, d3, d7
    quantrack_i8_add q8, q9, q10, q11
    vaddw.s16 q12, q12, d8
    vaddw.s16 q13, q13, d9
    vaddw.s16 q14, q14, d10
    vaddw.s16 q15, q15, d11
    bne 3b
    ldr r11, [r1], #4
    subs r8, r8, #1
    bne 2b
    quantrack_i8_rows_end quantrack_i8_depthwise_any_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_i8_depthwise_3x1_v7(block: *mut Block);
    fn quantrack_i8_depthwise_3x2_v7(block: *mut Block);
    fn quantrack_i8_depthwise_5x1_v7(block: *mut Block);
    fn quantrack_i8_depthwise_5x2_v7(block: *mut Block);
    fn quantrack_i8_depthwise_any_v7(block: *mut Block);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise(args: &I8DepthwiseArgs) {
    let ([height, width], step) = (args.taps.kernel, args.taps.step);
    let whole = args.pixels >= PIXELS;
    let rows: unsafe extern "C" fn(*mut Block) = match (width, step) {
        (3, 1) if whole => quantrack_i8_depthwise_3x1_v7,
        (3, 2) if whole => quantrack_i8_depthwise_3x2_v7,
        (5, 1) if whole => quantrack_i8_depthwise_5x1_v7,
        (5, 2) if whole => quantrack_i8_depthwise_5x2_v7,
        _ => quantrack_i8_depthwise_any_v7,
    };
    for channel in (0..args.channels).step_by(NR) {
        // SAFETY: the caller vouches for `args`: taps are readable for seven elements past their channels (SLACK), `w` and
        // `narrow` have whole blocks, `w` is readable for SLACK bytes past its end, the arrays of `requant` cover whole
        // blocks; and for NEON.
        unsafe {
            let mut block = Block {
                w: args.w.add(channel * (args.taps.count() + 4)),
                rows: args.taps.rows,
                first: 0,
                channel,
                height,
                narrow: args.narrow.add(channel / NR * height),
                left: args.pixels,
                c: args.c.add(channel),
                c_stride: args.c_stride,
                cols: (args.channels - channel).min(NR),
                step: size_of::<*const i8>() * step,
                width,
                requant: from_column(&args.requant, channel),
            };
            rows(&raw mut block);
        }
    }
}
