//! 8-bit tiles of eight rows by eight columns for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int8x8_t, int32x4_t, vdupq_n_s32};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{Narrow, NarrowPrelu, store_row};

/// Eight rows by eight columns, multiply-accumulate by lane (SMLAL): eight channels of a row are widened to 16 bits once for
/// eight columns, eight columns of a channel once for eight rows, and nothing is added across lanes in the end, which
/// makes it the tile for layers of few channels.
///
/// A Cortex-A53 issues one 128-bit NEON operation per cycle. A 64-bit NEON load takes half of such a slot and nothing goes
/// with it, but an integer load is free beside a multiplication and two moves to NEON registers share a cycle: operands
/// come that way, two channels ahead for weights and one group of eight channels for activations. 512 products take 128
/// SMLAL, 16 SSHLL and 8 cycles of moves.
pub(crate) static GEMM_8X8: I8Gemm = MicroKernel {
    name: "i8_gemm_8x8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_8x8,
};

const MR: usize = 8;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_8x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: the arrays of `requant` have NR elements.
    unsafe {
        if let Some(stage) = NarrowPrelu::new(&args.requant, [0, 4]) {
            return tiles(args, |acc| stage.apply(acc));
        }
        let stage = Narrow::new(&args.requant, [0, 4]);
        tiles(args, |acc| stage.apply(acc));
    }
}

/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn tiles(args: &I8GemmArgs, finish: impl Fn([[int32x4_t; 2]; 4]) -> [int8x8_t; 4]) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers per tile to `channels` elements followed by at
    // least fifteen readable ones (SLACK), `w` is a whole panel followed by at least sixteen bytes (SLACK), `c` is `rows`
    // rows of `cols` elements.
    unsafe {
        for first in (0..args.rows).step_by(MR) {
            let acc = accumulate(args, args.a.add(first * args.taps));
            for (half, acc) in acc.as_chunks::<8>().0.iter().enumerate() {
                let rows: [[int32x4_t; 2]; 4] =
                    std::array::from_fn(|r| [acc[2 * r], acc[2 * r + 1]]);
                for (r, row) in finish(rows).into_iter().enumerate() {
                    let at = first + 4 * half + r;
                    if at < args.rows {
                        store_row(row, args.c.add(at * args.c_stride), args.cols);
                    }
                }
            }
        }
    }
}

/// Lane `$lane` of rows v0-v7 times the column vector `$w`, and up to sixteen instructions to be issued beside.
macro_rules! lane {
    ($lane:literal, $w:literal; $($beside:literal)*) => {
        lane!(@ $lane, $w, "16" "17" "0", "18" "19" "1", "20" "21" "2", "22" "23" "3",
            "24" "25" "4", "26" "27" "5", "28" "29" "6", "30" "31" "7"; $($beside)*)
    };
    (@ $lane:literal, $w:literal, $($low:literal $high:literal $row:literal),*; ) => {
        concat!($(
            "smlal v", $low, ".4s, ", $w, ".4h, v", $row, ".h[", $lane, "]\n",
            "smlal2 v", $high, ".4s, ", $w, ".8h, v", $row, ".h[", $lane, "]\n",
        )*)
    };
    (@ $lane:literal, $w:literal, $($low:literal $high:literal $row:literal),*; $($beside:literal)+) => {
        concat!($(
            "smlal v", $low, ".4s, ", $w, ".4h, v", $row, ".h[", $lane, "]\n",
            $beside, "\n",
            "smlal2 v", $high, ".4s, ", $w, ".8h, v", $row, ".h[", $lane, "]\n",
        )*)
    };
}

/// Biases and products of a tile, two registers per row.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
unsafe fn accumulate(args: &I8GemmArgs, rows: *const *const i8) -> [int32x4_t; 2 * MR] {
    let mut acc = [vdupq_n_s32(0); 2 * MR];
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = &mut acc;
    // x0-x7: rows; x8: their table; x9: taps left; x10: weights; x11: groups of eight channels left in the tap; x12: such
    // groups per tap; x13: channels beyond; x14, x15: weights on their way; x16, x17: activations.
    // v8, v9: columns of the even and the odd channel; v10, v11: bytes of the next two.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            "ldp q16, q17, [x10], #32",
            "mov v18.16b, v16.16b", "mov v19.16b, v17.16b", "mov v20.16b, v16.16b", "mov v21.16b, v17.16b",
            "mov v22.16b, v16.16b", "mov v23.16b, v17.16b", "mov v24.16b, v16.16b", "mov v25.16b, v17.16b",
            "mov v26.16b, v16.16b", "mov v27.16b, v17.16b", "mov v28.16b, v16.16b", "mov v29.16b, v17.16b",
            "mov v30.16b, v16.16b", "mov v31.16b, v17.16b",
            "2:",
            "ldp x0, x1, [x8], #16", "ldp x2, x3, [x8], #16", "ldp x4, x5, [x8], #16", "ldp x6, x7, [x8], #16",
            "ldr d0, [x0], #8", "ldr d1, [x1], #8", "ldr d2, [x2], #8", "ldr d3, [x3], #8",
            "ldr d4, [x4], #8", "ldr d5, [x5], #8", "ldr d6, [x6], #8", "ldr d7, [x7], #8",
            "sshll v0.8h, v0.8b, #0", "sshll v1.8h, v1.8b, #0", "sshll v2.8h, v2.8b, #0", "sshll v3.8h, v3.8b, #0",
            "sshll v4.8h, v4.8b, #0", "sshll v5.8h, v5.8b, #0", "sshll v6.8h, v6.8b, #0", "sshll v7.8h, v7.8b, #0",
            "mov x11, x12",
            "cbz x12, 4f",
            "ldr d8, [x10]", "ldr d9, [x10, #8]",
            "sshll v8.8h, v8.8b, #0", "sshll v9.8h, v9.8b, #0",
            "3:",
            lane!("0", "v8"; "ldr x14, [x10, #16]" "ldr x15, [x10, #24]" "" "" "" "" "" "fmov d10, x14\nfmov d11, x15"),
            "sshll v8.8h, v10.8b, #0",
            lane!("1", "v9"; "" "" "" "" "" "" "" "sshll v12.8h, v11.8b, #0"),
            lane!("2", "v8"; "ldr x14, [x10, #32]" "ldr x15, [x10, #40]" "" "" "" "" "" "fmov d10, x14\nfmov d11, x15"),
            "sshll v8.8h, v10.8b, #0",
            lane!("3", "v12"; "" "" "" "" "" "" "" "sshll v9.8h, v11.8b, #0"),
            lane!("4", "v8"; "ldr x14, [x10, #48]" "ldr x15, [x10, #56]" "add x10, x10, #64" "" "" "" "" "fmov d10, x14\nfmov d11, x15"),
            "sshll v8.8h, v10.8b, #0",
            lane!("5", "v9"; "" "" "" "" "" "" "" "sshll v12.8h, v11.8b, #0"),
            "subs x11, x11, #1",
            // The last group of the tap reads up to eight elements of each row and sixteen bytes of weights beyond.
            lane!("6", "v8"; "ldr x14, [x10]" "ldr x15, [x10, #8]" "ldr x16, [x0], #8" "ldr x17, [x1], #8" "" "" "" "fmov d10, x14\nfmov d11, x15"),
            "sshll v8.8h, v10.8b, #0",
            "smlal v16.4s, v12.4h, v0.h[7]", "smlal2 v17.4s, v12.8h, v0.h[7]",
            "smlal v18.4s, v12.4h, v1.h[7]", "smlal2 v19.4s, v12.8h, v1.h[7]",
            "fmov d0, x16", "fmov d1, x17",
            "smlal v20.4s, v12.4h, v2.h[7]", "ldr x16, [x2], #8", "smlal2 v21.4s, v12.8h, v2.h[7]", "ldr x17, [x3], #8",
            "smlal v22.4s, v12.4h, v3.h[7]", "smlal2 v23.4s, v12.8h, v3.h[7]",
            "sshll v0.8h, v0.8b, #0", "sshll v1.8h, v1.8b, #0",
            "fmov d2, x16", "fmov d3, x17",
            "smlal v24.4s, v12.4h, v4.h[7]", "ldr x16, [x4], #8", "smlal2 v25.4s, v12.8h, v4.h[7]", "ldr x17, [x5], #8",
            "smlal v26.4s, v12.4h, v5.h[7]", "smlal2 v27.4s, v12.8h, v5.h[7]",
            "sshll v2.8h, v2.8b, #0", "sshll v3.8h, v3.8b, #0",
            "fmov d4, x16", "fmov d5, x17",
            "smlal v28.4s, v12.4h, v6.h[7]", "ldr x16, [x6], #8", "smlal2 v29.4s, v12.8h, v6.h[7]", "ldr x17, [x7], #8",
            "smlal v30.4s, v12.4h, v7.h[7]", "smlal2 v31.4s, v12.8h, v7.h[7]",
            "sshll v4.8h, v4.8b, #0", "sshll v5.8h, v5.8b, #0",
            "fmov d6, x16", "fmov d7, x17",
            "sshll v9.8h, v11.8b, #0",
            "sshll v6.8h, v6.8b, #0", "sshll v7.8h, v7.8b, #0",
            "b.ne 3b",
            // The last one to seven channels of the tap, whose activations are there.
            "4:",
            "cbz x13, 5f",
            "mov x11, x13",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("0", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("1", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("2", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("3", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("4", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("5", "v8"; ), "subs x11, x11, #1", "b.eq 5f",
            "ldr d8, [x10], #8", "sshll v8.8h, v8.8b, #0",
            lane!("6", "v8"; ),
            "5:",
            "subs x9, x9, #1",
            "b.ne 2b",
            inout("x8") rows => _, inout("x9") args.taps => _, inout("x10") args.w => _,
            in("x12") args.channels / 8, in("x13") args.channels % 8,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _,
            out("x11") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _,
            out("v16") *a, out("v17") *b, out("v18") *c, out("v19") *d,
            out("v20") *e, out("v21") *f, out("v22") *g, out("v23") *h,
            out("v24") *i, out("v25") *j, out("v26") *k, out("v27") *l,
            out("v28") *m, out("v29") *n, out("v30") *o, out("v31") *p,
            options(nostack, readonly),
        );
    }
    acc
}
