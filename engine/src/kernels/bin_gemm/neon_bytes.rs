//! One-bit tiles for 64-bit ARM whose vector lanes are columns.

use std::arch::aarch64::{
    int16x8_t, int32x4_t, uint8x16_t, uint16x8_t, vaddq_s32, vaddw_high_u8, vaddw_u8, vdup_n_s8,
    vdupq_n_s16, vdupq_n_s32, vdupq_n_u8, vdupq_n_u16, vget_low_u8, vget_low_u16, vld1q_s32,
    vmax_s8, vmin_s8, vmovl_high_u16, vmovl_u16, vnegq_s32, vqaddq_s16, vqmovn_high_s32,
    vqmovn_s16, vqmovn_s32, vqrdmulhq_s32, vqshlq_s32, vreinterpretq_s32_u32, vrshlq_s32,
    vshll_high_n_u16, vshll_n_u16, vshlq_n_s32, vst1_s8, vsubq_s32,
};
use std::arch::asm;

use super::neon::store_sums;
use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Requant, Tile, each_tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by 32 columns, eight channels at a time: a byte of a row in every lane against the same byte of 16 columns.
/// EOR, CNT and ADD count 128 products in three instructions, and nothing is ever summed across lanes: bytes grow to
/// 16 bits every three words (24 * 8 = 192 still fits).
///
/// A word takes 8 * (24 + 4 DUP + 2 for weights) = 240 cycles of a Cortex-A53 for 8192 products.
pub(crate) static GEMM_4X32: BinGemm = MicroKernel {
    name: "bin_gemm_4x32b_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x32) },
};

const MR: usize = 4;
const NR: usize = Tile::BYTEWISE_COLUMNS;
/// Words whose bit counts fit a byte.
const WORDS_PER_BYTE: usize = 3;
/// Words whose bit counts fit 16 bits.
const WORDS_PER_HALF: usize = 1023;

type Bytes = [[uint8x16_t; 2]; MR];
type Halves = [[uint16x8_t; 4]; MR];

/// A step of eight channels: v0-v7 are the sums, v12-v15 the rows' bytes, `$u` and `$v` the columns. Moves the columns of
/// the next step to `$s` and `$t`, and loads those of the one after from `$at` on. Rows 0 and 1 are a step ahead.
macro_rules! step {
    ($u:literal $v:literal $s:literal $t:literal, $at:literal, $next:literal $second:literal) => {
        concat!(
            "eor v16.16b, v12.16b, ",
            $u,
            ".16b\n",
            "eor v17.16b, v12.16b, ",
            $v,
            ".16b\n",
            "eor v18.16b, v13.16b, ",
            $u,
            ".16b\n",
            "eor v19.16b, v13.16b, ",
            $v,
            ".16b\n",
            "dup v14.16b, {b2:w}\n",
            "ldrb {b2:w}, [{r2}, #",
            $next,
            "]\n",
            "dup v15.16b, {b3:w}\n",
            "ldrb {b3:w}, [{r3}, #",
            $next,
            "]\n",
            "cnt v16.16b, v16.16b\n",
            "cnt v17.16b, v17.16b\n",
            "cnt v18.16b, v18.16b\n",
            "cnt v19.16b, v19.16b\n",
            "fmov ",
            $s,
            ", {x0}\n",
            "fmov ",
            $t,
            ", {x2}\n",
            "add v0.16b, v0.16b, v16.16b\n",
            "ldr {x0}, [{w}, #",
            $at,
            "]\n",
            "add v1.16b, v1.16b, v17.16b\n",
            "ldr {x2}, [{w}, #",
            $at,
            " + 16]\n",
            "add v2.16b, v2.16b, v18.16b\n",
            "add v3.16b, v3.16b, v19.16b\n",
            "eor v16.16b, v14.16b, ",
            $u,
            ".16b\n",
            "eor v17.16b, v14.16b, ",
            $v,
            ".16b\n",
            "eor v18.16b, v15.16b, ",
            $u,
            ".16b\n",
            "eor v19.16b, v15.16b, ",
            $v,
            ".16b\n",
            "dup v12.16b, {b0:w}\n",
            "ldrb {b0:w}, [{r0}, #",
            $second,
            "]\n",
            "dup v13.16b, {b1:w}\n",
            "ldrb {b1:w}, [{r1}, #",
            $second,
            "]\n",
            "cnt v16.16b, v16.16b\n",
            "cnt v17.16b, v17.16b\n",
            "cnt v18.16b, v18.16b\n",
            "cnt v19.16b, v19.16b\n",
        )
    };
}

/// The rest of a step: upper halves of the next columns, and the sums of rows 2 and 3.
macro_rules! rest {
    ($s:literal $t:literal, $at:literal) => {
        concat!(
            "mov ",
            $s,
            ".d[1], {x1}\n",
            "mov ",
            $t,
            ".d[1], {x3}\n",
            "add v4.16b, v4.16b, v16.16b\n",
            "ldr {x1}, [{w}, #",
            $at,
            " + 8]\n",
            "add v5.16b, v5.16b, v17.16b\n",
            "ldr {x3}, [{w}, #",
            $at,
            " + 24]\n",
            "add v6.16b, v6.16b, v18.16b\n",
            "add v7.16b, v7.16b, v19.16b\n",
        )
    };
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x32(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`.
    unsafe {
        if args.taps * args.words <= WORDS_PER_HALF {
            let mut halves = [[vdupq_n_u16(0); 4]; MR];
            let mut place = Place { tap: 0, word: 0, w: args.w.add(NR / 2) };
            accumulate(args, &mut place, &mut halves, WORDS_PER_HALF);
            let plain = args.row_bias.is_null()
                && args.requant.negative_multiplier.is_null()
                && args.sums.is_null();
            if plain && args.rows == MR && args.cols == NR {
                return finish_whole(args, &halves);
            }
            finish(args, |r, group| {
                let half = halves[r][group / 2];
                let count = match group % 2 {
                    0 => vmovl_u16(vget_low_u16(half)),
                    _ => vmovl_high_u16(half),
                };
                vreinterpretq_s32_u32(count)
            });
        } else {
            many_words(args);
        }
    }
}

/// As [`gemm_4x32`], for sums beyond 16 bits.
///
/// # Safety
/// As [`MicroKernel::run`].
#[cold]
#[target_feature(enable = "neon")]
unsafe fn many_words(args: &BinGemmArgs) {
    let mut counts = [[vdupq_n_s32(0); NR / 4]; MR];
    // SAFETY: the caller vouches for `args`.
    unsafe {
        let mut place = Place { tap: 0, word: 0, w: args.w.add(NR / 2) };
        while place.tap < args.taps {
            let mut halves = [[vdupq_n_u16(0); 4]; MR];
            accumulate(args, &mut place, &mut halves, WORDS_PER_HALF);
            for (counts, halves) in
                counts.as_flattened_mut().chunks_exact_mut(2).zip(halves.as_flattened())
            {
                let low = vmovl_u16(vget_low_u16(*halves));
                counts[0] = vaddq_s32(counts[0], vreinterpretq_s32_u32(low));
                counts[1] = vaddq_s32(counts[1], vreinterpretq_s32_u32(vmovl_high_u16(*halves)));
            }
        }
        finish(args, |r, group| counts[r][group]);
    }
}

/// Where the sum goes on.
struct Place {
    tap: usize,
    word: usize,
    w: *const u64,
}

/// Adds the differing bits of up to `most` words from `place` on.
///
/// # Safety
/// As [`MicroKernel::run`]; `place` is within the operands.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn accumulate(args: &BinGemmArgs, place: &mut Place, halves: &mut Halves, mut most: usize) {
    let mut bytes: Bytes = [[vdupq_n_u8(0); 2]; MR];
    let mut room = WORDS_PER_BYTE;
    while place.tap < args.taps && most > 0 {
        let words = (args.words - place.word).min(room).min(most);
        // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `words` words followed by readable
        // ones (SLACK), and `w` is a whole panel followed by 64 bytes.
        unsafe {
            let rows = std::array::from_fn(|r| (*args.a.add(place.tap * MR + r)).add(place.word));
            count(&mut bytes, rows, place.w, words);
            place.w = place.w.add(NR * words);
        }
        place.word += words;
        if place.word == args.words {
            (place.tap, place.word) = (place.tap + 1, 0);
        }
        (room, most) = (room - words, most - words);
        if room == 0 {
            widen(halves, &mut bytes);
            room = WORDS_PER_BYTE;
        }
    }
    widen(halves, &mut bytes);
}

/// Adds the differing bits of `words` words, at least one.
///
/// # Safety
/// `rows` point to so many words, `w` to so many of all columns; readable for 64 bytes more.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn count(bytes: &mut Bytes, rows: [*const u64; MR], w: *const u64, words: usize) {
    let [[a, b], [c, d], [e, f], [g, h]] = bytes;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldrb {b0:w}, [{r0}]", "ldrb {b1:w}, [{r1}]", "ldrb {b2:w}, [{r2}]", "ldrb {b3:w}, [{r3}]",
            "ldr q8, [{w}]", "dup v12.16b, {b0:w}", "dup v13.16b, {b1:w}", "ldr q9, [{w}, #16]",
            "ldrb {b0:w}, [{r0}, #1]", "ldrb {b1:w}, [{r1}, #1]",
            "ldr {x0}, [{w}, #32]", "ldr {x1}, [{w}, #40]", "ldr {x2}, [{w}, #48]", "ldr {x3}, [{w}, #56]",
            "2:",
            step!("v8" "v9" "d10" "d11", "64", "1" "2"), rest!("v10" "v11", "64"),
            step!("v10" "v11" "d8" "d9", "96", "2" "3"), rest!("v8" "v9", "96"),
            step!("v8" "v9" "d10" "d11", "128", "3" "4"), rest!("v10" "v11", "128"),
            step!("v10" "v11" "d8" "d9", "160", "4" "5"), rest!("v8" "v9", "160"),
            step!("v8" "v9" "d10" "d11", "192", "5" "6"), rest!("v10" "v11", "192"),
            step!("v10" "v11" "d8" "d9", "224", "6" "7"), rest!("v8" "v9", "224"),
            step!("v8" "v9" "d10" "d11", "256", "7" "8"), rest!("v10" "v11", "256"),
            "subs {words}, {words}, #1",
            step!("v10" "v11" "d8" "d9", "288", "8" "9"), rest!("v8" "v9", "288"),
            "add {w}, {w}, #256", "add {r0}, {r0}, #8", "add {r1}, {r1}, #8",
            "add {r2}, {r2}, #8", "add {r3}, {r3}, #8",
            "b.ne 2b",
            r0 = inout(reg) rows[0] => _, r1 = inout(reg) rows[1] => _,
            r2 = inout(reg) rows[2] => _, r3 = inout(reg) rows[3] => _,
            b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
            x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
            w = inout(reg) w => _, words = inout(reg) words => _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            options(nostack, readonly),
        );
    }
}

/// Adds the byte counts to the sums, and clears them.
#[inline]
#[target_feature(enable = "neon")]
fn widen(halves: &mut Halves, bytes: &mut Bytes) {
    for (halves, bytes) in halves.iter_mut().zip(bytes) {
        for (halves, bytes) in halves.chunks_exact_mut(2).zip(bytes) {
            halves[0] = vaddw_u8(halves[0], vget_low_u8(*bytes));
            halves[1] = vaddw_high_u8(halves[1], *bytes);
            *bytes = vdupq_n_u8(0);
        }
    }
}

/// Stores the tile, whose counts of row `r` and columns `4 * group..` are `counts(r, group)`.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish(args: &BinGemmArgs, counts: impl Fn(usize, usize) -> int32x4_t) {
    let bits = vdupq_n_s32((args.bits as i32) << 8);
    for group in 0..args.cols.div_ceil(4) {
        let column = 4 * group;
        let cols = (args.cols - column).min(4);
        // SAFETY: the caller vouches for `args`: biases, corrections and the arrays of `requant` have NR elements, and
        // `c` is `rows` rows of `cols` elements.
        unsafe {
            let none = vaddq_s32(bits, vld1q_s32(args.w.cast::<i32>().add(column)));
            let mut acc: [int32x4_t; MR] =
                std::array::from_fn(|r| vsubq_s32(none, vshlq_n_s32::<9>(counts(r, group))));
            if !args.row_bias.is_null() {
                for (r, acc) in acc.iter_mut().enumerate() {
                    *acc = vaddq_s32(*acc, vld1q_s32((*args.row_bias.add(r)).add(column)));
                }
            }
            if !args.sums.is_null() {
                store_sums(args, column, &acc);
                continue;
            }
            let requant = from_column(&args.requant, column);
            store_4x4(&requant, acc, args.c.add(column), args.c_stride, (args.rows, cols));
        }
    }
}

/// As [`finish`] for a whole tile without corrections and PReLU, eight columns of all rows side by side. Narrowing
/// saturates, so zero point and bounds may come after it.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn finish_whole(args: &BinGemmArgs, halves: &Halves) {
    let Requant { multiplier, left, right, zero_point, min, max, .. } = args.requant;
    let bits = vdupq_n_s32((args.bits as i32) << 8);
    let zero_point = vdupq_n_s16(zero_point as i16);
    let (min, max) = (vdup_n_s8(min as i8), vdup_n_s8(max as i8));
    for column in (0..NR).step_by(8) {
        // SAFETY: the caller vouches for `args`: biases and the arrays of `requant` have NR elements, and `c` is MR
        // rows of NR elements.
        unsafe {
            let load = |array: *const i32| {
                let array = array.add(column);
                [vld1q_s32(array), vld1q_s32(array.add(4))]
            };
            let none = load(args.w.cast()).map(|bias| vaddq_s32(bits, bias));
            let (left, multiplier) = (load(left), load(multiplier));
            let right = load(right).map(|right| vnegq_s32(right));
            // Vector `i` is the half `i % 2` of row `i / 2`.
            let x: [int32x4_t; 2 * MR] = std::array::from_fn(|i| {
                let half = halves[i / 2][column / 8];
                let twice = match i % 2 {
                    0 => vshll_n_u16::<9>(vget_low_u16(half)),
                    _ => vshll_high_n_u16::<9>(half),
                };
                vsubq_s32(none[i % 2], vreinterpretq_s32_u32(twice))
            });
            let x: [int32x4_t; 2 * MR] = std::array::from_fn(|i| vqshlq_s32(x[i], left[i % 2]));
            let x: [int32x4_t; 2 * MR] =
                std::array::from_fn(|i| vqrdmulhq_s32(x[i], multiplier[i % 2]));
            let x: [int32x4_t; 2 * MR] = std::array::from_fn(|i| vrshlq_s32(x[i], right[i % 2]));
            let x: [int16x8_t; MR] =
                std::array::from_fn(|r| vqmovn_high_s32(vqmovn_s32(x[2 * r]), x[2 * r + 1]));
            for (r, x) in x.map(|x| vqmovn_s16(vqaddq_s16(x, zero_point))).into_iter().enumerate() {
                let x = vmin_s8(vmax_s8(x, min), max);
                vst1_s8(args.c.add(r * args.c_stride + column), x);
            }
        }
    }
}

/// The output stage of the columns from `column` on.
fn from_column(requant: &Requant, column: usize) -> Requant {
    let at = |array: *const i32| if array.is_null() { array } else { array.wrapping_add(column) };
    Requant {
        multiplier: at(requant.multiplier),
        left: at(requant.left),
        right: at(requant.right),
        negative_multiplier: at(requant.negative_multiplier),
        negative_left: at(requant.negative_left),
        negative_right: at(requant.negative_right),
        ..*requant
    }
}
