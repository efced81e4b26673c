//! Rows of windows of fp32 depthwise layers for 64-bit ARM, scheduled for the in-order Cortex-A53.
//!
//! On an A53 a 128-bit load takes two cycles in which nothing else issues, and a vector load or move may not fall on the
//! fourth cycle after a fused multiply-add. So operands come as halves, `ldr d` paired with the `mov` of the half of an
//! earlier one that `ldr x` fetched beside a multiply-add, and such cycles are four apart from each other: one series of
//! them runs through, a second one where a row needs more. A pass of the loop multiplies a row of the window, and
//! loads the first pixels and the weights of the next.

use std::arch::aarch64::float32x4_t;
use std::arch::asm;

/// Multiplies the rows of a window, with the number of outputs side by side.
pub(super) trait Rows<const OUTPUTS: usize> {
    /// Adds the products to `sums`, four channels of each output.
    ///
    /// # Safety
    /// `rows` has `height` tables of pointers to pixels, and the last of them once more. From entry `first` on, a pointer is
    /// readable for four elements from `channel` on. `w` has `height` times the window's width vectors of weights.
    unsafe fn multiply(
        sums: &mut [float32x4_t; OUTPUTS],
        rows: *const *const *const f32,
        first: usize,
        height: usize,
        w: *const f32,
        channel: usize,
    );
}

/// A type that implements [`Rows`]: sums are v0 to v7, weights v8 to v12, pixels v13 to v31 in the order of their columns.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident: $($sum:ident $register:tt)*; $($instruction:literal,)*) => {
        $(#[$doc])*
        pub(super) struct $name;

        impl Rows<{ rows!(@count $($sum)*) }> for $name {
            #[inline(always)]
            unsafe fn multiply(
                sums: &mut [float32x4_t; rows!(@count $($sum)*)],
                rows: *const *const *const f32,
                first: usize,
                height: usize,
                w: *const f32,
                channel: usize,
            ) {
                let [$($sum),*] = sums;
                // SAFETY: the caller vouches for what is read; nothing is written. The last pass loads its own row again.
                unsafe {
                    asm!(
                        $($instruction,)*
                        rows = inout(reg) rows.add(1) => _, skip = in(reg) size_of::<*const f32>() * first,
                        next = inout(reg) (*rows).add(first) => _, row = out(reg) _,
                        ahead = inout(reg) w => _, w = out(reg) _, left = inout(reg) height => _,
                        low = in(reg) 4 * channel, high = in(reg) 4 * channel + 8,
                        $(inout($register) *$sum,)*
                        out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _,
                        out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("v8") _, out("v9") _,
                        out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _, out("v15") _,
                        out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
                        out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _,
                        out("v28") _, out("v29") _, out("v30") _, out("v31") _,
                        options(nostack, readonly),
                    );
                }
            }
        }
    };
    (@count $a:ident $b:ident $c:ident $d:ident) => { 4 };
    (@count $a:ident $b:ident $c:ident $d:ident $e:ident $f:ident $g:ident $h:ident) => { 8 };
}

rows! {
    /// Eight outputs, three wide, stride 1: 44 cycles for 24 multiply-adds and 13 operands.
    EightThreeWide: a "v0" b "v1" c "v2" d "v3" e "v4" f "v5" g "v6" h "v7";
    "ldr x0, [{next}, #8]", "ldr x1, [{next}, #24]", "ldr x2, [{next}, #0]", "ldr x3, [{next}, #16]",
    "ldr x4, [x0, {high}]", "ldr d14, [x0, {low}]", "ldr x0, [x1, {high}]", "mov v14.d[1], x4",
    "ldr d16, [x1, {low}]", "ldr x1, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "mov v16.d[1], x0",
    "ldr x0, [x2, {high}]", "ldr d13, [x2, {low}]", "mov v8.d[1], x1", "ldr d15, [x3, {low}]",
    "ldr x1, [{next}, #32]", "ldr d9, [{ahead}, #16]", "mov v13.d[1], x0", "ldr x0, [x3, {high}]",
    "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d17, [x1, {low}]", "mov v15.d[1], x0",
    "fmla v0.4s, v13.4s, v8.4s", "ldr x0, [{w}, #24]", "fmla v1.4s, v14.4s, v8.4s", "subs {left}, {left}, #1",
    "fmla v2.4s, v15.4s, v8.4s", "add {ahead}, {w}, #48", "ldr d10, [{w}, #32]", "mov v9.d[1], x0",
    "ldr x0, [x1, {high}]", "csel {ahead}, {ahead}, {w}, ne", "fmla v3.4s, v16.4s, v8.4s", "ldr x1, [{w}, #40]",
    "fmla v0.4s, v14.4s, v9.4s", "ldr {next}, [{rows}], #8", "mov v17.d[1], x0", "mov {w}, {ahead}",
    "mov v10.d[1], x1", "ldr x0, [{row}, #40]", "fmla v1.4s, v15.4s, v9.4s", "add {next}, {next}, {skip}",
    "fmla v2.4s, v16.4s, v9.4s", "ldr x1, [{row}, #48]", "ldr x2, [x0, {high}]", "ldr d18, [x0, {low}]",
    "fmla v3.4s, v17.4s, v9.4s", "ldr x0, [{next}, #8]", "fmla v0.4s, v15.4s, v10.4s", "ldr x3, [{row}, #56]",
    "mov v18.d[1], x2", "ldr x4, [x1, {high}]", "ldr d19, [x1, {low}]", "fmla v1.4s, v16.4s, v10.4s",
    "ldr x1, [{next}, #24]", "fmla v2.4s, v17.4s, v10.4s", "ldr x2, [{next}, #0]", "mov v19.d[1], x4",
    "ldr x4, [x3, {high}]", "ldr d20, [x3, {low}]", "fmla v3.4s, v18.4s, v10.4s", "ldr x3, [{next}, #16]",
    "fmla v4.4s, v17.4s, v8.4s", "ldr x5, [{row}, #64]", "mov v20.d[1], x4", "ldr x4, [x0, {high}]",
    "ldr d14, [x0, {low}]", "fmla v5.4s, v18.4s, v8.4s", "ldr x6, [{row}, #72]", "fmla v6.4s, v19.4s, v8.4s",
    "ldr x0, [x1, {high}]", "ldr d21, [x5, {low}]", "mov v14.d[1], x4", "ldr d16, [x1, {low}]", "mov {row}, {next}",
    "fmla v7.4s, v20.4s, v8.4s", "ldr x4, [x5, {high}]", "fmla v4.4s, v18.4s, v9.4s", "ldr x1, [{ahead}, #8]",
    "ldr d8, [{ahead}, #0]", "mov v16.d[1], x0", "ldr d22, [x6, {low}]", "mov v21.d[1], x4",
    "fmla v5.4s, v19.4s, v9.4s", "ldr x4, [x6, {high}]", "fmla v6.4s, v20.4s, v9.4s", "ldr x0, [x2, {high}]",
    "ldr d13, [x2, {low}]", "mov v8.d[1], x1", "ldr d15, [x3, {low}]", "mov v22.d[1], x4",
    "fmla v7.4s, v21.4s, v9.4s", "fmla v4.4s, v19.4s, v10.4s", "ldr x1, [{next}, #32]", "ldr d9, [{ahead}, #16]",
    "mov v13.d[1], x0", "fmla v5.4s, v20.4s, v10.4s", "ldr x0, [x3, {high}]", "fmla v6.4s, v21.4s, v10.4s",
    "fmla v7.4s, v22.4s, v10.4s", "b.ne 2b",
}

rows! {
    /// Four outputs, three wide, stride 1: 28 cycles for 12 multiply-adds and 9 operands.
    FourThreeWide: a "v0" b "v1" c "v2" d "v3";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #8]", "ldr x2, [{next}, #16]", "ldr x3, [x0, {high}]",
    "ldr d13, [x0, {low}]", "ldr x0, [{next}, #24]", "ldr x4, [{ahead}, #8]", "ldr d8, [{ahead}, #0]",
    "mov v13.d[1], x3", "ldr d14, [x1, {low}]", "ldr x1, [x1, {high}]", "ldr x3, [x2, {high}]",
    "ldr d15, [x2, {low}]", "mov v8.d[1], x4", "ldr d16, [x0, {low}]", "mov v14.d[1], x1", "ldr x0, [x0, {high}]",
    "ldr x1, [{next}, #32]", "mov {row}, {next}", "mov {w}, {ahead}", "2:", "mov v15.d[1], x3", "ldr x2, [{w}, #24]",
    "ldr d9, [{w}, #16]", "mov v16.d[1], x0", "fmla v0.4s, v13.4s, v8.4s", "subs {left}, {left}, #1",
    "fmla v1.4s, v14.4s, v8.4s", "add {ahead}, {w}, #48", "mov v9.d[1], x2", "ldr x0, [x1, {high}]",
    "ldr d17, [x1, {low}]", "csel {ahead}, {ahead}, {w}, ne", "fmla v2.4s, v15.4s, v8.4s",
    "ldr {next}, [{rows}], #8", "fmla v3.4s, v16.4s, v8.4s", "ldr x1, [{row}, #40]", "mov v17.d[1], x0",
    "ldr x2, [{w}, #40]", "ldr d10, [{w}, #32]", "add {next}, {next}, {skip}", "fmla v0.4s, v14.4s, v9.4s",
    "mov {row}, {next}", "fmla v1.4s, v15.4s, v9.4s", "ldr x0, [{next}, #0]", "mov v10.d[1], x2",
    "ldr x3, [x1, {high}]", "ldr d18, [x1, {low}]", "mov {w}, {ahead}", "fmla v2.4s, v16.4s, v9.4s",
    "ldr x1, [{next}, #8]", "fmla v3.4s, v17.4s, v9.4s", "ldr x2, [{next}, #16]", "mov v18.d[1], x3",
    "ldr x3, [x0, {high}]", "ldr d13, [x0, {low}]", "fmla v0.4s, v15.4s, v10.4s", "ldr x0, [{next}, #24]",
    "fmla v1.4s, v16.4s, v10.4s", "ldr x4, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "mov v13.d[1], x3",
    "ldr d14, [x1, {low}]", "fmla v2.4s, v17.4s, v10.4s", "ldr x1, [x1, {high}]", "fmla v3.4s, v18.4s, v10.4s",
    "ldr x3, [x2, {high}]", "ldr d15, [x2, {low}]", "mov v8.d[1], x4", "ldr d16, [x0, {low}]", "mov v14.d[1], x1",
    "ldr x0, [x0, {high}]", "ldr x1, [{next}, #32]", "b.ne 2b",
}

rows! {
    /// Eight outputs, three wide, stride 2: 60 cycles for 24 multiply-adds and 20 operands.
    EightThreeWideStride2: a "v0" b "v1" c "v2" d "v3" e "v4" f "v5" g "v6" h "v7";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #16]", "ldr x2, [{next}, #32]", "ldr x3, [{next}, #48]",
    "ldr x4, [{next}, #8]", "ldr x5, [{next}, #24]", "ldr x6, [{next}, #40]", "ldr x7, [{next}, #56]",
    "ldr x8, [{next}, #64]", "ldr x9, [x0, {high}]", "ldr d13, [x0, {low}]", "ldr x0, [{next}, #80]",
    "ldr x10, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "mov v13.d[1], x9", "ldr d15, [x1, {low}]",
    "ldr x1, [x1, {high}]", "ldr x9, [x2, {high}]", "ldr d17, [x2, {low}]", "mov v8.d[1], x10",
    "ldr d19, [x3, {low}]", "mov v15.d[1], x1", "ldr x1, [x3, {high}]", "ldr x2, [x4, {high}]",
    "ldr d14, [x4, {low}]", "mov v17.d[1], x9", "ldr d9, [{ahead}, #16]", "mov v19.d[1], x1",
    "ldr x1, [{ahead}, #24]", "mov {row}, {next}", "mov {w}, {ahead}", "2:", "fmla v0.4s, v13.4s, v8.4s",
    "ldr x3, [x5, {high}]", "ldr d16, [x5, {low}]", "mov v14.d[1], x2", "ldr d18, [x6, {low}]", "mov v9.d[1], x1",
    "fmla v1.4s, v15.4s, v8.4s", "ldr x1, [x6, {high}]", "fmla v2.4s, v17.4s, v8.4s", "ldr x2, [x7, {high}]",
    "ldr d20, [x7, {low}]", "mov v16.d[1], x3", "ldr d10, [{w}, #32]", "mov v18.d[1], x1",
    "fmla v3.4s, v19.4s, v8.4s", "ldr x1, [{w}, #40]", "fmla v0.4s, v14.4s, v9.4s", "ldr x3, [{row}, #96]",
    "mov v20.d[1], x2", "ldr x2, [{row}, #112]", "mov v10.d[1], x1", "ldr x1, [{row}, #72]",
    "fmla v1.4s, v16.4s, v9.4s", "ldr x4, [{row}, #88]", "fmla v2.4s, v18.4s, v9.4s", "ldr x5, [{row}, #104]",
    "ldr x6, [x8, {high}]", "subs {left}, {left}, #1", "ldr d21, [x8, {low}]", "add {ahead}, {w}, #48",
    "fmla v3.4s, v20.4s, v9.4s", "ldr x7, [{row}, #120]", "fmla v0.4s, v15.4s, v10.4s", "ldr x8, [x0, {high}]",
    "ldr d23, [x0, {low}]", "mov v21.d[1], x6", "ldr d25, [x3, {low}]", "csel {ahead}, {ahead}, {w}, ne",
    "fmla v1.4s, v17.4s, v10.4s", "ldr x0, [x3, {high}]", "fmla v2.4s, v19.4s, v10.4s", "ldr x3, [x2, {high}]",
    "ldr d27, [x2, {low}]", "mov v23.d[1], x8", "ldr d22, [x1, {low}]", "mov v25.d[1], x0",
    "fmla v3.4s, v21.4s, v10.4s", "ldr x0, [x1, {high}]", "fmla v4.4s, v21.4s, v8.4s", "ldr x1, [x4, {high}]",
    "ldr d24, [x4, {low}]", "mov v27.d[1], x3", "ldr d26, [x5, {low}]", "mov v22.d[1], x0",
    "fmla v5.4s, v23.4s, v8.4s", "ldr x0, [x5, {high}]", "fmla v6.4s, v25.4s, v8.4s", "ldr {next}, [{rows}], #8",
    "mov v24.d[1], x1", "ldr x1, [x7, {high}]", "ldr d28, [x7, {low}]", "mov v26.d[1], x0",
    "fmla v7.4s, v27.4s, v8.4s", "add {next}, {next}, {skip}", "fmla v4.4s, v22.4s, v9.4s", "mov {w}, {ahead}",
    "mov v28.d[1], x1", "ldr x0, [{next}, #0]", "ldr x3, [{row}, #128]", "fmla v5.4s, v24.4s, v9.4s",
    "ldr x1, [{next}, #16]", "fmla v6.4s, v26.4s, v9.4s", "ldr x2, [{next}, #32]", "ldr x5, [x3, {high}]",
    "mov {row}, {next}", "ldr d29, [x3, {low}]", "fmla v7.4s, v28.4s, v9.4s", "ldr x3, [{next}, #48]",
    "fmla v4.4s, v23.4s, v10.4s", "ldr x4, [{next}, #8]", "mov v29.d[1], x5", "ldr x5, [{next}, #24]",
    "ldr x6, [{next}, #40]", "fmla v5.4s, v25.4s, v10.4s", "ldr x7, [{next}, #56]", "fmla v6.4s, v27.4s, v10.4s",
    "ldr x8, [{next}, #64]", "ldr x9, [x0, {high}]", "ldr d13, [x0, {low}]", "fmla v7.4s, v29.4s, v10.4s",
    "ldr x0, [{next}, #80]", "ldr x10, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "mov v13.d[1], x9",
    "ldr d15, [x1, {low}]", "ldr x1, [x1, {high}]", "ldr x9, [x2, {high}]", "ldr d17, [x2, {low}]",
    "mov v8.d[1], x10", "ldr d19, [x3, {low}]", "mov v15.d[1], x1", "ldr x1, [x3, {high}]", "ldr x2, [x4, {high}]",
    "ldr d14, [x4, {low}]", "mov v17.d[1], x9", "ldr d9, [{ahead}, #16]", "mov v19.d[1], x1",
    "ldr x1, [{ahead}, #24]", "b.ne 2b",
}

rows! {
    /// Four outputs, three wide, stride 2: 40 cycles for 12 multiply-adds and 12 operands.
    FourThreeWideStride2: a "v0" b "v1" c "v2" d "v3";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #16]", "ldr x2, [{next}, #32]", "ldr x3, [{next}, #48]",
    "ldr x4, [{next}, #8]", "ldr x5, [{next}, #24]", "ldr x6, [{next}, #40]", "ldr x7, [{next}, #56]",
    "ldr x8, [x0, {high}]", "ldr d13, [x0, {low}]", "ldr d8, [{ahead}, #0]", "ldr x0, [{ahead}, #8]",
    "ldr x9, [x1, {high}]", "ldr d15, [x1, {low}]", "mov v13.d[1], x8", "ldr d17, [x2, {low}]", "mov v8.d[1], x0",
    "ldr x0, [x2, {high}]", "ldr x1, [x3, {high}]", "ldr d19, [x3, {low}]", "mov v15.d[1], x9",
    "ldr d14, [x4, {low}]", "mov v17.d[1], x0", "ldr x0, [x4, {high}]", "ldr x2, [{ahead}, #24]",
    "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d9, [{w}, #16]", "mov v19.d[1], x1", "ldr d16, [x5, {low}]",
    "mov v14.d[1], x0", "fmla v0.4s, v13.4s, v8.4s", "ldr x0, [x5, {high}]", "fmla v1.4s, v15.4s, v8.4s",
    "ldr x1, [x6, {high}]", "ldr d18, [x6, {low}]", "mov v9.d[1], x2", "ldr d20, [x7, {low}]", "mov v16.d[1], x0",
    "fmla v2.4s, v17.4s, v8.4s", "ldr x0, [x7, {high}]", "fmla v3.4s, v19.4s, v8.4s", "ldr x2, [{row}, #64]",
    "mov v18.d[1], x1", "ldr x1, [{w}, #40]", "ldr d10, [{w}, #32]", "mov v20.d[1], x0", "fmla v0.4s, v14.4s, v9.4s",
    "subs {left}, {left}, #1", "fmla v1.4s, v16.4s, v9.4s", "add {ahead}, {w}, #48", "mov v10.d[1], x1",
    "ldr x0, [x2, {high}]", "ldr d21, [x2, {low}]", "csel {ahead}, {ahead}, {w}, ne", "fmla v2.4s, v18.4s, v9.4s",
    "ldr {next}, [{rows}], #8", "fmla v3.4s, v20.4s, v9.4s", "mov {w}, {ahead}", "mov v21.d[1], x0",
    "add {next}, {next}, {skip}", "fmla v0.4s, v15.4s, v10.4s", "mov {row}, {next}", "fmla v1.4s, v17.4s, v10.4s",
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #16]", "ldr x2, [{next}, #32]", "fmla v2.4s, v19.4s, v10.4s",
    "ldr x3, [{next}, #48]", "fmla v3.4s, v21.4s, v10.4s", "ldr x4, [{next}, #8]", "ldr x5, [{next}, #24]",
    "ldr x6, [{next}, #40]", "ldr x7, [{next}, #56]", "ldr x8, [x0, {high}]", "ldr d13, [x0, {low}]",
    "ldr d8, [{ahead}, #0]", "ldr x0, [{ahead}, #8]", "ldr x9, [x1, {high}]", "ldr d15, [x1, {low}]",
    "mov v13.d[1], x8", "ldr d17, [x2, {low}]", "mov v8.d[1], x0", "ldr x0, [x2, {high}]", "ldr x1, [x3, {high}]",
    "ldr d19, [x3, {low}]", "mov v15.d[1], x9", "ldr d14, [x4, {low}]", "mov v17.d[1], x0", "ldr x0, [x4, {high}]",
    "ldr x2, [{ahead}, #24]", "b.ne 2b",
}

rows! {
    /// Eight outputs, five wide, stride 1: 60 cycles for 40 multiply-adds and 17 operands.
    EightFiveWide: a "v0" b "v1" c "v2" d "v3" e "v4" f "v5" g "v6" h "v7";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #16]", "ldr x2, [{next}, #24]", "ldr x3, [{next}, #8]",
    "ldr x4, [{next}, #32]", "ldr d13, [x0, {low}]", "ldr x0, [x0, {high}]", "ldr x5, [{ahead}, #8]",
    "ldr d8, [{ahead}, #0]", "mov v13.d[1], x0", "ldr d15, [x1, {low}]", "ldr x0, [x1, {high}]",
    "ldr x1, [x2, {high}]", "mov v8.d[1], x5", "ldr d16, [x2, {low}]", "mov v15.d[1], x0", "ldr x0, [{ahead}, #40]",
    "ldr d10, [{ahead}, #32]", "mov v16.d[1], x1", "ldr x1, [x3, {high}]", "ldr d14, [x3, {low}]",
    "mov v10.d[1], x0", "ldr d17, [x4, {low}]", "ldr x0, [{next}, #40]", "ldr d9, [{ahead}, #16]",
    "mov v14.d[1], x1", "ldr x1, [{ahead}, #24]", "mov {row}, {next}", "mov {w}, {ahead}", "2:",
    "ldr d18, [x0, {low}]", "mov v9.d[1], x1", "fmla v0.4s, v13.4s, v8.4s", "ldr x1, [x4, {high}]",
    "fmla v1.4s, v14.4s, v8.4s", "subs {left}, {left}, #1", "fmla v2.4s, v15.4s, v8.4s", "add {ahead}, {w}, #80",
    "ldr d11, [{w}, #48]", "mov v17.d[1], x1", "fmla v3.4s, v16.4s, v8.4s", "ldr x0, [x0, {high}]",
    "fmla v0.4s, v14.4s, v9.4s", "csel {ahead}, {ahead}, {w}, ne", "fmla v1.4s, v15.4s, v9.4s",
    "ldr x1, [{row}, #48]", "ldr d12, [{w}, #64]", "mov v18.d[1], x0", "fmla v2.4s, v16.4s, v9.4s",
    "ldr x0, [{w}, #56]", "fmla v3.4s, v17.4s, v9.4s", "ldr {next}, [{rows}], #8", "fmla v0.4s, v15.4s, v10.4s",
    "ldr x2, [{row}, #56]", "ldr d19, [x1, {low}]", "mov v11.d[1], x0", "fmla v1.4s, v16.4s, v10.4s",
    "ldr x0, [x1, {high}]", "fmla v2.4s, v17.4s, v10.4s", "add {next}, {next}, {skip}", "fmla v3.4s, v18.4s, v10.4s",
    "ldr d20, [x2, {low}]", "mov v19.d[1], x0", "fmla v0.4s, v16.4s, v11.4s", "ldr x0, [{w}, #72]",
    "fmla v1.4s, v17.4s, v11.4s", "mov {w}, {ahead}", "fmla v2.4s, v18.4s, v11.4s", "mov v12.d[1], x0",
    "fmla v3.4s, v19.4s, v11.4s", "ldr x0, [x2, {high}]", "fmla v0.4s, v17.4s, v12.4s", "fmla v1.4s, v18.4s, v12.4s",
    "mov v20.d[1], x0", "ldr x0, [{next}, #0]", "fmla v2.4s, v19.4s, v12.4s", "ldr x2, [{row}, #64]",
    "fmla v3.4s, v20.4s, v12.4s", "ldr x1, [{next}, #16]", "fmla v4.4s, v17.4s, v8.4s", "ldr x4, [{row}, #72]",
    "ldr d21, [x2, {low}]", "fmla v5.4s, v18.4s, v8.4s", "ldr x5, [x2, {high}]", "fmla v6.4s, v19.4s, v8.4s",
    "ldr x2, [{next}, #24]", "fmla v7.4s, v20.4s, v8.4s", "ldr x3, [{next}, #8]", "ldr d22, [x4, {low}]",
    "mov v21.d[1], x5", "fmla v4.4s, v18.4s, v9.4s", "ldr x5, [x4, {high}]", "fmla v5.4s, v19.4s, v9.4s",
    "ldr x4, [{next}, #32]", "fmla v6.4s, v20.4s, v9.4s", "ldr x6, [{row}, #80]", "ldr d13, [x0, {low}]",
    "mov v22.d[1], x5", "ldr x0, [x0, {high}]", "fmla v7.4s, v21.4s, v9.4s", "ldr x7, [{row}, #88]",
    "fmla v4.4s, v19.4s, v10.4s", "ldr x5, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "mov v13.d[1], x0",
    "ldr d15, [x1, {low}]", "mov {row}, {next}", "fmla v5.4s, v20.4s, v10.4s", "ldr x0, [x1, {high}]",
    "fmla v6.4s, v21.4s, v10.4s", "ldr x1, [x2, {high}]", "ldr d23, [x6, {low}]", "mov v8.d[1], x5",
    "ldr d16, [x2, {low}]", "mov v15.d[1], x0", "fmla v7.4s, v22.4s, v10.4s", "ldr x2, [x6, {high}]",
    "fmla v4.4s, v20.4s, v11.4s", "ldr x0, [{ahead}, #40]", "ldr d10, [{ahead}, #32]", "mov v16.d[1], x1",
    "ldr d24, [x7, {low}]", "mov v23.d[1], x2", "fmla v5.4s, v21.4s, v11.4s", "ldr x2, [x7, {high}]",
    "fmla v6.4s, v22.4s, v11.4s", "ldr x1, [x3, {high}]", "ldr d14, [x3, {low}]", "mov v10.d[1], x0",
    "ldr d17, [x4, {low}]", "mov v24.d[1], x2", "fmla v7.4s, v23.4s, v11.4s", "fmla v4.4s, v21.4s, v12.4s",
    "ldr x0, [{next}, #40]", "ldr d9, [{ahead}, #16]", "mov v14.d[1], x1", "fmla v5.4s, v22.4s, v12.4s",
    "ldr x1, [{ahead}, #24]", "fmla v6.4s, v23.4s, v12.4s", "fmla v7.4s, v24.4s, v12.4s", "b.ne 2b",
}

rows! {
    /// Four outputs, five wide, stride 1: 40 cycles for 20 multiply-adds and 13 operands.
    FourFiveWide: a "v0" b "v1" c "v2" d "v3";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #8]", "ldr x2, [{next}, #16]", "ldr x3, [{next}, #24]",
    "ldr x4, [{ahead}, #8]", "ldr d8, [{ahead}, #0]", "ldr x5, [x0, {high}]", "ldr d14, [x1, {low}]",
    "mov v8.d[1], x4", "ldr d13, [x0, {low}]", "ldr x0, [x1, {high}]", "ldr d15, [x2, {low}]", "mov v13.d[1], x5",
    "ldr d16, [x3, {low}]", "mov v14.d[1], x0", "ldr x0, [x2, {high}]", "ldr x1, [{next}, #32]", "mov {row}, {next}",
    "mov {w}, {ahead}", "2:", "ldr d9, [{w}, #16]", "mov v15.d[1], x0", "fmla v0.4s, v13.4s, v8.4s",
    "ldr x0, [x3, {high}]", "fmla v1.4s, v14.4s, v8.4s", "subs {left}, {left}, #1", "ldr x2, [{w}, #24]",
    "add {ahead}, {w}, #80", "ldr d17, [x1, {low}]", "mov v16.d[1], x0", "fmla v2.4s, v15.4s, v8.4s",
    "ldr x0, [x1, {high}]", "fmla v3.4s, v16.4s, v8.4s", "ldr x1, [{row}, #40]", "mov v9.d[1], x2",
    "ldr x2, [{w}, #40]", "ldr d10, [{w}, #32]", "mov v17.d[1], x0", "fmla v0.4s, v14.4s, v9.4s",
    "csel {ahead}, {ahead}, {w}, ne", "fmla v1.4s, v15.4s, v9.4s", "ldr {next}, [{rows}], #8", "mov v10.d[1], x2",
    "ldr x0, [x1, {high}]", "ldr d18, [x1, {low}]", "fmla v2.4s, v16.4s, v9.4s", "add {next}, {next}, {skip}",
    "fmla v3.4s, v17.4s, v9.4s", "ldr x2, [{row}, #48]", "mov v18.d[1], x0", "ldr x3, [{w}, #56]",
    "ldr d11, [{w}, #48]", "fmla v0.4s, v15.4s, v10.4s", "ldr x0, [{next}, #0]", "fmla v1.4s, v16.4s, v10.4s",
    "ldr x1, [{next}, #8]", "mov v11.d[1], x3", "ldr x4, [x2, {high}]", "ldr d19, [x2, {low}]",
    "fmla v2.4s, v17.4s, v10.4s", "ldr x2, [{next}, #16]", "fmla v3.4s, v18.4s, v10.4s", "ldr x3, [{next}, #24]",
    "mov v19.d[1], x4", "ldr x5, [{w}, #72]", "ldr d12, [{w}, #64]", "fmla v0.4s, v16.4s, v11.4s",
    "ldr x6, [{row}, #56]", "fmla v1.4s, v17.4s, v11.4s", "ldr x4, [{ahead}, #8]", "ldr d8, [{ahead}, #0]",
    "mov v12.d[1], x5", "ldr d20, [x6, {low}]", "mov {row}, {next}", "fmla v2.4s, v18.4s, v11.4s",
    "ldr x6, [x6, {high}]", "fmla v3.4s, v19.4s, v11.4s", "ldr x5, [x0, {high}]", "ldr d14, [x1, {low}]",
    "mov v8.d[1], x4", "ldr d13, [x0, {low}]", "mov v20.d[1], x6", "fmla v0.4s, v17.4s, v12.4s",
    "ldr x0, [x1, {high}]", "fmla v1.4s, v18.4s, v12.4s", "mov {w}, {ahead}", "ldr d15, [x2, {low}]",
    "mov v13.d[1], x5", "ldr d16, [x3, {low}]", "mov v14.d[1], x0", "fmla v2.4s, v19.4s, v12.4s",
    "ldr x0, [x2, {high}]", "fmla v3.4s, v20.4s, v12.4s", "ldr x1, [{next}, #32]", "b.ne 2b",
}

rows! {
    /// Eight outputs, five wide, stride 2: 72 cycles for 40 multiply-adds and 24 operands.
    EightFiveWideStride2: a "v0" b "v1" c "v2" d "v3" e "v4" f "v5" g "v6" h "v7";
    "ldr x0, [{next}, #16]", "ldr x1, [{next}, #32]", "ldr x2, [{next}, #48]", "ldr x3, [{next}, #24]",
    "ldr x4, [{next}, #40]", "ldr x5, [{next}, #0]", "ldr x6, [{next}, #64]", "ldr x7, [{next}, #56]",
    "ldr x8, [{next}, #8]", "ldr x9, [{next}, #80]", "ldr d8, [{ahead}, #0]", "ldr x10, [{ahead}, #8]",
    "ldr d15, [x0, {low}]", "mov v8.d[1], x10", "ldr x0, [x0, {high}]", "ldr d17, [x1, {low}]",
    "ldr x1, [x1, {high}]", "ldr d19, [x2, {low}]", "mov v15.d[1], x0", "ldr x0, [x2, {high}]",
    "ldr d9, [{ahead}, #16]", "mov v17.d[1], x1", "ldr x1, [{ahead}, #24]", "mov v19.d[1], x0",
    "ldr d16, [x3, {low}]", "mov v9.d[1], x1", "ldr x0, [x3, {high}]", "ldr d18, [x4, {low}]",
    "ldr x1, [x4, {high}]", "ldr d10, [{ahead}, #32]", "mov v16.d[1], x0", "ldr x0, [{ahead}, #40]",
    "ldr d13, [x5, {low}]", "mov v18.d[1], x1", "ldr x1, [x5, {high}]", "ldr d21, [x6, {low}]", "mov v10.d[1], x0",
    "ldr x0, [x6, {high}]", "ldr d11, [{ahead}, #48]", "mov v13.d[1], x1", "ldr x1, [{ahead}, #56]",
    "ldr d20, [x7, {low}]", "mov v21.d[1], x0", "ldr x0, [x7, {high}]", "ldr d14, [x8, {low}]", "mov v11.d[1], x1",
    "ldr x2, [{next}, #88]", "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d23, [x9, {low}]",
    "mov v20.d[1], x0", "fmla v0.4s, v13.4s, v8.4s", "ldr x0, [x8, {high}]", "fmla v1.4s, v15.4s, v8.4s",
    "subs {left}, {left}, #1", "fmla v2.4s, v17.4s, v8.4s", "ldr x1, [{row}, #72]", "ldr d24, [x2, {low}]",
    "mov v14.d[1], x0", "fmla v3.4s, v19.4s, v8.4s", "ldr x0, [x9, {high}]", "fmla v0.4s, v14.4s, v9.4s",
    "add {ahead}, {w}, #80", "fmla v1.4s, v16.4s, v9.4s", "csel {ahead}, {ahead}, {w}, ne", "ldr d22, [x1, {low}]",
    "mov v23.d[1], x0", "fmla v2.4s, v18.4s, v9.4s", "ldr x0, [x1, {high}]", "fmla v3.4s, v20.4s, v9.4s",
    "ldr {next}, [{rows}], #8", "fmla v0.4s, v15.4s, v10.4s", "ldr x1, [{row}, #96]", "ldr d12, [{w}, #64]",
    "mov v22.d[1], x0", "fmla v1.4s, v17.4s, v10.4s", "ldr x0, [{w}, #72]", "fmla v2.4s, v19.4s, v10.4s",
    "add {next}, {next}, {skip}", "fmla v3.4s, v21.4s, v10.4s", "ldr x3, [{row}, #112]", "ldr d25, [x1, {low}]",
    "mov v12.d[1], x0", "fmla v0.4s, v16.4s, v11.4s", "ldr x1, [x1, {high}]", "fmla v1.4s, v18.4s, v11.4s",
    "ldr x0, [{next}, #16]", "fmla v2.4s, v20.4s, v11.4s", "ldr x4, [{row}, #104]", "ldr d27, [x3, {low}]",
    "mov v25.d[1], x1", "fmla v3.4s, v22.4s, v11.4s", "ldr x3, [x3, {high}]", "fmla v0.4s, v17.4s, v12.4s",
    "ldr x1, [{next}, #32]", "fmla v1.4s, v19.4s, v12.4s", "ldr x7, [{row}, #120]", "ldr d26, [x4, {low}]",
    "mov v27.d[1], x3", "fmla v2.4s, v21.4s, v12.4s", "ldr x5, [x2, {high}]", "fmla v3.4s, v23.4s, v12.4s",
    "ldr x2, [{next}, #48]", "fmla v4.4s, v21.4s, v8.4s", "ldr x3, [{next}, #24]", "ldr d28, [x7, {low}]",
    "mov v24.d[1], x5", "fmla v5.4s, v23.4s, v8.4s", "ldr x6, [x4, {high}]", "fmla v6.4s, v25.4s, v8.4s",
    "ldr x4, [{next}, #40]", "fmla v7.4s, v27.4s, v8.4s", "ldr x5, [{next}, #0]", "mov v26.d[1], x6",
    "ldr x6, [{next}, #64]", "fmla v4.4s, v22.4s, v9.4s", "ldr x8, [x7, {high}]", "ldr x7, [{next}, #56]",
    "mov {w}, {ahead}", "fmla v5.4s, v24.4s, v9.4s", "ldr x10, [{row}, #128]", "mov v28.d[1], x8",
    "ldr x8, [{next}, #8]", "fmla v6.4s, v26.4s, v9.4s", "ldr x9, [{next}, #80]", "ldr d29, [x10, {low}]",
    "fmla v7.4s, v28.4s, v9.4s", "ldr x10, [x10, {high}]", "ldr x11, [{row}, #136]", "fmla v4.4s, v23.4s, v10.4s",
    "ldr x12, [{row}, #144]", "ldr d8, [{ahead}, #0]", "mov v29.d[1], x10", "fmla v5.4s, v25.4s, v10.4s",
    "ldr x10, [{ahead}, #8]", "ldr d30, [x11, {low}]", "mov {row}, {next}", "fmla v6.4s, v27.4s, v10.4s",
    "ldr x11, [x11, {high}]", "ldr d15, [x0, {low}]", "mov v8.d[1], x10", "fmla v7.4s, v29.4s, v10.4s",
    "ldr x0, [x0, {high}]", "ldr d17, [x1, {low}]", "mov v30.d[1], x11", "fmla v4.4s, v24.4s, v11.4s",
    "ldr x1, [x1, {high}]", "ldr d19, [x2, {low}]", "mov v15.d[1], x0", "fmla v5.4s, v26.4s, v11.4s",
    "ldr x0, [x2, {high}]", "ldr d9, [{ahead}, #16]", "mov v17.d[1], x1", "fmla v6.4s, v28.4s, v11.4s",
    "ldr x1, [{ahead}, #24]", "ldr d31, [x12, {low}]", "mov v19.d[1], x0", "fmla v7.4s, v30.4s, v11.4s",
    "ldr x2, [x12, {high}]", "ldr d16, [x3, {low}]", "mov v9.d[1], x1", "fmla v4.4s, v25.4s, v12.4s",
    "ldr x0, [x3, {high}]", "ldr d18, [x4, {low}]", "mov v31.d[1], x2", "fmla v5.4s, v27.4s, v12.4s",
    "ldr x1, [x4, {high}]", "ldr d10, [{ahead}, #32]", "mov v16.d[1], x0", "fmla v6.4s, v29.4s, v12.4s",
    "ldr x0, [{ahead}, #40]", "ldr d13, [x5, {low}]", "mov v18.d[1], x1", "fmla v7.4s, v31.4s, v12.4s",
    "ldr x1, [x5, {high}]", "ldr d21, [x6, {low}]", "mov v10.d[1], x0", "ldr x0, [x6, {high}]",
    "ldr d11, [{ahead}, #48]", "mov v13.d[1], x1", "ldr x1, [{ahead}, #56]", "ldr d20, [x7, {low}]",
    "mov v21.d[1], x0", "ldr x0, [x7, {high}]", "ldr d14, [x8, {low}]", "mov v11.d[1], x1", "ldr x2, [{next}, #88]",
    "b.ne 2b",
}

rows! {
    /// Four outputs, five wide, stride 2: 48 cycles for 20 multiply-adds and 16 operands.
    FourFiveWideStride2: a "v0" b "v1" c "v2" d "v3";
    "ldr x0, [{next}, #0]", "ldr x1, [{next}, #16]", "ldr x2, [{next}, #32]", "ldr x3, [{next}, #48]",
    "ldr x4, [{next}, #8]", "ldr x5, [{next}, #24]", "ldr x6, [{next}, #40]", "ldr x7, [{next}, #56]",
    "ldr x8, [x0, {high}]", "ldr d13, [x0, {low}]", "ldr d8, [{ahead}, #0]", "ldr x0, [{ahead}, #8]",
    "ldr x9, [x1, {high}]", "ldr d15, [x1, {low}]", "mov v13.d[1], x8", "ldr d17, [x2, {low}]", "mov v8.d[1], x0",
    "ldr x0, [x2, {high}]", "ldr x1, [x3, {high}]", "ldr d19, [x3, {low}]", "mov v15.d[1], x9",
    "ldr d14, [x4, {low}]", "mov v17.d[1], x0", "ldr x0, [x4, {high}]", "ldr x2, [{ahead}, #24]",
    "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d9, [{w}, #16]", "mov v19.d[1], x1", "ldr d16, [x5, {low}]",
    "mov v14.d[1], x0", "fmla v0.4s, v13.4s, v8.4s", "ldr x0, [x5, {high}]", "fmla v1.4s, v15.4s, v8.4s",
    "ldr x1, [x6, {high}]", "ldr d18, [x6, {low}]", "mov v9.d[1], x2", "ldr d20, [x7, {low}]", "mov v16.d[1], x0",
    "fmla v2.4s, v17.4s, v8.4s", "ldr x0, [x7, {high}]", "fmla v3.4s, v19.4s, v8.4s", "ldr x2, [{row}, #64]",
    "mov v18.d[1], x1", "ldr x1, [{w}, #40]", "ldr d10, [{w}, #32]", "mov v20.d[1], x0", "fmla v0.4s, v14.4s, v9.4s",
    "subs {left}, {left}, #1", "fmla v1.4s, v16.4s, v9.4s", "add {ahead}, {w}, #80", "mov v10.d[1], x1",
    "ldr x0, [x2, {high}]", "ldr d21, [x2, {low}]", "csel {ahead}, {ahead}, {w}, ne", "fmla v2.4s, v18.4s, v9.4s",
    "ldr {next}, [{rows}], #8", "fmla v3.4s, v20.4s, v9.4s", "ldr x1, [{row}, #72]", "mov v21.d[1], x0",
    "ldr x0, [{w}, #56]", "ldr d11, [{w}, #48]", "add {next}, {next}, {skip}", "fmla v0.4s, v15.4s, v10.4s",
    "fmla v1.4s, v17.4s, v10.4s", "mov v11.d[1], x0", "ldr x2, [x1, {high}]", "ldr d22, [x1, {low}]",
    "fmla v2.4s, v19.4s, v10.4s", "ldr x0, [{next}, #0]", "fmla v3.4s, v21.4s, v10.4s", "ldr x3, [{row}, #80]",
    "mov v22.d[1], x2", "ldr x4, [{w}, #72]", "ldr d12, [{w}, #64]", "mov {row}, {next}",
    "fmla v0.4s, v16.4s, v11.4s", "ldr x1, [{next}, #16]", "fmla v1.4s, v18.4s, v11.4s", "ldr x2, [{next}, #32]",
    "mov v12.d[1], x4", "ldr x5, [x3, {high}]", "ldr d23, [x3, {low}]", "mov {w}, {ahead}",
    "fmla v2.4s, v20.4s, v11.4s", "ldr x3, [{next}, #48]", "fmla v3.4s, v22.4s, v11.4s", "ldr x4, [{next}, #8]",
    "mov v23.d[1], x5", "ldr x5, [{next}, #24]", "ldr x6, [{next}, #40]", "fmla v0.4s, v17.4s, v12.4s",
    "ldr x7, [{next}, #56]", "fmla v1.4s, v19.4s, v12.4s", "ldr x8, [x0, {high}]", "ldr d13, [x0, {low}]",
    "ldr d8, [{ahead}, #0]", "fmla v2.4s, v21.4s, v12.4s", "ldr x0, [{ahead}, #8]", "fmla v3.4s, v23.4s, v12.4s",
    "ldr x9, [x1, {high}]", "ldr d15, [x1, {low}]", "mov v13.d[1], x8", "ldr d17, [x2, {low}]", "mov v8.d[1], x0",
    "ldr x0, [x2, {high}]", "ldr x1, [x3, {high}]", "ldr d19, [x3, {low}]", "mov v15.d[1], x9",
    "ldr d14, [x4, {low}]", "mov v17.d[1], x0", "ldr x0, [x4, {high}]", "ldr x2, [{ahead}, #24]", "b.ne 2b",
}
