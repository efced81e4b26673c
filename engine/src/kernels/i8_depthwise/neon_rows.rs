//! Rows of windows of 8-bit depthwise layers for 64-bit ARM, scheduled for the in-order Cortex-A53.
//!
//! A pass of the loop multiplies a row of the window, tap by tap for six or seven outputs, adding products up in 16 bits.
//! Where they may not grow further (`run_ends`) two cycles per output add them to the sums of 32 bits, and the next tap begins
//! anew. So there are two copies of each tap: one goes on (SMLAL) and one begins (SMULL); the former is left through a branch
//! where a run ends, the latter where it does not. Branches are free beside NEON operations, and always the same for a block.
//!
//! A vector load cannot issue with a multiplication, but takes only half of the cycle: half of the operands come by `ldr d`,
//! each with the `fmov` of one that `ldr x` fetched beside a multiplication. Pointers, too, are loaded there. A pass loads the
//! first pixels and weights of the next. The output stage has all outputs side by side, so nothing waits in it.

use std::arch::asm;

use super::neon::Segment;

/// `name, name of signs, outputs, their signs, width, that of signs; first loads, taps`: two functions as [`super::neon::MultiplyRows`], one for
/// results of 8 bits and one for bits, of which the second needs no sums of 32 bits. Sums of 32 bits come first, two registers
/// for each output, then those of 16 bits, then pixels and weights.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident, $signs:ident, $outputs:ident, $outputs_signs:ident, $width:ident, $narrow:ident;
        $($code:tt)*) => {
        $outputs! { $width [$(#[$doc])* $name] $($code)* }
        $outputs_signs! { $narrow [$(#[$doc])* $signs] $($code)* }
    };
}

/// Three taps wide: taps that go on are 30 to 32, those that begin 40 to 42, the ends of runs before them 50 to 52.
macro_rules! three {
    ($head:tt [$($first:literal,)*] [$($a:literal,)*] [$($b:literal,)*] [$($c:literal,)*]
        [$($widen:literal,)*] [$($finish:literal,)*]) => {
        function! {
            $head
            ".macro quantrack_a mul", $($a,)* ".endm", ".macro quantrack_b mul", $($b,)* ".endm",
            ".macro quantrack_c mul", $($c,)* ".endm", ".macro quantrack_widen", $($widen,)* ".endm",
            ".macro quantrack_bias to, from", "mov \\to\\().16b, \\from\\().16b", ".endm",
            "6:", $($first,)* "b 40f",
            "30:", "quantrack_a smlal", "tbnz {ends:w}, #0, 50f",
            "31:", "quantrack_b smlal", "tbnz {ends:w}, #1, 51f",
            "32:", "quantrack_c smlal", "tbnz {ends:w}, #2, 52f", "b 30b",
            "40:", "quantrack_a smull", "tbz {ends:w}, #0, 31b", "50:", "quantrack_widen",
            "quantrack_b smull", "tbz {ends:w}, #1, 32b", "51:", "quantrack_widen",
            "quantrack_c smull", "tbz {ends:w}, #2, 30b", "52:", "quantrack_widen", "b.ne 40b",
            ".purgem quantrack_a", ".purgem quantrack_b", ".purgem quantrack_c", ".purgem quantrack_widen",
            ".purgem quantrack_bias",
            $($finish,)*
        }
    };
}

/// As `three`.
macro_rules! five {
    ($head:tt [$($first:literal,)*] [$($a:literal,)*] [$($b:literal,)*] [$($c:literal,)*] [$($d:literal,)*]
        [$($e:literal,)*] [$($widen:literal,)*] [$($finish:literal,)*]) => {
        function! {
            $head
            ".macro quantrack_a mul", $($a,)* ".endm", ".macro quantrack_b mul", $($b,)* ".endm",
            ".macro quantrack_c mul", $($c,)* ".endm", ".macro quantrack_d mul", $($d,)* ".endm",
            ".macro quantrack_e mul", $($e,)* ".endm", ".macro quantrack_widen", $($widen,)* ".endm",
            ".macro quantrack_bias to, from", "mov \\to\\().16b, \\from\\().16b", ".endm",
            "6:", $($first,)* "b 40f",
            "30:", "quantrack_a smlal", "tbnz {ends:w}, #0, 50f",
            "31:", "quantrack_b smlal", "tbnz {ends:w}, #1, 51f",
            "32:", "quantrack_c smlal", "tbnz {ends:w}, #2, 52f",
            "33:", "quantrack_d smlal", "tbnz {ends:w}, #3, 53f",
            "34:", "quantrack_e smlal", "tbnz {ends:w}, #4, 54f", "b 30b",
            "40:", "quantrack_a smull", "tbz {ends:w}, #0, 31b", "50:", "quantrack_widen",
            "quantrack_b smull", "tbz {ends:w}, #1, 32b", "51:", "quantrack_widen",
            "quantrack_c smull", "tbz {ends:w}, #2, 33b", "52:", "quantrack_widen",
            "quantrack_d smull", "tbz {ends:w}, #3, 34b", "53:", "quantrack_widen",
            "quantrack_e smull", "tbz {ends:w}, #4, 30b", "54:", "quantrack_widen", "b.ne 40b",
            ".purgem quantrack_a", ".purgem quantrack_b", ".purgem quantrack_c", ".purgem quantrack_d",
            ".purgem quantrack_e", ".purgem quantrack_widen", ".purgem quantrack_bias",
            $($finish,)*
        }
    };
}

/// As `three`, for sums that never leave 16 bits: nothing is to be decided, and there are no biases.
macro_rules! three_narrow {
    ($head:tt [$($first:literal,)*] [$($a:literal,)*] [$($b:literal,)*] [$($c:literal,)*] [] [$($finish:literal,)*]) => {
        function! {
            $head
            ".macro quantrack_a mul", $($a,)* ".endm", ".macro quantrack_b mul", $($b,)* ".endm",
            ".macro quantrack_c mul", $($c,)* ".endm", ".macro quantrack_bias to, from", ".endm",
            "6:", $($first,)*
            "quantrack_a smull", "quantrack_b smlal", "quantrack_c smlal", "b.eq 31f",
            "30:", "quantrack_a smlal", "quantrack_b smlal", "quantrack_c smlal", "b.ne 30b", "31:",
            ".purgem quantrack_a", ".purgem quantrack_b", ".purgem quantrack_c", ".purgem quantrack_bias",
            $($finish,)*
        }
    };
}

/// As `three_narrow`.
macro_rules! five_narrow {
    ($head:tt [$($first:literal,)*] [$($a:literal,)*] [$($b:literal,)*] [$($c:literal,)*] [$($d:literal,)*]
        [$($e:literal,)*] [] [$($finish:literal,)*]) => {
        function! {
            $head
            ".macro quantrack_a mul", $($a,)* ".endm", ".macro quantrack_b mul", $($b,)* ".endm",
            ".macro quantrack_c mul", $($c,)* ".endm", ".macro quantrack_d mul", $($d,)* ".endm",
            ".macro quantrack_e mul", $($e,)* ".endm", ".macro quantrack_bias to, from", ".endm",
            "6:", $($first,)*
            "quantrack_a smull", "quantrack_b smlal", "quantrack_c smlal", "quantrack_d smlal", "quantrack_e smlal", "b.eq 31f",
            "30:", "quantrack_a smlal", "quantrack_b smlal", "quantrack_c smlal", "quantrack_d smlal", "quantrack_e smlal",
            "b.ne 30b", "31:",
            ".purgem quantrack_a", ".purgem quantrack_b", ".purgem quantrack_c", ".purgem quantrack_d",
            ".purgem quantrack_e", ".purgem quantrack_bias",
            $($finish,)*
        }
    };
}

macro_rules! function {
    ([$(#[$doc:meta])* $name:ident] $($instruction:literal,)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// As [`super::neon::MultiplyRows`].
        #[target_feature(enable = "neon")]
        pub(super) unsafe fn $name(segment: &mut Segment, channel: usize, blocks: usize) {
            // SAFETY: the caller vouches for what is read and written. The last pass loads its own weights again, and pixels of
            // the table behind the last.
            unsafe {
                asm!(
                    $($instruction,)*
                    skip = in(reg) segment.skip, segment = in(reg) segment, blocks = inout(reg) blocks => _,
                    rows = out(reg) _, next = out(reg) _, row = out(reg) _, ahead = out(reg) _, w = out(reg) _,
                    left = out(reg) _, flags = out(reg) _, ends = out(reg) _, channel = inout(reg) channel => _,
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

macro_rules! seven {
    ($width:ident $($head:tt)*) => {
        $width! { $($head)* [
            "saddw v0.4s, v0.4s, v14.4h", "saddw2 v1.4s, v1.4s, v14.8h", "saddw v2.4s, v2.4s, v15.4h",
            "saddw2 v3.4s, v3.4s, v15.8h", "saddw v4.4s, v4.4s, v16.4h", "saddw2 v5.4s, v5.4s, v16.8h",
            "saddw v6.4s, v6.4s, v17.4h", "saddw2 v7.4s, v7.4s, v17.8h", "saddw v8.4s, v8.4s, v18.4h",
            "saddw2 v9.4s, v9.4s, v18.8h", "saddw v10.4s, v10.4s, v19.4h", "saddw2 v11.4s, v11.4s, v19.8h",
            "saddw v12.4s, v12.4s, v20.4h", "saddw2 v13.4s, v13.4s, v20.8h",
        ] [
            "ldp x2, x3, [{segment}, #24]", "ldp x0, x1, [{segment}]", "cbnz x3, 3f", "stp q0, q1, [x0], #32",
            "stp q2, q3, [x0], #32", "stp q4, q5, [x0], #32", "stp q6, q7, [x0], #32", "stp q8, q9, [x0], #32",
            "stp q10, q11, [x0], #32", "stp q12, q13, [x0], #32", "b 5f", "3:", "add x2, x2, {channel}, lsl #2",
            "ldr x11, [{segment}, #128]", "ldp q21, q22, [x2]", "sqrdmulh v0.4s, v0.4s, v21.4s",
            "add x0, x0, {channel}", "sqrdmulh v1.4s, v1.4s, v22.4s", "ldp w6, w7, [{segment}, #40]",
            "sqrdmulh v2.4s, v2.4s, v21.4s", "add x5, x0, x1", "sqrdmulh v3.4s, v3.4s, v22.4s",
            "ldp w8, w9, [{segment}, #48]", "sqrdmulh v4.4s, v4.4s, v21.4s", "lsl x4, x1, #1",
            "sqrdmulh v5.4s, v5.4s, v22.4s", "ldp x1, x2, [{segment}, #80]", "sqrdmulh v6.4s, v6.4s, v21.4s",
            "ldrb w11, [x11, {channel}]", "sqrdmulh v7.4s, v7.4s, v22.4s", "ldr x12, [{segment}, #96]", "sqrdmulh v8.4s, v8.4s, v21.4s",
            "ldr x10, [{segment}, #104]", "sqrdmulh v9.4s, v9.4s, v22.4s", "add x1, x1, x12",
            "sqrdmulh v10.4s, v10.4s, v21.4s", "sqrdmulh v11.4s, v11.4s, v22.4s", "add x2, x2, x10",
            "sqrdmulh v12.4s, v12.4s, v21.4s", "sqrdmulh v13.4s, v13.4s, v22.4s", "dup v21.8h, w6", "cbz w11, 7f",
            "adr x12, 9f", "sub w11, w11, #1", "add x11, x12, x11, lsl #6", "br x11", "9:",
            ".irp quantrack_k, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
            "sqrshrn v14.4h, v0.4s, #\\quantrack_k", "sqrshrn v15.4h, v2.4s, #\\quantrack_k",
            "sqrshrn v16.4h, v4.4s, #\\quantrack_k", "sqrshrn v17.4h, v6.4s, #\\quantrack_k",
            "sqrshrn v18.4h, v8.4s, #\\quantrack_k", "sqrshrn v19.4h, v10.4s, #\\quantrack_k",
            "sqrshrn v20.4h, v12.4s, #\\quantrack_k", "sqrshrn2 v14.8h, v1.4s, #\\quantrack_k",
            "sqrshrn2 v15.8h, v3.4s, #\\quantrack_k", "sqrshrn2 v16.8h, v5.4s, #\\quantrack_k",
            "sqrshrn2 v17.8h, v7.4s, #\\quantrack_k", "sqrshrn2 v18.8h, v9.4s, #\\quantrack_k",
            "sqrshrn2 v19.8h, v11.4s, #\\quantrack_k", "sqrshrn2 v20.8h, v13.4s, #\\quantrack_k", "b 8f", "nop", ".endr",
            "7:", "add x3, x3, {channel}, lsl #2", "ldp q23, q24, [x3]", "neg v23.4s, v23.4s", "neg v24.4s, v24.4s",
            "srshl v0.4s, v0.4s, v23.4s", "srshl v1.4s, v1.4s, v24.4s", "srshl v2.4s, v2.4s, v23.4s",
            "srshl v3.4s, v3.4s, v24.4s", "srshl v4.4s, v4.4s, v23.4s", "srshl v5.4s, v5.4s, v24.4s",
            "srshl v6.4s, v6.4s, v23.4s", "srshl v7.4s, v7.4s, v24.4s", "srshl v8.4s, v8.4s, v23.4s",
            "srshl v9.4s, v9.4s, v24.4s", "srshl v10.4s, v10.4s, v23.4s", "srshl v11.4s, v11.4s, v24.4s",
            "srshl v12.4s, v12.4s, v23.4s", "srshl v13.4s, v13.4s, v24.4s", "sqxtn v14.4h, v0.4s",
            "sqxtn v15.4h, v2.4s", "sqxtn v16.4h, v4.4s", "sqxtn v17.4h, v6.4s", "sqxtn v18.4h, v8.4s",
            "sqxtn v19.4h, v10.4s", "sqxtn v20.4h, v12.4s", "sqxtn2 v14.8h, v1.4s", "sqxtn2 v15.8h, v3.4s",
            "sqxtn2 v16.8h, v5.4s", "sqxtn2 v17.8h, v7.4s", "sqxtn2 v18.8h, v9.4s", "sqxtn2 v19.8h, v11.4s",
            "sqxtn2 v20.8h, v13.4s", "8:", "sqadd v14.8h, v14.8h, v21.8h", "ldr x3, [{segment}, #16]",
            "sqadd v15.8h, v15.8h, v21.8h", "ldr x10, [{segment}, #112]", "sqadd v16.8h, v16.8h, v21.8h",
            "stp x1, x2, [{segment}, #80]", "sqadd v17.8h, v17.8h, v21.8h", "sqadd v18.8h, v18.8h, v21.8h",
            "add x3, x3, x10", "sqadd v19.8h, v19.8h, v21.8h", "str x3, [{segment}, #16]",
            "sqadd v20.8h, v20.8h, v21.8h", "sqxtn v14.8b, v14.8h", "sqxtn v15.8b, v15.8h", "sqxtn v16.8b, v16.8h",
            "sqxtn v17.8b, v17.8h", "sqxtn v18.8b, v18.8h", "sqxtn v19.8b, v19.8h", "sqxtn v20.8b, v20.8h",
            "cbz w9, 4f", "dup v23.8b, w7", "dup v24.8b, w8", "smax v14.8b, v14.8b, v23.8b",
            "smax v15.8b, v15.8b, v23.8b", "smax v16.8b, v16.8b, v23.8b", "smax v17.8b, v17.8b, v23.8b",
            "smax v18.8b, v18.8b, v23.8b", "smax v19.8b, v19.8b, v23.8b", "smax v20.8b, v20.8b, v23.8b",
            "smin v14.8b, v14.8b, v24.8b", "smin v15.8b, v15.8b, v24.8b", "smin v16.8b, v16.8b, v24.8b",
            "smin v17.8b, v17.8b, v24.8b", "smin v18.8b, v18.8b, v24.8b", "smin v19.8b, v19.8b, v24.8b",
            "smin v20.8b, v20.8b, v24.8b", "4:", "str d14, [x0]", "add x0, x0, x4", "str d15, [x5]", "add x5, x5, x4",
            "str d16, [x0]", "add x0, x0, x4", "str d17, [x5]", "add x5, x5, x4", "str d18, [x0]", "add x0, x0, x4",
            "str d19, [x5]", "add {channel}, {channel}, #8", "str d20, [x0]", "subs {blocks}, {blocks}, #1", "b.ne 6b",
            "5:",
        ] }
    };
}

macro_rules! six {
    ($width:ident $($head:tt)*) => {
        $width! { $($head)* [
            "saddw v0.4s, v0.4s, v12.4h", "saddw2 v1.4s, v1.4s, v12.8h", "saddw v2.4s, v2.4s, v13.4h",
            "saddw2 v3.4s, v3.4s, v13.8h", "saddw v4.4s, v4.4s, v14.4h", "saddw2 v5.4s, v5.4s, v14.8h",
            "saddw v6.4s, v6.4s, v15.4h", "saddw2 v7.4s, v7.4s, v15.8h", "saddw v8.4s, v8.4s, v16.4h",
            "saddw2 v9.4s, v9.4s, v16.8h", "saddw v10.4s, v10.4s, v17.4h", "saddw2 v11.4s, v11.4s, v17.8h",
        ] [
            "ldp x2, x3, [{segment}, #24]", "ldp x0, x1, [{segment}]", "cbnz x3, 3f", "stp q0, q1, [x0], #32",
            "stp q2, q3, [x0], #32", "stp q4, q5, [x0], #32", "stp q6, q7, [x0], #32", "stp q8, q9, [x0], #32",
            "stp q10, q11, [x0], #32", "b 5f", "3:", "add x2, x2, {channel}, lsl #2", "ldr x11, [{segment}, #128]",
            "ldp q18, q19, [x2]", "sqrdmulh v0.4s, v0.4s, v18.4s", "add x0, x0, {channel}",
            "sqrdmulh v1.4s, v1.4s, v19.4s", "ldp w6, w7, [{segment}, #40]", "sqrdmulh v2.4s, v2.4s, v18.4s",
            "add x5, x0, x1", "sqrdmulh v3.4s, v3.4s, v19.4s", "ldp w8, w9, [{segment}, #48]",
            "sqrdmulh v4.4s, v4.4s, v18.4s", "lsl x4, x1, #1", "sqrdmulh v5.4s, v5.4s, v19.4s",
            "ldp x1, x2, [{segment}, #80]", "sqrdmulh v6.4s, v6.4s, v18.4s", "ldrb w11, [x11, {channel}]", "sqrdmulh v7.4s, v7.4s, v19.4s",
            "ldr x12, [{segment}, #96]", "sqrdmulh v8.4s, v8.4s, v18.4s", "ldr x10, [{segment}, #104]",
            "sqrdmulh v9.4s, v9.4s, v19.4s", "add x1, x1, x12", "sqrdmulh v10.4s, v10.4s, v18.4s",
            "sqrdmulh v11.4s, v11.4s, v19.4s", "add x2, x2, x10", "dup v18.8h, w6", "cbz w11, 7f", "adr x12, 9f",
            "sub w11, w11, #1", "add x11, x12, x11, lsl #6", "br x11", "9:",
            ".irp quantrack_k, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
            "sqrshrn v12.4h, v0.4s, #\\quantrack_k", "sqrshrn v13.4h, v2.4s, #\\quantrack_k",
            "sqrshrn v14.4h, v4.4s, #\\quantrack_k", "sqrshrn v15.4h, v6.4s, #\\quantrack_k",
            "sqrshrn v16.4h, v8.4s, #\\quantrack_k", "sqrshrn v17.4h, v10.4s, #\\quantrack_k",
            "sqrshrn2 v12.8h, v1.4s, #\\quantrack_k", "sqrshrn2 v13.8h, v3.4s, #\\quantrack_k",
            "sqrshrn2 v14.8h, v5.4s, #\\quantrack_k", "sqrshrn2 v15.8h, v7.4s, #\\quantrack_k",
            "sqrshrn2 v16.8h, v9.4s, #\\quantrack_k", "sqrshrn2 v17.8h, v11.4s, #\\quantrack_k", "b 8f", "nop", "nop", "nop", ".endr",
            "7:",
            "add x3, x3, {channel}, lsl #2", "ldp q20, q21, [x3]", "neg v20.4s, v20.4s", "neg v21.4s, v21.4s",
            "srshl v0.4s, v0.4s, v20.4s", "srshl v1.4s, v1.4s, v21.4s", "srshl v2.4s, v2.4s, v20.4s",
            "srshl v3.4s, v3.4s, v21.4s", "srshl v4.4s, v4.4s, v20.4s", "srshl v5.4s, v5.4s, v21.4s",
            "srshl v6.4s, v6.4s, v20.4s", "srshl v7.4s, v7.4s, v21.4s", "srshl v8.4s, v8.4s, v20.4s",
            "srshl v9.4s, v9.4s, v21.4s", "srshl v10.4s, v10.4s, v20.4s", "srshl v11.4s, v11.4s, v21.4s",
            "sqxtn v12.4h, v0.4s", "sqxtn v13.4h, v2.4s", "sqxtn v14.4h, v4.4s", "sqxtn v15.4h, v6.4s",
            "sqxtn v16.4h, v8.4s", "sqxtn v17.4h, v10.4s", "sqxtn2 v12.8h, v1.4s", "sqxtn2 v13.8h, v3.4s",
            "sqxtn2 v14.8h, v5.4s", "sqxtn2 v15.8h, v7.4s", "sqxtn2 v16.8h, v9.4s", "sqxtn2 v17.8h, v11.4s", "8:",
            "sqadd v12.8h, v12.8h, v18.8h", "ldr x3, [{segment}, #16]", "sqadd v13.8h, v13.8h, v18.8h",
            "ldr x10, [{segment}, #112]", "sqadd v14.8h, v14.8h, v18.8h", "stp x1, x2, [{segment}, #80]",
            "sqadd v15.8h, v15.8h, v18.8h", "sqadd v16.8h, v16.8h, v18.8h", "add x3, x3, x10",
            "sqadd v17.8h, v17.8h, v18.8h", "str x3, [{segment}, #16]", "sqxtn v12.8b, v12.8h", "sqxtn v13.8b, v13.8h",
            "sqxtn v14.8b, v14.8h", "sqxtn v15.8b, v15.8h", "sqxtn v16.8b, v16.8h", "sqxtn v17.8b, v17.8h",
            "cbz w9, 4f", "dup v20.8b, w7", "dup v21.8b, w8", "smax v12.8b, v12.8b, v20.8b",
            "smax v13.8b, v13.8b, v20.8b", "smax v14.8b, v14.8b, v20.8b", "smax v15.8b, v15.8b, v20.8b",
            "smax v16.8b, v16.8b, v20.8b", "smax v17.8b, v17.8b, v20.8b", "smin v12.8b, v12.8b, v21.8b",
            "smin v13.8b, v13.8b, v21.8b", "smin v14.8b, v14.8b, v21.8b", "smin v15.8b, v15.8b, v21.8b",
            "smin v16.8b, v16.8b, v21.8b", "smin v17.8b, v17.8b, v21.8b", "4:", "str d12, [x0]", "add x0, x0, x4",
            "str d13, [x5]", "add x5, x5, x4", "str d14, [x0]", "add x0, x0, x4", "str d15, [x5]", "add x5, x5, x4",
            "str d16, [x0]", "add {channel}, {channel}, #8", "str d17, [x5]", "subs {blocks}, {blocks}, #1", "b.ne 6b",
            "5:",
        ] }
    };
}

/// Bits of the sums of 16 bits: those at or above the thresholds of eight channels become a byte for each output. Thresholds and
/// the bit of each channel are where other rows have biases, so in v0 and v1. 33 cycles of a Cortex-A53 for seven outputs.
macro_rules! seven_signs {
    ($width:ident $($head:tt)*) => {
        $width! { $($head)* [] [
            "ldp x0, x1, [{segment}]", "ldp x4, x5, [{segment}, #80]", "cmge v14.8h, v14.8h, v0.8h",
            "ldp x6, x7, [{segment}, #96]", "cmge v15.8h, v15.8h, v0.8h", "add x0, x0, {channel}, lsr #3",
            "cmge v16.8h, v16.8h, v0.8h", "ldr x3, [{segment}, #16]", "cmge v17.8h, v17.8h, v0.8h", "add x2, x0, x1",
            "cmge v18.8h, v18.8h, v0.8h", "ldr x8, [{segment}, #112]", "cmge v19.8h, v19.8h, v0.8h", "add x4, x4, x6",
            "cmge v20.8h, v20.8h, v0.8h", "add x5, x5, x7", "and v14.16b, v14.16b, v1.16b", "add x3, x3, x8",
            "and v15.16b, v15.16b, v1.16b", "stp x4, x5, [{segment}, #80]", "and v16.16b, v16.16b, v1.16b",
            "lsl x1, x1, #1", "and v17.16b, v17.16b, v1.16b", "str x3, [{segment}, #16]", "and v18.16b, v18.16b, v1.16b",
            "add {channel}, {channel}, #8", "and v19.16b, v19.16b, v1.16b", "and v20.16b, v20.16b, v1.16b",
            "addp v14.8h, v14.8h, v15.8h", "addp v16.8h, v16.8h, v17.8h", "addp v18.8h, v18.8h, v19.8h",
            "addp v20.8h, v20.8h, v20.8h", "addp v14.8h, v14.8h, v16.8h", "addp v18.8h, v18.8h, v20.8h",
            "addp v14.8h, v14.8h, v18.8h", "st1 {{v14.b}}[0], [x0], x1", "st1 {{v14.b}}[2], [x2], x1",
            "st1 {{v14.b}}[4], [x0], x1", "st1 {{v14.b}}[6], [x2], x1", "st1 {{v14.b}}[8], [x0], x1",
            "st1 {{v14.b}}[10], [x2], x1", "st1 {{v14.b}}[12], [x0], x1", "subs {blocks}, {blocks}, #1", "b.ne 6b",
        ] }
    };
}

/// As `seven_signs`.
macro_rules! six_signs {
    ($width:ident $($head:tt)*) => {
        $width! { $($head)* [] [
            "ldp x0, x1, [{segment}]", "ldp x4, x5, [{segment}, #80]", "cmge v12.8h, v12.8h, v0.8h",
            "ldp x6, x7, [{segment}, #96]", "cmge v13.8h, v13.8h, v0.8h", "add x0, x0, {channel}, lsr #3",
            "cmge v14.8h, v14.8h, v0.8h", "ldr x3, [{segment}, #16]", "cmge v15.8h, v15.8h, v0.8h", "add x2, x0, x1",
            "cmge v16.8h, v16.8h, v0.8h", "ldr x8, [{segment}, #112]", "cmge v17.8h, v17.8h, v0.8h", "add x4, x4, x6",
            "and v12.16b, v12.16b, v1.16b", "add x5, x5, x7", "and v13.16b, v13.16b, v1.16b", "add x3, x3, x8",
            "and v14.16b, v14.16b, v1.16b", "stp x4, x5, [{segment}, #80]", "and v15.16b, v15.16b, v1.16b",
            "lsl x1, x1, #1", "and v16.16b, v16.16b, v1.16b", "str x3, [{segment}, #16]", "and v17.16b, v17.16b, v1.16b",
            "add {channel}, {channel}, #8", "addp v12.8h, v12.8h, v13.8h", "addp v14.8h, v14.8h, v15.8h",
            "addp v16.8h, v16.8h, v17.8h", "addp v12.8h, v12.8h, v14.8h", "addp v16.8h, v16.8h, v16.8h",
            "addp v12.8h, v12.8h, v16.8h", "st1 {{v12.b}}[0], [x0], x1", "st1 {{v12.b}}[2], [x2], x1",
            "st1 {{v12.b}}[4], [x0], x1", "st1 {{v12.b}}[6], [x2], x1", "st1 {{v12.b}}[8], [x0], x1",
            "st1 {{v12.b}}[10], [x2], x1", "subs {blocks}, {blocks}, #1", "b.ne 6b",
        ] }
    };
}

rows! {
    /// Seven outputs, five wide, stride 1: 47 cycles for 35 multiplications and 16 operands.
    seven_five_wide, seven_five_wide_signs, seven, seven_signs, five, five_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr d21, [{ahead}, #0]", "ldr x0, [{next}, #0]",
        "quantrack_bias v2, v0", "ldr d22, [x0, {channel}]", "ldr x0, [{next}, #8]", "quantrack_bias v3, v1",
        "ldr x1, [{next}, #16]", "quantrack_bias v4, v0", "ldr d23, [x0, {channel}]", "ldr x0, [{next}, #32]",
        "quantrack_bias v5, v1", "ldr x2, [{next}, #48]", "quantrack_bias v6, v0", "ldr d24, [x1, {channel}]",
        "ldr x1, [{next}, #24]", "quantrack_bias v7, v1", "ldr x3, [{next}, #40]", "quantrack_bias v8, v0",
        "ldr x4, [x0, {channel}]", "quantrack_bias v9, v1", "ldr x0, [x2, {channel}]", "quantrack_bias v10, v0",
        "mov {row}, {next}", "quantrack_bias v11, v1", "mov {w}, {ahead}", "quantrack_bias v12, v0", "quantrack_bias v13, v1",
    ]
    [
        "ldr d25, [x1, {channel}]", "fmov d26, x4", "\\mul v14.8h, v22.8b, v21.8b", "ldr {next}, [{rows}], #8",
        "\\mul v15.8h, v23.8b, v21.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v16.8h, v24.8b, v21.8b",
        "subs {left}, {left}, #1", "ldr d27, [x3, {channel}]", "fmov d28, x0", "add {ahead}, {w}, #40",
        "add {next}, {next}, {skip}", "\\mul v17.8h, v25.8b, v21.8b", "csel {ahead}, {ahead}, {w}, ne",
        "\\mul v18.8h, v26.8b, v21.8b", "ldr x0, [{w}, #8]", "\\mul v19.8h, v27.8b, v21.8b", "ldr x3, [{row}, #56]",
        "fmov d22, x0", "\\mul v20.8h, v28.8b, v21.8b",
    ]
    [
        "\\mul v14.8h, v23.8b, v22.8b", "\\mul v15.8h, v24.8b, v22.8b", "ldr x0, [x3, {channel}]",
        "\\mul v16.8h, v25.8b, v22.8b", "fmov d29, x0", "\\mul v17.8h, v26.8b, v22.8b",
        "\\mul v18.8h, v27.8b, v22.8b", "ldr x0, [{w}, #16]", "\\mul v19.8h, v28.8b, v22.8b", "ldr x3, [{row}, #64]",
        "fmov d23, x0", "\\mul v20.8h, v29.8b, v22.8b",
    ]
    [
        "\\mul v14.8h, v24.8b, v23.8b", "\\mul v15.8h, v25.8b, v23.8b", "ldr x0, [x3, {channel}]",
        "\\mul v16.8h, v26.8b, v23.8b", "fmov d30, x0", "\\mul v17.8h, v27.8b, v23.8b",
        "\\mul v18.8h, v28.8b, v23.8b", "ldr x0, [{w}, #24]", "\\mul v19.8h, v29.8b, v23.8b", "ldr x3, [{row}, #72]",
        "ldr d21, [{ahead}, #0]", "fmov d24, x0", "\\mul v20.8h, v30.8b, v23.8b",
    ]
    [
        "\\mul v14.8h, v25.8b, v24.8b", "ldr x0, [{next}, #0]", "\\mul v15.8h, v26.8b, v24.8b",
        "ldr x1, [x3, {channel}]", "\\mul v16.8h, v27.8b, v24.8b", "ldr d22, [x0, {channel}]", "fmov d25, x1",
        "\\mul v17.8h, v28.8b, v24.8b", "ldr x0, [{next}, #8]", "\\mul v18.8h, v29.8b, v24.8b",
        "ldr x1, [{next}, #16]", "\\mul v19.8h, v30.8b, v24.8b", "ldr x3, [{w}, #32]", "\\mul v20.8h, v25.8b, v24.8b",
        "ldr x4, [{row}, #80]", "ldr d23, [x0, {channel}]", "fmov d31, x3",
    ]
    [
        "\\mul v14.8h, v26.8b, v31.8b", "ldr x0, [{next}, #32]", "\\mul v15.8h, v27.8b, v31.8b",
        "ldr x3, [x4, {channel}]", "\\mul v16.8h, v28.8b, v31.8b", "ldr x2, [{next}, #48]",
        "ldr d24, [x1, {channel}]", "fmov d28, x3", "\\mul v17.8h, v29.8b, v31.8b", "ldr x1, [{next}, #24]",
        "\\mul v18.8h, v30.8b, v31.8b", "ldr x3, [{next}, #40]", "\\mul v19.8h, v25.8b, v31.8b",
        "ldr x4, [x0, {channel}]", "\\mul v20.8h, v28.8b, v31.8b", "ldr x0, [x2, {channel}]", "mov {row}, {next}",
        "mov {w}, {ahead}",
    ]
}

rows! {
    /// Six outputs, five wide, stride 1: 38 cycles for 30 multiplications and 15 operands.
    six_five_wide, six_five_wide_signs, six, six_signs, five, five_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr d18, [{ahead}, #0]", "ldr x0, [{next}, #0]",
        "quantrack_bias v2, v0", "ldr d19, [x0, {channel}]", "ldr x0, [{next}, #8]", "quantrack_bias v3, v1",
        "ldr d20, [x0, {channel}]", "ldr x0, [{next}, #24]", "quantrack_bias v4, v0", "ldr x1, [{next}, #16]",
        "quantrack_bias v5, v1", "ldr x2, [x0, {channel}]", "quantrack_bias v6, v0", "ldr d21, [x1, {channel}]",
        "fmov d22, x2", "ldr x1, [{next}, #32]", "quantrack_bias v7, v1", "ldr x2, [{next}, #48]", "quantrack_bias v8, v0",
        "ldr d23, [x1, {channel}]", "ldr x1, [{next}, #40]", "quantrack_bias v9, v1", "ldr x0, [{ahead}, #8]",
        "quantrack_bias v10, v0", "ldr x3, [x2, {channel}]", "quantrack_bias v11, v1", "mov {row}, {next}",
        "mov {w}, {ahead}",
    ]
    [
        "ldr d24, [x1, {channel}]", "fmov d25, x0", "\\mul v12.8h, v19.8b, v18.8b", "ldr {next}, [{rows}], #8",
        "\\mul v13.8h, v20.8b, v18.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v14.8h, v21.8b, v18.8b",
        "subs {left}, {left}, #1", "\\mul v15.8h, v22.8b, v18.8b", "add {ahead}, {w}, #40", "fmov d26, x3",
        "\\mul v16.8h, v23.8b, v18.8b", "csel {ahead}, {ahead}, {w}, ne", "\\mul v17.8h, v24.8b, v18.8b",
        "add {next}, {next}, {skip}",
    ]
    [
        "\\mul v12.8h, v20.8b, v25.8b", "ldr x3, [{w}, #16]", "\\mul v13.8h, v21.8b, v25.8b", "ldr x1, [{row}, #56]",
        "ldr d18, [{ahead}, #0]", "fmov d27, x3", "\\mul v14.8h, v22.8b, v25.8b", "\\mul v15.8h, v23.8b, v25.8b",
        "ldr x0, [{next}, #0]", "\\mul v16.8h, v24.8b, v25.8b", "ldr x3, [x1, {channel}]",
        "\\mul v17.8h, v26.8b, v25.8b", "ldr d19, [x0, {channel}]", "fmov d25, x3",
    ]
    [
        "\\mul v12.8h, v21.8b, v27.8b", "ldr x0, [{next}, #8]", "\\mul v13.8h, v22.8b, v27.8b", "ldr x3, [{w}, #24]",
        "\\mul v14.8h, v23.8b, v27.8b", "ldr d20, [x0, {channel}]", "fmov d28, x3", "\\mul v15.8h, v24.8b, v27.8b",
        "\\mul v16.8h, v26.8b, v27.8b", "ldr x3, [{row}, #64]", "\\mul v17.8h, v25.8b, v27.8b", "ldr x1, [{w}, #32]",
    ]
    [
        "\\mul v12.8h, v22.8b, v28.8b", "ldr x0, [{next}, #24]", "ldr d27, [x3, {channel}]", "fmov d29, x1",
        "\\mul v13.8h, v23.8b, v28.8b", "mov {w}, {ahead}", "\\mul v14.8h, v24.8b, v28.8b", "ldr x1, [{next}, #16]",
        "\\mul v15.8h, v26.8b, v28.8b", "ldr x2, [x0, {channel}]", "\\mul v16.8h, v25.8b, v28.8b",
        "ldr x0, [{row}, #72]", "ldr d21, [x1, {channel}]", "fmov d22, x2", "\\mul v17.8h, v27.8b, v28.8b",
        "mov {row}, {next}",
    ]
    [
        "\\mul v12.8h, v23.8b, v29.8b", "ldr x1, [{next}, #32]", "\\mul v13.8h, v24.8b, v29.8b",
        "ldr x3, [x0, {channel}]", "\\mul v14.8h, v26.8b, v29.8b", "ldr x2, [{next}, #48]",
        "ldr d23, [x1, {channel}]", "fmov d26, x3", "\\mul v15.8h, v25.8b, v29.8b", "ldr x1, [{next}, #40]",
        "\\mul v16.8h, v27.8b, v29.8b", "ldr x0, [{ahead}, #8]", "\\mul v17.8h, v26.8b, v29.8b",
        "ldr x3, [x2, {channel}]",
    ]
}

rows! {
    /// Seven outputs, three wide, stride 1: 29 cycles for 21 multiplications and 12 operands.
    seven_three_wide, seven_three_wide_signs, seven, seven_signs, three, three_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #0]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #16]", "quantrack_bias v3, v1", "ldr d21, [{ahead}, #0]", "ldr x2, [{next}, #8]",
        "quantrack_bias v4, v0", "ldr x3, [{next}, #24]", "quantrack_bias v5, v1", "ldr x4, [{next}, #40]",
        "quantrack_bias v6, v0", "ldr d22, [x0, {channel}]", "ldr x0, [{next}, #48]", "quantrack_bias v7, v1",
        "ldr x5, [x1, {channel}]", "quantrack_bias v8, v0", "ldr d23, [x2, {channel}]", "fmov d24, x5",
        "ldr x2, [{next}, #32]", "quantrack_bias v9, v1", "ldr x5, [{next}, #56]", "quantrack_bias v10, v0",
        "ldr d25, [x3, {channel}]", "ldr x3, [x4, {channel}]", "quantrack_bias v11, v1", "ldr x4, [x0, {channel}]",
        "quantrack_bias v12, v0", "ldr x0, [{ahead}, #8]", "quantrack_bias v13, v1", "ldr d26, [x2, {channel}]",
        "fmov d27, x3", "mov {row}, {next}", "mov {w}, {ahead}",
    ]
    [
        "\\mul v14.8h, v22.8b, v21.8b", "ldr {next}, [{rows}], #8", "\\mul v15.8h, v23.8b, v21.8b",
        "ldrb {ends:w}, [{flags}], #1", "\\mul v16.8h, v24.8b, v21.8b", "subs {left}, {left}, #1", "fmov d28, x4",
        "\\mul v17.8h, v25.8b, v21.8b", "add {ahead}, {w}, #24", "\\mul v18.8h, v26.8b, v21.8b",
        "csel {ahead}, {ahead}, {w}, ne", "\\mul v19.8h, v27.8b, v21.8b", "add {next}, {next}, {skip}",
        "fmov d29, x0", "\\mul v20.8h, v28.8b, v21.8b", "ldr x0, [{next}, #0]",
    ]
    [
        "\\mul v14.8h, v23.8b, v29.8b", "ldr x4, [x5, {channel}]", "\\mul v15.8h, v24.8b, v29.8b",
        "ldr x1, [{next}, #16]", "ldr d21, [{ahead}, #0]", "fmov d30, x4", "\\mul v16.8h, v25.8b, v29.8b",
        "ldr x2, [{next}, #8]", "\\mul v17.8h, v26.8b, v29.8b", "ldr x3, [{next}, #24]",
        "\\mul v18.8h, v27.8b, v29.8b", "ldr x5, [{w}, #16]", "\\mul v19.8h, v28.8b, v29.8b", "ldr x4, [{next}, #40]",
        "ldr d22, [x0, {channel}]", "fmov d31, x5", "\\mul v20.8h, v30.8b, v29.8b", "ldr x0, [{next}, #48]",
    ]
    [
        "\\mul v14.8h, v24.8b, v31.8b", "ldr x5, [x1, {channel}]", "\\mul v15.8h, v25.8b, v31.8b",
        "ldr x1, [{row}, #64]", "ldr d23, [x2, {channel}]", "fmov d24, x5", "\\mul v16.8h, v26.8b, v31.8b",
        "ldr x2, [{next}, #32]", "\\mul v17.8h, v27.8b, v31.8b", "ldr x6, [x1, {channel}]",
        "\\mul v18.8h, v28.8b, v31.8b", "ldr x5, [{next}, #56]", "ldr d25, [x3, {channel}]", "fmov d28, x6",
        "\\mul v19.8h, v30.8b, v31.8b", "ldr x3, [x4, {channel}]", "ldr x4, [x0, {channel}]", "mov {row}, {next}",
        "\\mul v20.8h, v28.8b, v31.8b", "ldr x0, [{ahead}, #8]", "ldr d26, [x2, {channel}]", "fmov d27, x3",
        "mov {w}, {ahead}",
    ]
}

rows! {
    /// Six outputs, three wide, stride 1: 26 cycles for 18 multiplications and 11 operands.
    six_three_wide, six_three_wide_signs, six, six_signs, three, three_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #0]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #16]", "quantrack_bias v3, v1", "ldr d18, [{ahead}, #0]", "ldr x2, [{next}, #8]",
        "quantrack_bias v4, v0", "ldr x3, [{next}, #40]", "quantrack_bias v5, v1", "ldr d19, [x0, {channel}]",
        "ldr x0, [{next}, #24]", "quantrack_bias v6, v0", "ldr x4, [x1, {channel}]", "quantrack_bias v7, v1",
        "ldr d20, [x2, {channel}]", "fmov d21, x4", "ldr x2, [{next}, #32]", "quantrack_bias v8, v0",
        "ldr x4, [{next}, #48]", "quantrack_bias v9, v1", "ldr x1, [x3, {channel}]", "quantrack_bias v10, v0",
        "ldr d22, [x0, {channel}]", "ldr x0, [{ahead}, #8]", "quantrack_bias v11, v1", "mov {row}, {next}",
        "mov {w}, {ahead}",
    ]
    [
        "\\mul v12.8h, v19.8b, v18.8b", "ldr {next}, [{rows}], #8", "\\mul v13.8h, v20.8b, v18.8b",
        "ldrb {ends:w}, [{flags}], #1", "ldr d23, [x2, {channel}]", "fmov d24, x1", "\\mul v14.8h, v21.8b, v18.8b",
        "subs {left}, {left}, #1", "\\mul v15.8h, v22.8b, v18.8b", "add {ahead}, {w}, #24",
        "add {next}, {next}, {skip}", "csel {ahead}, {ahead}, {w}, ne", "fmov d25, x0",
        "\\mul v16.8h, v23.8b, v18.8b", "ldr x0, [{next}, #0]", "\\mul v17.8h, v24.8b, v18.8b",
        "ldr x2, [x4, {channel}]",
    ]
    [
        "\\mul v12.8h, v20.8b, v25.8b", "ldr x1, [{next}, #16]", "ldr d18, [{ahead}, #0]", "fmov d26, x2",
        "\\mul v13.8h, v21.8b, v25.8b", "ldr x2, [{next}, #8]", "\\mul v14.8h, v22.8b, v25.8b", "ldr x4, [{w}, #16]",
        "\\mul v15.8h, v23.8b, v25.8b", "ldr x3, [{next}, #40]", "ldr d19, [x0, {channel}]", "fmov d27, x4",
        "\\mul v16.8h, v24.8b, v25.8b", "ldr x0, [{next}, #24]", "\\mul v17.8h, v26.8b, v25.8b",
        "ldr x4, [x1, {channel}]",
    ]
    [
        "\\mul v12.8h, v21.8b, v27.8b", "ldr x1, [{row}, #56]", "ldr d20, [x2, {channel}]", "fmov d21, x4",
        "\\mul v13.8h, v22.8b, v27.8b", "ldr x2, [{next}, #32]", "\\mul v14.8h, v23.8b, v27.8b",
        "ldr x4, [{next}, #48]", "\\mul v15.8h, v24.8b, v27.8b", "ldr x5, [x1, {channel}]",
        "\\mul v16.8h, v26.8b, v27.8b", "ldr x1, [x3, {channel}]", "ldr d22, [x0, {channel}]", "fmov d26, x5",
        "\\mul v17.8h, v26.8b, v27.8b", "ldr x0, [{ahead}, #8]", "mov {row}, {next}", "mov {w}, {ahead}",
    ]
}

rows! {
    /// Seven outputs, five wide, stride 2: 48 cycles for 35 multiplications and 22 operands.
    seven_five_wide_stride_2, seven_five_wide_stride_2_signs, seven, seven_signs, five, five_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #0]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #32]", "quantrack_bias v3, v1", "ldr x2, [{next}, #16]", "quantrack_bias v4, v0",
        "ldr d22, [{ahead}, #0]", "ldr x3, [{next}, #80]", "quantrack_bias v5, v1", "ldr x4, [{next}, #48]",
        "quantrack_bias v6, v0", "ldr d30, [x0, {channel}]", "ldr x0, [{next}, #96]", "quantrack_bias v7, v1",
        "ldr x5, [x1, {channel}]", "quantrack_bias v8, v0", "ldr d27, [x2, {channel}]", "fmov d21, x5",
        "ldr x2, [{next}, #64]", "quantrack_bias v9, v1", "ldr x5, [x3, {channel}]", "quantrack_bias v10, v0",
        "ldr d23, [x4, {channel}]", "ldr x4, [x0, {channel}]", "quantrack_bias v11, v1", "ldr x0, [{ahead}, #16]",
        "quantrack_bias v12, v0", "mov {row}, {next}", "quantrack_bias v13, v1", "mov {w}, {ahead}",
    ]
    [
        "ldr d25, [x2, {channel}]", "fmov d24, x5", "\\mul v14.8h, v30.8b, v22.8b", "ldr {next}, [{rows}], #8",
        "\\mul v15.8h, v27.8b, v22.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v16.8h, v21.8b, v22.8b",
        "subs {left}, {left}, #1", "fmov d26, x4", "\\mul v17.8h, v23.8b, v22.8b", "add {ahead}, {w}, #40",
        "\\mul v18.8h, v25.8b, v22.8b", "csel {ahead}, {ahead}, {w}, ne", "\\mul v19.8h, v24.8b, v22.8b",
        "add {next}, {next}, {skip}", "fmov d29, x0", "\\mul v20.8h, v26.8b, v22.8b", "ldr x4, [{row}, #112]",
    ]
    [
        "\\mul v14.8h, v27.8b, v29.8b", "ldr x2, [{w}, #32]", "\\mul v15.8h, v21.8b, v29.8b", "ldr x0, [{next}, #0]",
        "ldr d28, [x4, {channel}]", "fmov d22, x2", "\\mul v16.8h, v23.8b, v29.8b", "ldr x2, [{row}, #128]",
        "\\mul v17.8h, v25.8b, v29.8b", "ldr x4, [{w}, #8]", "\\mul v18.8h, v24.8b, v29.8b", "ldr x5, [{row}, #24]",
        "ldr d30, [x2, {channel}]", "fmov d27, x4", "\\mul v19.8h, v26.8b, v29.8b", "ldr x2, [{row}, #8]",
        "\\mul v20.8h, v28.8b, v29.8b", "ldr x4, [x5, {channel}]",
    ]
    [
        "\\mul v14.8h, v21.8b, v22.8b", "ldr x5, [{row}, #56]", "ldr d29, [x2, {channel}]", "fmov d21, x4",
        "\\mul v15.8h, v23.8b, v22.8b", "ldr x2, [{row}, #40]", "\\mul v16.8h, v25.8b, v22.8b",
        "ldr x4, [x5, {channel}]", "\\mul v17.8h, v24.8b, v22.8b", "ldr x5, [{row}, #88]", "ldr d25, [x2, {channel}]",
        "fmov d24, x4", "\\mul v18.8h, v26.8b, v22.8b", "ldr x2, [{row}, #72]", "\\mul v19.8h, v28.8b, v22.8b",
        "ldr x4, [x5, {channel}]", "\\mul v20.8h, v30.8b, v22.8b", "ldr x5, [{row}, #104]",
        "ldr d28, [x2, {channel}]", "fmov d26, x4",
    ]
    [
        "\\mul v14.8h, v29.8b, v27.8b", "ldr x1, [{next}, #32]", "\\mul v15.8h, v21.8b, v27.8b",
        "ldr x4, [x5, {channel}]", "\\mul v16.8h, v25.8b, v27.8b", "ldr x2, [{next}, #16]", "ldr d22, [{ahead}, #0]",
        "fmov d29, x4", "\\mul v17.8h, v24.8b, v27.8b", "ldr x3, [{next}, #80]", "\\mul v18.8h, v28.8b, v27.8b",
        "ldr x5, [{w}, #24]", "\\mul v19.8h, v26.8b, v27.8b", "ldr x4, [{next}, #48]", "ldr d30, [x0, {channel}]",
        "fmov d31, x5", "\\mul v20.8h, v29.8b, v27.8b", "ldr x0, [{next}, #96]",
    ]
    [
        "\\mul v14.8h, v21.8b, v31.8b", "ldr x5, [x1, {channel}]", "\\mul v15.8h, v25.8b, v31.8b",
        "ldr x1, [{row}, #120]", "ldr d27, [x2, {channel}]", "fmov d21, x5", "\\mul v16.8h, v24.8b, v31.8b",
        "ldr x2, [{next}, #64]", "\\mul v17.8h, v28.8b, v31.8b", "ldr x6, [x1, {channel}]",
        "\\mul v18.8h, v26.8b, v31.8b", "ldr x5, [x3, {channel}]", "ldr d23, [x4, {channel}]", "fmov d26, x6",
        "\\mul v19.8h, v29.8b, v31.8b", "ldr x4, [x0, {channel}]", "\\mul v20.8h, v26.8b, v31.8b",
        "ldr x0, [{ahead}, #16]", "mov {row}, {next}", "mov {w}, {ahead}",
    ]
}

rows! {
    /// Six outputs, five wide, stride 2: 42 cycles for 30 multiplications and 20 operands.
    six_five_wide_stride_2, six_five_wide_stride_2_signs, six, six_signs, five, five_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #16]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #0]", "quantrack_bias v3, v1", "ldr x2, [{next}, #32]", "quantrack_bias v4, v0",
        "ldr d18, [{ahead}, #0]", "ldr x3, [{next}, #64]", "quantrack_bias v5, v1", "ldr x4, [{next}, #48]",
        "quantrack_bias v6, v0", "ldr x5, [x0, {channel}]", "quantrack_bias v7, v1", "ldr d19, [x1, {channel}]",
        "fmov d20, x5", "ldr x1, [{next}, #80]", "quantrack_bias v8, v0", "ldr x5, [{next}, #96]", "quantrack_bias v9, v1",
        "ldr d21, [x2, {channel}]", "ldr x2, [x3, {channel}]", "quantrack_bias v10, v0", "ldr x3, [{ahead}, #16]",
        "quantrack_bias v11, v1", "ldr x0, [{ahead}, #32]", "mov {row}, {next}", "mov {w}, {ahead}",
    ]
    [
        "ldr d22, [x4, {channel}]", "fmov d23, x2", "\\mul v12.8h, v19.8b, v18.8b", "ldr {next}, [{rows}], #8",
        "\\mul v13.8h, v20.8b, v18.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v14.8h, v21.8b, v18.8b",
        "subs {left}, {left}, #1", "ldr d19, [x1, {channel}]", "fmov d24, x3", "\\mul v15.8h, v22.8b, v18.8b",
        "add {ahead}, {w}, #40", "\\mul v16.8h, v23.8b, v18.8b", "csel {ahead}, {ahead}, {w}, ne",
        "add {next}, {next}, {skip}", "ldr d25, [x5, {channel}]", "fmov d26, x0", "\\mul v17.8h, v19.8b, v18.8b",
        "ldr x0, [{row}, #112]",
    ]
    [
        "\\mul v12.8h, v20.8b, v24.8b", "ldr x5, [{w}, #8]", "\\mul v13.8h, v21.8b, v24.8b", "ldr x1, [{row}, #24]",
        "ldr d20, [x0, {channel}]", "fmov d27, x5", "\\mul v14.8h, v22.8b, v24.8b", "ldr x0, [{row}, #8]",
        "\\mul v15.8h, v23.8b, v24.8b", "ldr x5, [x1, {channel}]", "\\mul v16.8h, v19.8b, v24.8b",
        "ldr x1, [{row}, #56]", "ldr d18, [x0, {channel}]", "fmov d28, x5", "\\mul v17.8h, v25.8b, v24.8b",
        "ldr x0, [{row}, #40]",
    ]
    [
        "\\mul v12.8h, v21.8b, v26.8b", "ldr x5, [x1, {channel}]", "\\mul v13.8h, v22.8b, v26.8b",
        "ldr x1, [{row}, #88]", "ldr d22, [x0, {channel}]", "fmov d21, x5", "\\mul v14.8h, v23.8b, v26.8b",
        "ldr x5, [{row}, #72]", "\\mul v15.8h, v19.8b, v26.8b", "ldr x3, [x1, {channel}]",
        "\\mul v16.8h, v25.8b, v26.8b", "ldr x0, [{next}, #16]", "ldr d25, [x5, {channel}]", "fmov d23, x3",
        "\\mul v17.8h, v20.8b, v26.8b", "ldr x1, [{next}, #0]",
    ]
    [
        "\\mul v12.8h, v18.8b, v27.8b", "ldr x3, [{w}, #24]", "\\mul v13.8h, v28.8b, v27.8b", "ldr x2, [{next}, #32]",
        "ldr d18, [{ahead}, #0]", "fmov d26, x3", "\\mul v14.8h, v22.8b, v27.8b", "ldr x3, [{next}, #64]",
        "\\mul v15.8h, v21.8b, v27.8b", "ldr x4, [{next}, #48]", "\\mul v16.8h, v25.8b, v27.8b",
        "ldr x5, [x0, {channel}]", "\\mul v17.8h, v23.8b, v27.8b", "ldr x0, [{row}, #104]",
        "ldr d19, [x1, {channel}]", "fmov d20, x5",
    ]
    [
        "\\mul v12.8h, v28.8b, v26.8b", "ldr x1, [{next}, #80]", "\\mul v13.8h, v22.8b, v26.8b",
        "ldr x6, [x0, {channel}]", "\\mul v14.8h, v21.8b, v26.8b", "ldr x5, [{next}, #96]",
        "ldr d21, [x2, {channel}]", "fmov d22, x6", "\\mul v15.8h, v25.8b, v26.8b", "ldr x2, [x3, {channel}]",
        "\\mul v16.8h, v23.8b, v26.8b", "ldr x3, [{ahead}, #16]", "\\mul v17.8h, v22.8b, v26.8b",
        "ldr x0, [{ahead}, #32]", "mov {row}, {next}", "mov {w}, {ahead}",
    ]
}

rows! {
    /// Seven outputs, three wide, stride 2: 38 cycles for 21 multiplications and 18 operands.
    seven_three_wide_stride_2, seven_three_wide_stride_2_signs, seven, seven_signs, three, three_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #0]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #16]", "quantrack_bias v3, v1", "ldr x2, [{next}, #48]", "quantrack_bias v4, v0",
        "ldr x3, [{next}, #80]", "quantrack_bias v5, v1", "ldr x4, [x0, {channel}]", "quantrack_bias v6, v0",
        "ldr d22, [{ahead}, #0]", "fmov d21, x4", "ldr x4, [{next}, #32]", "quantrack_bias v7, v1",
        "ldr x0, [{next}, #64]", "quantrack_bias v8, v0", "ldr d23, [x1, {channel}]", "ldr x1, [{next}, #96]",
        "quantrack_bias v9, v1", "ldr x5, [x2, {channel}]", "quantrack_bias v10, v0", "ldr x2, [x3, {channel}]",
        "quantrack_bias v11, v1", "mov {row}, {next}", "quantrack_bias v12, v0", "mov {w}, {ahead}", "quantrack_bias v13, v1",
    ]
    [
        "ldr d24, [x4, {channel}]", "fmov d25, x5", "ldr {next}, [{rows}], #8", "subs {left}, {left}, #1",
        "\\mul v14.8h, v21.8b, v22.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v15.8h, v23.8b, v22.8b",
        "add {ahead}, {w}, #24", "ldr d26, [x0, {channel}]", "fmov d27, x2", "add {next}, {next}, {skip}",
        "csel {ahead}, {ahead}, {w}, ne", "\\mul v16.8h, v24.8b, v22.8b", "ldr x2, [x1, {channel}]",
        "\\mul v17.8h, v25.8b, v22.8b", "ldr x0, [{next}, #0]", "fmov d28, x2", "\\mul v18.8h, v26.8b, v22.8b",
        "ldr x1, [{next}, #16]", "ldr x4, [{w}, #16]", "\\mul v19.8h, v27.8b, v22.8b", "ldr x2, [{next}, #48]",
        "fmov d29, x4", "\\mul v20.8h, v28.8b, v22.8b", "ldr x3, [{next}, #80]", "ldr x4, [x0, {channel}]",
    ]
    [
        "\\mul v14.8h, v23.8b, v29.8b", "ldr x0, [{row}, #112]", "ldr d22, [{ahead}, #0]", "fmov d21, x4",
        "\\mul v15.8h, v24.8b, v29.8b", "ldr x4, [{row}, #24]", "\\mul v16.8h, v25.8b, v29.8b", "ldr x5, [{w}, #8]",
        "ldr x6, [{row}, #8]", "mov {w}, {ahead}", "ldr d25, [x0, {channel}]", "fmov d24, x5",
        "\\mul v17.8h, v26.8b, v29.8b", "ldr x0, [{row}, #56]", "\\mul v18.8h, v27.8b, v29.8b",
        "ldr x5, [x4, {channel}]", "\\mul v19.8h, v28.8b, v29.8b", "ldr x4, [{row}, #40]", "ldr d28, [x6, {channel}]",
        "fmov d27, x5", "ldr x5, [x0, {channel}]", "\\mul v20.8h, v25.8b, v29.8b", "ldr x0, [{row}, #88]",
        "ldr d25, [x4, {channel}]", "fmov d29, x5",
    ]
    [
        "\\mul v14.8h, v28.8b, v24.8b", "ldr x4, [{row}, #72]", "ldr x5, [x0, {channel}]",
        "\\mul v15.8h, v27.8b, v24.8b", "ldr x0, [{row}, #104]", "ldr d27, [x4, {channel}]", "fmov d28, x5",
        "\\mul v16.8h, v25.8b, v24.8b", "ldr x4, [{next}, #32]", "\\mul v17.8h, v29.8b, v24.8b",
        "ldr x5, [x0, {channel}]", "ldr x0, [{next}, #64]", "mov {row}, {next}", "ldr d23, [x1, {channel}]",
        "fmov d29, x5", "\\mul v18.8h, v27.8b, v24.8b", "ldr x1, [{next}, #96]", "\\mul v19.8h, v28.8b, v24.8b",
        "ldr x5, [x2, {channel}]", "\\mul v20.8h, v29.8b, v24.8b", "ldr x2, [x3, {channel}]",
    ]
}

rows! {
    /// Six outputs, three wide, stride 2: 33 cycles for 18 multiplications and 16 operands.
    six_three_wide_stride_2, six_three_wide_stride_2_signs, six, six_signs, three, three_narrow;
    [
        "ldr x0, [{segment}, #16]", "ldp {rows}, {next}, [{segment}, #56]", "ldp {ahead}, {flags}, [{segment}, #80]",
        "ldr {left}, [{segment}, #72]", "ldp q0, q1, [x0]", "ldr x0, [{next}, #0]", "quantrack_bias v2, v0",
        "ldr x1, [{next}, #16]", "quantrack_bias v3, v1", "ldr x2, [{next}, #48]", "quantrack_bias v4, v0",
        "ldr x3, [{ahead}, #0]", "quantrack_bias v5, v1", "fmov d18, x3", "ldr x3, [{next}, #80]", "quantrack_bias v6, v0",
        "ldr d19, [x0, {channel}]", "ldr x0, [{next}, #32]", "quantrack_bias v7, v1", "ldr x4, [{next}, #64]",
        "quantrack_bias v8, v0", "ldr d20, [x1, {channel}]", "ldr x1, [x2, {channel}]", "quantrack_bias v9, v1",
        "ldr x2, [x3, {channel}]", "quantrack_bias v10, v0", "mov {row}, {next}", "quantrack_bias v11, v1",
        "mov {w}, {ahead}",
    ]
    [
        "ldr {next}, [{rows}], #8", "subs {left}, {left}, #1", "ldr d21, [x0, {channel}]", "fmov d22, x1",
        "\\mul v12.8h, v19.8b, v18.8b", "ldrb {ends:w}, [{flags}], #1", "\\mul v13.8h, v20.8b, v18.8b",
        "add {ahead}, {w}, #24", "add {next}, {next}, {skip}", "csel {ahead}, {ahead}, {w}, ne",
        "ldr d19, [x4, {channel}]", "fmov d23, x2", "\\mul v14.8h, v21.8b, v18.8b", "ldr x0, [{next}, #0]",
        "\\mul v15.8h, v22.8b, v18.8b", "ldr x2, [{w}, #16]", "ldr x1, [{next}, #16]", "fmov d24, x2",
        "\\mul v16.8h, v19.8b, v18.8b", "ldr x2, [{next}, #48]", "\\mul v17.8h, v23.8b, v18.8b",
        "ldr x3, [{ahead}, #0]",
    ]
    [
        "\\mul v12.8h, v20.8b, v24.8b", "ldr x4, [{row}, #96]", "fmov d18, x3", "ldr x3, [{row}, #24]",
        "\\mul v13.8h, v21.8b, v24.8b", "ldr x5, [{w}, #8]", "\\mul v14.8h, v22.8b, v24.8b", "ldr x6, [{row}, #8]",
        "ldr d22, [x4, {channel}]", "fmov d21, x5", "ldr x4, [x3, {channel}]", "mov {w}, {ahead}",
        "\\mul v15.8h, v19.8b, v24.8b", "ldr x3, [{row}, #56]", "ldr d19, [x6, {channel}]", "fmov d20, x4",
        "\\mul v16.8h, v23.8b, v24.8b", "ldr x4, [{row}, #40]", "ldr x6, [x3, {channel}]",
        "\\mul v17.8h, v22.8b, v24.8b", "ldr x5, [{row}, #72]", "ldr d22, [x4, {channel}]", "fmov d24, x6",
    ]
    [
        "\\mul v12.8h, v19.8b, v21.8b", "ldr x3, [{next}, #80]", "ldr x4, [x5, {channel}]",
        "\\mul v13.8h, v20.8b, v21.8b", "ldr x5, [{row}, #88]", "ldr d19, [x0, {channel}]", "fmov d23, x4",
        "\\mul v14.8h, v22.8b, v21.8b", "ldr x0, [{next}, #32]", "\\mul v15.8h, v24.8b, v21.8b",
        "ldr x6, [x5, {channel}]", "ldr x4, [{next}, #64]", "mov {row}, {next}", "ldr d20, [x1, {channel}]",
        "fmov d24, x6", "\\mul v16.8h, v23.8b, v21.8b", "ldr x1, [x2, {channel}]", "\\mul v17.8h, v24.8b, v21.8b",
        "ldr x2, [x3, {channel}]",
    ]
}
