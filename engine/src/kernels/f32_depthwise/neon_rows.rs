//! Rows of windows of fp32 depthwise layers for 64-bit ARM, scheduled for the in-order Cortex-A53.
//!
//! On an A53 a 128-bit load takes two cycles in which nothing else issues, and a vector load or move may not fall on the
//! fourth cycle after a fused multiply-add. So operands come as halves, `ldr d` paired with the `mov` of the half of an
//! earlier one that `ldr x` fetched beside a multiply-add, and such cycles are four apart from each other: one series of
//! them runs through, a second one where a row needs more. A pass of the loop multiplies a row of the window, tap by tap for
//! six or seven outputs that hide each other's latency (twice where there are two such groups, which share weights and the
//! pixels between them), and loads the first pixels and weights of the next. Results are clamped and stored where they are.

use std::arch::asm;

use super::neon::Segment;

/// `name, last instructions; instructions`: a function as [`super::neon::MultiplyRows`]. Sums are v0 to v13; weights and pixels
/// have the registers behind them.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident, $finish:ident; $($instruction:literal,)*) => {
        $finish! { $(#[$doc])* $name [$($instruction,)*] }
    };
}

macro_rules! function {
    ($(#[$doc:meta])* $name:ident [$($instruction:literal,)*] [$($last:expr,)*]) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As [`MultiplyRows`](crate::kernels::f32_depthwise::neon::MultiplyRows).
        #[target_feature(enable = "neon")]
        pub(in crate::kernels::f32_depthwise) unsafe fn $name(segment: &mut Segment, channel: usize, blocks: usize) {
            // SAFETY: the caller vouches for what is read and written. The last pass loads its own weights again, and pixels of
            // the table behind the last.
            unsafe {
                asm!(
                    $($instruction,)*
                    $($last,)*
                    skip = in(reg) segment.skip, segment = in(reg) segment, blocks = inout(reg) blocks => _,
                    rows = out(reg) _, next = out(reg) _, row = out(reg) _, ahead = out(reg) _, w = out(reg) _,
                    left = out(reg) _, low = inout(reg) 4 * channel => _, high = inout(reg) 4 * channel + 8 => _,
                    out("x0") _, out("x1") _, out("x2") _, out("x3") _, out("x4") _, out("x5") _, out("x6") _,
                    out("x7") _, out("x8") _, out("x9") _, out("x10") _, out("x11") _, out("x12") _, out("v0") _,
                    out("v1") _, out("v2") _, out("v3") _, out("v4") _, out("v5") _, out("v6") _, out("v7") _,
                    out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _, out("v14") _,
                    out("v15") _, out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _,
                    out("v22") _, out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _,
                    out("v29") _, out("v30") _, out("v31") _,
                    options(nostack),
                );
            }
        }
    };
}

/// `function; sums; pairs of sums; the one behind them, if their number is odd; the last two, and where they go`: bounds for
/// all sums, which are stored by turns at x0 and x2, and steps to the next block.
macro_rules! finish {
    ([$($head:tt)*] [$($sum:literal)*] [$($even:literal $odd:literal)*] [$($behind:literal)?]
     [$last:literal $to:literal $very_last:literal $there:literal]) => {
        function! { $($head)* [
            "ldr x2, [{segment}, #72]", "ldr w3, [{segment}, #64]", "ldr w4, [{segment}, #68]",
            "ldp x0, x1, [{segment}]", "cbz x2, 3f", "dup v30.4s, w3", "dup v31.4s, w4",
            $(concat!("fmax v", $sum, ".4s, v", $sum, ".4s, v30.4s"),)*
            $(concat!("fmin v", $sum, ".4s, v", $sum, ".4s, v31.4s"),)*
            "3:", "ldp x5, x6, [{segment}, #16]", "add x0, x0, {low}", "add x2, x0, x1", "lsl x1, x1, #1",
            "ldr x7, [{segment}, #56]",
            $(
                concat!("str q", $even, ", [x0]"), "add x0, x0, x1",
                concat!("str q", $odd, ", [x2]"), "add x2, x2, x1",
            )*
            $(concat!("str q", $behind, ", [x0]"), "add x0, x0, x1",)?
            concat!("str q", $last, ", [", $to, "]"), "add {low}, {low}, #16",
            concat!("str q", $very_last, ", [", $there, "]"), "add {high}, {high}, #16",
            "add x5, x5, x7", "add x6, x6, x7", "subs {blocks}, {blocks}, #1", "stp x5, x6, [{segment}, #16]",
            "b.ne 4b",
        ] }
    };
}

macro_rules! finish_6 {
    ($($head:tt)*) => {
        finish! { [$($head)*] ["0" "1" "2" "3" "4" "5"] ["0" "1" "2" "3"] [] ["4" "x0" "5" "x2"] }
    };
}

macro_rules! finish_7 {
    ($($head:tt)*) => {
        finish! { [$($head)*] ["0" "1" "2" "3" "4" "5" "6"] ["0" "1" "2" "3"] ["4"] ["5" "x2" "6" "x0"] }
    };
}

macro_rules! finish_12 {
    ($($head:tt)*) => {
        finish! { [$($head)*]
            ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11"]
            ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9"] [] ["10" "x0" "11" "x2"] }
    };
}

macro_rules! finish_14 {
    ($($head:tt)*) => {
        finish! { [$($head)*]
            ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11" "12" "13"]
            ["0" "1" "2" "3" "4" "5" "6" "7" "8" "9" "10" "11"] [] ["12" "x0" "13" "x2"] }
    };
}

pub(super) mod stride_2;

rows! {
    /// Fourteen outputs, five wide, stride 1: 99 cycles for 70 multiply-adds and 23 operands.
    fourteen_five_wide, finish_14;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr d14, [{ahead}, #0]", "mov v2.16b, v0.16b",
    "ldr x1, [{ahead}, #8]", "mov v3.16b, v0.16b", "ldr d15, [x0, {low}]", "mov v4.16b, v0.16b", "mov v14.d[1], x1",
    "mov v5.16b, v0.16b", "ldr x1, [x0, {high}]", "mov v6.16b, v0.16b", "ldr x0, [{next}, #8]", "mov v7.16b, v0.16b",
    "mov v15.d[1], x1", "mov v8.16b, v0.16b", "ldr d16, [x0, {low}]", "mov v9.16b, v0.16b", "ldr x1, [x0, {high}]",
    "mov v10.16b, v0.16b", "ldr x0, [{next}, #16]", "mov v11.16b, v0.16b", "mov v16.d[1], x1", "mov v12.16b, v0.16b",
    "ldr x1, [{next}, #24]", "mov v13.16b, v0.16b", "ldr d17, [x0, {low}]", "ldr x2, [x0, {high}]",
    "ldr d18, [x1, {low}]", "mov v17.d[1], x2", "ldr x2, [x1, {high}]", "ldr x1, [{next}, #32]", "mov v18.d[1], x2",
    "ldr x2, [{next}, #40]", "ldr d19, [x1, {low}]", "ldr x0, [x1, {high}]", "ldr x1, [{next}, #48]",
    "ldr x3, [x2, {high}]", "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d20, [x2, {low}]", "mov v19.d[1], x0",
    "ldr {next}, [{rows}], #8", "subs {left}, {left}, #1", "add {ahead}, {w}, #80", "csel {ahead}, {ahead}, {w}, ne",
    "ldr d21, [x1, {low}]", "mov v20.d[1], x3", "ldr x3, [x1, {high}]", "add {next}, {next}, {skip}",
    "fmla v0.4s, v15.4s, v14.4s", "fmla v1.4s, v16.4s, v14.4s", "ldr x1, [{row}, #56]", "ldr d22, [{w}, #16]",
    "mov v21.d[1], x3", "fmla v2.4s, v17.4s, v14.4s", "ldr x3, [{w}, #24]", "fmla v3.4s, v18.4s, v14.4s",
    "fmla v4.4s, v19.4s, v14.4s", "ldr d15, [x1, {low}]", "mov v22.d[1], x3", "fmla v5.4s, v20.4s, v14.4s",
    "ldr x3, [x1, {high}]", "fmla v6.4s, v21.4s, v14.4s", "fmla v0.4s, v16.4s, v22.4s", "ldr x1, [{row}, #64]",
    "ldr d23, [{w}, #32]", "mov v15.d[1], x3", "fmla v1.4s, v17.4s, v22.4s", "ldr x3, [{w}, #40]",
    "fmla v2.4s, v18.4s, v22.4s", "fmla v3.4s, v19.4s, v22.4s", "ldr d16, [x1, {low}]", "mov v23.d[1], x3",
    "fmla v4.4s, v20.4s, v22.4s", "ldr x3, [x1, {high}]", "fmla v5.4s, v21.4s, v22.4s", "fmla v6.4s, v15.4s, v22.4s",
    "ldr d24, [{w}, #48]", "mov v16.d[1], x3", "fmla v0.4s, v17.4s, v23.4s", "ldr x3, [{w}, #56]",
    "fmla v1.4s, v18.4s, v23.4s", "fmla v2.4s, v19.4s, v23.4s", "mov v24.d[1], x3", "fmla v3.4s, v20.4s, v23.4s",
    "ldr x3, [{row}, #72]", "fmla v4.4s, v21.4s, v23.4s", "fmla v5.4s, v15.4s, v23.4s", "ldr d17, [x3, {low}]",
    "fmla v6.4s, v16.4s, v23.4s", "ldr x1, [x3, {high}]", "fmla v0.4s, v18.4s, v24.4s", "fmla v1.4s, v19.4s, v24.4s",
    "ldr x3, [{row}, #80]", "ldr d25, [{w}, #64]", "mov v17.d[1], x1", "fmla v2.4s, v20.4s, v24.4s",
    "ldr x1, [{w}, #72]", "fmla v3.4s, v21.4s, v24.4s", "mov {w}, {ahead}", "fmla v4.4s, v15.4s, v24.4s",
    "ldr x0, [{row}, #88]", "ldr d18, [x3, {low}]", "mov v25.d[1], x1", "fmla v5.4s, v16.4s, v24.4s",
    "ldr x1, [x3, {high}]", "fmla v6.4s, v17.4s, v24.4s", "fmla v0.4s, v19.4s, v25.4s", "ldr x3, [{row}, #96]",
    "ldr d19, [x0, {low}]", "mov v18.d[1], x1", "fmla v1.4s, v20.4s, v25.4s", "ldr x1, [x0, {high}]",
    "fmla v2.4s, v21.4s, v25.4s", "fmla v3.4s, v15.4s, v25.4s", "ldr x0, [{row}, #104]", "ldr d21, [x3, {low}]",
    "mov v19.d[1], x1", "fmla v4.4s, v16.4s, v25.4s", "ldr x1, [x3, {high}]", "fmla v5.4s, v17.4s, v25.4s",
    "fmla v6.4s, v18.4s, v25.4s", "ldr d20, [x0, {low}]", "mov v21.d[1], x1", "fmla v7.4s, v15.4s, v14.4s",
    "ldr x1, [x0, {high}]", "fmla v8.4s, v16.4s, v14.4s", "fmla v9.4s, v17.4s, v14.4s", "mov v20.d[1], x1",
    "fmla v10.4s, v18.4s, v14.4s", "ldr x1, [{row}, #112]", "fmla v11.4s, v19.4s, v14.4s",
    "fmla v12.4s, v21.4s, v14.4s", "ldr d26, [x1, {low}]", "fmla v13.4s, v20.4s, v14.4s", "ldr x3, [x1, {high}]",
    "fmla v7.4s, v16.4s, v22.4s", "fmla v8.4s, v17.4s, v22.4s", "ldr x0, [{next}, #0]", "ldr d14, [{ahead}, #0]",
    "mov v26.d[1], x3", "fmla v9.4s, v18.4s, v22.4s", "ldr x1, [{ahead}, #8]", "fmla v10.4s, v19.4s, v22.4s",
    "fmla v11.4s, v21.4s, v22.4s", "ldr x3, [{row}, #120]", "ldr d15, [x0, {low}]", "mov v14.d[1], x1",
    "fmla v12.4s, v20.4s, v22.4s", "ldr x1, [x0, {high}]", "fmla v13.4s, v26.4s, v22.4s",
    "fmla v7.4s, v17.4s, v23.4s", "ldr x0, [{next}, #8]", "ldr d22, [x3, {low}]", "mov v15.d[1], x1",
    "fmla v8.4s, v18.4s, v23.4s", "ldr x1, [x3, {high}]", "fmla v9.4s, v19.4s, v23.4s", "fmla v10.4s, v21.4s, v23.4s",
    "ldr x3, [{row}, #128]", "ldr d16, [x0, {low}]", "mov v22.d[1], x1", "fmla v11.4s, v20.4s, v23.4s",
    "ldr x1, [x0, {high}]", "fmla v12.4s, v26.4s, v23.4s", "fmla v13.4s, v22.4s, v23.4s", "ldr x0, [{next}, #16]",
    "ldr d23, [x3, {low}]", "mov v16.d[1], x1", "fmla v7.4s, v18.4s, v24.4s", "ldr x2, [x3, {high}]",
    "fmla v8.4s, v19.4s, v24.4s", "fmla v9.4s, v21.4s, v24.4s", "ldr x1, [{next}, #24]", "ldr d17, [x0, {low}]",
    "mov v23.d[1], x2", "fmla v10.4s, v20.4s, v24.4s", "ldr x2, [x0, {high}]", "fmla v11.4s, v26.4s, v24.4s",
    "fmla v12.4s, v22.4s, v24.4s", "ldr x0, [{row}, #136]", "ldr d18, [x1, {low}]", "mov v17.d[1], x2",
    "fmla v13.4s, v23.4s, v24.4s", "ldr x2, [x1, {high}]", "fmla v7.4s, v19.4s, v25.4s", "mov {row}, {next}",
    "fmla v8.4s, v21.4s, v25.4s", "ldr x1, [{next}, #32]", "ldr d21, [x0, {low}]", "mov v18.d[1], x2",
    "fmla v9.4s, v20.4s, v25.4s", "ldr x3, [x0, {high}]", "fmla v10.4s, v26.4s, v25.4s",
    "fmla v11.4s, v22.4s, v25.4s", "ldr x2, [{next}, #40]", "ldr d19, [x1, {low}]", "mov v21.d[1], x3",
    "ldr x0, [x1, {high}]", "fmla v12.4s, v23.4s, v25.4s", "ldr x1, [{next}, #48]", "fmla v13.4s, v21.4s, v25.4s",
    "ldr x3, [x2, {high}]", "b.ne 2b",
}

rows! {
    /// Twelve outputs, five wide, stride 1: 84 cycles for 60 multiply-adds and 21 operands.
    twelve_five_wide, finish_12;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr d12, [{ahead}, #0]", "mov v1.16b, v0.16b", "ldr x0, [{next}, #0]", "mov v2.16b, v0.16b",
    "ldr d13, [x0, {low}]", "mov v3.16b, v0.16b", "ldr x1, [{ahead}, #8]", "mov v4.16b, v0.16b",
    "ldr x2, [{next}, #8]", "mov v5.16b, v0.16b", "ldr x3, [{next}, #16]", "mov v6.16b, v0.16b", "mov v12.d[1], x1",
    "mov v7.16b, v0.16b", "ldr x1, [{next}, #24]", "mov v8.16b, v0.16b", "ldr x4, [{next}, #32]",
    "mov v9.16b, v0.16b", "ldr d14, [x2, {low}]", "mov v10.16b, v0.16b", "ldr x5, [x0, {high}]",
    "mov v11.16b, v0.16b", "ldr x0, [{next}, #40]", "ldr d15, [x3, {low}]", "mov v13.d[1], x5",
    "ldr x5, [x2, {high}]", "ldr x2, [{next}, #48]", "ldr x6, [x3, {high}]", "mov v14.d[1], x5",
    "ldr x5, [x1, {high}]", "ldr x3, [x4, {high}]", "ldr d16, [x1, {low}]", "mov v15.d[1], x6",
    "ldr d17, [x4, {low}]", "ldr x4, [x0, {high}]", "ldr x1, [{ahead}, #24]", "mov {row}, {next}", "mov {w}, {ahead}",
    "2:", "ldr d18, [x0, {low}]", "mov v16.d[1], x5", "mov v17.d[1], x3", "fmla v0.4s, v13.4s, v12.4s",
    "ldr {next}, [{rows}], #8", "fmla v1.4s, v14.4s, v12.4s", "subs {left}, {left}, #1", "ldr d13, [{w}, #16]",
    "mov v18.d[1], x4", "fmla v2.4s, v15.4s, v12.4s", "add {ahead}, {w}, #80", "fmla v3.4s, v16.4s, v12.4s",
    "csel {ahead}, {ahead}, {w}, ne", "fmla v4.4s, v17.4s, v12.4s", "add {next}, {next}, {skip}",
    "ldr d19, [x2, {low}]", "mov v13.d[1], x1", "fmla v5.4s, v18.4s, v12.4s", "ldr x1, [x2, {high}]",
    "fmla v0.4s, v14.4s, v13.4s", "fmla v1.4s, v15.4s, v13.4s", "ldr x2, [{row}, #56]", "ldr d14, [{w}, #32]",
    "mov v19.d[1], x1", "fmla v2.4s, v16.4s, v13.4s", "ldr x1, [{w}, #40]", "fmla v3.4s, v17.4s, v13.4s",
    "fmla v4.4s, v18.4s, v13.4s", "ldr d20, [x2, {low}]", "mov v14.d[1], x1", "fmla v5.4s, v19.4s, v13.4s",
    "ldr x1, [x2, {high}]", "fmla v0.4s, v15.4s, v14.4s", "fmla v1.4s, v16.4s, v14.4s", "ldr x2, [{row}, #64]",
    "ldr d21, [{w}, #48]", "mov v20.d[1], x1", "fmla v2.4s, v17.4s, v14.4s", "ldr x1, [{w}, #56]",
    "fmla v3.4s, v18.4s, v14.4s", "fmla v4.4s, v19.4s, v14.4s", "ldr d15, [x2, {low}]", "mov v21.d[1], x1",
    "fmla v5.4s, v20.4s, v14.4s", "ldr x1, [x2, {high}]", "fmla v0.4s, v16.4s, v21.4s", "fmla v1.4s, v17.4s, v21.4s",
    "ldr x2, [{row}, #72]", "ldr d22, [{w}, #64]", "mov v15.d[1], x1", "fmla v2.4s, v18.4s, v21.4s",
    "ldr x1, [{w}, #72]", "fmla v3.4s, v19.4s, v21.4s", "mov {w}, {ahead}", "fmla v4.4s, v20.4s, v21.4s",
    "ldr x4, [{row}, #80]", "ldr d16, [x2, {low}]", "mov v22.d[1], x1", "fmla v5.4s, v15.4s, v21.4s",
    "ldr x1, [x2, {high}]", "fmla v0.4s, v17.4s, v22.4s", "fmla v1.4s, v18.4s, v22.4s", "ldr x2, [{row}, #88]",
    "ldr d18, [x4, {low}]", "mov v16.d[1], x1", "fmla v2.4s, v19.4s, v22.4s", "ldr x1, [x4, {high}]",
    "fmla v3.4s, v20.4s, v22.4s", "fmla v4.4s, v15.4s, v22.4s", "ldr d17, [x2, {low}]", "mov v18.d[1], x1",
    "fmla v5.4s, v16.4s, v22.4s", "ldr x1, [x2, {high}]", "fmla v6.4s, v19.4s, v12.4s", "fmla v7.4s, v20.4s, v12.4s",
    "mov v17.d[1], x1", "fmla v8.4s, v15.4s, v12.4s", "ldr x1, [{row}, #96]", "fmla v9.4s, v16.4s, v12.4s",
    "fmla v10.4s, v18.4s, v12.4s", "ldr d19, [x1, {low}]", "fmla v11.4s, v17.4s, v12.4s", "ldr x2, [x1, {high}]",
    "fmla v6.4s, v20.4s, v13.4s", "fmla v7.4s, v15.4s, v13.4s", "ldr d12, [{ahead}, #0]", "mov v19.d[1], x2",
    "fmla v8.4s, v16.4s, v13.4s", "ldr x2, [{row}, #104]", "fmla v9.4s, v18.4s, v13.4s",
    "fmla v10.4s, v17.4s, v13.4s", "ldr x0, [{next}, #0]", "ldr d20, [x2, {low}]", "fmla v11.4s, v19.4s, v13.4s",
    "ldr x1, [x2, {high}]", "fmla v6.4s, v15.4s, v14.4s", "fmla v7.4s, v16.4s, v14.4s", "ldr x4, [{row}, #112]",
    "ldr d13, [x0, {low}]", "mov v20.d[1], x1", "fmla v8.4s, v18.4s, v14.4s", "ldr x1, [{ahead}, #8]",
    "fmla v9.4s, v17.4s, v14.4s", "ldr x2, [{next}, #8]", "fmla v10.4s, v19.4s, v14.4s", "ldr x3, [{next}, #16]",
    "ldr d23, [x4, {low}]", "mov v12.d[1], x1", "fmla v11.4s, v20.4s, v14.4s", "ldr x5, [x4, {high}]",
    "fmla v6.4s, v16.4s, v21.4s", "ldr x1, [{next}, #24]", "fmla v7.4s, v18.4s, v21.4s", "ldr x4, [{next}, #32]",
    "ldr d14, [x2, {low}]", "mov v23.d[1], x5", "fmla v8.4s, v17.4s, v21.4s", "ldr x5, [x0, {high}]",
    "fmla v9.4s, v19.4s, v21.4s", "ldr x0, [{next}, #40]", "fmla v10.4s, v20.4s, v21.4s", "ldr x7, [{row}, #120]",
    "ldr d15, [x3, {low}]", "mov v13.d[1], x5", "fmla v11.4s, v23.4s, v21.4s", "ldr x5, [x2, {high}]",
    "fmla v6.4s, v18.4s, v22.4s", "ldr x2, [{next}, #48]", "fmla v7.4s, v17.4s, v22.4s", "ldr x6, [x3, {high}]",
    "ldr d18, [x7, {low}]", "mov v14.d[1], x5", "ldr x5, [x1, {high}]", "mov {row}, {next}",
    "fmla v8.4s, v19.4s, v22.4s", "ldr x8, [x7, {high}]", "fmla v9.4s, v20.4s, v22.4s", "ldr x3, [x4, {high}]",
    "ldr d16, [x1, {low}]", "mov v15.d[1], x6", "ldr d17, [x4, {low}]", "mov v18.d[1], x8",
    "fmla v10.4s, v23.4s, v22.4s", "ldr x4, [x0, {high}]", "fmla v11.4s, v18.4s, v22.4s", "ldr x1, [{ahead}, #24]",
    "b.ne 2b",
}

rows! {
    /// Seven outputs, five wide, stride 1: 55 cycles for 35 multiply-adds and 16 operands.
    seven_five_wide, finish_7;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr d7, [{ahead}, #0]", "mov v2.16b, v0.16b",
    "ldr x1, [{next}, #8]", "mov v3.16b, v0.16b", "ldr x2, [{next}, #16]", "mov v4.16b, v0.16b",
    "ldr x3, [{next}, #24]", "mov v5.16b, v0.16b", "ldr x4, [{next}, #32]", "mov v6.16b, v0.16b",
    "ldr x5, [{next}, #40]", "ldr x6, [{next}, #48]", "ldr d8, [x0, {low}]", "ldr x7, [{ahead}, #8]",
    "ldr x8, [{next}, #56]", "ldr d9, [x1, {low}]", "mov v7.d[1], x7", "ldr x7, [x0, {high}]", "ldr x0, [x1, {high}]",
    "mov v8.d[1], x7", "ldr d10, [x2, {low}]", "mov v9.d[1], x0", "ldr x0, [x2, {high}]", "ldr x2, [x3, {high}]",
    "ldr d11, [x3, {low}]", "ldr d12, [x4, {low}]", "mov v10.d[1], x0", "ldr x0, [x4, {high}]",
    "ldr x4, [x5, {high}]", "ldr d13, [x5, {low}]", "mov v11.d[1], x2", "mov v12.d[1], x0", "ldr x0, [x6, {high}]",
    "ldr x2, [{ahead}, #24]", "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d14, [x6, {low}]",
    "mov v13.d[1], x4", "fmla v0.4s, v8.4s, v7.4s", "ldr {next}, [{rows}], #8", "fmla v1.4s, v9.4s, v7.4s",
    "subs {left}, {left}, #1", "fmla v2.4s, v10.4s, v7.4s", "add {ahead}, {w}, #80", "ldr d8, [{w}, #16]",
    "mov v14.d[1], x0", "fmla v3.4s, v11.4s, v7.4s", "csel {ahead}, {ahead}, {w}, ne", "fmla v4.4s, v12.4s, v7.4s",
    "add {next}, {next}, {skip}", "fmla v5.4s, v13.4s, v7.4s", "ldr d15, [x8, {low}]", "mov v8.d[1], x2",
    "fmla v6.4s, v14.4s, v7.4s", "ldr x2, [x8, {high}]", "fmla v0.4s, v9.4s, v8.4s", "fmla v1.4s, v10.4s, v8.4s",
    "ldr x8, [{row}, #64]", "ldr d9, [{w}, #32]", "mov v15.d[1], x2", "fmla v2.4s, v11.4s, v8.4s",
    "ldr x2, [{w}, #40]", "fmla v3.4s, v12.4s, v8.4s", "fmla v4.4s, v13.4s, v8.4s", "ldr d16, [x8, {low}]",
    "mov v9.d[1], x2", "fmla v5.4s, v14.4s, v8.4s", "ldr x2, [x8, {high}]", "fmla v6.4s, v15.4s, v8.4s",
    "fmla v0.4s, v10.4s, v9.4s", "ldr d10, [{w}, #48]", "mov v16.d[1], x2", "fmla v1.4s, v11.4s, v9.4s",
    "ldr x2, [{w}, #56]", "fmla v2.4s, v12.4s, v9.4s", "fmla v3.4s, v13.4s, v9.4s", "ldr x0, [{next}, #0]",
    "ldr d7, [{ahead}, #0]", "mov v10.d[1], x2", "fmla v4.4s, v14.4s, v9.4s", "ldr x8, [{row}, #72]",
    "fmla v5.4s, v15.4s, v9.4s", "ldr x1, [{next}, #8]", "fmla v6.4s, v16.4s, v9.4s", "ldr x2, [{next}, #16]",
    "ldr d17, [x8, {low}]", "fmla v0.4s, v11.4s, v10.4s", "ldr x6, [x8, {high}]", "fmla v1.4s, v12.4s, v10.4s",
    "ldr x3, [{next}, #24]", "fmla v2.4s, v13.4s, v10.4s", "ldr x4, [{next}, #32]", "ldr d18, [{w}, #64]",
    "mov v17.d[1], x6", "fmla v3.4s, v14.4s, v10.4s", "ldr x8, [{w}, #72]", "fmla v4.4s, v15.4s, v10.4s",
    "ldr x5, [{next}, #40]", "fmla v5.4s, v16.4s, v10.4s", "ldr x6, [{next}, #48]", "ldr d8, [x0, {low}]",
    "mov v18.d[1], x8", "fmla v6.4s, v17.4s, v10.4s", "ldr x7, [{ahead}, #8]", "fmla v0.4s, v12.4s, v18.4s",
    "ldr x8, [{next}, #56]", "fmla v1.4s, v13.4s, v18.4s", "ldr x9, [{row}, #80]", "ldr d9, [x1, {low}]",
    "mov v7.d[1], x7", "ldr x7, [x0, {high}]", "mov {row}, {next}", "fmla v2.4s, v14.4s, v18.4s",
    "ldr x0, [x1, {high}]", "fmla v3.4s, v15.4s, v18.4s", "ldr x1, [x9, {high}]", "ldr d15, [x9, {low}]",
    "mov v8.d[1], x7", "ldr d10, [x2, {low}]", "mov v9.d[1], x0", "fmla v4.4s, v16.4s, v18.4s",
    "ldr x0, [x2, {high}]", "fmla v5.4s, v17.4s, v18.4s", "ldr x2, [x3, {high}]", "ldr d11, [x3, {low}]",
    "mov v15.d[1], x1", "ldr d12, [x4, {low}]", "mov v10.d[1], x0", "fmla v6.4s, v15.4s, v18.4s",
    "ldr x0, [x4, {high}]", "ldr x4, [x5, {high}]", "mov {w}, {ahead}", "ldr d13, [x5, {low}]", "mov v11.d[1], x2",
    "mov v12.d[1], x0", "ldr x0, [x6, {high}]", "ldr x2, [{ahead}, #24]", "b.ne 2b",
}

rows! {
    /// Six outputs, five wide, stride 1: 48 cycles for 30 multiply-adds and 15 operands.
    six_five_wide, finish_6;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr x1, [{next}, #8]", "mov v2.16b, v0.16b",
    "ldr x2, [{next}, #16]", "mov v3.16b, v0.16b", "ldr x3, [{next}, #24]", "mov v4.16b, v0.16b",
    "ldr x4, [{next}, #32]", "mov v5.16b, v0.16b", "ldr d6, [{ahead}, #0]", "ldr x5, [{next}, #40]",
    "ldr d7, [x0, {low}]", "ldr x6, [{ahead}, #8]", "ldr x7, [x0, {high}]", "mov v6.d[1], x6", "mov v7.d[1], x7",
    "ldr x7, [x1, {high}]", "ldr d8, [x1, {low}]", "ldr d9, [x2, {low}]", "ldr x1, [x2, {high}]",
    "ldr x2, [x3, {high}]", "ldr d10, [x3, {low}]", "mov v8.d[1], x7", "mov v9.d[1], x1", "ldr x1, [x4, {high}]",
    "ldr d11, [x4, {low}]", "mov v10.d[1], x2", "ldr x2, [{next}, #48]", "ldr d12, [x5, {low}]", "mov v11.d[1], x1",
    "ldr x1, [x5, {high}]", "ldr x5, [{ahead}, #24]", "ldr x4, [x2, {high}]", "mov {row}, {next}", "mov {w}, {ahead}",
    "2:", "ldr d13, [{w}, #16]", "mov v12.d[1], x1", "fmla v0.4s, v7.4s, v6.4s", "ldr {next}, [{rows}], #8",
    "fmla v1.4s, v8.4s, v6.4s", "subs {left}, {left}, #1", "fmla v2.4s, v9.4s, v6.4s", "add {ahead}, {w}, #80",
    "ldr d14, [x2, {low}]", "mov v13.d[1], x5", "fmla v3.4s, v10.4s, v6.4s", "csel {ahead}, {ahead}, {w}, ne",
    "fmla v4.4s, v11.4s, v6.4s", "add {next}, {next}, {skip}", "fmla v5.4s, v12.4s, v6.4s", "ldr x2, [{row}, #56]",
    "ldr d7, [{w}, #32]", "mov v14.d[1], x4", "fmla v0.4s, v8.4s, v13.4s", "ldr x4, [{w}, #40]",
    "fmla v1.4s, v9.4s, v13.4s", "fmla v2.4s, v10.4s, v13.4s", "ldr x0, [{next}, #0]", "ldr d15, [x2, {low}]",
    "mov v7.d[1], x4", "fmla v3.4s, v11.4s, v13.4s", "ldr x4, [x2, {high}]", "fmla v4.4s, v12.4s, v13.4s",
    "ldr x1, [{next}, #8]", "fmla v5.4s, v14.4s, v13.4s", "ldr x2, [{next}, #16]", "ldr d13, [{w}, #48]",
    "mov v15.d[1], x4", "fmla v0.4s, v9.4s, v7.4s", "ldr x5, [{w}, #56]", "fmla v1.4s, v10.4s, v7.4s",
    "ldr x3, [{next}, #24]", "fmla v2.4s, v11.4s, v7.4s", "ldr x4, [{next}, #32]", "ldr d6, [{ahead}, #0]",
    "mov v13.d[1], x5", "fmla v3.4s, v12.4s, v7.4s", "ldr x5, [{next}, #40]", "fmla v4.4s, v14.4s, v7.4s",
    "ldr x8, [{row}, #64]", "fmla v5.4s, v15.4s, v7.4s", "ldr x9, [{row}, #72]", "ldr d7, [x0, {low}]",
    "ldr x6, [{ahead}, #8]", "mov {row}, {next}", "fmla v0.4s, v10.4s, v13.4s", "ldr x7, [x0, {high}]",
    "fmla v1.4s, v11.4s, v13.4s", "ldr x0, [x8, {high}]", "ldr d16, [x8, {low}]", "mov v6.d[1], x6",
    "ldr d17, [{w}, #64]", "mov v7.d[1], x7", "fmla v2.4s, v12.4s, v13.4s", "ldr x6, [{w}, #72]",
    "fmla v3.4s, v14.4s, v13.4s", "ldr x7, [x1, {high}]", "ldr d8, [x1, {low}]", "mov v16.d[1], x0",
    "ldr d9, [x2, {low}]", "mov v17.d[1], x6", "fmla v4.4s, v15.4s, v13.4s", "ldr x1, [x2, {high}]",
    "fmla v5.4s, v16.4s, v13.4s", "ldr x2, [x3, {high}]", "ldr d10, [x3, {low}]", "mov v8.d[1], x7",
    "ldr d13, [x9, {low}]", "mov v9.d[1], x1", "fmla v0.4s, v11.4s, v17.4s", "ldr x3, [x9, {high}]",
    "fmla v1.4s, v12.4s, v17.4s", "ldr x1, [x4, {high}]", "ldr d11, [x4, {low}]", "mov v10.d[1], x2",
    "mov v13.d[1], x3", "fmla v2.4s, v14.4s, v17.4s", "mov {w}, {ahead}", "fmla v3.4s, v15.4s, v17.4s",
    "ldr x2, [{next}, #48]", "ldr d12, [x5, {low}]", "mov v11.d[1], x1", "fmla v4.4s, v16.4s, v17.4s",
    "ldr x1, [x5, {high}]", "fmla v5.4s, v13.4s, v17.4s", "ldr x5, [{ahead}, #24]", "ldr x4, [x2, {high}]", "b.ne 2b",
}

rows! {
    /// Fourteen outputs, three wide, stride 1: 67 cycles for 42 multiply-adds and 19 operands.
    fourteen_three_wide, finish_14;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr x1, [{next}, #8]", "mov v2.16b, v0.16b",
    "ldr x2, [{next}, #16]", "mov v3.16b, v0.16b", "ldr x3, [{next}, #24]", "mov v4.16b, v0.16b",
    "ldr x4, [{next}, #32]", "mov v5.16b, v0.16b", "ldr d14, [{ahead}, #0]", "mov v6.16b, v0.16b",
    "ldr x5, [{next}, #40]", "mov v7.16b, v0.16b", "ldr x6, [{next}, #48]", "mov v8.16b, v0.16b",
    "ldr x7, [{next}, #56]", "mov v9.16b, v0.16b", "ldr d15, [x0, {low}]", "mov v10.16b, v0.16b",
    "ldr x8, [{ahead}, #8]", "mov v11.16b, v0.16b", "ldr x9, [{next}, #64]", "mov v12.16b, v0.16b",
    "ldr d16, [x1, {low}]", "mov v13.16b, v0.16b", "mov v14.d[1], x8", "ldr x8, [x0, {high}]", "ldr x0, [x1, {high}]",
    "mov v15.d[1], x8", "ldr d17, [x2, {low}]", "mov v16.d[1], x0", "ldr x0, [x2, {high}]", "ldr x2, [x3, {high}]",
    "ldr d18, [x3, {low}]", "ldr d19, [x4, {low}]", "mov v17.d[1], x0", "ldr x0, [x4, {high}]",
    "ldr x4, [x5, {high}]", "ldr d20, [x5, {low}]", "mov v18.d[1], x2", "ldr d21, [x6, {low}]", "mov v19.d[1], x0",
    "ldr x0, [x6, {high}]", "ldr x6, [{ahead}, #24]", "ldr d22, [{ahead}, #16]", "mov v20.d[1], x4",
    "mov v21.d[1], x0", "ldr x0, [x7, {high}]", "ldr x4, [{ahead}, #40]", "mov {row}, {next}", "mov {w}, {ahead}",
    "2:", "ldr d23, [x7, {low}]", "mov v22.d[1], x6", "fmla v0.4s, v15.4s, v14.4s", "ldr {next}, [{rows}], #8",
    "fmla v1.4s, v16.4s, v14.4s", "subs {left}, {left}, #1", "fmla v2.4s, v17.4s, v14.4s", "add {ahead}, {w}, #48",
    "ldr d24, [{w}, #32]", "mov v23.d[1], x0", "fmla v3.4s, v18.4s, v14.4s", "csel {ahead}, {ahead}, {w}, ne",
    "fmla v4.4s, v19.4s, v14.4s", "add {next}, {next}, {skip}", "fmla v5.4s, v20.4s, v14.4s", "ldr x0, [{row}, #72]",
    "ldr d15, [x9, {low}]", "mov v24.d[1], x4", "fmla v6.4s, v21.4s, v14.4s", "ldr x4, [x9, {high}]",
    "fmla v0.4s, v16.4s, v22.4s", "mov {w}, {ahead}", "fmla v1.4s, v17.4s, v22.4s", "ldr x9, [{row}, #80]",
    "ldr d16, [x0, {low}]", "mov v15.d[1], x4", "fmla v2.4s, v18.4s, v22.4s", "ldr x4, [x0, {high}]",
    "fmla v3.4s, v19.4s, v22.4s", "fmla v4.4s, v20.4s, v22.4s", "ldr x0, [{row}, #88]", "ldr d25, [x9, {low}]",
    "mov v16.d[1], x4", "fmla v5.4s, v21.4s, v22.4s", "ldr x4, [x9, {high}]", "fmla v6.4s, v23.4s, v22.4s",
    "fmla v0.4s, v17.4s, v24.4s", "ldr x9, [{row}, #96]", "ldr d17, [x0, {low}]", "mov v25.d[1], x4",
    "fmla v1.4s, v18.4s, v24.4s", "ldr x4, [x0, {high}]", "fmla v2.4s, v19.4s, v24.4s", "fmla v3.4s, v20.4s, v24.4s",
    "ldr x0, [{row}, #104]", "ldr d20, [x9, {low}]", "mov v17.d[1], x4", "fmla v4.4s, v21.4s, v24.4s",
    "ldr x4, [x9, {high}]", "fmla v5.4s, v23.4s, v24.4s", "fmla v6.4s, v15.4s, v24.4s", "ldr d21, [x0, {low}]",
    "mov v20.d[1], x4", "fmla v7.4s, v23.4s, v14.4s", "ldr x4, [x0, {high}]", "fmla v8.4s, v15.4s, v14.4s",
    "fmla v9.4s, v16.4s, v14.4s", "ldr x0, [{next}, #0]", "mov v21.d[1], x4", "fmla v10.4s, v25.4s, v14.4s",
    "ldr x4, [{row}, #112]", "fmla v11.4s, v17.4s, v14.4s", "ldr x1, [{next}, #8]", "fmla v12.4s, v20.4s, v14.4s",
    "ldr x2, [{next}, #16]", "ldr d23, [x4, {low}]", "fmla v13.4s, v21.4s, v14.4s", "ldr x9, [x4, {high}]",
    "fmla v7.4s, v15.4s, v22.4s", "ldr x3, [{next}, #24]", "fmla v8.4s, v16.4s, v22.4s", "ldr x4, [{next}, #32]",
    "ldr d14, [{ahead}, #0]", "mov v23.d[1], x9", "fmla v9.4s, v25.4s, v22.4s", "ldr x5, [{next}, #40]",
    "fmla v10.4s, v17.4s, v22.4s", "ldr x6, [{next}, #48]", "fmla v11.4s, v20.4s, v22.4s", "ldr x7, [{next}, #56]",
    "ldr d15, [x0, {low}]", "fmla v12.4s, v21.4s, v22.4s", "ldr x8, [{ahead}, #8]", "fmla v13.4s, v23.4s, v22.4s",
    "ldr x9, [{next}, #64]", "fmla v7.4s, v16.4s, v24.4s", "ldr x10, [{row}, #120]", "ldr d16, [x1, {low}]",
    "mov v14.d[1], x8", "ldr x8, [x0, {high}]", "mov {row}, {next}", "fmla v8.4s, v25.4s, v24.4s",
    "ldr x0, [x1, {high}]", "fmla v9.4s, v17.4s, v24.4s", "ldr x1, [x10, {high}]", "ldr d25, [x10, {low}]",
    "mov v15.d[1], x8", "ldr d17, [x2, {low}]", "mov v16.d[1], x0", "fmla v10.4s, v20.4s, v24.4s",
    "ldr x0, [x2, {high}]", "fmla v11.4s, v21.4s, v24.4s", "ldr x2, [x3, {high}]", "ldr d18, [x3, {low}]",
    "mov v25.d[1], x1", "ldr d19, [x4, {low}]", "mov v17.d[1], x0", "fmla v12.4s, v23.4s, v24.4s",
    "ldr x0, [x4, {high}]", "fmla v13.4s, v25.4s, v24.4s", "ldr x4, [x5, {high}]", "ldr d20, [x5, {low}]",
    "mov v18.d[1], x2", "ldr d21, [x6, {low}]", "mov v19.d[1], x0", "ldr x0, [x6, {high}]", "ldr x6, [{ahead}, #24]",
    "ldr d22, [{ahead}, #16]", "mov v20.d[1], x4", "mov v21.d[1], x0", "ldr x0, [x7, {high}]",
    "ldr x4, [{ahead}, #40]", "b.ne 2b",
}

rows! {
    /// Twelve outputs, three wide, stride 1: 56 cycles for 36 multiply-adds and 17 operands.
    twelve_three_wide, finish_12;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr x1, [{next}, #8]", "mov v2.16b, v0.16b",
    "ldr x2, [{next}, #16]", "mov v3.16b, v0.16b", "ldr x3, [{next}, #24]", "mov v4.16b, v0.16b",
    "ldr x4, [{next}, #32]", "mov v5.16b, v0.16b", "ldr x5, [{next}, #40]", "mov v6.16b, v0.16b",
    "ldr x6, [{next}, #48]", "mov v7.16b, v0.16b", "ldr x7, [{next}, #56]", "mov v8.16b, v0.16b",
    "ldr x8, [{next}, #64]", "mov v9.16b, v0.16b", "ldr d12, [{ahead}, #0]", "mov v10.16b, v0.16b",
    "ldr x9, [{ahead}, #8]", "mov v11.16b, v0.16b", "ldr x10, [x0, {high}]", "ldr x11, [x1, {high}]",
    "ldr d13, [x0, {low}]", "ldr d14, [x1, {low}]", "mov v12.d[1], x9", "ldr x1, [x2, {high}]",
    "ldr x9, [x3, {high}]", "ldr d15, [x2, {low}]", "mov v13.d[1], x10", "mov v14.d[1], x11", "ldr x11, [x4, {high}]",
    "ldr d16, [x3, {low}]", "mov v15.d[1], x1", "ldr d17, [x4, {low}]", "ldr x4, [x5, {high}]",
    "ldr x1, [{ahead}, #24]", "ldr d18, [x5, {low}]", "mov v16.d[1], x9", "ldr d19, [{ahead}, #16]",
    "mov v17.d[1], x11", "ldr x11, [x6, {high}]", "ldr x5, [{ahead}, #40]", "mov {row}, {next}", "mov {w}, {ahead}",
    "2:", "ldr d20, [x6, {low}]", "mov v18.d[1], x4", "mov v19.d[1], x1", "fmla v0.4s, v13.4s, v12.4s",
    "ldr {next}, [{rows}], #8", "fmla v1.4s, v14.4s, v12.4s", "subs {left}, {left}, #1", "ldr d21, [{w}, #32]",
    "mov v20.d[1], x11", "fmla v2.4s, v15.4s, v12.4s", "add {ahead}, {w}, #48", "fmla v3.4s, v16.4s, v12.4s",
    "csel {ahead}, {ahead}, {w}, ne", "fmla v4.4s, v17.4s, v12.4s", "add {next}, {next}, {skip}",
    "ldr d13, [x7, {low}]", "mov v21.d[1], x5", "fmla v5.4s, v18.4s, v12.4s", "ldr x5, [x7, {high}]",
    "fmla v0.4s, v14.4s, v19.4s", "mov {w}, {ahead}", "fmla v1.4s, v15.4s, v19.4s", "ldr x7, [{row}, #72]",
    "ldr d22, [x8, {low}]", "mov v13.d[1], x5", "fmla v2.4s, v16.4s, v19.4s", "ldr x5, [x8, {high}]",
    "fmla v3.4s, v17.4s, v19.4s", "ldr x0, [{next}, #0]", "fmla v4.4s, v18.4s, v19.4s", "ldr x8, [{row}, #80]",
    "ldr d23, [x7, {low}]", "mov v22.d[1], x5", "fmla v5.4s, v20.4s, v19.4s", "ldr x5, [x7, {high}]",
    "fmla v0.4s, v15.4s, v21.4s", "ldr x1, [{next}, #8]", "fmla v1.4s, v16.4s, v21.4s", "ldr x7, [{row}, #88]",
    "ldr d24, [x8, {low}]", "mov v23.d[1], x5", "fmla v2.4s, v17.4s, v21.4s", "ldr x5, [x8, {high}]",
    "fmla v3.4s, v18.4s, v21.4s", "ldr x2, [{next}, #16]", "fmla v4.4s, v20.4s, v21.4s", "ldr x3, [{next}, #24]",
    "ldr d18, [x7, {low}]", "mov v24.d[1], x5", "fmla v5.4s, v13.4s, v21.4s", "ldr x8, [x7, {high}]",
    "fmla v6.4s, v20.4s, v12.4s", "ldr x4, [{next}, #32]", "fmla v7.4s, v13.4s, v12.4s", "ldr x5, [{next}, #40]",
    "mov v18.d[1], x8", "fmla v8.4s, v22.4s, v12.4s", "ldr x8, [{row}, #96]", "fmla v9.4s, v23.4s, v12.4s",
    "ldr x6, [{next}, #48]", "fmla v10.4s, v24.4s, v12.4s", "ldr x7, [{next}, #56]", "ldr d20, [x8, {low}]",
    "fmla v11.4s, v18.4s, v12.4s", "ldr x11, [x8, {high}]", "fmla v6.4s, v13.4s, v19.4s", "ldr x8, [{next}, #64]",
    "fmla v7.4s, v22.4s, v19.4s", "ldr x12, [{row}, #104]", "ldr d12, [{ahead}, #0]", "mov v20.d[1], x11",
    "ldr x9, [{ahead}, #8]", "mov {row}, {next}", "fmla v8.4s, v23.4s, v19.4s", "ldr x10, [x0, {high}]",
    "fmla v9.4s, v24.4s, v19.4s", "ldr x11, [x1, {high}]", "ldr d13, [x0, {low}]", "ldr d14, [x1, {low}]",
    "mov v12.d[1], x9", "fmla v10.4s, v18.4s, v19.4s", "ldr x1, [x2, {high}]", "fmla v11.4s, v20.4s, v19.4s",
    "ldr x9, [x3, {high}]", "ldr d15, [x2, {low}]", "mov v13.d[1], x10", "ldr d25, [x12, {low}]", "mov v14.d[1], x11",
    "fmla v6.4s, v22.4s, v21.4s", "ldr x2, [x12, {high}]", "fmla v7.4s, v23.4s, v21.4s", "ldr x11, [x4, {high}]",
    "ldr d16, [x3, {low}]", "mov v15.d[1], x1", "ldr d17, [x4, {low}]", "mov v25.d[1], x2",
    "fmla v8.4s, v24.4s, v21.4s", "ldr x4, [x5, {high}]", "fmla v9.4s, v18.4s, v21.4s", "ldr x1, [{ahead}, #24]",
    "ldr d18, [x5, {low}]", "mov v16.d[1], x9", "ldr d19, [{ahead}, #16]", "mov v17.d[1], x11",
    "fmla v10.4s, v20.4s, v21.4s", "ldr x11, [x6, {high}]", "fmla v11.4s, v25.4s, v21.4s", "ldr x5, [{ahead}, #40]",
    "b.ne 2b",
}

rows! {
    /// Seven outputs, three wide, stride 1: 39 cycles for 21 multiply-adds and 12 operands.
    seven_three_wide, finish_7;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr x0, [{next}, #0]", "mov v1.16b, v0.16b", "ldr x1, [{next}, #8]", "mov v2.16b, v0.16b",
    "ldr x2, [{next}, #16]", "mov v3.16b, v0.16b", "ldr x3, [{next}, #24]", "mov v4.16b, v0.16b",
    "ldr d7, [{ahead}, #0]", "mov v5.16b, v0.16b", "ldr x4, [{next}, #32]", "mov v6.16b, v0.16b",
    "ldr x5, [{next}, #40]", "ldr d8, [x0, {low}]", "ldr x6, [{ahead}, #8]", "ldr x7, [{next}, #48]",
    "ldr x8, [{next}, #56]", "mov v7.d[1], x6", "ldr x6, [x0, {high}]", "ldr x0, [x1, {high}]", "ldr d9, [x1, {low}]",
    "ldr d10, [x2, {low}]", "mov v8.d[1], x6", "ldr x6, [x2, {high}]", "ldr x2, [x3, {high}]", "ldr d11, [x3, {low}]",
    "mov v9.d[1], x0", "ldr d12, [x4, {low}]", "mov v10.d[1], x6", "ldr x6, [x4, {high}]", "ldr x4, [x5, {high}]",
    "ldr d13, [x5, {low}]", "mov v11.d[1], x2", "mov v12.d[1], x6", "ldr x6, [x7, {high}]", "ldr x2, [{ahead}, #24]",
    "mov {row}, {next}", "mov {w}, {ahead}", "2:", "ldr d14, [x7, {low}]", "mov v13.d[1], x4",
    "fmla v0.4s, v8.4s, v7.4s", "ldr {next}, [{rows}], #8", "fmla v1.4s, v9.4s, v7.4s", "subs {left}, {left}, #1",
    "fmla v2.4s, v10.4s, v7.4s", "add {ahead}, {w}, #48", "ldr d8, [{w}, #16]", "mov v14.d[1], x6",
    "fmla v3.4s, v11.4s, v7.4s", "csel {ahead}, {ahead}, {w}, ne", "fmla v4.4s, v12.4s, v7.4s",
    "add {next}, {next}, {skip}", "fmla v5.4s, v13.4s, v7.4s", "ldr d15, [x8, {low}]", "mov v8.d[1], x2",
    "fmla v6.4s, v14.4s, v7.4s", "ldr x2, [x8, {high}]", "fmla v0.4s, v9.4s, v8.4s", "ldr x0, [{next}, #0]",
    "fmla v1.4s, v10.4s, v8.4s", "ldr x1, [{next}, #8]", "ldr d16, [{w}, #32]", "mov v15.d[1], x2",
    "fmla v2.4s, v11.4s, v8.4s", "ldr x8, [{w}, #40]", "fmla v3.4s, v12.4s, v8.4s", "ldr x2, [{next}, #16]",
    "fmla v4.4s, v13.4s, v8.4s", "ldr x3, [{next}, #24]", "ldr d7, [{ahead}, #0]", "mov v16.d[1], x8",
    "fmla v5.4s, v14.4s, v8.4s", "ldr x4, [{next}, #32]", "fmla v6.4s, v15.4s, v8.4s", "ldr x5, [{next}, #40]",
    "fmla v0.4s, v10.4s, v16.4s", "ldr x9, [{row}, #64]", "ldr d8, [x0, {low}]", "fmla v1.4s, v11.4s, v16.4s",
    "ldr x6, [{ahead}, #8]", "fmla v2.4s, v12.4s, v16.4s", "ldr x7, [{next}, #48]", "fmla v3.4s, v13.4s, v16.4s",
    "ldr x8, [{next}, #56]", "ldr d13, [x9, {low}]", "mov v7.d[1], x6", "ldr x10, [x9, {high}]", "mov {row}, {next}",
    "fmla v4.4s, v14.4s, v16.4s", "ldr x6, [x0, {high}]", "fmla v5.4s, v15.4s, v16.4s", "ldr x0, [x1, {high}]",
    "ldr d9, [x1, {low}]", "mov v13.d[1], x10", "ldr d10, [x2, {low}]", "mov v8.d[1], x6",
    "fmla v6.4s, v13.4s, v16.4s", "ldr x6, [x2, {high}]", "ldr x2, [x3, {high}]", "mov {w}, {ahead}",
    "ldr d11, [x3, {low}]", "mov v9.d[1], x0", "ldr d12, [x4, {low}]", "mov v10.d[1], x6", "ldr x6, [x4, {high}]",
    "ldr x4, [x5, {high}]", "ldr d13, [x5, {low}]", "mov v11.d[1], x2", "mov v12.d[1], x6", "ldr x6, [x7, {high}]",
    "ldr x2, [{ahead}, #24]", "b.ne 2b",
}

rows! {
    /// Six outputs, three wide, stride 1: 36 cycles for 18 multiply-adds and 11 operands.
    six_three_wide, finish_6;
    "4:", "ldp {rows}, {next}, [{segment}, #32]", "ldp x0, {ahead}, [{segment}, #16]", "ldr {left}, [{segment}, #48]",
    "ldr q0, [x0]", "ldr d6, [{ahead}, #0]", "mov v1.16b, v0.16b", "ldr x0, [{next}, #0]", "mov v2.16b, v0.16b",
    "ldr x1, [{next}, #8]", "mov v3.16b, v0.16b", "ldr x2, [{next}, #16]", "mov v4.16b, v0.16b",
    "ldr x3, [{next}, #24]", "mov v5.16b, v0.16b", "ldr x4, [{next}, #32]", "ldr d7, [x0, {low}]",
    "ldr x5, [{ahead}, #8]", "ldr x6, [{next}, #40]", "ldr x7, [{next}, #48]", "ldr d8, [x1, {low}]",
    "mov v6.d[1], x5", "ldr x5, [x0, {high}]", "ldr x0, [x1, {high}]", "ldr x1, [x2, {high}]", "ldr d9, [x2, {low}]",
    "mov v7.d[1], x5", "ldr x2, [x3, {high}]", "ldr x5, [x4, {high}]", "ldr x8, [x6, {high}]", "mov {row}, {next}",
    "mov {w}, {ahead}", "2:", "ldr d10, [x3, {low}]", "mov v8.d[1], x0", "ldr {next}, [{rows}], #8",
    "subs {left}, {left}, #1", "fmla v0.4s, v7.4s, v6.4s", "add {ahead}, {w}, #48", "fmla v1.4s, v8.4s, v6.4s",
    "csel {ahead}, {ahead}, {w}, ne", "ldr d11, [x4, {low}]", "mov v9.d[1], x1", "ldr d12, [x6, {low}]",
    "mov v10.d[1], x2", "fmla v2.4s, v9.4s, v6.4s", "add {next}, {next}, {skip}", "fmla v3.4s, v10.4s, v6.4s",
    "ldr x2, [{w}, #24]", "ldr d7, [{w}, #16]", "mov v11.d[1], x5", "mov v12.d[1], x8", "fmla v4.4s, v11.4s, v6.4s",
    "fmla v5.4s, v12.4s, v6.4s", "ldr x8, [x7, {high}]", "ldr d13, [x7, {low}]", "mov v7.d[1], x2",
    "ldr d6, [{ahead}, #0]", "fmla v0.4s, v8.4s, v7.4s", "ldr x0, [{next}, #0]", "fmla v1.4s, v9.4s, v7.4s",
    "ldr x7, [{row}, #56]", "ldr d14, [{w}, #32]", "mov v13.d[1], x8", "fmla v2.4s, v10.4s, v7.4s",
    "ldr x8, [{w}, #40]", "fmla v3.4s, v11.4s, v7.4s", "ldr x1, [{next}, #8]", "fmla v4.4s, v12.4s, v7.4s",
    "ldr x2, [{next}, #16]", "ldr d15, [x7, {low}]", "mov v14.d[1], x8", "fmla v5.4s, v13.4s, v7.4s",
    "ldr x8, [x7, {high}]", "fmla v0.4s, v9.4s, v14.4s", "ldr x3, [{next}, #24]", "fmla v1.4s, v10.4s, v14.4s",
    "ldr x4, [{next}, #32]", "ldr d7, [x0, {low}]", "mov v15.d[1], x8", "fmla v2.4s, v11.4s, v14.4s",
    "ldr x5, [{ahead}, #8]", "fmla v3.4s, v12.4s, v14.4s", "ldr x6, [{next}, #40]", "fmla v4.4s, v13.4s, v14.4s",
    "ldr x7, [{next}, #48]", "ldr d8, [x1, {low}]", "mov v6.d[1], x5", "fmla v5.4s, v15.4s, v14.4s",
    "ldr x5, [x0, {high}]", "ldr x0, [x1, {high}]", "mov {row}, {next}", "ldr x1, [x2, {high}]", "mov {w}, {ahead}",
    "ldr d9, [x2, {low}]", "mov v7.d[1], x5", "ldr x2, [x3, {high}]", "ldr x5, [x4, {high}]", "ldr x8, [x6, {high}]",
    "b.ne 2b",
}
