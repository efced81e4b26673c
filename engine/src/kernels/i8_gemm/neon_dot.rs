//! 8-bit tiles for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vaddq_s32, vdupq_n_s32, vld1q_s32, vpaddq_s32};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by four columns, sixteen channels at a time: SMULL and SMLAL add two products in 16 bits, which weights of
/// -127..=127 cannot overflow (2 * 127 * 128 < 2^15), and SADALP adds pairs of those to 32 bits.
///
/// A Cortex-A53 issues one 128-bit NEON operation per cycle, every other cycle for SADALP: sixteen products in four
/// cycles. A 64-bit NEON load takes half of such a slot and nothing goes with it, but an integer load is free beside a
/// multiplication, and two moves to NEON registers share a cycle. So operands come through integer registers, one column
/// ahead for weights, one step ahead for activations. Equal registers are four instructions apart, which hides the
/// multiplier's latency.
pub(crate) static GEMM_4X4C16: I8Gemm = MicroKernel {
    name: "i8_gemm_4x4c16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: KR },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x4) },
};

const MR: usize = 4;
const NR: usize = 4;
const KR: usize = 16;

/// One column of a step: v16-v19 and v20-v23 are the rows' first and second eight channels, `$w` and `$v` the column's.
/// `$load` are four loads to be issued beside; `$first` and `$second` moves when the first and second eight channels have
/// been read.
macro_rules! column {
    ($w:literal $v:literal, $c0:literal $c1:literal $c2:literal $c3:literal,
     $load0:literal $load1:literal $load2:literal $load3:literal, $first:literal, $second:literal) => {
        concat!(
            "smull v28.8h, v16.8b, ",
            $w,
            ".8b\n",
            $load0,
            "\n",
            "smull v29.8h, v17.8b, ",
            $w,
            ".8b\n",
            $load1,
            "\n",
            "smull v30.8h, v18.8b, ",
            $w,
            ".8b\n",
            $load2,
            "\n",
            "smull v31.8h, v19.8b, ",
            $w,
            ".8b\n",
            $load3,
            "\n",
            $first,
            "\n",
            "smlal v28.8h, v20.8b, ",
            $v,
            ".8b\n",
            "smlal v29.8h, v21.8b, ",
            $v,
            ".8b\n",
            "smlal v30.8h, v22.8b, ",
            $v,
            ".8b\n",
            "smlal v31.8h, v23.8b, ",
            $v,
            ".8b\n",
            $second,
            "\n",
            "sadalp ",
            $c0,
            ".4s, v28.8h\n",
            "sadalp ",
            $c1,
            ".4s, v29.8h\n",
            "sadalp ",
            $c2,
            ".4s, v30.8h\n",
            "sadalp ",
            $c3,
            ".4s, v31.8h\n",
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
        let mut acc = [vdupq_n_s32(0); MR * NR];
        let steps = args.channels.div_ceil(KR);
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            multiply(&mut acc, args.a.add(tap * MR), w, steps);
            w = w.add(steps * NR * KR);
        }
        let bias = vld1q_s32(args.w.cast());
        let row = |acc: &[int32x4_t]| {
            let pairs = [vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3])];
            vaddq_s32(vpaddq_s32(pairs[0], pairs[1]), bias)
        };
        let acc = [row(&acc[..4]), row(&acc[4..8]), row(&acc[8..12]), row(&acc[12..])];
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
unsafe fn multiply(
    acc: &mut [int32x4_t; MR * NR],
    rows: *const *const i8,
    w: *const i8,
    steps: usize,
) {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = acc;
    // SAFETY: the caller vouches for what is read; nothing is written.
    unsafe {
        asm!(
            "ldr d16, [{r0}]", "ldr d17, [{r1}]", "ldr d18, [{r2}]", "ldr d19, [{r3}]",
            "ldr d24, [{w}]", "ldr d25, [{w}, #8]",
            "ldr d20, [{r0}, #8]", "ldr d21, [{r1}, #8]", "ldr d22, [{r2}, #8]", "ldr d23, [{r3}, #8]",
            "2:",
            column!("v24" "v25", "v0" "v4" "v8" "v12",
                "ldr {x0}, [{w}, #16]" "ldr {x1}, [{w}, #24]" "ldr {a0}, [{r0}, #16]!" "ldr {a1}, [{r1}, #16]!",
                "subs {steps}, {steps}, #1", "fmov d26, {x0}\nfmov d27, {x1}"),
            column!("v26" "v27", "v1" "v5" "v9" "v13",
                "ldr {x0}, [{w}, #32]" "ldr {x1}, [{w}, #40]" "ldr {a2}, [{r2}, #16]!" "ldr {a3}, [{r3}, #16]!",
                "", "fmov d24, {x0}\nfmov d25, {x1}"),
            column!("v24" "v25", "v2" "v6" "v10" "v14",
                "ldr {x0}, [{w}, #48]" "ldr {x1}, [{w}, #56]" "ldr {b0}, [{r0}, #8]" "ldr {b1}, [{r1}, #8]",
                "add {w}, {w}, #64", "fmov d26, {x0}\nfmov d27, {x1}"),
            column!("v26" "v27", "v3" "v7" "v11" "v15",
                "ldr {x0}, [{w}]" "ldr {x1}, [{w}, #8]" "ldr {b2}, [{r2}, #8]" "ldr {b3}, [{r3}, #8]",
                "fmov d16, {a0}\nfmov d17, {a1}\nfmov d18, {a2}\nfmov d19, {a3}",
                "fmov d20, {b0}\nfmov d21, {b1}\nfmov d22, {b2}\nfmov d23, {b3}\nfmov d24, {x0}\nfmov d25, {x1}"),
            "b.ne 2b",
            r0 = inout(reg) *rows => _, r1 = inout(reg) *rows.add(1) => _,
            r2 = inout(reg) *rows.add(2) => _, r3 = inout(reg) *rows.add(3) => _,
            w = inout(reg) w => _, steps = inout(reg) steps => _, x0 = out(reg) _, x1 = out(reg) _,
            a0 = out(reg) _, a1 = out(reg) _, a2 = out(reg) _, a3 = out(reg) _,
            b0 = out(reg) _, b1 = out(reg) _, b2 = out(reg) _, b3 = out(reg) _,
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
