//! One-bit tiles for 32-bit ARM.

use std::arch::global_asm;
use std::mem::offset_of;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::neon_v7::requantize;

/// Two rows by four columns of 128-bit groups: VEOR, VCNT and a byte-wise VADD per 128 products, widened every 31.
pub(crate) static GEMM_2X4: BinGemm = MicroKernel {
    name: "bin_gemm_2x4_neon_v7",
    isa: Isa::NeonV7,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_2x4) },
};

const MR: usize = 2;
const NR: usize = 4;

const _: () = assert!(offset_of!(BinGemmArgs, words) == 8);
const _: () = assert!(offset_of!(BinGemmArgs, taps) == 12);
const _: () = assert!(offset_of!(BinGemmArgs, a) == 20);
const _: () = assert!(offset_of!(BinGemmArgs, w) == 24);

// r0 args, r1 out (8 counts); r2 taps, r3 pointers, r4-r5 rows, r6 groups until widening, r8 words left, r12 weights.
// q0-q1 a group of each row, q2 weights, q3-q4 scratch, q5-q6 counts of the rows (one column per lane),
// q8-q11 and q12-q15 byte counts of the rows.
global_asm!(
    r#"
    .syntax unified
    .arm
    .fpu neon-vfpv4
    .macro quantrack_bin_column first, second
    vld1.64 {d4, d5}, [r12]!
    veor q3, q0, q2
    veor q4, q1, q2
    vcnt.8 q3, q3
    vcnt.8 q4, q4
    vadd.i8 \first, \first, q3
    vadd.i8 \second, \second, q4
    .endm
    .macro quantrack_bin_clear
    vmov.i8 q8, #0
    vmov.i8 q9, #0
    vmov.i8 q10, #0
    vmov.i8 q11, #0
    vmov.i8 q12, #0
    vmov.i8 q13, #0
    vmov.i8 q14, #0
    vmov.i8 q15, #0
    mov r6, #31
    .endm
    @ low and high halves of the row's counts; byte counts of four columns
    .macro quantrack_bin_widen low, high, w, x, y, z
    vpaddl.u8 q3, \w
    vpaddl.u8 q4, \x
    vpadd.i16 d6, d6, d7
    vpadd.i16 d8, d8, d9
    vpadd.i16 d6, d6, d8
    vpadal.u16 \low, d6
    vpaddl.u8 q3, \y
    vpaddl.u8 q4, \z
    vpadd.i16 d6, d6, d7
    vpadd.i16 d8, d8, d9
    vpadd.i16 d6, d6, d8
    vpadal.u16 \high, d6
    .endm
    .p2align 4
    .type quantrack_bin_gemm_2x4_v7, %function
    .globl quantrack_bin_gemm_2x4_v7
quantrack_bin_gemm_2x4_v7:
    push {r4-r6, r8, lr}
    vpush {d8-d13}
    ldr r2, [r0, #12]
    ldr r3, [r0, #20]
    ldr r12, [r0, #24]
    add r12, r12, #16
    vmov.i32 q5, #0
    vmov.i32 q6, #0
    quantrack_bin_clear
1:
    ldm r3!, {r4-r5}
    ldr r8, [r0, #8]
2:
    cmp r8, #2
    bhs 3f
    vmov.i32 d1, #0
    vmov.i32 d3, #0
    vld1.64 {d0}, [r4]
    vld1.64 {d2}, [r5]
    b 4f
3:
    vld1.64 {d0, d1}, [r4]!
    vld1.64 {d2, d3}, [r5]!
4:
    quantrack_bin_column q8, q12
    quantrack_bin_column q9, q13
    quantrack_bin_column q10, q14
    quantrack_bin_column q11, q15
    subs r6, r6, #1
    bne 5f
    quantrack_bin_widen d10, d11, q8, q9, q10, q11
    quantrack_bin_widen d12, d13, q12, q13, q14, q15
    quantrack_bin_clear
5:
    subs r8, r8, #2
    bhi 2b
    subs r2, r2, #1
    bne 1b
    quantrack_bin_widen d10, d11, q8, q9, q10, q11
    quantrack_bin_widen d12, d13, q12, q13, q14, q15
    vst1.32 {d10-d13}, [r1]
    vpop {d8-d13}
    pop {r4-r6, r8, pc}
    .size quantrack_bin_gemm_2x4_v7, . - quantrack_bin_gemm_2x4_v7
"#,
    options(raw)
);

unsafe extern "C" {
    fn quantrack_bin_gemm_2x4_v7(args: *const BinGemmArgs, counts: *mut [[u32; NR]; MR]);
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_2x4(args: &BinGemmArgs) {
    let mut counts = [[0_u32; NR]; MR];
    // SAFETY: the caller vouches for `args` and for NEON; `counts` is the tile that the code fills. The panel starts
    // with NR biases; `row_bias`, when not null, has MR pointers to NR corrections.
    unsafe {
        quantrack_bin_gemm_2x4_v7(args, &raw mut counts);
        let bias = args.w.cast::<i32>();
        for (r, counts) in counts.iter().enumerate().take(args.rows) {
            let acc: [i32; NR] = std::array::from_fn(|j| {
                let product = args.bits as i32 - 2 * counts[j] as i32;
                let mut acc = (product << 8).wrapping_add(*bias.add(j));
                if !args.row_bias.is_null() {
                    acc = acc.wrapping_add(*(*args.row_bias.add(r)).add(j));
                }
                acc
            });
            if !args.sums.is_null() {
                args.store_sums(r, 0, &acc[..args.cols]);
                continue;
            }
            requantize(&acc, &args.requant, 0, args.c.add(r * args.c_stride), args.cols);
        }
    }
}
