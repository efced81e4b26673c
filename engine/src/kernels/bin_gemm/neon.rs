//! One-bit tiles for 64-bit ARM whose vector lanes are channels, scheduled for in-order cores.

use std::arch::aarch64::{
    uint16x8_t, vaddq_s32, vdupq_n_s32, vdupq_n_u16, vget_low_u16, vmovl_high_u16, vmovl_u16,
    vreinterpretq_s32_u32, vshlq_n_s32,
};
use std::arch::asm;
use std::mem::MaybeUninit;

use super::neon_output::{AtOnce, ROWS, any, any_counts, store_8x8};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};

/// Eight rows by eight columns, 128 channels at a time, and eight such groups of columns one after the other: EOR and CNT
/// per 128 products, then pairs of columns are added (ADDP) until each byte is the count of one column and row, which
/// takes one addition per 128 products too. No sum is ever in a byte for longer than a step, and none is left to be added
/// across lanes in the end: UADDW leaves every column of a row in its own 16 bits.
///
/// A step takes 4 * (32 EOR and CNT + 15 ADDP + 2 UADDW) = 196 cycles of a Cortex-A53 and 16 for its operands, whose
/// words integer loads fetch beside other instructions, two moves per cycle: 212 for 8192 products.
///
/// The words of eight rows are gathered first, once for all columns: taps end there.
pub(crate) static GEMM_8X64: BinGemm = MicroKernel {
    name: "bin_gemm_8x64w2_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_8x64) },
};

const MR: usize = 8;
const NR: usize = Tile::PAIRED_COLUMNS;
/// Columns of a group.
const GROUP: usize = Tile::PAIRED_GROUP;
/// Words of a row that are gathered at once: 16 KiB for all rows, and counts that fit 16 bits. Even.
const MOST_WORDS: usize = 256;
/// Words that the first steps of a loop may read beyond the last.
const BEYOND: usize = 2 * MR;

type Gathered = [MaybeUninit<u64>; MR * MOST_WORDS + BEYOND];
type Counts = [uint16x8_t; MR];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_8x64(args: &BinGemmArgs) {
    let all = args.taps * args.words;
    if all > MOST_WORDS {
        // SAFETY: the caller vouches for `args`.
        return unsafe { many_words(args, all) };
    }
    let mut gathered: Gathered = [MaybeUninit::uninit(); _];
    let stage = AtOnce::new(args).filter(|_| args.rows == MR);
    // SAFETY: the caller vouches for `args`; groups have `all` words of each column, after NR biases.
    unsafe {
        gather(args, 0, all, &mut gathered);
        for column in (0..args.cols).step_by(GROUP) {
            let w = args.w.add(NR / 2 + column * all);
            let counts = count::<false>(&gathered, w, all);
            if let Some(stage) = &stage
                && args.cols - column >= GROUP
            {
                store_8x8(stage, column, counts);
                continue;
            }
            let [a, b, c, d, e, f, g, h] = counts;
            any_counts::<9>(args, 0, column, [a, b, c, d]);
            if args.rows > ROWS {
                any_counts::<9>(args, ROWS, column, [e, f, g, h]);
            }
        }
    }
}

/// As [`gemm_8x64`], for rows whose words do not fit the buffer.
///
/// # Safety
/// As [`MicroKernel::run`]; `all` are the words of a row.
#[cold]
#[target_feature(enable = "neon")]
unsafe fn many_words(args: &BinGemmArgs, all: usize) {
    let mut gathered: Gathered = [MaybeUninit::uninit(); _];
    for column in (0..args.cols).step_by(GROUP) {
        let mut sums = [[vdupq_n_s32(0); 2]; MR];
        for first in (0..all).step_by(MOST_WORDS) {
            let words = (all - first).min(MOST_WORDS);
            // SAFETY: the caller vouches for both operands.
            let counts = unsafe {
                gather(args, first, words, &mut gathered);
                count::<true>(&gathered, args.w.add(NR / 2 + column * all + first * GROUP), words)
            };
            for (sum, count) in sums.iter_mut().zip(counts) {
                sum[0] = vaddq_s32(sum[0], vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(count))));
                sum[1] = vaddq_s32(sum[1], vreinterpretq_s32_u32(vmovl_high_u16(count)));
            }
        }
        let taken = sums.map(|[a, b]| [vshlq_n_s32::<9>(a), vshlq_n_s32::<9>(b)]);
        for (first, taken) in (0..args.rows).step_by(ROWS).zip(taken.as_chunks().0) {
            // SAFETY: the caller vouches for `args`.
            unsafe { any(args, first, column, taken) };
        }
    }
}

/// Copies `words` words of every row from `first` (even) of its taps' words on: two of each row, then the next two of each,
/// and in the end a single one of each, if there is one.
///
/// # Safety
/// As [`MicroKernel::run`]; there are so many words.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn gather(args: &BinGemmArgs, first: usize, words: usize, gathered: &mut Gathered) {
    let to = gathered.as_mut_ptr().cast::<u64>();
    let last = words - words % 2;
    // SAFETY: the caller vouches for the words; pairs and the single ones lie within the buffer.
    unsafe {
        if args.words == 1 {
            for at in 0..words {
                let rows = args.a.add((first + at) * MR);
                let to = to.add(at / 2 * 2 * MR + at % 2);
                let step = if at < last { 2 } else { 1 };
                for r in 0..MR {
                    *to.add(step * r) = **rows.add(r);
                }
            }
        } else if args.words.is_multiple_of(2) {
            let (mut tap, mut word, mut at) = (first / args.words, first % args.words, 0);
            while at < words {
                let rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
                let run = (args.words - word).min(words - at);
                for k in (0..run).step_by(2) {
                    let to = to.add((at + k) * MR);
                    for (r, row) in rows.into_iter().enumerate() {
                        let pair = row.add(word + k).cast::<[u64; 2]>().read();
                        to.add(2 * r).cast::<[u64; 2]>().write(pair);
                    }
                }
                (tap, word, at) = (tap + 1, 0, at + run);
            }
        } else {
            for at in 0..words {
                let (tap, word) = ((first + at) / args.words, (first + at) % args.words);
                let to = to.add(at / 2 * 2 * MR + at % 2);
                let step = if at < last { 2 } else { 1 };
                for r in 0..MR {
                    *to.add(step * r) = *(*args.a.add(tap * MR + r)).add(word);
                }
            }
        }
    }
}

/// A row against all columns. `$x` are its words, v8-v15 the columns, v20-v23 and v24-v27 what is counted of the first and
/// last four of them, of which `$c` (with v29) and v24 remain. The end of a row is computed beside the next one: `$p` and
/// v24 of the row before become `$s`. `$i` to `$l` are integer instructions, which cost nothing beside others, `$m` to `$o`
/// moves of operands, and `$e` ends a pair of rows.
macro_rules! row {
    ($x:literal: $c:literal, $p:literal => $s:literal,
     [$i0:literal $i1:literal $i2:literal $i3:literal]
     [$j0:literal $j1:literal $j2:literal $j3:literal] $m:literal, $n:literal
     [$k0:literal $k1:literal $k2:literal $k3:literal] $o:literal
     [$l0:literal $l1:literal $l2:literal $l3:literal] $e:literal) => {
        concat!(
            "eor v20.16b, ",
            $x,
            ".16b, v8.16b\n",
            $i0,
            "\n",
            "eor v21.16b, ",
            $x,
            ".16b, v9.16b\n",
            $i1,
            "\n",
            "eor v22.16b, ",
            $x,
            ".16b, v10.16b\n",
            $i2,
            "\n",
            "eor v23.16b, ",
            $x,
            ".16b, v11.16b\n",
            $i3,
            "\n",
            "addp v24.16b, v24.16b, v25.16b\n",
            "addp v26.16b, v26.16b, v27.16b\n",
            "cnt v20.16b, v20.16b\n",
            $j0,
            "\n",
            "cnt v21.16b, v21.16b\n",
            $j1,
            "\n",
            "cnt v22.16b, v22.16b\n",
            $j2,
            "\n",
            "cnt v23.16b, v23.16b\n",
            $j3,
            "\n",
            "addp v24.16b, v24.16b, v26.16b\n",
            "addp ",
            $c,
            ".16b, v20.16b, v21.16b\n",
            "addp v29.16b, v22.16b, v23.16b\n",
            $m,
            "\n",
            "addp ",
            $s,
            ".16b, ",
            $p,
            ".16b, v24.16b\n",
            $n,
            "\n",
            "eor v24.16b, ",
            $x,
            ".16b, v12.16b\n",
            $k0,
            "\n",
            "eor v25.16b, ",
            $x,
            ".16b, v13.16b\n",
            $k1,
            "\n",
            "eor v26.16b, ",
            $x,
            ".16b, v14.16b\n",
            $k2,
            "\n",
            "eor v27.16b, ",
            $x,
            ".16b, v15.16b\n",
            $k3,
            "\n",
            "addp ",
            $c,
            ".16b, ",
            $c,
            ".16b, v29.16b\n",
            $o,
            "\n",
            "cnt v24.16b, v24.16b\n",
            $l0,
            "\n",
            "cnt v25.16b, v25.16b\n",
            $l1,
            "\n",
            "cnt v26.16b, v26.16b\n",
            $l2,
            "\n",
            "cnt v27.16b, v27.16b\n",
            $l3,
            "\n",
            $e,
            "\n",
        )
    };
}

/// Two rows against all columns, 64 bits: v16-v23 and v24-v31, v23 and v31 at first the rows. `$p` and `$q` take what the rows
/// before have left in v16 and v24, `$m` and `$n` load the rows to come.
macro_rules! word_pair {
    ($p:literal, $q:literal, $m:literal, $n:literal) => {
        concat!(
            "eor v17.8b, v23.8b, v9.8b\neor v18.8b, v23.8b, v10.8b\neor v19.8b, v23.8b, v11.8b\n",
            "eor v20.8b, v23.8b, v12.8b\neor v21.8b, v23.8b, v13.8b\neor v22.8b, v23.8b, v14.8b\n",
            $p,
            "\neor v16.8b, v23.8b, v8.8b\neor v23.8b, v23.8b, v15.8b\n",
            "eor v25.8b, v31.8b, v9.8b\neor v26.8b, v31.8b, v10.8b\neor v27.8b, v31.8b, v11.8b\n",
            "eor v28.8b, v31.8b, v12.8b\neor v29.8b, v31.8b, v13.8b\neor v30.8b, v31.8b, v14.8b\n",
            $q,
            "\neor v24.8b, v31.8b, v8.8b\neor v31.8b, v31.8b, v15.8b\n",
            "cnt v16.8b, v16.8b\ncnt v17.8b, v17.8b\ncnt v18.8b, v18.8b\ncnt v19.8b, v19.8b\n",
            "cnt v20.8b, v20.8b\ncnt v21.8b, v21.8b\ncnt v22.8b, v22.8b\ncnt v23.8b, v23.8b\n",
            "cnt v24.8b, v24.8b\ncnt v25.8b, v25.8b\ncnt v26.8b, v26.8b\ncnt v27.8b, v27.8b\n",
            "cnt v28.8b, v28.8b\ncnt v29.8b, v29.8b\ncnt v30.8b, v30.8b\ncnt v31.8b, v31.8b\n",
            "addp v16.8b, v16.8b, v17.8b\naddp v18.8b, v18.8b, v19.8b\n",
            "addp v20.8b, v20.8b, v21.8b\naddp v22.8b, v22.8b, v23.8b\n",
            "addp v24.8b, v24.8b, v25.8b\naddp v26.8b, v26.8b, v27.8b\n",
            "addp v28.8b, v28.8b, v29.8b\naddp v30.8b, v30.8b, v31.8b\n",
            "addp v16.8b, v16.8b, v18.8b\naddp v20.8b, v20.8b, v22.8b\n",
            "addp v24.8b, v24.8b, v26.8b\naddp v28.8b, v28.8b, v30.8b\n",
            $m,
            "\n",
            $n,
            "\n",
            "addp v16.8b, v16.8b, v20.8b\naddp v24.8b, v24.8b, v28.8b\n",
        )
    };
}

/// All rows against all columns, 64 bits: v8-v15 are the columns, v23 and v31 the first two rows, whose next ones are at `{a}`.
macro_rules! word_pairs {
    () => {
        concat!(
            word_pair!("", "", "ldr d23, [{a}, #16]", "ldr d31, [{a}, #24]"),
            word_pair!(
                "uaddw v0.8h, v0.8h, v16.8b",
                "uaddw v1.8h, v1.8h, v24.8b",
                "ldr d23, [{a}, #32]",
                "ldr d31, [{a}, #40]"
            ),
            word_pair!(
                "uaddw v2.8h, v2.8h, v16.8b",
                "uaddw v3.8h, v3.8h, v24.8b",
                "ldr d23, [{a}, #48]",
                "ldr d31, [{a}, #56]"
            ),
            word_pair!("uaddw v4.8h, v4.8h, v16.8b", "uaddw v5.8h, v5.8h, v24.8b", "", ""),
            "uaddw v6.8h, v6.8h, v16.8b\nuaddw v7.8h, v7.8h, v24.8b\n",
        )
    };
}

/// The differing bits of `words` words of each row and column, which fit 16 bits. `WIDE` tells callers apart, so that each has
/// its own copy in line: results stay in registers.
///
/// # Safety
/// `gathered` holds so many words of each row as [`gather`] leaves them, `w` as many of each column of a group.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
unsafe fn count<const WIDE: bool>(gathered: &Gathered, w: *const u64, words: usize) -> Counts {
    let mut counts = [vdupq_n_u16(0); MR];
    let steps = words / 2;
    let rows = gathered.as_ptr().cast::<u64>();
    if steps > 0 {
        let [a, b, c, d, e, f, g, h] = &mut counts;
        // SAFETY: the caller vouches for what is read; the loop reads two rows beyond the last ones, for which the buffer has
        // room, and no column beyond the last step. Nothing is written.
        unsafe {
            asm!(
                "ldr d16, [{a}]", "ldr d17, [{a}, #16]", "ldr {w1}, [{a}, #8]", "ldr {w3}, [{a}, #24]",
                "ldr d8, [{w}]", "mov v16.d[1], {w1}", "ldr {w0}, [{w}, #8]",
                "ldr d9, [{w}, #16]", "mov v17.d[1], {w3}", "ldr {w1}, [{w}, #24]",
                "ldr d10, [{w}, #32]", "mov v8.d[1], {w0}", "ldr {w2}, [{w}, #40]",
                "ldr d11, [{w}, #48]", "mov v9.d[1], {w1}", "ldr {w3}, [{w}, #56]",
                "movi v24.16b, #0", "ldr {w0}, [{w}, #64]", "movi v25.16b, #0", "ldr {w1}, [{w}, #72]",
                "mov v10.d[1], {w2}", "mov v11.d[1], {w3}",
                "movi v26.16b, #0", "ldr {w2}, [{w}, #80]", "movi v27.16b, #0", "ldr {w3}, [{w}, #88]",
                "movi v30.16b, #0", "ldr {w4}, [{w}, #96]", "movi v31.16b, #0", "ldr {w5}, [{w}, #104]",
                "ldr {w6}, [{w}, #112]", "ldr {w7}, [{w}, #120]",
                "2:",
                row!("v16": "v28", "v30" => "v30",
                    ["ldr {a0}, [{a}, #32]" "ldr {a1}, [{a}, #40]" "ldr {a2}, [{a}, #48]" "ldr {a3}, [{a}, #56]"]
                    ["" "" "" ""] "",
                    "fmov d12, {w0}\nfmov d13, {w2}\nmov v12.d[1], {w1}\nmov v13.d[1], {w3}
                     fmov d14, {w4}\nfmov d15, {w6}\nmov v14.d[1], {w5}\nmov v15.d[1], {w7}"
                    ["" "" "" ""] "addp v30.16b, v31.16b, v30.16b"
                    ["" "" "" ""] "uaddw v6.8h, v6.8h, v30.8b\nuaddw2 v7.8h, v7.8h, v30.16b"),
                row!("v17": "v30", "v28" => "v31", ["" "" "" ""] ["" "" "" ""] "", "" ["" "" "" ""]
                    "fmov d18, {a0}\nfmov d19, {a2}\nmov v18.d[1], {a1}\nmov v19.d[1], {a3}" ["" "" "" ""] ""),
                row!("v18": "v28", "v30" => "v30",
                    ["ldr {a0}, [{a}, #64]" "ldr {a1}, [{a}, #72]" "ldr {a2}, [{a}, #80]" "ldr {a3}, [{a}, #88]"]
                    ["" "" "" ""] "", "" ["" "" "" ""] "addp v30.16b, v31.16b, v30.16b"
                    ["" "" "" ""] "uaddw v0.8h, v0.8h, v30.8b\nuaddw2 v1.8h, v1.8h, v30.16b"),
                row!("v19": "v30", "v28" => "v31", ["" "" "" ""] ["" "" "" ""] "", "" ["" "" "" ""]
                    "fmov d16, {a0}\nfmov d17, {a2}\nmov v16.d[1], {a1}\nmov v17.d[1], {a3}" ["" "" "" ""] ""),
                row!("v16": "v28", "v30" => "v30",
                    ["ldr {a0}, [{a}, #96]" "ldr {a1}, [{a}, #104]" "ldr {a2}, [{a}, #112]" "ldr {a3}, [{a}, #120]"]
                    ["" "" "" ""] "", "" ["" "" "" ""] "addp v30.16b, v31.16b, v30.16b"
                    ["" "" "" ""] "uaddw v2.8h, v2.8h, v30.8b\nuaddw2 v3.8h, v3.8h, v30.16b"),
                row!("v17": "v30", "v28" => "v31",
                    ["subs {steps}, {steps}, #1" "add {next}, {w}, #128" "add {a}, {a}, #128" "csel {w}, {next}, {w}, ne"]
                    ["" "" "" ""] "", "" ["" "" "" ""]
                    "fmov d18, {a0}\nfmov d19, {a2}\nmov v18.d[1], {a1}\nmov v19.d[1], {a3}" ["" "" "" ""] ""),
                row!("v18": "v28", "v30" => "v30",
                    ["ldr {a0}, [{a}]" "ldr {a1}, [{a}, #8]" "ldr {a2}, [{a}, #16]" "ldr {a3}, [{a}, #24]"]
                    ["ldr {w0}, [{w}]" "ldr {w1}, [{w}, #8]" "ldr {w2}, [{w}, #16]" "ldr {w3}, [{w}, #24]"] "", ""
                    ["ldr {w4}, [{w}, #32]" "ldr {w5}, [{w}, #40]" "ldr {w6}, [{w}, #48]" "ldr {w7}, [{w}, #56]"]
                    "addp v30.16b, v31.16b, v30.16b"
                    ["" "" "" ""] "uaddw v4.8h, v4.8h, v30.8b\nuaddw2 v5.8h, v5.8h, v30.16b"),
                row!("v19": "v30", "v28" => "v31", ["" "" "" ""] ["" "" "" ""]
                    "fmov d8, {w0}\nfmov d9, {w2}\nmov v8.d[1], {w1}\nmov v9.d[1], {w3}
                     fmov d10, {w4}\nfmov d11, {w6}\nmov v10.d[1], {w5}\nmov v11.d[1], {w7}", ""
                    ["ldr {w0}, [{w}, #64]" "ldr {w1}, [{w}, #72]" "ldr {w2}, [{w}, #80]" "ldr {w3}, [{w}, #88]"]
                    "fmov d16, {a0}\nfmov d17, {a2}\nmov v16.d[1], {a1}\nmov v17.d[1], {a3}"
                    ["ldr {w4}, [{w}, #96]" "ldr {w5}, [{w}, #104]" "ldr {w6}, [{w}, #112]" "ldr {w7}, [{w}, #120]"] ""),
                "b.ne 2b",
                // The end of the last two rows, beside which a single word of each row and column is loaded if there is one.
                "addp v24.16b, v24.16b, v25.16b", "addp v26.16b, v26.16b, v27.16b",
                "cbnz {single}, 3f",
                "addp v24.16b, v24.16b, v26.16b", "addp v30.16b, v30.16b, v24.16b",
                "addp v30.16b, v31.16b, v30.16b",
                "uaddw v6.8h, v6.8h, v30.8b", "uaddw2 v7.8h, v7.8h, v30.16b", "b 4f",
                "3:", "ldr d23, [{a}]", "ldr d9, [{next}, #8]", "ldr d10, [{next}, #16]",
                "addp v24.16b, v24.16b, v26.16b", "ldr d11, [{next}, #24]", "ldr d12, [{next}, #32]",
                "addp v30.16b, v30.16b, v24.16b", "ldr d13, [{next}, #40]", "ldr d14, [{next}, #48]", "ldr d8, [{next}]",
                "addp v30.16b, v31.16b, v30.16b", "ldr d15, [{next}, #56]", "ldr d31, [{a}, #8]",
                "uaddw v6.8h, v6.8h, v30.8b", "uaddw2 v7.8h, v7.8h, v30.16b",
                word_pairs!(), "4:",
                single = in(reg) words % 2,
                a = inout(reg) rows => _, w = inout(reg) w => _, steps = inout(reg) steps => _, next = out(reg) _,
                a0 = out(reg) _, a1 = out(reg) _, a2 = out(reg) _, a3 = out(reg) _,
                w0 = out(reg) _, w1 = out(reg) _, w2 = out(reg) _, w3 = out(reg) _,
                w4 = out(reg) _, w5 = out(reg) _, w6 = out(reg) _, w7 = out(reg) _,
                inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
                inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
                out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
                out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
                out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
                out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                options(nostack, readonly),
            );
        }
    }
    if words == 1 {
        // SAFETY: they are a word of each row and one of each column.
        unsafe { single_words(&mut counts, rows, w) };
    }
    counts
}

/// Adds the differing bits of one word of each row and column, in 123 cycles: two 64-bit instructions share one.
///
/// # Safety
/// There are so many words.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn single_words(counts: &mut Counts, rows: *const u64, w: *const u64) {
    let [a, b, c, d, e, f, g, h] = counts;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldr d23, [{a}]", "ldr d8, [{w}]", "ldr d9, [{w}, #8]", "ldr d10, [{w}, #16]", "ldr d11, [{w}, #24]",
            "ldr d12, [{w}, #32]", "ldr d13, [{w}, #40]", "ldr d14, [{w}, #48]", "ldr d15, [{w}, #56]", "ldr d31, [{a}, #8]",
            word_pairs!(),
            a = in(reg) rows, w = in(reg) w,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v14") _, out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _, out("v24") _, out("v25") _,
            out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack, readonly),
        );
    }
}
