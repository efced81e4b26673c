//! 4-bit tiles for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{
    int16x8_t, int32x4_t, vaddq_s32, vdupq_n_s16, vdupq_n_s32, vld1q_s32, vpadalq_s16, vpaddq_s32,
};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by four columns, sixteen channels at a time. Products of 8 and 4 bits leave room for 36 of them in a 16-bit
/// lane, so the widening that costs 8-bit kernels every third instruction comes once in 288 channels. Sixteen weights of a
/// column unpack with three shifts for four rows: 64 products per eleven instructions.
///
/// As in the 8-bit kernel, activations come through integer registers, whose loads a Cortex-A53 issues beside the
/// multiplications. The weights of a column are unpacked while the column before is multiplied: two 64-bit NEON operations
/// share a cycle, so loads, shifts and moves stand in pairs.
pub(crate) static GEMM_4X4: I8Gemm = MicroKernel {
    name: "i4_gemm_4x4c16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: KR },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x4) },
};

const MR: usize = 4;
const NR: usize = 4;
const KR: usize = 16;
/// Steps of KR channels after which 16-bit lanes are full: each adds two products of at most 7 * 128.
const STEPS: usize = 18;

type Narrow = [int16x8_t; MR * NR];
type Wide = [int32x4_t; MR * NR];

/// One column of a step: v16-v19 and v20-v23 are the rows' first and second eight channels, `$w` and `$v` the column's.
/// `$ahead` loads packed weights; those in `$packed` become the next column's `$next_w` and `$next_v`. `$load` are two
/// loads to be issued beside, `$first` moves when the first eight channels have been read.
macro_rules! column {
    ($w:literal $v:literal, $c0:literal $c1:literal $c2:literal $c3:literal,
     $packed:literal => $next_w:literal $next_v:literal, $ahead:literal,
     $load0:literal $load1:literal $load2:literal, $first:literal) => {
        concat!(
            "smlal ",
            $c0,
            ".8h, v16.8b, ",
            $w,
            ".8b\n",
            $load0,
            "\n",
            "smlal ",
            $c1,
            ".8h, v17.8b, ",
            $w,
            ".8b\n",
            $load1,
            "\n",
            "shl ",
            $next_w,
            ".8b, ",
            $packed,
            ".8b, #4\n",
            "sshr ",
            $next_v,
            ".8b, ",
            $packed,
            ".8b, #4\n",
            "smlal ",
            $c2,
            ".8h, v18.8b, ",
            $w,
            ".8b\n",
            $load2,
            "\n",
            "smlal ",
            $c3,
            ".8h, v19.8b, ",
            $w,
            ".8b\n",
            $ahead,
            "\n",
            "sshr ",
            $next_w,
            ".8b, ",
            $next_w,
            ".8b, #4\n",
            $first,
            "\n",
            "smlal ",
            $c0,
            ".8h, v20.8b, ",
            $v,
            ".8b\n",
            "smlal ",
            $c1,
            ".8h, v21.8b, ",
            $v,
            ".8b\n",
            "smlal ",
            $c2,
            ".8h, v22.8b, ",
            $v,
            ".8b\n",
            "smlal ",
            $c3,
            ".8h, v23.8b, ",
            $v,
            ".8b\n",
        )
    };
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least 31
    // readable ones (SLACK), which meet zero weights or are not used; `w` is a whole panel followed by as many; `c` is
    // `rows` rows of `cols` elements.
    unsafe {
        let mut wide: Wide = [vdupq_n_s32(0); MR * NR];
        let mut narrow: Narrow = [vdupq_n_s16(0); MR * NR];
        let mut room = STEPS;
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let mut left = args.channels.div_ceil(KR);
            let mut rows: [*const i8; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            while left > 0 {
                if room == 0 {
                    widen(&mut wide, &mut narrow);
                    room = STEPS;
                }
                let steps = left.min(room);
                multiply(&mut narrow, &rows, w, steps);
                (left, room) = (left - steps, room - steps);
                rows = rows.map(|row| row.wrapping_add(steps * KR));
                w = w.add(steps * NR * KR / 2);
            }
        }
        widen(&mut wide, &mut narrow);
        let bias = vld1q_s32(args.w.cast());
        let row = |acc: &[int32x4_t]| {
            let pairs = [vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3])];
            vaddq_s32(vpaddq_s32(pairs[0], pairs[1]), bias)
        };
        let acc = [row(&wide[..4]), row(&wide[4..8]), row(&wide[8..12]), row(&wide[12..])];
        store_4x4(&args.requant, acc, args.c, args.c_stride, (args.rows, args.cols));
    }
}

/// Adds the products of `steps` times KR channels.
///
/// # Safety
/// `rows` has MR pointers to so many channels, `w` is so many groups of weights; both are readable for 16 bytes more.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn multiply(acc: &mut Narrow, rows: &[*const i8; MR], w: *const i8, steps: usize) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = acc;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldr d24, [{w}]", "ldr d25, [{w}, #8]",
            "ldr d16, [{r0}]", "ldr d17, [{r1}]", "ldr d18, [{r2}]", "ldr d19, [{r3}]",
            "shl v26.8b, v24.8b, #4", "sshr v27.8b, v24.8b, #4",
            "ldr d20, [{r0}, #8]", "ldr d21, [{r1}, #8]", "ldr d22, [{r2}, #8]", "ldr d23, [{r3}, #8]",
            "sshr v26.8b, v26.8b, #4",
            "2:",
            column!("v26" "v27", "v0" "v4" "v8" "v12", "v25" => "v28" "v29", "ldr d24, [{w}, #16]",
                "ldr {a0}, [{r0}, #16]!" "ldr {a1}, [{r1}, #16]!" "subs {steps}, {steps}, #1", ""),
            column!("v28" "v29", "v1" "v5" "v9" "v13", "v24" => "v26" "v27", "ldr d25, [{w}, #24]",
                "ldr {a2}, [{r2}, #16]!" "ldr {a3}, [{r3}, #16]!" "", ""),
            column!("v26" "v27", "v2" "v6" "v10" "v14", "v25" => "v28" "v29", "ldr d24, [{w}]",
                "ldr {b0}, [{r0}, #8]" "ldr {b1}, [{r1}, #8]" "add {w}, {w}, #32", ""),
            column!("v28" "v29", "v3" "v7" "v11" "v15", "v24" => "v26" "v27", "ldr d25, [{w}, #8]",
                "ldr {b2}, [{r2}, #8]" "ldr {b3}, [{r3}, #8]" "",
                "fmov d16, {a0}\nfmov d17, {a1}\nfmov d18, {a2}\nfmov d19, {a3}"),
            "fmov d20, {b0}", "fmov d21, {b1}", "fmov d22, {b2}", "fmov d23, {b3}",
            "b.ne 2b",
            r0 = inout(reg) rows[0] => _, r1 = inout(reg) rows[1] => _,
            r2 = inout(reg) rows[2] => _, r3 = inout(reg) rows[3] => _,
            w = inout(reg) w => _, steps = inout(reg) steps => _,
            a0 = out(reg) _, a1 = out(reg) _, a2 = out(reg) _, a3 = out(reg) _,
            b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            inout("v4") *e, inout("v5") *f, inout("v6") *g, inout("v7") *h,
            inout("v8") *i, inout("v9") *j, inout("v10") *k, inout("v11") *l,
            inout("v12") *m, inout("v13") *n, inout("v14") *o, inout("v15") *p,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _,
            out("v28") _, out("v29") _,
            options(nostack, readonly),
        );
    }
}

/// Moves the sums of 16-bit lanes to 32-bit ones.
#[inline]
#[target_feature(enable = "neon")]
fn widen(wide: &mut Wide, narrow: &mut Narrow) {
    for (wide, narrow) in wide.iter_mut().zip(narrow.iter_mut()) {
        *wide = vpadalq_s16(*wide, *narrow);
        *narrow = vdupq_n_s16(0);
    }
}
