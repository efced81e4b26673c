//! 8-bit tiles of eight rows by eight columns for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{
    int16x4_t, int16x8_t, int32x4_t, vaddw_high_s16, vaddw_s16, vget_high_s16, vget_low_s16,
    vld1_s8, vld1q_s32, vmlal_high_lane_s16, vmlal_lane_s16, vmlaq_lane_s16, vmovl_s8,
    vmulq_lane_s16,
};
use std::arch::asm;
use std::mem::offset_of;

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

/// Tiles one after the other: where they come from and go to.
#[repr(C)]
struct Tiles {
    /// The panel's biases, and its [`I8GemmArgs::narrow`].
    w: *const i8,
    narrow: *const u8,
    /// Of each tap: groups of eight channels, and channels beyond.
    groups: usize,
    rest: usize,
    taps: usize,
    /// First result, and elements between rows.
    c: *mut i8,
    stride: usize,
    multiplier: *const i32,
    /// As `multiplier`, of sums below 0.
    negative_multiplier: *const i32,
    /// Where sums go.
    sums: *mut i32,
    /// Shifts of each column, where they have no right shift in common.
    left_shifts: *const i32,
    right_shifts: *const i32,
    /// The output stage: 0, with PReLU 1, or none 2, for a single tile whose sums are wanted; with left shifts 3.
    stage: u64,
    /// Tiles left, at least one.
    left: usize,
    /// Bytes of code before the right shift.
    shift: usize,
    zero_point: i32,
    /// Whether the bounds are narrower than 8 bits.
    clamped: u32,
    min: i32,
    max: i32,
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_8x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers per tile to `channels` elements followed by at
    // least fifteen readable ones (SLACK), `w` is a whole panel followed by at least 32 bytes (SLACK), `c` is `rows`
    // rows of `cols` elements; the arrays of `requant` have NR elements.
    unsafe {
        let at_once = args.requant.shift > 0 || args.requant.negative_multiplier.is_null();
        let whole = if at_once && args.cols == NR { args.rows / MR } else { 0 };
        if whole > 0 {
            tiles(args, args.a, (args.c, args.c_stride), std::ptr::null_mut(), whole);
        }
        for first in (whole * MR..args.rows).step_by(MR) {
            let (rows, c) = (args.a.add(first * args.taps), args.c.add(first * args.c_stride));
            match args.rows - first {
                1 => finish::<1>(args, multiply_few(args, rows), 1, c),
                2 => finish::<2>(args, multiply_few(args, rows), 2, c),
                left if at_once => {
                    let mut part = [0_i8; MR * NR];
                    tiles(args, rows, (part.as_mut_ptr(), NR), std::ptr::null_mut(), 1);
                    for (r, row) in part.as_chunks::<NR>().0.iter().enumerate().take(left) {
                        store_row(vld1_s8(row.as_ptr()), c.add(r * args.c_stride), args.cols);
                    }
                }
                left => {
                    let mut sums = [0; MR * NR];
                    tiles(args, rows, (c, 0), sums.as_mut_ptr(), 1);
                    for (half, sums) in sums.as_chunks::<{ 4 * NR }>().0.iter().enumerate() {
                        let sums = std::array::from_fn(|r| {
                            let row = sums.as_ptr().add(r * NR);
                            [vld1q_s32(row), vld1q_s32(row.add(4))]
                        });
                        let c = c.wrapping_add(4 * half * args.c_stride);
                        finish::<4>(args, sums, left.saturating_sub(4 * half).min(4), c);
                    }
                }
            }
        }
    }
}

/// The output stage of `rows` of `R` rows, whatever the factors.
///
/// # Safety
/// `c` is writable for so many rows; the arrays of `args.requant` have NR elements.
#[target_feature(enable = "neon")]
unsafe fn finish<const R: usize>(
    args: &I8GemmArgs,
    sums: [[int32x4_t; 2]; R],
    rows: usize,
    c: *mut i8,
) {
    // SAFETY: the caller vouches for the arrays and `c`.
    unsafe {
        let results = match NarrowPrelu::new(&args.requant, [0, 4]) {
            None => Narrow::new(&args.requant, [0, 4]).apply(sums),
            Some(prelu) => prelu.apply(sums),
        };
        for (r, row) in results.into_iter().enumerate().take(rows) {
            store_row(row, c.add(r * args.c_stride), args.cols);
        }
    }
}

/// The sums of `R` rows, where the last tile of a block has no more, as of layers of 7x7 pixels.
///
/// # Safety
/// `rows` has taps * MR pointers as `args` says.
#[target_feature(enable = "neon")]
unsafe fn multiply_few<const R: usize>(
    args: &I8GemmArgs,
    rows: *const *const i8,
) -> [[int32x4_t; 2]; R] {
    // SAFETY: reads rows, up to seven elements beyond their channels, the panel, and a byte of `narrow` for each group and tap.
    unsafe {
        let bias = args.w.cast::<i32>();
        let mut acc = [[vld1q_s32(bias), vld1q_s32(bias.add(4))]; R];
        let (mut w, mut narrow) = (args.w.add(4 * NR), args.narrow);
        for tap in 0..args.taps {
            let mut a: [*const i8; R] = std::array::from_fn(|r| *rows.add(tap * MR + r));
            for channels in (1..=args.channels).rev().step_by(8) {
                let x = a.map(|a| vmovl_s8(vld1_s8(a)));
                a = a.map(|a| a.wrapping_add(8));
                if channels >= 8 {
                    multiply_four(&mut acc, x.map(|x| vget_low_s16(x)), w, *narrow & 1 << 1 != 0);
                    let (x, w) = (x.map(|x| vget_high_s16(x)), w.add(4 * NR));
                    multiply_four(&mut acc, x, w, *narrow & 1 << 3 != 0);
                    narrow = narrow.add(1);
                } else {
                    multiply_rest(&mut acc, x, w, channels);
                }
                w = w.add(channels.min(8) * NR);
            }
            // Behind the groups of a tap.
            narrow = narrow.add(1);
        }
        acc
    }
}

/// Adds the products of four channels of each row, which add up in 16 bits if they are `narrow`.
///
/// # Safety
/// `w` is readable for so many channels.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply_four<const R: usize>(
    acc: &mut [[int32x4_t; 2]; R],
    x: [int16x4_t; R],
    w: *const i8,
    narrow: bool,
) {
    // SAFETY: the caller vouches for `w`.
    let [w0, w1, w2, w3] =
        unsafe { [vld1_s8(w), vld1_s8(w.add(NR)), vld1_s8(w.add(2 * NR)), vld1_s8(w.add(3 * NR))] };
    let (w0, w1, w2, w3) = (vmovl_s8(w0), vmovl_s8(w1), vmovl_s8(w2), vmovl_s8(w3));
    for (acc, x) in acc.iter_mut().zip(x) {
        if narrow {
            let sum = vmulq_lane_s16::<0>(w0, x);
            let sum = vmlaq_lane_s16::<1>(sum, w1, x);
            let sum = vmlaq_lane_s16::<3>(vmlaq_lane_s16::<2>(sum, w2, x), w3, x);
            *acc = [vaddw_s16(acc[0], vget_low_s16(sum)), vaddw_high_s16(acc[1], sum)];
        } else {
            add_lane::<0>(acc, w0, x);
            add_lane::<1>(acc, w1, x);
            add_lane::<2>(acc, w2, x);
            add_lane::<3>(acc, w3, x);
        }
    }
}

/// Adds the products of the last one to seven channels of a tap.
///
/// # Safety
/// `w` is readable for so many channels.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply_rest<const R: usize>(
    acc: &mut [[int32x4_t; 2]; R],
    x: [int16x8_t; R],
    w: *const i8,
    channels: usize,
) {
    macro_rules! lanes {
        ($($half:ident $lane:literal $channel:literal),*) => { $(
            if $channel < channels {
                // SAFETY: the caller vouches for `w`.
                let column = vmovl_s8(unsafe { vld1_s8(w.add($channel * NR)) });
                for (acc, x) in acc.iter_mut().zip(x) {
                    add_lane::<$lane>(acc, column, $half(x));
                }
            }
        )* };
    }
    lanes! {
        vget_low_s16 0 0, vget_low_s16 1 1, vget_low_s16 2 2, vget_low_s16 3 3,
        vget_high_s16 0 4, vget_high_s16 1 5, vget_high_s16 2 6
    }
}

/// Adds the products of a column's weights and a lane of `x` to sums of 32 bits.
#[inline]
#[target_feature(enable = "neon")]
fn add_lane<const LANE: i32>(acc: &mut [int32x4_t; 2], column: int16x8_t, x: int16x4_t) {
    acc[0] = vmlal_lane_s16::<LANE>(acc[0], vget_low_s16(column), x);
    acc[1] = vmlal_high_lane_s16::<LANE>(acc[1], column, x);
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

/// As `narrow`, but of three channels, the columns of which are given; the fourth is multiplied to 32-bit sums.
#[rustfmt::skip]
macro_rules! three {
    ($low:literal $high:literal, $row:literal, $sum:literal,
     $va:literal $a:literal, $vb:literal $b:literal, $vc:literal $c:literal, $vd:literal $d:literal; $($beside:literal)*) => {
        three!(@ $low $high, $row, $sum, $va $a, $vb $b, $vc $c, $vd $d; $($beside)* "" "" "" "")
    };
    (@ $low:literal $high:literal, $row:literal, $sum:literal,
     $va:literal $a:literal, $vb:literal $b:literal, $vc:literal $c:literal, $vd:literal $d:literal;
     $b0:literal $b1:literal $b2:literal $b3:literal $($rest:literal)*) => { concat!(
        "mul v", $sum, ".8h, v", $va, ".8h, v", $row, ".h[", $a, "]\n", $b0, "\n",
        "mla v", $sum, ".8h, v", $vb, ".8h, v", $row, ".h[", $b, "]\n", $b1, "\n",
        "mla v", $sum, ".8h, v", $vc, ".8h, v", $row, ".h[", $c, "]\n", $b2, "\n",
        "smlal v", $low, ".4s, v", $vd, ".4h, v", $row, ".h[", $d, "]\n", $b3, "\n",
        "smlal2 v", $high, ".4s, v", $vd, ".8h, v", $row, ".h[", $d, "]\n",
    ) };
}

/// Eight rows of the first four channels, of which three add up in 16 bits: those of columns `$va`, `$vb` and `$vc`.
#[rustfmt::skip]
macro_rules! first_three {
    ($($column:literal $lane:literal),*) => { concat!(
        columns!("32" "40" "48" "56"),
        three!("16" "17", "0", "14", $($column $lane),*;),
        next_columns!(),
        three!("18" "19", "1", "15", $($column $lane),*;), add_narrow!("14", "16" "17"),
        three!("20" "21", "2", "14", $($column $lane),*;), add_narrow!("15", "18" "19"),
        three!("22" "23", "3", "15", $($column $lane),*;), add_narrow!("14", "20" "21"),
        three!("24" "25", "4", "14", $($column $lane),*;), add_narrow!("15", "22" "23"),
        three!("26" "27", "5", "15", $($column $lane),*;), add_narrow!("14", "24" "25"),
        three!("28" "29", "6", "14", $($column $lane),*;), add_narrow!("15", "26" "27"),
        three!("30" "31", "7", "15", $($column $lane),*;), add_narrow!("14", "28" "29"),
        add_narrow!("15", "30" "31"),
    ) };
}

/// As `first_three`, of the second four channels, while the next eight are loaded.
#[rustfmt::skip]
macro_rules! second_three {
    ($($column:literal $lane:literal),*) => { concat!(
        columns!("64" "72" "80" "88"),
        three!("16" "17", "0", "14", $($column $lane),*; "ldr x20, [x0], #8" "ldr x21, [x1], #8" "add x10, x10, #64"),
        next_columns!(),
        three!("18" "19", "1", "15", $($column $lane),*; "ldrb w30, [x28], #1"), add_narrow!("14", "16" "17"),
        three!("20" "21", "2", "14", $($column $lane),*; "ldr x22, [x2], #8" "ldr x23, [x3], #8"),
        add_narrow!("15", "18" "19"),
        next_rows!("0" "x20", "1" "x21"),
        three!("22" "23", "3", "15", $($column $lane),*;), add_narrow!("14", "20" "21"),
        three!("24" "25", "4", "14", $($column $lane),*; "ldr x24, [x4], #8" "ldr x25, [x5], #8"),
        add_narrow!("15", "22" "23"),
        next_rows!("2" "x22", "3" "x23"),
        three!("26" "27", "5", "15", $($column $lane),*;), add_narrow!("14", "24" "25"),
        three!("28" "29", "6", "14", $($column $lane),*; "ldr x26, [x6], #8" "ldr x27, [x7], #8"),
        add_narrow!("15", "26" "27"),
        next_rows!("4" "x24", "5" "x25"),
        three!("30" "31", "7", "15", $($column $lane),*; "sub x11, x11, #1"), add_narrow!("14", "28" "29"),
        next_rows!("6" "x26", "7" "x27"),
        add_narrow!("15", "30" "31"),
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

/// Multiplies eight sums, by the factor in v0 or v1, or where they are below 0 in v2 or v3; with instructions to be issued beside.
#[rustfmt::skip]
macro_rules! by_sign {
    ($($low:literal $high:literal $mask:literal $other:literal),*; $($beside:literal)*) => { concat!(
        $("cmlt v", $mask, ".4s, v", $low, ".4s, #0\ncmlt v", $other, ".4s, v", $high, ".4s, #0\n",)*
        $("bsl v", $mask, ".16b, v2.16b, v0.16b\n", $beside, "\nbsl v", $other, ".16b, v3.16b, v1.16b\n",)*
        $("sqrdmulh v", $low, ".4s, v", $low, ".4s, v", $mask, ".4s\nsqrdmulh v", $high, ".4s, v", $high, ".4s, v", $other,
          ".4s\n",)*
    ) };
}

/// Computes `count` tiles, whose rows are at `rows`; results go to `c`, whose rows are so far apart, unless `sums` are wanted.
///
/// A tile ends while the next begins: its pointers, first rows and biases are fetched beside the output stage, which has all
/// sums side by side, because each instruction waits four cycles for the one before. The right shift also narrows to 16 bits,
/// for which it must be part of the instruction: so there is one piece of code for each. What a tile takes beside its products
/// is 16 multiplications, 8 cycles of shifts (two share a cycle), 8 and 4 to add the zero point and narrow to 8 bits, 16 for
/// biases, beside which results are stored, and 12 for rows; where right shifts differ 16 more, and as many for left shifts.
///
/// # Safety
/// `rows` has taps * MR pointers per tile as `args` says; `c` is writable for NR elements of MR rows of all tiles, or `sums`
/// for one tile; where there are none, all right shifts are `args.requant.shift`, without left shifts, or there is no PReLU.
#[target_feature(enable = "neon")]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
#[rustfmt::skip]
unsafe fn tiles(args: &I8GemmArgs, rows: *const *const i8, (c, stride): (*mut i8, usize), sums: *mut i32, count: usize) {
    let requant = &args.requant;
    let mut tiles = Tiles {
        w: args.w,
        narrow: args.narrow,
        groups: args.channels / 8,
        rest: args.channels % 8,
        taps: args.taps,
        c,
        stride,
        multiplier: requant.multiplier,
        negative_multiplier: requant.negative_multiplier,
        sums,
        left_shifts: requant.left,
        right_shifts: requant.right,
        stage: match requant {
            _ if !sums.is_null() => 2,
            Requant { shift: 0, only_right: false, .. } => 3,
            _ => u64::from(!requant.negative_multiplier.is_null()),
        },
        left: count,
        // Sixteen instructions and a branch for each shift from 1 on, and behind them those for shifts that differ.
        shift: if requant.shift > 0 { requant.shift as usize - 1 } else { 16 } * 68,
        zero_point: requant.zero_point,
        clamped: u32::from(requant.min > -128 || requant.max < 127),
        min: requant.min,
        max: requant.max,
    };
    // x0-x7: rows; x8: their table; x9: taps left; x10: weights; x11: groups of eight channels left in the tap; x12: what there
    // is to do; x13: channels beyond, or anything; x14-x17: weights or biases on their way; x20-x27: activations; x28: narrow;
    // x30: that of a group.
    // v0-v7: rows; v8-v11: columns of four channels; v12, v13: bytes of the next four; v14, v15: 16-bit sums; v16-v31: sums.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for, the last tile's pointers and first elements once
    // more when it ends; writes results or sums where the caller vouches for it.
    unsafe {
        asm!(
            "ldr x10, [x12, #{w}]", "ldr x28, [x12, #{narrow}]", "ldr x9, [x12, #{taps}]",
            "ldp q16, q17, [x10], #32",
            "ldr q12, [x10]", "ldr q13, [x10, #16]",
            "mov v18.16b, v16.16b", "mov v19.16b, v17.16b", "mov v20.16b, v16.16b", "mov v21.16b, v17.16b",
            "mov v22.16b, v16.16b", "mov v23.16b, v17.16b", "mov v24.16b, v16.16b", "mov v25.16b, v17.16b",
            "mov v26.16b, v16.16b", "mov v27.16b, v17.16b", "mov v28.16b, v16.16b", "mov v29.16b, v17.16b",
            "mov v30.16b, v16.16b", "mov v31.16b, v17.16b",
            "2:",
            "ldp x0, x1, [x8]", "ldp x2, x3, [x8, #16]",
            "ldr d0, [x0], #8", "ldr d1, [x1], #8", "ldr x11, [x12, #{groups}]",
            "ldr d2, [x2], #8", "ldr d3, [x3], #8", "ldr x13, [x12, #{rest}]", "ldrb w30, [x28], #1",
            "ldp x4, x5, [x8, #32]", "sshll v0.8h, v0.8b, #0", "ldp x6, x7, [x8, #48]", "sshll v1.8h, v1.8b, #0",
            "add x8, x8, #64", "sshll v2.8h, v2.8b, #0",
            "ldr d4, [x4], #8", "ldr d5, [x5], #8", "ldr d6, [x6], #8", "ldr d7, [x7], #8",
            "sshll v3.8h, v3.8b, #0",
            "sshll v4.8h, v4.8b, #0", "sshll v5.8h, v5.8b, #0", "sshll v6.8h, v6.8b, #0", "sshll v7.8h, v7.8b, #0",
            "10:",
            // Bits of w30: `I8GemmArgs::narrow`, of which there are none behind the last group of a tap: so the branch that most
            // groups end with also ends the tap.
            // The last group of a tap loads up to eight elements of each row and 32 bytes of weights beyond.
            "tbz w30, #1, 4f",
            "3:",
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
            narrow!("7", "15", "4" "5" "6" "7"; "sub x11, x11, #1"), add_narrow!("14", "28" "29"),
            next_rows!("6" "x26", "7" "x27"),
            add_narrow!("15", "30" "31"),
            "tbnz w30, #1, 3b",
            "4:",
            "cbz x11, 7f",
            "tbz w30, #0, 21f",
            first_three!("8" "0", "9" "1", "10" "2", "11" "3"),
            "tbnz w30, #3, 5b",
            "6:",
            "tbz w30, #2, 43f",
            "33:",
            second_three!("8" "4", "9" "5", "10" "6", "11" "7"),
            "tbnz w30, #1, 3b",
            "b 4b",
            "21:",
            "tbz w30, #4, 22f",
            first_three!("9" "1", "10" "2", "11" "3", "8" "0"),
            "tbnz w30, #3, 5b",
            "tbnz w30, #2, 33b",
            "43:",
            "tbz w30, #5, 44f",
            "34:",
            second_three!("9" "5", "10" "6", "11" "7", "8" "4"),
            "tbnz w30, #1, 3b",
            "b 4b",
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
            "tbnz w30, #5, 34b",
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
            wide!("30" "31", "7", "4" "5" "6" "7"; "sub x11, x11, #1"),
            next_rows!("6" "x26", "7" "x27"),
            "tbnz w30, #1, 3b",
            "cbnz x11, 4b",
            // The last one to seven channels of the tap, whose activations are there.
            "7:",
            "cbz x13, 9f",
            lane!("0"), "subs x13, x13, #1", "b.eq 8f",
            lane!("1"), "subs x13, x13, #1", "b.eq 8f",
            lane!("2"), "subs x13, x13, #1", "b.eq 8f",
            lane!("3"), "subs x13, x13, #1", "b.eq 8f",
            lane!("4"), "subs x13, x13, #1", "b.eq 8f",
            lane!("5"), "subs x13, x13, #1", "b.eq 8f",
            lane!("6"),
            "8:",
            "ldr q12, [x10]", "ldr q13, [x10, #16]",
            "9:",
            "subs x9, x9, #1",
            "b.ne 2b",
            // The end of a tile. The last goes back to its own pointers.
            "ldr x13, [x12, #{multiplier}]", "ldr x21, [x12, #{left}]", "ldr x9, [x12, #{taps}]", "ldr x22, [x12, #{stage}]",
            "ldr q0, [x13]", "ldr q1, [x13, #16]", "subs x21, x21, #1", "sub x20, x8, x9, lsl #6", "str x21, [x12, #{left}]",
            "csel x8, x8, x20, ne", "ldr x10, [x12, #{w}]", "cbnz x22, 50f",
            "51:",
            "sqrdmulh v16.4s, v16.4s, v0.4s", "ldr x0, [x8]",
            "sqrdmulh v18.4s, v18.4s, v0.4s", "ldr w28, [x12, #{zero}]",
            "sqrdmulh v20.4s, v20.4s, v0.4s", "ldr x1, [x8, #8]",
            "sqrdmulh v22.4s, v22.4s, v0.4s", "ldr x13, [x12, #{shift}]",
            "sqrdmulh v24.4s, v24.4s, v0.4s", "ldr x2, [x8, #16]", "adr x11, 60f",
            "sqrdmulh v26.4s, v26.4s, v0.4s", "ldr x3, [x8, #24]",
            "sqrdmulh v28.4s, v28.4s, v0.4s", "ldr x4, [x8, #32]",
            "sqrdmulh v30.4s, v30.4s, v0.4s", "ldr x5, [x8, #40]", "add x13, x13, x11", "dup v4.8h, w28",
            "sqrdmulh v17.4s, v17.4s, v1.4s", "ldr x6, [x8, #48]",
            "sqrdmulh v19.4s, v19.4s, v1.4s", "ldr x7, [x8, #56]",
            "sqrdmulh v21.4s, v21.4s, v1.4s", "ldr x20, [x0], #8",
            "sqrdmulh v23.4s, v23.4s, v1.4s", "ldr x21, [x1], #8",
            "sqrdmulh v25.4s, v25.4s, v1.4s", "ldr x22, [x2], #8",
            "sqrdmulh v27.4s, v27.4s, v1.4s", "ldr x23, [x3], #8",
            "sqrdmulh v29.4s, v29.4s, v1.4s", "ldr x24, [x4], #8",
            "sqrdmulh v31.4s, v31.4s, v1.4s", "ldr x25, [x5], #8",
            "br x13",
            "60:",
            ".irp quantrack_k, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
            "sqrshrn v8.4h, v16.4s, #\\quantrack_k", "sqrshrn v9.4h, v18.4s, #\\quantrack_k",
            "sqrshrn v10.4h, v20.4s, #\\quantrack_k", "sqrshrn v11.4h, v22.4s, #\\quantrack_k",
            "sqrshrn v12.4h, v24.4s, #\\quantrack_k", "sqrshrn v13.4h, v26.4s, #\\quantrack_k",
            "sqrshrn v14.4h, v28.4s, #\\quantrack_k", "sqrshrn v15.4h, v30.4s, #\\quantrack_k",
            "sqrshrn2 v8.8h, v17.4s, #\\quantrack_k", "sqrshrn2 v9.8h, v19.4s, #\\quantrack_k",
            "sqrshrn2 v10.8h, v21.4s, #\\quantrack_k", "sqrshrn2 v11.8h, v23.4s, #\\quantrack_k",
            "sqrshrn2 v12.8h, v25.4s, #\\quantrack_k", "sqrshrn2 v13.8h, v27.4s, #\\quantrack_k",
            "sqrshrn2 v14.8h, v29.4s, #\\quantrack_k", "sqrshrn2 v15.8h, v31.4s, #\\quantrack_k",
            "b 61f",
            ".endr",
            // Each column's own shift.
            "ldr x11, [x12, #{right_shifts}]", "ldr q2, [x11]", "ldr q3, [x11, #16]", "neg v2.4s, v2.4s", "neg v3.4s, v3.4s",
            "srshl v16.4s, v16.4s, v2.4s", "srshl v18.4s, v18.4s, v2.4s", "srshl v20.4s, v20.4s, v2.4s", "srshl v22.4s, v22.4s, v2.4s",
            "srshl v24.4s, v24.4s, v2.4s", "srshl v26.4s, v26.4s, v2.4s", "srshl v28.4s, v28.4s, v2.4s", "srshl v30.4s, v30.4s, v2.4s",
            "srshl v17.4s, v17.4s, v3.4s", "srshl v19.4s, v19.4s, v3.4s", "srshl v21.4s, v21.4s, v3.4s", "srshl v23.4s, v23.4s, v3.4s",
            "srshl v25.4s, v25.4s, v3.4s", "srshl v27.4s, v27.4s, v3.4s", "srshl v29.4s, v29.4s, v3.4s", "srshl v31.4s, v31.4s, v3.4s",
            "sqxtn v8.4h, v16.4s", "sqxtn v9.4h, v18.4s", "sqxtn v10.4h, v20.4s", "sqxtn v11.4h, v22.4s",
            "sqxtn v12.4h, v24.4s", "sqxtn v13.4h, v26.4s", "sqxtn v14.4h, v28.4s", "sqxtn v15.4h, v30.4s",
            "sqxtn2 v8.8h, v17.4s", "sqxtn2 v9.8h, v19.4s", "sqxtn2 v10.8h, v21.4s", "sqxtn2 v11.8h, v23.4s",
            "sqxtn2 v12.8h, v25.4s", "sqxtn2 v13.8h, v27.4s", "sqxtn2 v14.8h, v29.4s", "sqxtn2 v15.8h, v31.4s",
            "61:",
            "sqadd v8.8h, v8.8h, v4.8h", "ldr w30, [x12, #{clamped}]",
            "sqadd v9.8h, v9.8h, v4.8h", "ldr x28, [x12, #{narrow}]",
            "sqadd v10.8h, v10.8h, v4.8h", "ldr x13, [x12, #{c}]",
            "sqadd v11.8h, v11.8h, v4.8h", "ldr x11, [x12, #{stride}]",
            "sqadd v12.8h, v12.8h, v4.8h", "ldr x14, [x10]",
            "sqadd v13.8h, v13.8h, v4.8h", "ldr x15, [x10, #8]",
            "sqadd v14.8h, v14.8h, v4.8h", "ldr x16, [x10, #16]",
            "sqadd v15.8h, v15.8h, v4.8h", "ldr x17, [x10, #24]",
            "sqxtn v8.8b, v8.8h", "sqxtn v9.8b, v9.8h", "sqxtn v10.8b, v10.8h", "sqxtn v11.8b, v11.8h",
            "sqxtn v12.8b, v12.8h", "sqxtn v13.8b, v13.8h", "sqxtn v14.8b, v14.8h", "sqxtn v15.8b, v15.8h",
            "cbnz w30, 70f",
            // The next tile's biases and rows. Stores share a cycle with moves, but not with operations on 128 bits.
            "62:",
            "fmov d16, x14", "fmov d17, x16", "ins v16.d[1], x15", "ins v17.d[1], x17",
            "ldrb w30, [x28], #1", "add x14, x13, x11",
            "mov v18.16b, v16.16b", "ldr x26, [x6], #8", "mov v19.16b, v17.16b", "ldr x27, [x7], #8",
            "mov v20.16b, v16.16b", "add x15, x13, x11, lsl #1", "mov v21.16b, v17.16b", "add x16, x14, x11, lsl #1",
            "mov v22.16b, v16.16b", "lsl x17, x11, #2", "mov v23.16b, v17.16b", "add x8, x8, #64",
            "mov v24.16b, v16.16b", "add x10, x10, #32", "mov v25.16b, v17.16b", "mov v26.16b, v16.16b",
            "mov v27.16b, v17.16b", "mov v28.16b, v16.16b", "mov v29.16b, v17.16b", "mov v30.16b, v16.16b",
            "mov v31.16b, v17.16b",
            "fmov d0, x20", "str d8, [x13]", "fmov d1, x21", "str d9, [x14]", "fmov d2, x22", "str d10, [x15]",
            "fmov d3, x23", "str d11, [x16]", "fmov d4, x24", "str d12, [x13, x17]", "fmov d5, x25", "str d13, [x14, x17]",
            "fmov d6, x26", "str d14, [x15, x17]", "fmov d7, x27", "str d15, [x16, x17]",
            "sshll v0.8h, v0.8b, #0", "ldr x14, [x10]", "sshll v1.8h, v1.8b, #0", "ldr x15, [x10, #8]",
            "sshll v2.8h, v2.8b, #0", "ldr x16, [x10, #16]", "sshll v3.8h, v3.8b, #0", "ldr x17, [x10, #24]",
            "sshll v4.8h, v4.8b, #0", "add x11, x13, x11, lsl #3", "sshll v5.8h, v5.8b, #0", "ldr x21, [x12, #{left}]",
            "sshll v6.8h, v6.8b, #0", "str x11, [x12, #{c}]", "sshll v7.8h, v7.8b, #0", "ldr x11, [x12, #{groups}]",
            "fmov d12, x14", "fmov d13, x16", "ins v12.d[1], x15", "ins v13.d[1], x17", "ldr x13, [x12, #{rest}]",
            "cbnz x21, 10b",
            "b 99f",
            // Left shifts.
            "53:",
            "ldr x13, [x12, #{left_shifts}]", "ldr q2, [x13]", "ldr q3, [x13, #16]",
            "sqshl v16.4s, v16.4s, v2.4s", "sqshl v18.4s, v18.4s, v2.4s", "sqshl v20.4s, v20.4s, v2.4s", "sqshl v22.4s, v22.4s, v2.4s",
            "sqshl v24.4s, v24.4s, v2.4s", "sqshl v26.4s, v26.4s, v2.4s", "sqshl v28.4s, v28.4s, v2.4s", "sqshl v30.4s, v30.4s, v2.4s",
            "sqshl v17.4s, v17.4s, v3.4s", "sqshl v19.4s, v19.4s, v3.4s", "sqshl v21.4s, v21.4s, v3.4s", "sqshl v23.4s, v23.4s, v3.4s",
            "sqshl v25.4s, v25.4s, v3.4s", "sqshl v27.4s, v27.4s, v3.4s", "sqshl v29.4s, v29.4s, v3.4s", "sqshl v31.4s, v31.4s, v3.4s",
            "b 51b",
            // PReLU.
            "50:",
            "cmp x22, #2", "b.eq 98f", "b.hi 53b", "ldr x13, [x12, #{negative}]", "ldr q2, [x13]", "ldr q3, [x13, #16]",
            "ldp x0, x1, [x8]", "ldp x2, x3, [x8, #16]", "ldp x4, x5, [x8, #32]", "ldp x6, x7, [x8, #48]",
            by_sign!("16" "17" "4" "5", "18" "19" "6" "7", "20" "21" "8" "9", "22" "23" "10" "11";
                "ldr x20, [x0], #8" "ldr x21, [x1], #8" "ldr x22, [x2], #8" "ldr x23, [x3], #8"),
            by_sign!("24" "25" "4" "5", "26" "27" "6" "7", "28" "29" "8" "9", "30" "31" "10" "11";
                "ldr x24, [x4], #8" "ldr x25, [x5], #8" "ldr x13, [x12, #{shift}]" "ldr w28, [x12, #{zero}]"),
            "adr x11, 60b", "add x13, x13, x11", "dup v4.8h, w28",
            "br x13",
            // Bounds.
            "70:",
            "ldr w28, [x12, #{min}]", "ldr w30, [x12, #{max}]", "dup v5.8b, w28", "dup v6.8b, w30", "ldr x28, [x12, #{narrow}]",
            "smax v8.8b, v8.8b, v5.8b", "smax v9.8b, v9.8b, v5.8b", "smax v10.8b, v10.8b, v5.8b", "smax v11.8b, v11.8b, v5.8b",
            "smax v12.8b, v12.8b, v5.8b", "smax v13.8b, v13.8b, v5.8b", "smax v14.8b, v14.8b, v5.8b", "smax v15.8b, v15.8b, v5.8b",
            "smin v8.8b, v8.8b, v6.8b", "smin v9.8b, v9.8b, v6.8b", "smin v10.8b, v10.8b, v6.8b", "smin v11.8b, v11.8b, v6.8b",
            "smin v12.8b, v12.8b, v6.8b", "smin v13.8b, v13.8b, v6.8b", "smin v14.8b, v14.8b, v6.8b", "smin v15.8b, v15.8b, v6.8b",
            "b 62b",
            "98:",
            "ldr x20, [x12, #{sums}]",
            "stp q16, q17, [x20]", "stp q18, q19, [x20, #32]", "stp q20, q21, [x20, #64]", "stp q22, q23, [x20, #96]",
            "stp q24, q25, [x20, #128]", "stp q26, q27, [x20, #160]", "stp q28, q29, [x20, #192]", "stp q30, q31, [x20, #224]",
            "99:",
            w = const offset_of!(Tiles, w), narrow = const offset_of!(Tiles, narrow), taps = const offset_of!(Tiles, taps),
            groups = const offset_of!(Tiles, groups), rest = const offset_of!(Tiles, rest), c = const offset_of!(Tiles, c),
            stride = const offset_of!(Tiles, stride), multiplier = const offset_of!(Tiles, multiplier),
            negative = const offset_of!(Tiles, negative_multiplier), sums = const offset_of!(Tiles, sums), stage = const offset_of!(Tiles, stage),
            left_shifts = const offset_of!(Tiles, left_shifts), right_shifts = const offset_of!(Tiles, right_shifts),
            left = const offset_of!(Tiles, left), shift = const offset_of!(Tiles, shift),
            zero = const offset_of!(Tiles, zero_point), clamped = const offset_of!(Tiles, clamped),
            min = const offset_of!(Tiles, min), max = const offset_of!(Tiles, max),
            inout("x8") rows => _, in("x12") &raw mut tiles,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _, out("x7") _,
            out("x9") _, out("x10") _, out("x11") _, out("x13") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _,
            out("x27") _, out("x28") _, out("x30") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}
