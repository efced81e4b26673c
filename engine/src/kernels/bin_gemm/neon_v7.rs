//! One-bit tiles for 32-bit ARM.

use std::arch::global_asm;
use std::mem::{MaybeUninit, offset_of};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Requant, Tile, each_tile};
use crate::kernels::requant::requantize_one;

/// Four rows by 32 columns, eight channels at a time: a byte of a row in every lane against the same byte of 16 columns.
/// VEOR, VCNT and VADD count 128 products in three instructions, and nothing is ever summed across lanes: counts grow from
/// bytes to 16 bits every 31 steps.
///
/// On a Cortex-A53 two VDUP from integer registers share a cycle, as do two moves of 64 bits, so that eight channels take
/// 24 + 2 + 2 = 28 cycles for 1024 products.
pub(crate) static GEMM_4X32: BinGemm = MicroKernel {
    name: "bin_gemm_4x32b_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_4x32,
};

const MR: usize = 4;
const NR: usize = Tile::BYTEWISE_COLUMNS;
/// Words whose bit counts fit 16 bits.
const MOST_WORDS: usize = 1023;

/// Differing bits.
type Counts = [[u16; NR]; MR];

/// A tile of counts to finish.
#[repr(C)]
struct Finish {
    /// Products, in units of the accumulator.
    bits: i32,
    bias: *const i32,
    /// Null, or MR pointers to corrections.
    row_bias: *const *const i32,
    c: *mut i8,
    c_stride: usize,
    rows: usize,
    cols: usize,
    /// The output stage of all columns, of which the first six fields are read.
    all: *const Requant,
    /// That of eight columns, whose first six fields are written.
    requant: Requant,
}

const _: () = assert!(offset_of!(BinGemmArgs, taps) == 12);
const _: () = assert!(offset_of!(BinGemmArgs, w) == 24);
const _: () = assert!(offset_of!(Finish, requant) == 32);

// r0 weights, r1 and r2 bytes of rows, r3 steps left in this run, r4-r7 rows, r8-r11 weights on their way, r12 steps that byte
// counts still have room for, lr pointers to the next tap's rows. On the stack: args, counts, whether there are counts yet,
// bytes of a tap, taps left, steps left in the tap.
// q0 and q1 32 columns, q2 and q3 bytes of two rows, q4-q7 what differs, q8-q15 counts, two registers per row.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ Eight channels of four rows: 28 cycles. q2 and q3 are of rows 0 and 1, r1 and r2 of rows 2 and 3; the next byte of
    @ all rows follows.
    .macro quantrack_bin_step
    veor q4, q2, q0
    ldrd r8, r9, [r0]
    veor q5, q2, q1
    ldrd r10, r11, [r0, #8]
    veor q6, q3, q0
    veor q7, q3, q1
    vdup.8 q2, r1
    vdup.8 q3, r2
    vcnt.8 q4, q4
    ldrb r1, [r4], #1
    vcnt.8 q5, q5
    ldrb r2, [r5], #1
    vcnt.8 q6, q6
    vcnt.8 q7, q7
    vadd.i8 q8, q8, q4
    vadd.i8 q9, q9, q5
    vadd.i8 q10, q10, q6
    vadd.i8 q11, q11, q7
    veor q4, q2, q0
    veor q5, q2, q1
    veor q6, q3, q0
    veor q7, q3, q1
    vdup.8 q2, r1
    vdup.8 q3, r2
    vmov d0, r8, r9
    vmov d1, r10, r11
    vcnt.8 q4, q4
    ldrd r8, r9, [r0, #16]
    vcnt.8 q5, q5
    ldrd r10, r11, [r0, #24]
    vcnt.8 q6, q6
    ldrb r1, [r6], #1
    vcnt.8 q7, q7
    ldrb r2, [r7], #1
    vmov d2, r8, r9
    vmov d3, r10, r11
    vadd.i8 q12, q12, q4
    add r0, r0, #32
    vadd.i8 q13, q13, q5
    subs r3, r3, #1
    vadd.i8 q14, q14, q6
    vadd.i8 q15, q15, q7
    .endm

    @ Adds 32 byte counts to 16-bit ones at r8 and r9 (the same place), or makes them, and clears the bytes.
    .macro quantrack_bin_widen x, y, x0, x1, y0, y1, add
    .if \add
    vld1.16 {d8-d11}, [r8]!
    vld1.16 {d12-d15}, [r8]!
    vaddw.u8 q4, q4, \x0
    vaddw.u8 q5, q5, \x1
    vaddw.u8 q6, q6, \y0
    vaddw.u8 q7, q7, \y1
    .else
    vmovl.u8 q4, \x0
    vmovl.u8 q5, \x1
    vmovl.u8 q6, \y0
    vmovl.u8 q7, \y1
    .endif
    vst1.16 {d8-d11}, [r9]!
    vmov.i8 \x, #0
    vmov.i8 \y, #0
    vst1.16 {d12-d15}, [r9]!
    .endm

    .macro quantrack_bin_widen_all add
    mov r9, r8
    quantrack_bin_widen q8, q9, d16, d17, d18, d19, \add
    quantrack_bin_widen q10, q11, d20, d21, d22, d23, \add
    quantrack_bin_widen q12, q13, d24, d25, d26, d27, \add
    quantrack_bin_widen q14, q15, d28, d29, d30, d31, \add
    .endm

    .p2align 4
    .type quantrack_bin_count_4x32_v7, %function
    .globl quantrack_bin_count_4x32_v7
quantrack_bin_count_4x32_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    mov lr, r2
    ldr r4, [r0, #12]
    mov r2, #0
    push {r0-r5}
    ldr r0, [r0, #24]
    ldm lr!, {r4-r7}
    add r0, r0, #128
    vld1.8 {d0-d3}, [r0]!
    vmov.i8 q8, #0
    ldrb r1, [r4], #1
    vmov.i8 q9, #0
    ldrb r2, [r5], #1
    vmov.i8 q10, #0
    mov r12, #31
    vmov.i8 q11, #0
    vdup.8 q2, r1
    vdup.8 q3, r2
    vmov.i8 q12, #0
    ldrb r1, [r6], #1
    vmov.i8 q13, #0
    ldrb r2, [r7], #1
    vmov.i8 q14, #0
    vmov.i8 q15, #0
1:
    @ A tap, if there is room for it.
    ldr r3, [sp, #12]
2:
    cmp r3, r12
    bhi 5f
    sub r12, r12, r3
    cmp r3, #1
    beq 4f
    sub r3, r3, #1
3:
    quantrack_bin_step
    bne 3b
4:
    @ Its last step, after which the next tap's rows follow.
    ldr r8, [sp, #16]
    subs r8, r8, #1
    str r8, [sp, #16]
    ldmne lr!, {r4-r7}
    quantrack_bin_step
    ldr r8, [sp, #16]
    cmp r8, #0
    bne 1b
    ldr r9, [sp, #8]
    ldr r8, [sp, #4]
    cmp r9, #0
    bne 9f
    quantrack_bin_widen_all 0
    b 10f
9:
    quantrack_bin_widen_all 1
10:
    add sp, sp, #24
    vpop {d8-d15}
    pop {r4-r11, pc}
5:
    @ As many steps as there is room for, which is made then.
    sub r8, r3, r12
    subs r3, r12, #0
    str r8, [sp, #20]
    beq 7f
6:
    quantrack_bin_step
    bne 6b
7:
    ldr r9, [sp, #8]
    ldr r8, [sp, #4]
    mov r12, #31
    cmp r9, #0
    bne 8f
    str r12, [sp, #8]
    quantrack_bin_widen_all 0
    ldr r3, [sp, #20]
    b 2b
8:
    quantrack_bin_widen_all 1
    ldr r3, [sp, #20]
    b 2b
    .size quantrack_bin_count_4x32_v7, . - quantrack_bin_count_4x32_v7
"#,
    options(raw)
);

// r0 counts, r1 Finish, r2 bytes into arrays of 32 bits.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4

    @ Adds the corrections of two rows.
    .macro quantrack_bin_correct row, next, a, b, c, d
    add \row, \row, r2
    add \next, \next, r2
    vld1.32 {d0-d3}, [\row]
    vld1.32 {d4-d7}, [\next]
    vadd.i32 \a, \a, q0
    vadd.i32 \b, \b, q1
    vadd.i32 \c, \c, q2
    vadd.i32 \d, \d, q3
    .endm

    .p2align 4
    .type quantrack_bin_finish_4x32_v7, %function
    .globl quantrack_bin_finish_4x32_v7
quantrack_bin_finish_4x32_v7:
    push {r4-r11, lr}
    vpush {d8-d15}
    mov r2, #0
    ldr r10, [r1, #16]
1:
    ldr r3, [r1, #4]
    ldr r4, [r1]
    add r5, r0, #64
    add r3, r3, r2
    vld1.32 {d0-d3}, [r3]
    vdup.32 q2, r4
    add r6, r5, #64
    vld1.16 {d8, d9}, [r0]!
    ldr r12, [r1, #28]
    vld1.16 {d10, d11}, [r5]
    add r7, r6, #64
    vld1.16 {d12, d13}, [r6]
    vld1.16 {d14, d15}, [r7]
    vadd.i32 q0, q0, q2
    ldm r12, {r3-r8}
    vadd.i32 q1, q1, q2
    add r12, r1, #32
    vshll.u16 q8, d8, #9
    add r3, r3, r2
    vshll.u16 q9, d9, #9
    add r4, r4, r2
    vshll.u16 q10, d10, #9
    add r5, r5, r2
    vshll.u16 q11, d11, #9
    cmp r6, #0
    vshll.u16 q12, d12, #9
    addne r6, r6, r2
    vshll.u16 q13, d13, #9
    addne r7, r7, r2
    vshll.u16 q14, d14, #9
    addne r8, r8, r2
    vshll.u16 q15, d15, #9
    ldr r9, [r1, #8]
    vsub.i32 q8, q0, q8
    stm r12, {r3-r8}
    vsub.i32 q9, q1, q9
    vsub.i32 q10, q0, q10
    cmp r9, #0
    vsub.i32 q11, q1, q11
    ldr r11, [r1, #24]
    vsub.i32 q12, q0, q12
    vsub.i32 q13, q1, q13
    sub r11, r11, r2, lsr #2
    vsub.i32 q14, q0, q14
    vsub.i32 q15, q1, q15
    beq 2f
    ldm r9, {r4-r7}
    quantrack_bin_correct r4, r5, q8, q9, q10, q11
    quantrack_bin_correct r6, r7, q12, q13, q14, q15
2:
    bl quantrack_requant_4x8_v7
    ldr r8, [r1, #12]
    ldr r9, [r1, #20]
    cmp r11, #8
    add r8, r8, r2, lsr #2
    mov r12, r11
    movhi r11, #8
    add r2, r2, #32
    bl quantrack_store_4x8_v7
    cmp r12, #8
    bhi 1b
    vpop {d8-d15}
    pop {r4-r11, pc}
    .size quantrack_bin_finish_4x32_v7, . - quantrack_bin_finish_4x32_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_bin_count_4x32_v7(
        args: *const BinGemmArgs,
        counts: *mut Counts,
        a: *const *const u64,
        bytes: usize,
    );
    fn quantrack_bin_finish_4x32_v7(counts: *const Counts, finish: *mut Finish);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x32(args: &BinGemmArgs) {
    let fits = args.taps * args.words <= MOST_WORDS;
    if !fits || !args.sums.is_null() {
        // SAFETY: the caller vouches for every tile.
        return unsafe { each_tile(args, MR, one_by_one) };
    }
    let BinGemmArgs { cols, c_stride, ref requant, .. } = *args;
    let mut finish = Finish {
        bits: (args.bits as i32) << 8,
        bias: args.w.cast(),
        row_bias: std::ptr::null(),
        c: args.c,
        c_stride,
        rows: MR,
        cols,
        all: requant,
        requant: *requant,
    };
    let mut counts = MaybeUninit::<Counts>::uninit();
    for first in (0..args.rows).step_by(MR) {
        // SAFETY: the caller vouches for `args`, for eight readable bytes past the words of a row and 32 past the panel
        // (SLACK), and for NEON. The panel starts with NR biases; `row_bias`, when not null, has MR pointers per tile, null
        // or to NR corrections. The code fills `counts` before it reads them.
        unsafe {
            let a = args.a.add(first * args.taps);
            quantrack_bin_count_4x32_v7(args, counts.as_mut_ptr(), a, args.bytes);
            if !args.row_bias.is_null() {
                let row_bias = args.row_bias.add(first);
                finish.row_bias = if (*row_bias).is_null() { std::ptr::null() } else { row_bias };
            }
            finish.c = args.c.add(first * c_stride);
            finish.rows = args.rows - first;
            quantrack_bin_finish_4x32_v7(counts.as_ptr(), &raw mut finish);
        }
    }
}

/// As [`gemm_4x32`] for a tile, for accumulators that are asked for, and sums of more words than 16 bits count.
///
/// # Safety
/// As [`MicroKernel::run`].
#[cold]
unsafe fn one_by_one(args: &BinGemmArgs) {
    let counts = (args.taps * args.words <= MOST_WORDS).then(|| {
        let mut counts: Counts = [[0; NR]; MR];
        // SAFETY: as for `gemm_4x32`.
        unsafe { quantrack_bin_count_4x32_v7(args, &raw mut counts, args.a, args.bytes) };
        counts
    });
    for r in 0..args.rows {
        for j in 0..args.cols {
            // SAFETY: the caller vouches for `args`: the row and the column are of the tile.
            unsafe {
                let count = counts.map_or_else(|| count(args, r, j), |all| u32::from(all[r][j]));
                let mut acc = args.accumulate(count, *args.w.cast::<i32>().add(j));
                if !args.row_bias.is_null() {
                    acc = acc.wrapping_add(*(*args.row_bias.add(r)).add(j));
                }
                if args.sums.is_null() {
                    *args.c.add(r * args.c_stride + j) = requantize_one(&args.requant, j, acc);
                } else {
                    args.store_sums(r, j, &[acc]);
                }
            }
        }
    }
}

/// Bits in which row `r` and column `j` differ.
///
/// # Safety
/// As [`MicroKernel::run`]; the tile has the row and the column.
unsafe fn count(args: &BinGemmArgs, r: usize, j: usize) -> u32 {
    let mut count = 0;
    for tap in 0..args.taps {
        // SAFETY: the caller vouches for `args`: a panel is NR biases, then for each word NR times its first bytes, and so on.
        unsafe {
            let row = (*args.a.add(tap * MR + r)).cast::<u8>();
            let bytes = args.bytes;
            let w = args.w.cast::<u8>().add(4 * NR + NR * bytes * tap + j);
            for byte in 0..bytes {
                count += (*row.add(byte) ^ *w.add(NR * byte)).count_ones();
            }
        }
    }
    count
}
