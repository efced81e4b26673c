//! 4-bit tiles whose groups of weights have multipliers, for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vdupq_n_s32};
use std::arch::asm;

use super::neon::{MR, NR, begin, columns, step, tiles};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};

/// As the tile without multipliers, whose steps of sixteen channels these are, two to a group. Then the lanes of the sixteen
/// sums are added up while they have 16 bits, which 32 products of 7 * 128 fit, so that a group costs fourteen ADDP and four
/// multiplications (SMLAL) for all four rows. Multiplying the lanes first would take 32.
pub(crate) static GEMM_4X4: I8Gemm = MicroKernel {
    name: "i4_group_gemm_4x4c32_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: Tile::PAIRED_CHANNELS },
    run: gemm_4x4,
};

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`, and `multiply` is called with rows of them.
    unsafe { tiles(args, |rows| multiply(args, rows)) };
}

/// Adds the 16-bit sums of a group, times the multipliers in v25, to v28-v31, the rows' four columns.
#[rustfmt::skip]
macro_rules! widen {
    () => { concat!(
        "addp v0.8h, v0.8h, v1.8h\naddp v2.8h, v2.8h, v3.8h\naddp v4.8h, v4.8h, v5.8h\naddp v6.8h, v6.8h, v7.8h\n",
        "addp v8.8h, v8.8h, v9.8h\naddp v10.8h, v10.8h, v11.8h\naddp v12.8h, v12.8h, v13.8h\naddp v14.8h, v14.8h, v15.8h\n",
        "addp v0.8h, v0.8h, v2.8h\naddp v4.8h, v4.8h, v6.8h\naddp v8.8h, v8.8h, v10.8h\naddp v12.8h, v12.8h, v14.8h\n",
        "addp v0.8h, v0.8h, v4.8h\naddp v8.8h, v8.8h, v12.8h\n",
        "smlal v28.4s, v0.4h, v25.4h\nsmlal v30.4s, v8.4h, v25.4h\n",
        "smlal2 v29.4s, v0.8h, v25.8h\nsmlal2 v31.4s, v8.8h, v25.8h\n",
    ) };
}

/// The sums of a tile, biases included, row by row.
///
/// # Safety
/// `rows` has taps * MR pointers as `args` says.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn multiply(args: &I8GemmArgs, rows: *const *const i8) -> [int32x4_t; MR] {
    let mut sums = [vdupq_n_s32(0); MR];
    let [a, b, c, d] = &mut sums;
    let steps = args.channels.div_ceil(Tile::PAIRED_CHANNELS);
    let groups = args.channels.div_ceil(Tile::GROUPED_CHANNELS);
    let weights = args.taps * steps * NR * Tile::PAIRED_CHANNELS / 2;
    // x0-x3: rows; x4: multipliers; x8: table of rows; x9: steps left in the tap; x10: weights; x11: taps left; x12: steps per tap;
    // x13: steps left in the tap after the first of a group; x14, x15: weights on their way; x16: groups left; x20-x27: activations.
    // v0-v15: sums, row by row; v16-v19: rows; v20-v23: columns, of which the first pair is unpacked; v24: 16; v25: multipliers of
    // the four columns, twice.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            begin!(),
            "2:",
            "sub x13, x9, #1", "ld1r {{v25.2d}}, [x4], #8",
            step!("smull", ""),
            "cbz x13, 5f",
            step!("smlal", ""),
            "5:",
            "subs x16, x16, #1",
            widen!(),
            "b.ne 2b",
            inout("x4") args.w.add(4 * NR + weights) => _,
            inout("x8") rows => _, inout("x10") args.w => _, inout("x11") args.taps => _, in("x12") steps,
            out("x13") _, inout("x16") groups * args.taps => _,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x9") _, out("x14") _, out("x15") _,
            out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _,
            out("x27") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _,
            out("v28") *a, out("v29") *b, out("v30") *c, out("v31") *d,
            options(nostack, readonly),
        );
    }
    sums
}
