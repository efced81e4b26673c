//! fp32 kernel of one row by sixteen columns for 64-bit ARM, scheduled for the in-order Cortex-A53.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcgtq_f32, vcltq_f32, vcltzq_f32, vdupq_n_f32, vld1q_f32, vmulq_f32,
    vst1q_f32,
};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, each_tile};

/// One row by sixteen columns, for fully connected layers of a single row, which meet each weight once. Lanes are columns, so
/// that each is summed over the channels in order.
///
/// What weights cost is their loads. On an A53 `ldr d` goes with the `ins` of the half that `ldr x` fetched beside a
/// multiply-add, in the cycles in which no multiply-add enters its second pass, which are every other one here: four products
/// take two cycles. Weights are loaded four multiply-adds ahead.
pub(crate) static GEMM_1X16: F32Gemm = MicroKernel {
    name: "f32_gemm_1x16_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 1, gemm_1x16) },
};

const NR: usize = 16;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_1x16(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps pointers to `channels` elements, `w` is a whole panel, `slopes` is
    // null or NR elements, `c` has `cols` elements.
    unsafe {
        let mut acc: [float32x4_t; 4] = std::array::from_fn(|j| vld1q_f32(args.w.add(4 * j)));
        multiply(args, &mut acc);
        let (min, max) = (vdupq_n_f32(args.min), vdupq_n_f32(args.max));
        for (j, x) in acc.iter_mut().enumerate() {
            if !args.slopes.is_null() {
                let slopes = vld1q_f32(args.slopes.add(4 * j));
                *x = vbslq_f32(vcltzq_f32(*x), vmulq_f32(*x, slopes), *x);
            }
            *x = vbslq_f32(vcgtq_f32(*x, min), *x, min);
            *x = vbslq_f32(vcltq_f32(*x, max), *x, max);
        }
        let mut row = [0.0_f32; NR];
        let whole = args.cols == NR;
        let to = if whole { args.c } else { row.as_mut_ptr() };
        for (j, &x) in acc.iter().enumerate() {
            vst1q_f32(to.add(4 * j), x);
        }
        if !whole {
            std::ptr::copy_nonoverlapping(row.as_ptr(), args.c, args.cols);
        }
    }
}

/// Four columns of a channel: weights `$w` times lane `$lane` of `$x`. What `$low` and `$high` load becomes `$later`, whose other
/// half comes when it is `$soon`.
#[rustfmt::skip]
macro_rules! columns {
    ($acc:literal, $w:literal, $x:literal $lane:literal, $high_to:literal $high:literal, $later:literal $low:literal,
     $soon:literal $soon_from:literal) => { concat!(
        "fmla v", $acc, ".4s, v", $w, ".4s, v", $x, ".s[", $lane, "]\n",
        "ldr ", $high_to, ", [x10, #", $high, "]\n",
        "ldr d", $later, ", [x10, #", $low, "]\n",
        "ins v", $soon, ".d[1], ", $soon_from, "\n",
    ) };
}

/// Adds the products of all taps and channels.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
unsafe fn multiply(args: &F32GemmArgs, acc: &mut [float32x4_t; 4]) {
    let [a, b, c, d] = acc;
    // The last one to four channels of a tap are by themselves, so that nothing is read beyond the panel.
    let passes = (args.channels - 1) / 4;
    // x0: row; x8: pointers to rows; x9: taps left; x10: weights; x11: passes of four channels left in the tap; x12: such
    // passes per tap; x13: channels after them; x14-x17: upper halves of weights.
    // v0-v3: sums; v4, v5: two channels each; v16-v23: weights.
    //
    // SAFETY: reads rows and weights within the extents the caller vouches for; nothing is written.
    unsafe {
        asm!(
            "2:",
            "ldr x0, [x8], #8", "mov x11, x12",
            "cbz x12, 4f",
            "ldr d4, [x0]", "ldr d5, [x0, #8]", "add x0, x0, #16",
            "ldp q16, q17, [x10]", "ldp q18, q19, [x10, #32]", "ldr x16, [x10, #40]", "ldr x17, [x10, #56]",
            "3:",
            columns!("0", "16", "4" "0", "x14" "72", "20" "64", "18" "x16"),
            columns!("1", "17", "4" "0", "x15" "88", "21" "80", "19" "x17"),
            columns!("2", "18", "4" "0", "x16" "104", "22" "96", "20" "x14"),
            columns!("3", "19", "4" "0", "x17" "120", "23" "112", "21" "x15"),
            columns!("0", "20", "4" "1", "x14" "136", "16" "128", "22" "x16"),
            columns!("1", "21", "4" "1", "x15" "152", "17" "144", "23" "x17"),
            columns!("2", "22", "4" "1", "x16" "168", "18" "160", "16" "x14"),
            columns!("3", "23", "4" "1", "x17" "184", "19" "176", "17" "x15"),
            columns!("0", "16", "5" "0", "x14" "200", "20" "192", "18" "x16"),
            columns!("1", "17", "5" "0", "x15" "216", "21" "208", "19" "x17"),
            columns!("2", "18", "5" "0", "x16" "232", "22" "224", "20" "x14"),
            columns!("3", "19", "5" "0", "x17" "248", "23" "240", "21" "x15"),
            columns!("0", "20", "5" "1", "x14" "264", "16" "256", "22" "x16"),
            columns!("1", "21", "5" "1", "x15" "280", "17" "272", "23" "x17"),
            columns!("2", "22", "5" "1", "x16" "296", "18" "288", "16" "x14"),
            columns!("3", "23", "5" "1", "x17" "312", "19" "304", "17" "x15"),
            // In this order the next pass finds the rhythm at once: 40 cycles of which 32 multiply.
            "ldr d4, [x0]", "add x10, x10, #256", "ldr d5, [x0, #8]", "add x0, x0, #16",
            "prfm pldl1keep, [x10, #768]", "subs x11, x11, #1",
            "prfm pldl1keep, [x10, #832]", "prfm pldl1keep, [x10, #896]", "prfm pldl1keep, [x10, #960]",
            "b.ne 3b",
            "sub x0, x0, #16",
            "4:",
            "mov x11, x13",
            "5:",
            "ldr s4, [x0], #4", "ldp q16, q17, [x10]", "ldp q18, q19, [x10, #32]", "add x10, x10, #64",
            "subs x11, x11, #1",
            "fmla v0.4s, v16.4s, v4.s[0]", "fmla v1.4s, v17.4s, v4.s[0]",
            "fmla v2.4s, v18.4s, v4.s[0]", "fmla v3.4s, v19.4s, v4.s[0]",
            "b.ne 5b",
            "subs x9, x9, #1",
            "b.ne 2b",
            inout("x8") args.a => _, inout("x9") args.taps => _, inout("x10") args.w.add(NR) => _,
            in("x12") passes, in("x13") args.channels - 4 * passes,
            out("x0") _, out("x11") _, out("x14") _, out("x15") _, out("x16") _, out("x17") _,
            inout("v0") *a, inout("v1") *b, inout("v2") *c, inout("v3") *d,
            out("v4") _, out("v5") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _,
            out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            options(nostack, readonly),
        );
    }
}
