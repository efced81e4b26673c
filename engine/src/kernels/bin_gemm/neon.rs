//! One-bit tiles for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{
    int32x4_t, uint8x8_t, uint32x4_t, vaddq_s32, vaddq_u32, vcombine_u32, vdup_n_u8, vdupq_n_s32,
    vdupq_n_u32, vld1q_s32, vpadd_u32, vpaddl_u8, vpaddl_u16, vreinterpretq_s32_u32, vshlq_n_s32,
    vst1q_s32, vsubq_s32,
};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by four columns, a 64-bit word at a time: EOR, CNT and a byte-wise ADD per 64 products. A Cortex-A53 issues
/// two 64-bit NEON operations per cycle, as much as one of 128 bits, so layers of 64 channels waste nothing. The bytes
/// are summed up every 31 words (31 * 8 = 248 still fits).
pub(crate) static GEMM_4X4: BinGemm = MicroKernel {
    name: "bin_gemm_4x4w1_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x4) },
};

const MR: usize = 4;
const NR: usize = 4;
/// Words whose bit counts fit a byte.
const WORDS_PER_BYTE: usize = 31;

type Bytes = [uint8x8_t; MR * NR];

/// Two columns of a word: v16-v19 are the rows, `$w` and `$v` the columns. `$beside` are instructions to be issued when
/// the rows and columns have been read.
macro_rules! columns {
    ($w:literal: $c0:literal $c1:literal $c2:literal $c3:literal,
     $v:literal: $d0:literal $d1:literal $d2:literal $d3:literal, $beside:literal) => {
        concat!(
            "eor v24.8b, v16.8b, ",
            $w,
            ".8b\n",
            "eor v25.8b, v17.8b, ",
            $w,
            ".8b\n",
            "eor v26.8b, v18.8b, ",
            $w,
            ".8b\n",
            "eor v27.8b, v19.8b, ",
            $w,
            ".8b\n",
            "eor v28.8b, v16.8b, ",
            $v,
            ".8b\n",
            "eor v29.8b, v17.8b, ",
            $v,
            ".8b\n",
            "eor v30.8b, v18.8b, ",
            $v,
            ".8b\n",
            "eor v31.8b, v19.8b, ",
            $v,
            ".8b\n",
            $beside,
            "\n",
            "cnt v24.8b, v24.8b\n",
            "cnt v25.8b, v25.8b\n",
            "cnt v26.8b, v26.8b\n",
            "cnt v27.8b, v27.8b\n",
            "cnt v28.8b, v28.8b\n",
            "cnt v29.8b, v29.8b\n",
            "cnt v30.8b, v30.8b\n",
            "cnt v31.8b, v31.8b\n",
            "add ",
            $c0,
            ".8b, ",
            $c0,
            ".8b, v24.8b\n",
            "add ",
            $c1,
            ".8b, ",
            $c1,
            ".8b, v25.8b\n",
            "add ",
            $c2,
            ".8b, ",
            $c2,
            ".8b, v26.8b\n",
            "add ",
            $c3,
            ".8b, ",
            $c3,
            ".8b, v27.8b\n",
            "add ",
            $d0,
            ".8b, ",
            $d0,
            ".8b, v28.8b\n",
            "add ",
            $d1,
            ".8b, ",
            $d1,
            ".8b, v29.8b\n",
            "add ",
            $d2,
            ".8b, ",
            $d2,
            ".8b, v30.8b\n",
            "add ",
            $d3,
            ".8b, ",
            $d3,
            ".8b, v31.8b\n",
        )
    };
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `words` words followed by a readable one
    // (SLACK), `w` is a whole panel followed by four, `c` is `rows` rows of `cols` elements; `row_bias`,
    // when not null, has MR pointers to NR elements.
    unsafe {
        let bias = vld1q_s32(args.w.cast::<i32>());
        let mut w = args.w.add(NR / 2);
        let mut counts = [vdupq_n_u32(0); MR];
        let mut bytes: Bytes = [vdup_n_u8(0); MR * NR];
        let mut room = WORDS_PER_BYTE;
        for tap in 0..args.taps {
            let mut rows: [*const u64; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            let mut left = args.words;
            while left > 0 {
                if room == 0 {
                    widen(&mut counts, &mut bytes);
                    room = WORDS_PER_BYTE;
                }
                let words = left.min(room);
                count(&mut bytes, &rows, w, words);
                (left, room) = (left - words, room - words);
                rows = rows.map(|row| row.wrapping_add(words));
                w = w.add(NR * words);
            }
        }
        widen(&mut counts, &mut bytes);
        let bits = vdupq_n_s32(args.bits as i32);
        let mut acc = counts.map(|count| {
            let twice = vshlq_n_s32::<1>(vreinterpretq_s32_u32(count));
            vaddq_s32(vshlq_n_s32::<8>(vsubq_s32(bits, twice)), bias)
        });
        if !args.row_bias.is_null() {
            for (r, acc) in acc.iter_mut().enumerate() {
                *acc = vaddq_s32(*acc, vld1q_s32(*args.row_bias.add(r)));
            }
        }
        if !args.sums.is_null() {
            return store_sums(args, 0, &acc);
        }
        store_4x4(&args.requant, acc, args.c, args.c_stride, (args.rows, args.cols));
    }
}

/// Stores the accumulators of the columns from `column` on, at most four.
///
/// # Safety
/// As [`MicroKernel::run`], with `sums`, and a column that the tile has.
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn store_sums(args: &BinGemmArgs, column: usize, acc: &[int32x4_t; MR]) {
    for (r, &acc) in acc.iter().enumerate().take(args.rows) {
        let mut lanes = [0_i32; NR];
        // SAFETY: `lanes` has room for a vector; the caller vouches for the place.
        unsafe {
            vst1q_s32(lanes.as_mut_ptr(), acc);
            args.store_sums(r, column, &lanes[..(args.cols - column).min(NR)]);
        }
    }
}

/// Adds the differing bits of `words` words.
///
/// # Safety
/// `rows` has MR pointers to so many words, `w` is so many groups of columns; readable for one more each.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn count(bytes: &mut Bytes, rows: &[*const u64; MR], w: *const u64, words: usize) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = bytes;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldr d20, [{w}]", "ldr d16, [{r0}]", "ldr d17, [{r1}]", "ldr d18, [{r2}]", "ldr d19, [{r3}]",
            "ldr d21, [{w}, #8]",
            "2:",
            columns!("v20": "v0" "v4" "v8" "v12", "v21": "v1" "v5" "v9" "v13",
                "ldr d22, [{w}, #16]\nldr d23, [{w}, #24]\nsubs {words}, {words}, #1\nadd {w}, {w}, #32"),
            columns!("v22": "v2" "v6" "v10" "v14", "v23": "v3" "v7" "v11" "v15",
                "ldr d20, [{w}]\nldr d16, [{r0}, #8]!\nldr d17, [{r1}, #8]!\nldr d18, [{r2}, #8]!\nldr d19, [{r3}, #8]!\nldr d21, [{w}, #8]"),
            "b.ne 2b",
            r0 = inout(reg) rows[0] => _, r1 = inout(reg) rows[1] => _,
            r2 = inout(reg) rows[2] => _, r3 = inout(reg) rows[3] => _,
            w = inout(reg) w => _, words = inout(reg) words => _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            inout("v8") *i, inout("v9") *j, inout("v10") *k, inout("v11") *l,
            inout("v12") *m, inout("v13") *n, inout("v14") *o, inout("v15") *p,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack, readonly),
        );
    }
}

/// Adds the byte counts of each row to its four columns' sums, and clears them.
#[inline]
#[target_feature(enable = "neon")]
fn widen(counts: &mut [uint32x4_t; MR], bytes: &mut Bytes) {
    for (count, bytes) in counts.iter_mut().zip(bytes.chunks_exact_mut(NR)) {
        let sum = |j: usize| vpaddl_u16(vpaddl_u8(bytes[j]));
        let all = vcombine_u32(vpadd_u32(sum(0), sum(1)), vpadd_u32(sum(2), sum(3)));
        *count = vaddq_u32(*count, all);
        bytes.fill(vdup_n_u8(0));
    }
}
