//! 8-bit kernel of one row by eight columns for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vdupq_n_s32};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::each_row_1x8;

/// One row by eight columns, 32 channels at a time, for fully connected layers of a single row, which meet each weight once.
///
/// Lanes are channels eight apart: SMULL and three SMLAL add four products in 16 bits where [`I8GemmArgs::narrow`] says that
/// they fit, two otherwise, and SADALP adds pairs of lanes to 32 bits. Weights come through integer registers, whose loads a
/// Cortex-A53 issues beside the multiplications, one column ahead: 32 products take 4 cycles of multiplications, 2 of SADALP
/// (otherwise 4) and 2 of moves.
pub(crate) static GEMM_1X8: I8Gemm = MicroKernel {
    name: "i8_gemm_1x8c32_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: KR },
    run: gemm_1x8,
};

const NR: usize = 8;
const KR: usize = 32;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_1x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps pointers per row to `channels` elements followed by at least 63 readable
    // ones (SLACK), which meet zero weights or are not used; `w` is a whole panel followed by at least 32 bytes; `c` has
    // `cols` elements per row, the arrays of `requant` NR.
    unsafe { each_row_1x8(args, multiply) };
}

/// A column in `$w` and `$v` times 32 channels in v16 and v17, four products to a lane of `$sum`; `$before` of the column
/// before is added to `$acc`. The weights `$at` and what follows become `$next_w` and `$next_v`; with two instructions to be
/// issued beside.
#[rustfmt::skip]
macro_rules! narrow {
    ($w:literal $v:literal, $sum:literal, $before:literal $acc:literal,
     $at0:literal $at1:literal $at2:literal $at3:literal => $next_w:literal $next_v:literal; $x0:literal $x1:literal) => { concat!(
        "smull v", $sum, ".8h, v16.8b, v", $w, ".8b\n", "ldr x14, [x10, #", $at0, "]\n",
        "smlal2 v", $sum, ".8h, v16.16b, v", $w, ".16b\n", "ldr x15, [x10, #", $at1, "]\n",
        "smlal v", $sum, ".8h, v17.8b, v", $v, ".8b\n", "ldr x16, [x10, #", $at2, "]\n",
        "smlal2 v", $sum, ".8h, v17.16b, v", $v, ".16b\n", "ldr x17, [x10, #", $at3, "]\n",
        "sadalp v", $acc, ".4s, v", $before, ".8h\n", $x0, "\n", $x1, "\n",
        "fmov d", $next_w, ", x14\nins v", $next_w, ".d[1], x15\n",
        "fmov d", $next_v, ", x16\nins v", $next_v, ".d[1], x17\n",
    ) };
}

/// As `narrow`, two products to a lane of v28 and of v29; the latter's of the column before is added to `$before`.
#[rustfmt::skip]
macro_rules! wide {
    ($w:literal $v:literal, $before:literal $acc:literal,
     $at0:literal $at1:literal $at2:literal $at3:literal => $next_w:literal $next_v:literal; $x0:literal $x1:literal) => { concat!(
        "smull v28.8h, v16.8b, v", $w, ".8b\n", "ldr x14, [x10, #", $at0, "]\n",
        "smlal2 v28.8h, v16.16b, v", $w, ".16b\n", "ldr x15, [x10, #", $at1, "]\n",
        "sadalp v", $before, ".4s, v29.8h\n",
        "smull v29.8h, v17.8b, v", $v, ".8b\n", "ldr x16, [x10, #", $at2, "]\n",
        "smlal2 v29.8h, v17.16b, v", $v, ".16b\n", "ldr x17, [x10, #", $at3, "]\n",
        "sadalp v", $acc, ".4s, v28.8h\n", $x0, "\n", $x1, "\n",
        "fmov d", $next_w, ", x14\nins v", $next_w, ".d[1], x15\n",
        "fmov d", $next_v, ", x16\nins v", $next_v, ".d[1], x17\n",
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
    // x0: row; x8: pointers to rows; x9: taps left; x10: weights; x11: steps left in the tap; x12: steps per tap; x13: narrow;
    // w7: that of a step; x14-x17: weights on their way; x3-x6: activations.
    // v16, v17: activations; v20-v23: columns; v28, v29: 16-bit sums, the last of which are always in v29.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            "ldrb w7, [x13], #1", "ldr q20, [x10]", "ldr q21, [x10, #16]", "movi v29.2d, #0",
            "2:",
            "ldr x0, [x8], #8", "ldr q16, [x0]", "ldr q17, [x0, #16]", "mov x11, x12",
            "3:",
            "cbz w7, 4f",
            narrow!("20" "21", "28", "29" "7", "32" "40" "48" "56" => "22" "23"; "ldr x3, [x0, #32]!" "ldrb w7, [x13], #1"),
            narrow!("22" "23", "29", "28" "0", "64" "72" "80" "88" => "20" "21"; "ldr x4, [x0, #8]" "ldr x5, [x0, #16]"),
            narrow!("20" "21", "28", "29" "1", "96" "104" "112" "120" => "22" "23"; "ldr x6, [x0, #24]" "subs x11, x11, #1"),
            narrow!("22" "23", "29", "28" "2", "128" "136" "144" "152" => "20" "21"; "prfm pldl1keep, [x10, #768]" ""),
            narrow!("20" "21", "28", "29" "3", "160" "168" "176" "184" => "22" "23"; "prfm pldl1keep, [x10, #832]" ""),
            narrow!("22" "23", "29", "28" "4", "192" "200" "208" "216" => "20" "21"; "prfm pldl1keep, [x10, #896]" ""),
            narrow!("20" "21", "28", "29" "5", "224" "232" "240" "248" => "22" "23"; "prfm pldl1keep, [x10, #960]" "add x10, x10, #256"),
            narrow!("22" "23", "29", "28" "6", "0" "8" "16" "24" => "20" "21"; "" ""),
            "fmov d16, x3", "ins v16.d[1], x4", "fmov d17, x5", "ins v17.d[1], x6",
            "b.ne 3b",
            "b 5f",
            "4:",
            wide!("20" "21", "7" "0", "32" "40" "48" "56" => "22" "23"; "ldr x3, [x0, #32]!" "ldrb w7, [x13], #1"),
            wide!("22" "23", "0" "1", "64" "72" "80" "88" => "20" "21"; "ldr x4, [x0, #8]" "ldr x5, [x0, #16]"),
            wide!("20" "21", "1" "2", "96" "104" "112" "120" => "22" "23"; "ldr x6, [x0, #24]" "subs x11, x11, #1"),
            wide!("22" "23", "2" "3", "128" "136" "144" "152" => "20" "21"; "prfm pldl1keep, [x10, #768]" ""),
            wide!("20" "21", "3" "4", "160" "168" "176" "184" => "22" "23"; "prfm pldl1keep, [x10, #832]" ""),
            wide!("22" "23", "4" "5", "192" "200" "208" "216" => "20" "21"; "prfm pldl1keep, [x10, #896]" ""),
            wide!("20" "21", "5" "6", "224" "232" "240" "248" => "22" "23"; "prfm pldl1keep, [x10, #960]" "add x10, x10, #256"),
            wide!("22" "23", "6" "7", "0" "8" "16" "24" => "20" "21"; "" ""),
            "fmov d16, x3", "ins v16.d[1], x4", "fmov d17, x5", "ins v17.d[1], x6",
            "b.ne 3b",
            "5:",
            "subs x9, x9, #1",
            "b.ne 2b",
            "sadalp v7.4s, v29.8h",
            inout("x8") row => _, inout("x9") args.taps => _, inout("x10") args.w.add(4 * NR) => _,
            in("x12") args.channels.div_ceil(KR), inout("x13") args.narrow => _,
            out("x0") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _, out("x11") _,
            out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            out("v16") _, out("v17") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v28") _, out("v29") _,
            options(nostack, readonly),
        );
    }
    acc
}
