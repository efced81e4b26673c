//! 4-bit tiles for 64-bit ARM, scheduled for in-order cores.

use std::arch::aarch64::{int32x4_t, vdupq_n_s32};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Requant, Tile};
use crate::kernels::requant_neon::store_4x4;

/// Four rows by four columns, sixteen channels at a time. Products of 8 and 4 bits leave room for 36 of them in a 16-bit
/// lane, so the widening that costs 8-bit kernels every third instruction comes once in 288 channels. The weights of two
/// columns share sixteen bytes, which a rounding shift and a multiply-subtract take apart.
///
/// As in the 8-bit kernels, operands come through integer registers, whose loads a Cortex-A53 issues beside the
/// multiplications. Two columns are unpacked while two are multiplied: 256 products take 32 cycles of SMLAL, 4 to unpack
/// and 6 of moves. The first step of a run multiplies (SMULL) what the others add to, so nothing is set to zero.
pub(crate) static GEMM_4X4: I8Gemm = MicroKernel {
    name: "i4_gemm_4x4c16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: MR, nr: NR, kr: Tile::PAIRED_CHANNELS },
    run: gemm_4x4,
};

pub(super) const MR: usize = 4;
pub(super) const NR: usize = 4;
/// Steps of 16 channels after which 16-bit lanes are full: each adds two products of at most 7 * 128.
pub(super) const STEPS: usize = 18;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_4x4(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`, and `multiply` is called with rows of them.
    unsafe { tiles(args, |rows| multiply(args, rows)) };
}

/// All tiles of `args`, whose sums, biases included, `multiply` computes from the pointers to the rows of a tile.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn tiles(
    args: &I8GemmArgs,
    multiply: impl Fn(*const *const i8) -> [int32x4_t; MR],
) {
    let requant = &args.requant;
    let direct = requant.only_right && requant.negative_multiplier.is_null() && args.cols == NR;
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers per tile to `channels` elements followed by at least 31
    // readable ones (SLACK), which meet zero weights or are not used; `w` is a whole panel followed by as many; `c` is
    // `rows` rows of `cols` elements.
    unsafe {
        let sums = |first: usize| multiply(args.a.add(first * args.taps));
        let at = |first: usize| args.c.add(first * args.c_stride);
        for first in (0..args.rows).step_by(2 * MR) {
            let (second, rows) = (first + MR, args.rows - first);
            if direct && rows >= 2 * MR {
                store(requant, [sums(first), sums(second)], [at(first), at(second)], args.c_stride);
                continue;
            }
            for first in [first, second].into_iter().filter(|&first| first < args.rows) {
                let extent = ((args.rows - first).min(MR), args.cols);
                match direct && extent.0 == MR {
                    true => {
                        let sums = sums(first);
                        store(requant, [sums, sums], [at(first); 2], args.c_stride);
                    }
                    false => {
                        store_4x4(requant, sums(first), at(first), args.c_stride, extent);
                    }
                }
            }
        }
    }
}

/// `$first` is the instruction that meets a sum first. Columns `$w0` and `$w1` times the rows v16-v19, to the sums `$a` and
/// `$b`, while those packed in `$n0` become `$n0` and `$n1` and the loaded ones `$w0`; with instructions to be issued beside.
#[rustfmt::skip]
macro_rules! columns {
    ($first:literal, $w0:literal $w1:literal, $n0:literal $n1:literal,
     $a0:literal $a1:literal $a2:literal $a3:literal, $b0:literal $b1:literal $b2:literal $b3:literal;
     $x0:literal $x1:literal $x2:literal $x3:literal $x4:literal $x5:literal $x6:literal) => { concat!(
        "srshr v", $n1, ".16b, v", $n0, ".16b, #4\n",
        $first, " v", $a0, ".8h, v16.8b, v", $w0, ".8b\n", $x0, "\n",
        $first, " v", $a1, ".8h, v17.8b, v", $w0, ".8b\n", $x1, "\n",
        $first, " v", $a2, ".8h, v18.8b, v", $w0, ".8b\n", $x2, "\n",
        $first, " v", $a3, ".8h, v19.8b, v", $w0, ".8b\n", $x3, "\n",
        "mls v", $n0, ".16b, v", $n1, ".16b, v24.16b\n",
        "smlal2 v", $a0, ".8h, v16.16b, v", $w0, ".16b\n", $x4, "\n",
        "smlal2 v", $a1, ".8h, v17.16b, v", $w0, ".16b\n", $x5, "\n",
        "smlal2 v", $a2, ".8h, v18.16b, v", $w0, ".16b\n", $x6, "\n",
        "smlal2 v", $a3, ".8h, v19.16b, v", $w0, ".16b\n",
        "fmov d", $w0, ", x14\nins v", $w0, ".d[1], x15\n",
        $first, " v", $b0, ".8h, v16.8b, v", $w1, ".8b\n",
        $first, " v", $b1, ".8h, v17.8b, v", $w1, ".8b\n",
        $first, " v", $b2, ".8h, v18.8b, v", $w1, ".8b\n",
        $first, " v", $b3, ".8h, v19.8b, v", $w1, ".8b\n",
        "smlal2 v", $b0, ".8h, v16.16b, v", $w1, ".16b\n",
        "smlal2 v", $b1, ".8h, v17.16b, v", $w1, ".16b\n",
        "smlal2 v", $b2, ".8h, v18.16b, v", $w1, ".16b\n",
        "smlal2 v", $b3, ".8h, v19.16b, v", $w1, ".16b\n",
    ) };
}

/// Rows, biases and the first columns, as the first step expects them.
#[rustfmt::skip]
macro_rules! begin {
    () => { concat!(
        "ldp x0, x1, [x8]\nmovi v24.16b, #16\nldr q20, [x10, #16]\nldp x2, x3, [x8, #16]\n",
        "ldr q28, [x10], #16\nsrshr v21.16b, v20.16b, #4\nmov x9, x12\n",
        "ldr q16, [x0]\nldr q17, [x1]\nmls v20.16b, v21.16b, v24.16b\nadd x8, x8, #32\n",
        "mov v29.16b, v28.16b\nldr q18, [x2]\nldr q19, [x3]\nmov v30.16b, v28.16b\n",
        "ldr q22, [x10, #16]\nmov v31.16b, v28.16b\n",
    ) };
}

/// Sixteen channels. Where they are the last of a tap, the rows are those of the next tap from there on; with an instruction
/// that ends them.
#[rustfmt::skip]
macro_rules! step {
    ($first:literal, $last:literal) => { concat!(
        "subs x9, x9, #1\n", "b.ne 4f\n",
        "subs x11, x11, #1\n", "b.eq 4f\n",
        "ldp x0, x1, [x8], #16\n", "ldp x2, x3, [x8], #16\n", "mov x9, x12\n",
        "sub x0, x0, #16\nsub x1, x1, #16\nsub x2, x2, #16\nsub x3, x3, #16\n",
        "4:\n",
        columns!($first, "20" "21", "22" "23", "0" "4" "8" "12", "1" "5" "9" "13";
            "ldr x14, [x10, #32]" "ldr x15, [x10, #40]" "ldr x20, [x0, #16]!" "ldr x21, [x1, #16]!"
            "ldr x22, [x2, #16]!" "ldr x23, [x3, #16]!" ""),
        columns!($first, "22" "23", "20" "21", "2" "6" "10" "14", "3" "7" "11" "15";
            "ldr x14, [x10, #48]" "ldr x15, [x10, #56]" "ldr x24, [x0, #8]" "ldr x25, [x1, #8]"
            "ldr x26, [x2, #8]" "ldr x27, [x3, #8]" "add x10, x10, #32"),
        $last, "\n",
        "fmov d16, x20\nins v16.d[1], x24\nfmov d17, x21\nins v17.d[1], x25\n",
        "fmov d18, x22\nins v18.d[1], x26\nfmov d19, x23\nins v19.d[1], x27\n",
    ) };
}

pub(super) use {begin, columns, step};

/// Adds the 16-bit sums to v28-v31, the rows' four columns.
#[rustfmt::skip]
macro_rules! widen {
    () => { concat!(
        "saddlp v0.4s, v0.8h\nsaddlp v1.4s, v1.8h\nsaddlp v2.4s, v2.8h\nsaddlp v3.4s, v3.8h\n",
        "saddlp v4.4s, v4.8h\nsaddlp v5.4s, v5.8h\nsaddlp v6.4s, v6.8h\nsaddlp v7.4s, v7.8h\n",
        "saddlp v8.4s, v8.8h\nsaddlp v9.4s, v9.8h\nsaddlp v10.4s, v10.8h\nsaddlp v11.4s, v11.8h\n",
        "saddlp v12.4s, v12.8h\nsaddlp v13.4s, v13.8h\nsaddlp v14.4s, v14.8h\nsaddlp v15.4s, v15.8h\n",
        "addp v0.4s, v0.4s, v1.4s\naddp v2.4s, v2.4s, v3.4s\n",
        "addp v4.4s, v4.4s, v5.4s\naddp v6.4s, v6.4s, v7.4s\n",
        "addp v8.4s, v8.4s, v9.4s\naddp v10.4s, v10.4s, v11.4s\n",
        "addp v12.4s, v12.4s, v13.4s\naddp v14.4s, v14.4s, v15.4s\n",
        "addp v0.4s, v0.4s, v2.4s\naddp v4.4s, v4.4s, v6.4s\n",
        "addp v8.4s, v8.4s, v10.4s\naddp v12.4s, v12.4s, v14.4s\n",
        "add v28.4s, v28.4s, v0.4s\nadd v29.4s, v29.4s, v4.4s\n",
        "add v30.4s, v30.4s, v8.4s\nadd v31.4s, v31.4s, v12.4s\n",
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
    let total = steps * args.taps;
    // x0-x3: rows; x8: their table; x9: steps left in the tap; x10: weights; x11: taps left; x12: steps per tap; x13: steps
    // until sums are widened; x14, x15: weights on their way; x16: steps left after the last widening; x20-x27: activations.
    // v0-v15: sums, row by row; v16-v19: rows; v20-v23: columns, of which the first pair is unpacked; v24: 16.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            begin!(),
            "2:",
            step!("smull", "subs x13, x13, #1"),
            "b.eq 5f",
            "3:",
            step!("smlal", "subs x13, x13, #1"),
            "b.ne 3b",
            "5:",
            widen!(),
            "subs x16, x16, #{STEPS}",
            "b.ls 6f",
            "mov x13, #{STEPS}",
            "cmp x16, #{STEPS}",
            "csel x13, x16, x13, lo",
            "b 2b",
            "6:",
            STEPS = const STEPS,
            inout("x8") rows => _, inout("x10") args.w => _, inout("x11") args.taps => _, in("x12") steps,
            inout("x13") total.min(STEPS) => _, inout("x16") total => _,
            out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x9") _, out("x14") _, out("x15") _,
            out("x20") _, out("x21") _, out("x22") _, out("x23") _, out("x24") _, out("x25") _, out("x26") _,
            out("x27") _,
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
            out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            out("v22") _, out("v23") _, out("v24") _,
            out("v28") *a, out("v29") *b, out("v30") *c, out("v31") *d,
            options(nostack, readonly),
        );
    }
    sums
}

/// The output stage of two whole tiles side by side, because each instruction waits four cycles for the one before; with right
/// shifts only and no factors for negative sums. As [`Narrow`](crate::kernels::requant_neon::Narrow).
///
/// # Safety
/// Each of `c` is writable for MR rows of NR elements, `stride` apart; the arrays of `requant` have NR elements.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn store(requant: &Requant, [x, y]: [[int32x4_t; MR]; 2], c: [*mut i8; 2], stride: usize) {
    // SAFETY: reads factors and writes results where the caller vouches for it.
    unsafe {
        asm!(
            "ldr {m:q}, [{multiplier}]", "ldr {s:q}, [{right}]",
            "dup {zero:v}.8h, {z:w}", "dup {min:v}.16b, {l:w}", "dup {max:v}.16b, {h:w}",
            "sqrdmulh {a:v}.4s, {a:v}.4s, {m:v}.4s", "sqrdmulh {b:v}.4s, {b:v}.4s, {m:v}.4s",
            "sqrdmulh {c:v}.4s, {c:v}.4s, {m:v}.4s", "sqrdmulh {d:v}.4s, {d:v}.4s, {m:v}.4s",
            "sqrdmulh {e:v}.4s, {e:v}.4s, {m:v}.4s", "sqrdmulh {f:v}.4s, {f:v}.4s, {m:v}.4s",
            "sqrdmulh {g:v}.4s, {g:v}.4s, {m:v}.4s", "sqrdmulh {i:v}.4s, {i:v}.4s, {m:v}.4s",
            "neg {s:v}.4s, {s:v}.4s",
            "srshl {a:v}.4s, {a:v}.4s, {s:v}.4s", "srshl {b:v}.4s, {b:v}.4s, {s:v}.4s",
            "srshl {c:v}.4s, {c:v}.4s, {s:v}.4s", "srshl {d:v}.4s, {d:v}.4s, {s:v}.4s",
            "srshl {e:v}.4s, {e:v}.4s, {s:v}.4s", "srshl {f:v}.4s, {f:v}.4s, {s:v}.4s",
            "srshl {g:v}.4s, {g:v}.4s, {s:v}.4s", "srshl {i:v}.4s, {i:v}.4s, {s:v}.4s",
            "sqxtn {a:v}.4h, {a:v}.4s", "sqxtn {c:v}.4h, {c:v}.4s",
            "sqxtn {e:v}.4h, {e:v}.4s", "sqxtn {g:v}.4h, {g:v}.4s",
            "add {p1}, {c0}, {stride}", "add {p2}, {c0}, {stride}, lsl #1",
            "sqxtn2 {a:v}.8h, {b:v}.4s", "sqxtn2 {c:v}.8h, {d:v}.4s",
            "sqxtn2 {e:v}.8h, {f:v}.4s", "sqxtn2 {g:v}.8h, {i:v}.4s",
            "add {p3}, {p1}, {stride}, lsl #1",
            "sqadd {a:v}.8h, {a:v}.8h, {zero:v}.8h", "sqadd {c:v}.8h, {c:v}.8h, {zero:v}.8h",
            "sqadd {e:v}.8h, {e:v}.8h, {zero:v}.8h", "sqadd {g:v}.8h, {g:v}.8h, {zero:v}.8h",
            "sqxtn {a:v}.8b, {a:v}.8h", "sqxtn {e:v}.8b, {e:v}.8h",
            "sqxtn2 {a:v}.16b, {c:v}.8h", "sqxtn2 {e:v}.16b, {g:v}.8h",
            "smax {a:v}.16b, {a:v}.16b, {min:v}.16b", "smax {e:v}.16b, {e:v}.16b, {min:v}.16b",
            "smin {a:v}.16b, {a:v}.16b, {max:v}.16b", "smin {e:v}.16b, {e:v}.16b, {max:v}.16b",
            "st1 {{{a:v}.s}}[0], [{c0}]", "st1 {{{a:v}.s}}[1], [{p1}]", "add {p1}, {c4}, {stride}",
            "st1 {{{a:v}.s}}[2], [{p2}]", "add {p2}, {c4}, {stride}, lsl #1",
            "st1 {{{a:v}.s}}[3], [{p3}]", "add {p3}, {p1}, {stride}, lsl #1",
            "st1 {{{e:v}.s}}[0], [{c4}]", "st1 {{{e:v}.s}}[1], [{p1}]",
            "st1 {{{e:v}.s}}[2], [{p2}]", "st1 {{{e:v}.s}}[3], [{p3}]",
            a = inout(vreg) x[0] => _, b = inout(vreg) x[1] => _, c = inout(vreg) x[2] => _, d = inout(vreg) x[3] => _,
            e = inout(vreg) y[0] => _, f = inout(vreg) y[1] => _, g = inout(vreg) y[2] => _, i = inout(vreg) y[3] => _,
            m = out(vreg) _, s = out(vreg) _, zero = out(vreg) _, min = out(vreg) _, max = out(vreg) _,
            multiplier = in(reg) requant.multiplier, right = in(reg) requant.right,
            z = in(reg) requant.zero_point, l = in(reg) requant.min, h = in(reg) requant.max,
            c0 = in(reg) c[0], c4 = in(reg) c[1], stride = in(reg) stride,
            p1 = out(reg) _, p2 = out(reg) _, p3 = out(reg) _,
            options(nostack),
        );
    }
}
