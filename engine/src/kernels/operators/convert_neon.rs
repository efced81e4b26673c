//! fp32 to bytes on 64-bit NEON, which rounds to the nearest even integer while it converts, and saturates while it narrows.

use std::arch::aarch64::{vdupq_n_f32, vdupq_n_s16};
use std::arch::asm;

/// Elements at a time: eight registers side by side, because instructions wait four cycles for the one before.
pub(super) const LANES: usize = 32;

/// Quantizes as many elements as are a multiple of [`LANES`]: 40 cycles of a Cortex-A53 for them. A vector load would take two
/// in which nothing else issues: the next elements come by integer loads beside multiplications, and by loads of half a vector
/// beside moves of these.
#[target_feature(enable = "neon")]
#[rustfmt::skip]
pub(super) fn quantize(y: &mut [i8], x: &[f32], inverse_scale: f32, zero_point: i8) {
    let steps = y.len().min(x.len()) / LANES;
    if steps == 0 {
        return;
    }
    // SAFETY: reads and writes `steps` times LANES elements of each; the last step loads its own again.
    unsafe {
        asm!(
            "ldp q0, q1, [{x}]", "ldp q2, q3, [{x}, #32]", "ldp q4, q5, [{x}, #64]", "ldp q6, q7, [{x}, #96]",
            "2:", "subs {steps}, {steps}, #1", "csel {ahead}, {step}, xzr, ne",
            "fmul v0.4s, v0.4s, v30.4s", "add {x}, {x}, {ahead}", "fmul v1.4s, v1.4s, v30.4s", "ldr {x0}, [{x}, #8]",
            "fmul v2.4s, v2.4s, v30.4s", "ldr {x1}, [{x}, #24]", "fmul v3.4s, v3.4s, v30.4s", "ldr {x2}, [{x}, #40]",
            "fmul v4.4s, v4.4s, v30.4s", "ldr {x3}, [{x}, #56]", "fmul v5.4s, v5.4s, v30.4s", "ldr {x4}, [{x}, #72]",
            "fmul v6.4s, v6.4s, v30.4s", "ldr {x5}, [{x}, #88]", "fmul v7.4s, v7.4s, v30.4s", "ldr {x6}, [{x}, #104]",
            "fcvtns v0.4s, v0.4s", "ldr {x7}, [{x}, #120]", "fcvtns v2.4s, v2.4s", "fcvtns v4.4s, v4.4s",
            "fcvtns v6.4s, v6.4s", "fcvtns v1.4s, v1.4s", "fcvtns v3.4s, v3.4s", "fcvtns v5.4s, v5.4s",
            "fcvtns v7.4s, v7.4s",
            "sqxtn v16.4h, v0.4s", "sqxtn v17.4h, v2.4s", "sqxtn v18.4h, v4.4s", "sqxtn v19.4h, v6.4s",
            "sqxtn2 v16.8h, v1.4s", "sqxtn2 v17.8h, v3.4s", "sqxtn2 v18.8h, v5.4s", "sqxtn2 v19.8h, v7.4s",
            "ldr d0, [{x}]", "ldr d1, [{x}, #16]", "ldr d2, [{x}, #32]", "ins v0.d[1], {x0}",
            "sqadd v16.8h, v16.8h, v31.8h", "sqadd v17.8h, v17.8h, v31.8h", "sqadd v18.8h, v18.8h, v31.8h",
            "sqadd v19.8h, v19.8h, v31.8h",
            "ldr d3, [{x}, #48]", "ins v1.d[1], {x1}", "ldr d4, [{x}, #64]", "ins v2.d[1], {x2}",
            "sqxtn v20.8b, v16.8h", "sqxtn v21.8b, v18.8h",
            "ldr d5, [{x}, #80]", "ins v3.d[1], {x3}", "ldr d6, [{x}, #96]", "ins v4.d[1], {x4}",
            "sqxtn2 v20.16b, v17.8h", "sqxtn2 v21.16b, v19.8h",
            "ldr d7, [{x}, #112]", "ins v5.d[1], {x5}", "ins v6.d[1], {x6}", "add {y}, {y}, #32",
            "stp q20, q21, [{y}, #-32]", "ins v7.d[1], {x7}", "b.ne 2b",
            x = inout(reg) x.as_ptr() => _, y = inout(reg) y.as_mut_ptr() => _, steps = inout(reg) steps => _,
            step = in(reg) size_of::<[f32; LANES]>(), ahead = out(reg) _,
            x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _, x4 = out(reg) _, x5 = out(reg) _,
            x6 = out(reg) _, x7 = out(reg) _,
            in("v30") vdupq_n_f32(inverse_scale), in("v31") vdupq_n_s16(i16::from(zero_point)),
            out("v0") _, out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
            options(nostack),
        );
    }
}
