//! 8-bit tiles of eight rows by eight columns for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vdupq_n_s32, vld1q_s32, vst1q_s32};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Requant, Tile};
use crate::kernels::requant_neon::{Narrow, NarrowPrelu, store_row};

/// Eight rows by eight columns, multiply-accumulate by lane: eight channels of a row are widened to 16 bits once for
/// eight columns, eight columns of a channel once for eight rows, and nothing is added across lanes in the end, which
/// makes it the tile for layers of few channels.
///
/// Where the weights of four channels are small enough ([`I8GemmArgs::narrow`]), as most of trained layers are, their products
/// add up in 16 bits (MUL and three MLA of eight columns) before they are added to 32-bit sums (SADDW and SADDW2): six
/// instructions for 32 products; seven where only three of them fit. Otherwise SMLAL and SMLAL2 take eight. Sums in 16 bits
/// live for one row only, so two registers are enough for them and the tile can have sixteen for 32-bit sums.
///
/// A Cortex-A53 issues one 128-bit NEON operation per cycle. A 64-bit NEON load takes half of such a slot and nothing goes
/// with it, but an integer load is free beside a multiplication and two moves to NEON registers share a cycle: operands
/// come that way, four channels ahead for weights and eight for activations. 512 products take 96 cycles for these (or
/// 112, or 128), 16 SSHLL and 8 cycles of moves.
pub(crate) static GEMM_8X8: I8Gemm = MicroKernel {
    name: "i8_gemm_8x8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    run: gemm_8x8,
};

const MR: usize = 8;
const NR: usize = 8;

/// The 32-bit sums of a tile, row by row.
type Sums = [i32; MR * NR];

/// What becomes of a tile.
enum Results<'a> {
    /// Its first result goes there.
    Bytes(*mut i8),
    /// Nothing yet.
    Sums(&'a mut Sums),
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_8x8(args: &I8GemmArgs) {
    let requant = &args.requant;
    let direct = requant.only_right && requant.negative_multiplier.is_null() && args.cols == NR;
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers per tile to `channels` elements followed by at
    // least fifteen readable ones (SLACK), `w` is a whole panel followed by at least 32 bytes (SLACK), `c` is `rows`
    // rows of `cols` elements; the arrays of `requant` have NR elements.
    unsafe {
        for first in (0..args.rows).step_by(MR) {
            let rows = args.a.add(first * args.taps);
            let c = args.c.add(first * args.c_stride);
            if direct && args.rows - first >= MR {
                tile(args, rows, Results::Bytes(c));
                continue;
            }
            let mut sums = [0; MR * NR];
            tile(args, rows, Results::Sums(&mut sums));
            finish(args, &sums, args.rows - first, c);
        }
    }
}

/// The output stage of up to MR rows that are not a whole tile, or need more than right shifts.
///
/// # Safety
/// `c` is writable for so many rows; the arrays of `args.requant` have NR elements.
#[target_feature(enable = "neon")]
unsafe fn finish(args: &I8GemmArgs, sums: &Sums, rows: usize, c: *mut i8) {
    // SAFETY: the caller vouches for the arrays and `c`; `sums` has all rows.
    unsafe {
        let prelu = NarrowPrelu::new(&args.requant, [0, 4]);
        let plain = Narrow::new(&args.requant, [0, 4]);
        for (half, sums) in sums.as_chunks::<{ 4 * NR }>().0.iter().enumerate() {
            let sums: [[int32x4_t; 2]; 4] = std::array::from_fn(|r| {
                let row = sums.as_ptr().add(r * NR);
                [vld1q_s32(row), vld1q_s32(row.add(4))]
            });
            let results = match &prelu {
                None => plain.apply(sums),
                Some(prelu) => prelu.apply(sums),
            };
            for (r, row) in results.into_iter().enumerate() {
                if 4 * half + r < rows {
                    store_row(row, c.add((4 * half + r) * args.c_stride), args.cols);
                }
            }
        }
    }
}

/// Four channels (lanes) of row `$row` times columns v8-v11, added up in 16 bits, and up to four instructions beside.
#[rustfmt::skip]
macro_rules! narrow {
    ($row:literal, $sum:literal, $a:literal $b:literal $c:literal $d:literal; $($beside:literal)*) => {
        narrow!(@ $row, $sum, $a $b $c $d; $($beside)* "" "" "" "")
    };
    (@ $row:literal, $sum:literal, $a:literal $b:literal $c:literal $d:literal;
     $b0:literal $b1:literal $b2:literal $b3:literal $($rest:literal)*) => { concat!(
        "mul v", $sum, ".8h, v8.8h, v", $row, ".h[", $a, "]\n", $b0, "\n",
        "mla v", $sum, ".8h, v9.8h, v", $row, ".h[", $b, "]\n", $b1, "\n",
        "mla v", $sum, ".8h, v10.8h, v", $row, ".h[", $c, "]\n", $b2, "\n",
        "mla v", $sum, ".8h, v11.8h, v", $row, ".h[", $d, "]\n", $b3, "\n",
    ) };
}

/// Adds the 16-bit sums of a row to its 32-bit ones.
macro_rules! add_narrow {
    ($sum:literal, $low:literal $high:literal) => {
        concat!(
            "saddw v", $low, ".4s, v", $low, ".4s, v", $sum, ".4h\n", "saddw2 v", $high, ".4s, v",
            $high, ".4s, v", $sum, ".8h\n",
        )
    };
}

/// As `narrow`, but of three channels; the fourth is multiplied to 32-bit sums.
#[rustfmt::skip]
macro_rules! three {
    ($low:literal $high:literal, $row:literal, $sum:literal, $a:literal $b:literal $c:literal $d:literal;
     $($beside:literal)*) => {
        three!(@ $low $high, $row, $sum, $a $b $c $d; $($beside)* "" "" "" "")
    };
    (@ $low:literal $high:literal, $row:literal, $sum:literal, $a:literal $b:literal $c:literal $d:literal;
     $b0:literal $b1:literal $b2:literal $b3:literal $($rest:literal)*) => { concat!(
        "mul v", $sum, ".8h, v8.8h, v", $row, ".h[", $a, "]\n", $b0, "\n",
        "mla v", $sum, ".8h, v9.8h, v", $row, ".h[", $b, "]\n", $b1, "\n",
        "mla v", $sum, ".8h, v10.8h, v", $row, ".h[", $c, "]\n", $b2, "\n",
        "smlal v", $low, ".4s, v11.4h, v", $row, ".h[", $d, "]\n", $b3, "\n",
        "smlal2 v", $high, ".4s, v11.8h, v", $row, ".h[", $d, "]\n",
    ) };
}

/// As `narrow`, but of eight 32-bit sums.
#[rustfmt::skip]
macro_rules! wide {
    ($low:literal $high:literal, $row:literal, $a:literal $b:literal $c:literal $d:literal; $($beside:literal)*) => {
        wide!(@ $low $high, $row, $a $b $c $d; $($beside)* "" "" "" "")
    };
    (@ $low:literal $high:literal, $row:literal, $a:literal $b:literal $c:literal $d:literal;
     $b0:literal $b1:literal $b2:literal $b3:literal $($rest:literal)*) => { concat!(
        "smlal v", $low, ".4s, v8.4h, v", $row, ".h[", $a, "]\n", $b0, "\n",
        "smlal2 v", $high, ".4s, v8.8h, v", $row, ".h[", $a, "]\n", $b1, "\n",
        "smlal v", $low, ".4s, v9.4h, v", $row, ".h[", $b, "]\n", $b2, "\n",
        "smlal2 v", $high, ".4s, v9.8h, v", $row, ".h[", $b, "]\n", $b3, "\n",
        "smlal v", $low, ".4s, v10.4h, v", $row, ".h[", $c, "]\n",
        "smlal2 v", $high, ".4s, v10.8h, v", $row, ".h[", $c, "]\n",
        "smlal v", $low, ".4s, v11.4h, v", $row, ".h[", $d, "]\n",
        "smlal2 v", $high, ".4s, v11.8h, v", $row, ".h[", $d, "]\n",
    ) };
}

/// Widens four channels of eight columns, v12 and v13, to v8-v11, while those of the four after (at `$at` and what follows
/// it) are loaded.
macro_rules! columns {
    ($at0:literal $at1:literal $at2:literal $at3:literal) => {
        concat!(
            "sshll v8.8h, v12.8b, #0\n",
            "ldr x14, [x10, #",
            $at0,
            "]\n",
            "sshll2 v9.8h, v12.16b, #0\n",
            "ldr x15, [x10, #",
            $at1,
            "]\n",
            "sshll v10.8h, v13.8b, #0\n",
            "ldr x16, [x10, #",
            $at2,
            "]\n",
            "sshll2 v11.8h, v13.16b, #0\n",
            "ldr x17, [x10, #",
            $at3,
            "]\n",
        )
    };
}

/// The loaded columns become v12 and v13.
macro_rules! next_columns {
    () => {
        "fmov d12, x14\nins v12.d[1], x15\nfmov d13, x16\nins v13.d[1], x17\n"
    };
}

/// The next eight channels of two rows become their registers.
macro_rules! next_rows {
    ($r0:literal $x0:literal, $r1:literal $x1:literal) => {
        concat!(
            "fmov d",
            $r0,
            ", ",
            $x0,
            "\nfmov d",
            $r1,
            ", ",
            $x1,
            "\n",
            "sshll v",
            $r0,
            ".8h, v",
            $r0,
            ".8b, #0\nsshll v",
            $r1,
            ".8h, v",
            $r1,
            ".8b, #0\n",
        )
    };
}

/// Lane `$lane` of rows v0-v7 times the column vector v8.
macro_rules! lane {
    ($lane:literal) => {
        lane!(@ $lane, "16" "17" "0", "18" "19" "1", "20" "21" "2", "22" "23" "3",
            "24" "25" "4", "26" "27" "5", "28" "29" "6", "30" "31" "7")
    };
    (@ $lane:literal, $($low:literal $high:literal $row:literal),*) => {
        concat!("ldr d8, [x10], #8\nsshll v8.8h, v8.8b, #0\n", $(
            "smlal v", $low, ".4s, v8.4h, v", $row, ".h[", $lane, "]\n",
            "smlal2 v", $high, ".4s, v8.8h, v", $row, ".h[", $lane, "]\n",
        )*)
    };
}

/// Computes a tile.
///
/// # Safety
/// `rows` has taps * MR pointers as `args` says; bytes are writable for NR elements of MR rows, and asked for only where the
/// output stage has right shifts only and no factors for negative sums.
#[target_feature(enable = "neon")]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
#[rustfmt::skip]
unsafe fn tile(args: &I8GemmArgs, rows: *const *const i8, results: Results<'_>) {
    let mut acc = [vdupq_n_s32(0); 2 * MR];
    let [a, b, c0, d, e, f, g, h, i, j, k, l, m, n, o, p] = &mut acc;
    // x0-x7: rows; x8: their table; x9: taps left; x10: weights; x11: groups of eight channels left in the tap; x12: such
    // groups per tap; x13: channels beyond; x14-x17: weights on their way; x20-x27: activations; x28: narrow; x30: that of a
    // group.
    // v8-v11: columns of four channels; v12, v13: bytes of the next four; v14, v15: 16-bit sums.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            "ldp q16, q17, [x10], #32", "ldrb w30, [x28], #1",
            "ldr q12, [x10]", "ldr q13, [x10, #16]",
            "mov v18.16b, v16.16b", "mov v19.16b, v17.16b", "mov v20.16b, v16.16b", "mov v21.16b, v17.16b",
            "mov v22.16b, v16.16b", "mov v23.16b, v17.16b", "mov v24.16b, v16.16b", "mov v25.16b, v17.16b",
            "mov v26.16b, v16.16b", "mov v27.16b, v17.16b", "mov v28.16b, v16.16b", "mov v29.16b, v17.16b",
            "mov v30.16b, v16.16b", "mov v31.16b, v17.16b",
            "2:",
            "ldp x0, x1, [x8]", "ldp x2, x3, [x8, #16]",
            "ldr d0, [x0], #8", "ldr d1, [x1], #8", "mov x11, x12",
            "ldr d2, [x2], #8", "ldr d3, [x3], #8",
            "ldp x4, x5, [x8, #32]", "sshll v0.8h, v0.8b, #0", "ldp x6, x7, [x8, #48]", "sshll v1.8h, v1.8b, #0",
            "add x8, x8, #64", "sshll v2.8h, v2.8b, #0",
            "ldr d4, [x4], #8", "ldr d5, [x5], #8", "ldr d6, [x6], #8", "ldr d7, [x7], #8",
            "sshll v3.8h, v3.8b, #0",
            "sshll v4.8h, v4.8b, #0", "sshll v5.8h, v5.8b, #0", "sshll v6.8h, v6.8b, #0", "sshll v7.8h, v7.8b, #0",
            "cbz x12, 7f",
            // Bits of w30: whether the first three and all of the first four channels are narrow, and the same of the second four.
            // The last group of a tap loads up to eight elements of each row and 32 bytes of weights beyond.
            "3:",
            "tbz w30, #1, 4f",
            columns!("32" "40" "48" "56"),
            narrow!("0", "14", "0" "1" "2" "3";),
            next_columns!(),
            narrow!("1", "15", "0" "1" "2" "3";), add_narrow!("14", "16" "17"),
            narrow!("2", "14", "0" "1" "2" "3";), add_narrow!("15", "18" "19"),
            narrow!("3", "15", "0" "1" "2" "3";), add_narrow!("14", "20" "21"),
            narrow!("4", "14", "0" "1" "2" "3";), add_narrow!("15", "22" "23"),
            narrow!("5", "15", "0" "1" "2" "3";), add_narrow!("14", "24" "25"),
            narrow!("6", "14", "0" "1" "2" "3";), add_narrow!("15", "26" "27"),
            narrow!("7", "15", "0" "1" "2" "3";), add_narrow!("14", "28" "29"),
            add_narrow!("15", "30" "31"),
            "tbz w30, #3, 6f",
            "5:",
            columns!("64" "72" "80" "88"),
            narrow!("0", "14", "4" "5" "6" "7"; "ldr x20, [x0], #8" "ldr x21, [x1], #8" "add x10, x10, #64"),
            next_columns!(),
            narrow!("1", "15", "4" "5" "6" "7"; "ldrb w30, [x28], #1"), add_narrow!("14", "16" "17"),
            narrow!("2", "14", "4" "5" "6" "7"; "ldr x22, [x2], #8" "ldr x23, [x3], #8"), add_narrow!("15", "18" "19"),
            next_rows!("0" "x20", "1" "x21"),
            narrow!("3", "15", "4" "5" "6" "7";), add_narrow!("14", "20" "21"),
            narrow!("4", "14", "4" "5" "6" "7"; "ldr x24, [x4], #8" "ldr x25, [x5], #8"), add_narrow!("15", "22" "23"),
            next_rows!("2" "x22", "3" "x23"),
            narrow!("5", "15", "4" "5" "6" "7";), add_narrow!("14", "24" "25"),
            narrow!("6", "14", "4" "5" "6" "7"; "ldr x26, [x6], #8" "ldr x27, [x7], #8"), add_narrow!("15", "26" "27"),
            next_rows!("4" "x24", "5" "x25"),
            narrow!("7", "15", "4" "5" "6" "7"; "subs x11, x11, #1"), add_narrow!("14", "28" "29"),
            next_rows!("6" "x26", "7" "x27"),
            add_narrow!("15", "30" "31"),
            "b.ne 3b",
            "b 7f",
            "4:",
            "tbz w30, #0, 22f",
            columns!("32" "40" "48" "56"),
            three!("16" "17", "0", "14", "0" "1" "2" "3";),
            next_columns!(),
            three!("18" "19", "1", "15", "0" "1" "2" "3";), add_narrow!("14", "16" "17"),
            three!("20" "21", "2", "14", "0" "1" "2" "3";), add_narrow!("15", "18" "19"),
            three!("22" "23", "3", "15", "0" "1" "2" "3";), add_narrow!("14", "20" "21"),
            three!("24" "25", "4", "14", "0" "1" "2" "3";), add_narrow!("15", "22" "23"),
            three!("26" "27", "5", "15", "0" "1" "2" "3";), add_narrow!("14", "24" "25"),
            three!("28" "29", "6", "14", "0" "1" "2" "3";), add_narrow!("15", "26" "27"),
            three!("30" "31", "7", "15", "0" "1" "2" "3";), add_narrow!("14", "28" "29"),
            add_narrow!("15", "30" "31"),
            "tbnz w30, #3, 5b",
            "6:",
            "tbz w30, #2, 44f",
            "33:",
            columns!("64" "72" "80" "88"),
            three!("16" "17", "0", "14", "4" "5" "6" "7"; "ldr x20, [x0], #8" "ldr x21, [x1], #8" "add x10, x10, #64"),
            next_columns!(),
            three!("18" "19", "1", "15", "4" "5" "6" "7"; "ldrb w30, [x28], #1"), add_narrow!("14", "16" "17"),
            three!("20" "21", "2", "14", "4" "5" "6" "7"; "ldr x22, [x2], #8" "ldr x23, [x3], #8"), add_narrow!("15", "18" "19"),
            next_rows!("0" "x20", "1" "x21"),
            three!("22" "23", "3", "15", "4" "5" "6" "7";), add_narrow!("14", "20" "21"),
            three!("24" "25", "4", "14", "4" "5" "6" "7"; "ldr x24, [x4], #8" "ldr x25, [x5], #8"), add_narrow!("15", "22" "23"),
            next_rows!("2" "x22", "3" "x23"),
            three!("26" "27", "5", "15", "4" "5" "6" "7";), add_narrow!("14", "24" "25"),
            three!("28" "29", "6", "14", "4" "5" "6" "7"; "ldr x26, [x6], #8" "ldr x27, [x7], #8"), add_narrow!("15", "26" "27"),
            next_rows!("4" "x24", "5" "x25"),
            three!("30" "31", "7", "15", "4" "5" "6" "7"; "subs x11, x11, #1"), add_narrow!("14", "28" "29"),
            next_rows!("6" "x26", "7" "x27"),
            add_narrow!("15", "30" "31"),
            "b.ne 3b",
            "b 7f",
            "22:",
            columns!("32" "40" "48" "56"),
            wide!("16" "17", "0", "0" "1" "2" "3";),
            next_columns!(),
            wide!("18" "19", "1", "0" "1" "2" "3";),
            wide!("20" "21", "2", "0" "1" "2" "3";),
            wide!("22" "23", "3", "0" "1" "2" "3";),
            wide!("24" "25", "4", "0" "1" "2" "3";),
            wide!("26" "27", "5", "0" "1" "2" "3";),
            wide!("28" "29", "6", "0" "1" "2" "3";),
            wide!("30" "31", "7", "0" "1" "2" "3";),
            "tbnz w30, #3, 5b",
            "tbnz w30, #2, 33b",
            "44:",
            columns!("64" "72" "80" "88"),
            wide!("16" "17", "0", "4" "5" "6" "7"; "ldr x20, [x0], #8" "ldr x21, [x1], #8" "add x10, x10, #64"),
            next_columns!(),
            wide!("18" "19", "1", "4" "5" "6" "7"; "ldrb w30, [x28], #1"),
            next_rows!("0" "x20", "1" "x21"),
            wide!("20" "21", "2", "4" "5" "6" "7"; "ldr x22, [x2], #8" "ldr x23, [x3], #8"),
            wide!("22" "23", "3", "4" "5" "6" "7";),
            next_rows!("2" "x22", "3" "x23"),
            wide!("24" "25", "4", "4" "5" "6" "7"; "ldr x24, [x4], #8" "ldr x25, [x5], #8"),
            wide!("26" "27", "5", "4" "5" "6" "7";),
            next_rows!("4" "x24", "5" "x25"),
            wide!("28" "29", "6", "4" "5" "6" "7"; "ldr x26, [x6], #8" "ldr x27, [x7], #8"),
            wide!("30" "31", "7", "4" "5" "6" "7"; "subs x11, x11, #1"),
            next_rows!("6" "x26", "7" "x27"),
            "b.ne 3b",
            // The last one to seven channels of the tap, whose activations are there.
            "7:",
            "cbz x13, 9f",
            "mov x11, x13",
            lane!("0"), "subs x11, x11, #1", "b.eq 8f",
            lane!("1"), "subs x11, x11, #1", "b.eq 8f",
            lane!("2"), "subs x11, x11, #1", "b.eq 8f",
            lane!("3"), "subs x11, x11, #1", "b.eq 8f",
            lane!("4"), "subs x11, x11, #1", "b.eq 8f",
            lane!("5"), "subs x11, x11, #1", "b.eq 8f",
            lane!("6"),
            "8:",
            "ldr q12, [x10]", "ldr q13, [x10, #16]",
            "9:",
            "subs x9, x9, #1",
            "b.ne 2b",
            inout("x8") rows => _, inout("x9") args.taps => _, inout("x10") args.w => _,
            in("x12") args.channels / 8, in("x13") args.channels % 8, inout("x28") args.narrow => _,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _,
            out("x11") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _,
            out("x27") _, out("x30") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") *a, out("v17") *b, out("v18") *c0, out("v19") *d,
            out("v20") *e, out("v21") *f, out("v22") *g, out("v23") *h,
            out("v24") *i, out("v25") *j, out("v26") *k, out("v27") *l,
            out("v28") *m, out("v29") *n, out("v30") *o, out("v31") *p,
            options(nostack, readonly),
        );
    }
    match results {
        // SAFETY: the caller vouches for the bytes and the output stage.
        Results::Bytes(c) => unsafe { store(&args.requant, acc, c, args.c_stride) },
        Results::Sums(sums) => {
            for (to, acc) in sums.as_chunks_mut::<4>().0.iter_mut().zip(acc) {
                // SAFETY: it is a vector long.
                unsafe { vst1q_s32(to.as_mut_ptr(), acc) };
            }
        }
    }
}

/// The output stage of a whole tile: all sums side by side, because each instruction waits four cycles for the one before.
/// As [`Narrow`], with right shifts only.
///
/// # Safety
/// `c` is writable for NR elements of MR rows, `stride` apart; the arrays of `requant` have NR elements.
#[inline(always)]
#[rustfmt::skip]
unsafe fn store(requant: &Requant, acc: [int32x4_t; 2 * MR], c: *mut i8, stride: usize) {
    let [a, b, c0, d, e, f, g, h, i, j, k, l, m, n, o, p] = acc;
    macro_rules! all {
        ($before:literal, $by:literal $and:literal) => { concat!(
            $before, " v16.4s, v16.4s, ", $by, "\n", $before, " v17.4s, v17.4s, ", $and, "\n",
            $before, " v18.4s, v18.4s, ", $by, "\n", $before, " v19.4s, v19.4s, ", $and, "\n",
            $before, " v20.4s, v20.4s, ", $by, "\n", $before, " v21.4s, v21.4s, ", $and, "\n",
            $before, " v22.4s, v22.4s, ", $by, "\n", $before, " v23.4s, v23.4s, ", $and, "\n",
            $before, " v24.4s, v24.4s, ", $by, "\n", $before, " v25.4s, v25.4s, ", $and, "\n",
            $before, " v26.4s, v26.4s, ", $by, "\n", $before, " v27.4s, v27.4s, ", $and, "\n",
            $before, " v28.4s, v28.4s, ", $by, "\n", $before, " v29.4s, v29.4s, ", $and, "\n",
            $before, " v30.4s, v30.4s, ", $by, "\n", $before, " v31.4s, v31.4s, ", $and, "\n",
        ) };
    }
    // SAFETY: reads factors and writes results where the caller vouches for it.
    unsafe {
        asm!(
            "ldp q0, q1, [{multiplier}]", "ldp q2, q3, [{right}]",
            "add {c1}, {c}, {stride}", "add {c2}, {c}, {stride}, lsl #1",
            "dup v4.8h, {zero:w}", "dup v5.8b, {min:w}", "dup v6.8b, {max:w}",
            "add {c3}, {c1}, {stride}, lsl #1",
            all!("sqrdmulh", "v0.4s" "v1.4s"),
            "neg v2.4s, v2.4s", "neg v3.4s, v3.4s",
            all!("srshl", "v2.4s" "v3.4s"),
            "sqxtn v16.4h, v16.4s", "sqxtn v18.4h, v18.4s", "sqxtn v20.4h, v20.4s", "sqxtn v22.4h, v22.4s",
            "sqxtn v24.4h, v24.4s", "sqxtn v26.4h, v26.4s", "sqxtn v28.4h, v28.4s", "sqxtn v30.4h, v30.4s",
            "sqxtn2 v16.8h, v17.4s", "sqxtn2 v18.8h, v19.4s", "sqxtn2 v20.8h, v21.4s", "sqxtn2 v22.8h, v23.4s",
            "sqxtn2 v24.8h, v25.4s", "sqxtn2 v26.8h, v27.4s", "sqxtn2 v28.8h, v29.4s", "sqxtn2 v30.8h, v31.4s",
            "sqadd v16.8h, v16.8h, v4.8h", "sqadd v18.8h, v18.8h, v4.8h",
            "sqadd v20.8h, v20.8h, v4.8h", "sqadd v22.8h, v22.8h, v4.8h",
            "sqadd v24.8h, v24.8h, v4.8h", "sqadd v26.8h, v26.8h, v4.8h",
            "sqadd v28.8h, v28.8h, v4.8h", "sqadd v30.8h, v30.8h, v4.8h",
            "sqxtn v16.8b, v16.8h", "sqxtn v18.8b, v18.8h", "sqxtn v20.8b, v20.8h", "sqxtn v22.8b, v22.8h",
            "sqxtn v24.8b, v24.8h", "sqxtn v26.8b, v26.8h", "sqxtn v28.8b, v28.8h", "sqxtn v30.8b, v30.8h",
            "smax v16.8b, v16.8b, v5.8b", "smax v18.8b, v18.8b, v5.8b",
            "smax v20.8b, v20.8b, v5.8b", "smax v22.8b, v22.8b, v5.8b",
            "smax v24.8b, v24.8b, v5.8b", "smax v26.8b, v26.8b, v5.8b",
            "smax v28.8b, v28.8b, v5.8b", "smax v30.8b, v30.8b, v5.8b",
            "smin v16.8b, v16.8b, v6.8b", "smin v18.8b, v18.8b, v6.8b",
            "smin v20.8b, v20.8b, v6.8b", "smin v22.8b, v22.8b, v6.8b",
            "str d16, [{c}]", "smin v24.8b, v24.8b, v6.8b", "add {c}, {c}, {stride}, lsl #2",
            "str d18, [{c1}]", "smin v26.8b, v26.8b, v6.8b", "add {c1}, {c1}, {stride}, lsl #2",
            "str d20, [{c2}]", "smin v28.8b, v28.8b, v6.8b", "add {c2}, {c2}, {stride}, lsl #2",
            "str d22, [{c3}]", "smin v30.8b, v30.8b, v6.8b", "add {c3}, {c3}, {stride}, lsl #2",
            "str d24, [{c}]", "str d26, [{c1}]", "str d28, [{c2}]", "str d30, [{c3}]",
            multiplier = in(reg) requant.multiplier, right = in(reg) requant.right,
            c = inout(reg) c => _, stride = in(reg) stride, c1 = out(reg) _, c2 = out(reg) _, c3 = out(reg) _,
            zero = in(reg) requant.zero_point, min = in(reg) requant.min, max = in(reg) requant.max,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _,
            inout("v16") a => _, inout("v17") b => _, inout("v18") c0 => _, inout("v19") d => _,
            inout("v20") e => _, inout("v21") f => _, inout("v22") g => _, inout("v23") h => _,
            inout("v24") i => _, inout("v25") j => _, inout("v26") k => _, inout("v27") l => _,
            inout("v28") m => _, inout("v29") n => _, inout("v30") o => _, inout("v31") p => _,
            options(nostack),
        );
    }
}
