//! 4-bit kernel of one row by eight columns for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vdupq_n_s32};
use std::arch::asm;

use super::neon::STEPS;
use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::each_row_1x8;

/// One row by eight columns, sixteen channels at a time, for fully connected layers of a single row, which meet each weight
/// once. Sums and packed weights are those of the tile of four rows. 32 products take 4 cycles of SMLAL, 2 to unpack and one
/// of moves.
pub(crate) static GEMM_1X8: I8Gemm = MicroKernel {
    name: "i4_gemm_1x8c16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: Tile::PAIRED_CHANNELS },
    run: gemm_1x8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_1x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps pointers per row to `channels` elements followed by at least 31 readable
    // ones (SLACK), which meet zero weights or are not used; `w` is a whole panel followed by as many bytes; `c` has `cols`
    // elements per row, the arrays of `requant` NR.
    unsafe { each_row_1x8(args, multiply) };
}

/// Columns `$w0` and `$w1` times v16, to the sums `$a` and `$b`, which `$first` meets first, while those packed in `$n0`
/// become `$n0` and `$n1` and those at `$at` and after it `$w0`; and an instruction to be issued beside.
#[rustfmt::skip]
macro_rules! columns {
    ($first:literal, $w0:literal $w1:literal, $n0:literal $n1:literal, $a:literal $b:literal,
     $at0:literal $at1:literal; $beside:literal) => { concat!(
        "srshr v", $n1, ".16b, v", $n0, ".16b, #4\n", "ldr x14, [x10, #", $at0, "]\n",
        $first, " v", $a, ".8h, v16.8b, v", $w0, ".8b\n", "ldr x15, [x10, #", $at1, "]\n",
        "smlal2 v", $a, ".8h, v16.16b, v", $w0, ".16b\n", $beside, "\n",
        "mls v", $n0, ".16b, v", $n1, ".16b, v24.16b\n",
        "fmov d", $w0, ", x14\nins v", $w0, ".d[1], x15\n",
        $first, " v", $b, ".8h, v16.8b, v", $w1, ".8b\n",
        "smlal2 v", $b, ".8h, v16.16b, v", $w1, ".16b\n",
    ) };
}

/// Sixteen channels of eight columns.
#[rustfmt::skip]
macro_rules! step {
    ($first:literal) => { concat!(
        "prfm pldl1keep, [x10, #768]\n",
        columns!($first, "20" "21", "22" "23", "0" "1", "32" "40"; "ldr x3, [x0, #16]!"),
        columns!($first, "22" "23", "20" "21", "2" "3", "48" "56"; "ldr x4, [x0, #8]"),
        columns!($first, "20" "21", "22" "23", "4" "5", "64" "72"; "sub x13, x13, #1"),
        columns!($first, "22" "23", "20" "21", "6" "7", "80" "88"; "subs x11, x11, #1"),
        "add x10, x10, #64\n",
        "fmov d16, x3\nins v16.d[1], x4\n",
    ) };
}

/// Adds the 16-bit sums to the 32-bit ones.
#[rustfmt::skip]
macro_rules! widen {
    () => { concat!(
        "sadalp v8.4s, v0.8h\nsadalp v9.4s, v1.8h\nsadalp v10.4s, v2.8h\nsadalp v11.4s, v3.8h\n",
        "sadalp v12.4s, v4.8h\nsadalp v13.4s, v5.8h\nsadalp v14.4s, v6.8h\nsadalp v15.4s, v7.8h\n",
    ) };
}

/// Sums over channels, by column and lane.
///
/// # Safety
/// `row` has taps pointers as `args` says.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn multiply(args: &I8GemmArgs, row: *const *const i8) -> [int32x4_t; NR] {
    let mut acc = [vdupq_n_s32(0); NR];
    let [a, b, c, d, e, f, g, h] = &mut acc;
    // x0: row; x3, x4: activations; x8: pointers to rows; x9: taps left; x10: weights; x11: steps left in the tap; x12: steps
    // per tap; x13: steps until sums are widened; x14, x15: weights on their way.
    // v0-v7: 16-bit sums; v8-v15: 32-bit sums; v16: activations; v20-v23: columns, of which the first pair is unpacked; v24:
    // 16.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            "ldr q20, [x10]", "ldr q22, [x10, #16]", "movi v24.16b, #16",
            "srshr v21.16b, v20.16b, #4",
            "mls v20.16b, v21.16b, v24.16b",
            "2:",
            "ldr x0, [x8], #8", "mov x11, x12", "ldr q16, [x0]",
            "cmp x13, #{STEPS}", "b.eq 4f",
            "3:",
            step!("smlal"),
            "5:",
            "cbz x13, 6f",
            "b.ne 3b",
            "b 7f",
            "4:",
            step!("smull"),
            "b 5b",
            "6:",
            widen!(),
            "mov x13, #{STEPS}",
            "b.ne 4b",
            "7:",
            "subs x9, x9, #1",
            "b.ne 2b",
            "cmp x13, #{STEPS}", "b.eq 8f",
            widen!(),
            "8:",
            STEPS = const STEPS,
            inout("x8") row => _, inout("x9") args.taps => _, inout("x10") args.w.add(4 * NR) => _,
            in("x12") args.channels.div_ceil(Tile::PAIRED_CHANNELS), inout("x13") STEPS => _,
            out("x0") _, out("x3") _, out("x4") _, out("x11") _, out("x14") _, out("x15") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            inout("v8") *a, inout("v9") *b, inout("v10") *c, inout("v11") *d,
            inout("v12") *e, inout("v13") *f, inout("v14") *g, inout("v15") *h,
            out("v16") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _,
            options(nostack, readonly),
        );
    }
    acc
}
