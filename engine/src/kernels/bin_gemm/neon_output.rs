//! The output stage of one-bit tiles for 64-bit ARM: eight columns of four rows side by side.

use std::arch::aarch64::{
    int8x8_t, int32x4_t, uint16x8_t, vaddq_s32, vdupq_n_s32, vget_low_u16, vld1q_s32,
    vreinterpretq_s32_u32, vshll_high_n_u16, vshll_n_u16, vst1q_s32, vsubq_s32,
};

use std::arch::asm;
use std::mem::offset_of;

use crate::kernels::micro::BinGemmArgs;
use crate::kernels::requant_neon::{Narrow, NarrowPrelu, store_row};

/// Rows side by side.
pub(super) const ROWS: usize = 4;

/// What eight columns of four rows take from accumulators.
pub(super) type Quad = [[int32x4_t; 2]; ROWS];

/// What the 16-bit counts of eight columns take: `2^SHIFT` each.
#[inline]
#[target_feature(enable = "neon")]
fn take<const SHIFT: i32>(counts: uint16x8_t) -> [int32x4_t; 2] {
    let low = vreinterpretq_s32_u32(vshll_n_u16::<SHIFT>(vget_low_u16(counts)));
    [low, vreinterpretq_s32_u32(vshll_high_n_u16::<SHIFT>(counts))]
}

/// The accumulators of columns `column..column + 8` of outputs whose operands differ nowhere.
///
/// # Safety
/// The panel has those columns.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn undiminished(args: &BinGemmArgs, column: usize) -> [int32x4_t; 2] {
    let bits = vdupq_n_s32((args.bits as i32) << 8);
    // SAFETY: the panel starts with biases.
    unsafe {
        let bias = args.w.cast::<i32>().add(column);
        [vaddq_s32(bits, vld1q_s32(bias)), vaddq_s32(bits, vld1q_s32(bias.add(4)))]
    }
}

/// The ordinary output stage of eight columns: no PReLU, 8-bit results. What it needs stays in registers for all rows.
pub(super) struct Plain {
    column: usize,
    none: [int32x4_t; 2],
    stage: Narrow,
}

impl Plain {
    /// Whether it is what `args` asks for; rows and columns must be whole groups as well.
    #[inline]
    pub(super) fn suits(args: &BinGemmArgs) -> bool {
        args.sums.is_null() && args.requant.negative_multiplier.is_null()
    }

    /// The columns from `column` on.
    ///
    /// # Safety
    /// As [`MicroKernel::run`](crate::kernels::micro::MicroKernel::run), and the panel has eight such columns.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn new(args: &BinGemmArgs, column: usize) -> Self {
        // SAFETY: the caller vouches for the columns.
        unsafe {
            let stage = Narrow::new(&args.requant, [column, column + 4]);
            Self { column, none: undiminished(args, column), stage }
        }
    }

    /// Stores the 16-bit counts of four rows from `first` on at `c`.
    ///
    /// # Safety
    /// As [`Plain::new`], with four such rows, the first at `c`.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(super) unsafe fn store<const SHIFT: i32>(
        &self,
        args: &BinGemmArgs,
        first: usize,
        [a, b, c, d]: [uint16x8_t; ROWS],
        to: *mut i8,
    ) {
        let less = |taken: [int32x4_t; 2]| {
            [vsubq_s32(self.none[0], taken[0]), vsubq_s32(self.none[1], taken[1])]
        };
        let mut acc = [
            less(take::<SHIFT>(a)),
            less(take::<SHIFT>(b)),
            less(take::<SHIFT>(c)),
            less(take::<SHIFT>(d)),
        ];
        // SAFETY: the caller vouches for corrections and results of all rows.
        unsafe {
            if !args.row_bias.is_null() {
                correct(args, first, self.column, &mut acc);
            }
            let ([a, b, c, d], stride) = (self.stage.apply(acc), args.c_stride);
            store_row(a, to, 8);
            store_row(b, to.add(stride), 8);
            store_row(c, to.add(2 * stride), 8);
            store_row(d, to.add(3 * stride), 8);
        }
    }
}

/// What [`store_8x8`] needs to know of a tile. It lies in memory, where integer loads fetch it beside other instructions:
/// between the products of two groups of columns registers are scarce.
#[repr(C)]
pub(super) struct AtOnce {
    /// Biases and multipliers of the panel.
    bias: *const i32,
    multiplier: *const i32,
    /// As `multiplier`, of sums below 0, or null.
    negative_multiplier: *const i32,
    /// Pointers to corrections of the rows, or null.
    row_bias: *const *const i32,
    /// Bytes of code before the right shift.
    shift: usize,
    /// The first result, and elements between rows.
    c: *mut i8,
    stride: usize,
    /// What a sum is where no bit differs, without its bias.
    all_bits: i32,
    zero_point: i32,
    /// Whether the bounds are narrower than 8 bits.
    clamped: u32,
    min: i32,
    max: i32,
}

impl AtOnce {
    /// Nothing unless results are of 8 bits and all channels have one right shift.
    #[inline]
    pub(super) fn new(args: &BinGemmArgs) -> Option<Self> {
        let requant = &args.requant;
        (args.sums.is_null() && requant.shift > 0).then(|| Self {
            bias: args.w.cast(),
            multiplier: requant.multiplier,
            negative_multiplier: requant.negative_multiplier,
            row_bias: args.row_bias,
            // Sixteen instructions and a branch for each shift from 3 on.
            shift: (requant.shift - 3) as usize * 68,
            c: args.c,
            stride: args.c_stride,
            all_bits: (args.bits as i32) << 8,
            zero_point: requant.zero_point,
            clamped: u32::from(requant.min > -128 || requant.max < 127),
            min: requant.min,
            max: requant.max,
        })
    }
}

/// Stores eight rows of eight columns from `column` on. All sums go side by side, so nothing waits for the instruction
/// before, and the right shift narrows to 16 bits, for which there is one piece of code for each: 76 cycles of a Cortex-A53, 37
/// more where there are corrections, half of whose words integer loads fetch, and 36 more with PReLU.
///
/// # Safety
/// As [`Plain::new`] for the arguments that `stage` was made of, with eight rows.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
pub(super) unsafe fn store_8x8(stage: &AtOnce, column: usize, counts: [uint16x8_t; 8]) {
    let [a, b, c, d, e, f, g, h] = counts;
    // v0-v7: counts, later results; v8, v9: what sums are of no differing bit; v10, v11: multipliers; v16-v31: sums.
    //
    // SAFETY: the caller vouches for biases, corrections, the arrays of `requant` and all rows, the only ones that are written.
    unsafe {
        asm!(
            "ldp {p0}, {p1}, [{stage}, #{bias}]", "ushll v16.4s, v0.4h, #9", "ldr {p2:w}, [{stage}, #{all_bits}]",
            "ushll2 v17.4s, v0.8h, #9", "ldr {rows}, [{stage}, #{row_bias}]", "ushll v18.4s, v1.4h, #9",
            "add {p0}, {p0}, {column}", "ushll2 v19.4s, v1.8h, #9", "add {p1}, {p1}, {column}",
            "ushll v20.4s, v2.4h, #9", "ldr {w0}, [{p0}, #8]", "ushll2 v21.4s, v2.8h, #9", "ldr {w1}, [{p0}, #24]",
            "ushll v22.4s, v3.4h, #9", "ldr {w2}, [{p1}, #8]", "ushll2 v23.4s, v3.8h, #9", "ldr {w3}, [{p1}, #24]",
            "ldr d8, [{p0}]", "mov v8.d[1], {w0}", "ldr d9, [{p0}, #16]", "mov v9.d[1], {w1}", "ldr d10, [{p1}]",
            "mov v10.d[1], {w2}", "ldr d11, [{p1}, #16]", "mov v11.d[1], {w3}", "dup v12.4s, {p2:w}",
            "ushll v24.4s, v4.4h, #9", "ldr {shift}, [{stage}, #{shift_at}]", "ushll2 v25.4s, v4.8h, #9",
            "ldr {negative}, [{stage}, #{negative_at}]", "ushll v26.4s, v5.4h, #9",
            "ldr {zero:w}, [{stage}, #{zero_at}]", "ushll2 v27.4s, v5.8h, #9",
            "add v8.4s, v8.4s, v12.4s", "add v9.4s, v9.4s, v12.4s", "ushll v28.4s, v6.4h, #9",
            "ushll2 v29.4s, v6.8h, #9", "ushll v30.4s, v7.4h, #9", "ushll2 v31.4s, v7.8h, #9", "cbz {rows}, 2f",
            "ldr {p0}, [{rows}, #0]", "sub v16.4s, v8.4s, v16.4s", "ldr {p1}, [{rows}, #8]",
            "sub v17.4s, v9.4s, v17.4s", "ldr {p2}, [{rows}, #16]", "sub v18.4s, v8.4s, v18.4s",
            "ldr {p3}, [{rows}, #24]", "sub v19.4s, v9.4s, v19.4s", "add {p0}, {p0}, {column}",
            "sub v20.4s, v8.4s, v20.4s", "add {p1}, {p1}, {column}", "sub v21.4s, v9.4s, v21.4s",
            "ldr {w0}, [{p0}, #8]", "sub v22.4s, v8.4s, v22.4s", "ldr {w1}, [{p0}, #24]",
            "sub v23.4s, v9.4s, v23.4s", "ldr d0, [{p0}]", "mov v0.d[1], {w0}", "ldr d1, [{p0}, #16]",
            "mov v1.d[1], {w1}", "sub v24.4s, v8.4s, v24.4s", "ldr {w2}, [{p1}, #8]", "sub v25.4s, v9.4s, v25.4s",
            "ldr {w3}, [{p1}, #24]", "add {p2}, {p2}, {column}", "ldr {p0}, [{rows}, #32]", "ldr d2, [{p1}]",
            "mov v2.d[1], {w2}", "ldr d3, [{p1}, #16]", "mov v3.d[1], {w3}", "sub v26.4s, v8.4s, v26.4s",
            "ldr {w0}, [{p2}, #8]", "ldr {w1}, [{p2}, #24]", "add {p3}, {p3}, {column}", "ldr {p1}, [{rows}, #40]",
            "ldr d4, [{p2}]", "mov v4.d[1], {w0}", "ldr d5, [{p2}, #16]", "mov v5.d[1], {w1}",
            "sub v27.4s, v9.4s, v27.4s", "ldr {w2}, [{p3}, #8]", "add v16.4s, v16.4s, v0.4s",
            "ldr {w3}, [{p3}, #24]", "add v17.4s, v17.4s, v1.4s", "add {p0}, {p0}, {column}",
            "ldr {p2}, [{rows}, #48]", "ldr d0, [{p3}]", "mov v0.d[1], {w2}", "ldr d1, [{p3}, #16]",
            "mov v1.d[1], {w3}", "sub v28.4s, v8.4s, v28.4s", "ldr {w0}, [{p0}, #8]", "add v18.4s, v18.4s, v2.4s",
            "ldr {w1}, [{p0}, #24]", "add v19.4s, v19.4s, v3.4s", "add {p1}, {p1}, {column}",
            "ldr {p3}, [{rows}, #56]", "ldr d2, [{p0}]", "mov v2.d[1], {w0}", "ldr d3, [{p0}, #16]",
            "mov v3.d[1], {w1}", "sub v29.4s, v9.4s, v29.4s", "ldr {w2}, [{p1}, #8]", "add v20.4s, v20.4s, v4.4s",
            "ldr {w3}, [{p1}, #24]", "add v21.4s, v21.4s, v5.4s", "add {p2}, {p2}, {column}", "ldr d4, [{p1}]",
            "mov v4.d[1], {w2}", "ldr d5, [{p1}, #16]", "mov v5.d[1], {w3}", "sub v30.4s, v8.4s, v30.4s",
            "ldr {w0}, [{p2}, #8]", "add v22.4s, v22.4s, v0.4s", "ldr {w1}, [{p2}, #24]",
            "add v23.4s, v23.4s, v1.4s", "add {p3}, {p3}, {column}", "ldr d0, [{p2}]", "mov v0.d[1], {w0}",
            "ldr d1, [{p2}, #16]", "mov v1.d[1], {w1}", "sub v31.4s, v9.4s, v31.4s", "ldr {w2}, [{p3}, #8]",
            "add v24.4s, v24.4s, v2.4s", "ldr {w3}, [{p3}, #24]", "add v25.4s, v25.4s, v3.4s", "ldr d2, [{p3}]",
            "mov v2.d[1], {w2}", "ldr d3, [{p3}, #16]", "mov v3.d[1], {w3}", "add v26.4s, v26.4s, v4.4s",
            "add v27.4s, v27.4s, v5.4s", "add v28.4s, v28.4s, v0.4s", "add v29.4s, v29.4s, v1.4s",
            "add v30.4s, v30.4s, v2.4s", "add v31.4s, v31.4s, v3.4s", "b 3f",
            "2:",
            ".irp quantrack_r, 16, 18, 20, 22, 24, 26, 28, 30", "sub v\\quantrack_r\\().4s, v8.4s, v\\quantrack_r\\().4s",
            ".endr",
            ".irp quantrack_r, 17, 19, 21, 23, 25, 27, 29, 31", "sub v\\quantrack_r\\().4s, v9.4s, v\\quantrack_r\\().4s",
            ".endr",
            "3:", "adr {p0}, 9f", "add {p0}, {p0}, {shift}", "dup v8.8h, {zero:w}",
            // PReLU: other multipliers for sums below 0.
            "cbz {negative}, 6f", "add {negative}, {negative}, {column}", "ldp q12, q13, [{negative}]",
            "cmlt v0.4s, v16.4s, #0", "cmlt v1.4s, v17.4s, #0",
            "cmlt v2.4s, v18.4s, #0", "cmlt v3.4s, v19.4s, #0", "cmlt v4.4s, v20.4s, #0", "cmlt v5.4s, v21.4s, #0",
            "cmlt v6.4s, v22.4s, #0", "cmlt v7.4s, v23.4s, #0", "bsl v0.16b, v12.16b, v10.16b",
            "bsl v1.16b, v13.16b, v11.16b", "bsl v2.16b, v12.16b, v10.16b", "bsl v3.16b, v13.16b, v11.16b",
            "bsl v4.16b, v12.16b, v10.16b", "bsl v5.16b, v13.16b, v11.16b", "bsl v6.16b, v12.16b, v10.16b",
            "bsl v7.16b, v13.16b, v11.16b", "sqrdmulh v16.4s, v16.4s, v0.4s", "sqrdmulh v17.4s, v17.4s, v1.4s",
            "sqrdmulh v18.4s, v18.4s, v2.4s", "sqrdmulh v19.4s, v19.4s, v3.4s", "sqrdmulh v20.4s, v20.4s, v4.4s",
            "sqrdmulh v21.4s, v21.4s, v5.4s", "sqrdmulh v22.4s, v22.4s, v6.4s", "sqrdmulh v23.4s, v23.4s, v7.4s",
            "cmlt v0.4s, v24.4s, #0", "cmlt v1.4s, v25.4s, #0", "cmlt v2.4s, v26.4s, #0", "cmlt v3.4s, v27.4s, #0",
            "cmlt v4.4s, v28.4s, #0", "cmlt v5.4s, v29.4s, #0", "cmlt v6.4s, v30.4s, #0", "cmlt v7.4s, v31.4s, #0",
            "bsl v0.16b, v12.16b, v10.16b", "bsl v1.16b, v13.16b, v11.16b", "bsl v2.16b, v12.16b, v10.16b",
            "bsl v3.16b, v13.16b, v11.16b", "bsl v4.16b, v12.16b, v10.16b", "bsl v5.16b, v13.16b, v11.16b",
            "bsl v6.16b, v12.16b, v10.16b", "bsl v7.16b, v13.16b, v11.16b", "sqrdmulh v24.4s, v24.4s, v0.4s",
            "sqrdmulh v25.4s, v25.4s, v1.4s", "sqrdmulh v26.4s, v26.4s, v2.4s", "sqrdmulh v27.4s, v27.4s, v3.4s",
            "sqrdmulh v28.4s, v28.4s, v4.4s", "sqrdmulh v29.4s, v29.4s, v5.4s", "sqrdmulh v30.4s, v30.4s, v6.4s",
            "sqrdmulh v31.4s, v31.4s, v7.4s", "br {p0}",
            "6:",
            ".irp quantrack_r, 16, 18, 20, 22, 24, 26, 28, 30",
            "sqrdmulh v\\quantrack_r\\().4s, v\\quantrack_r\\().4s, v10.4s", ".endr",
            ".irp quantrack_r, 17, 19, 21, 23, 25, 27, 29, 31",
            "sqrdmulh v\\quantrack_r\\().4s, v\\quantrack_r\\().4s, v11.4s", ".endr",
            "br {p0}",
            "9:", ".irp quantrack_k, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16",
            "sqrshrn v0.4h, v16.4s, #\\quantrack_k", "sqrshrn v1.4h, v18.4s, #\\quantrack_k",
            "sqrshrn v2.4h, v20.4s, #\\quantrack_k", "sqrshrn v3.4h, v22.4s, #\\quantrack_k",
            "sqrshrn v4.4h, v24.4s, #\\quantrack_k", "sqrshrn v5.4h, v26.4s, #\\quantrack_k",
            "sqrshrn v6.4h, v28.4s, #\\quantrack_k", "sqrshrn v7.4h, v30.4s, #\\quantrack_k",
            "sqrshrn2 v0.8h, v17.4s, #\\quantrack_k", "sqrshrn2 v1.8h, v19.4s, #\\quantrack_k",
            "sqrshrn2 v2.8h, v21.4s, #\\quantrack_k", "sqrshrn2 v3.8h, v23.4s, #\\quantrack_k",
            "sqrshrn2 v4.8h, v25.4s, #\\quantrack_k", "sqrshrn2 v5.8h, v27.4s, #\\quantrack_k",
            "sqrshrn2 v6.8h, v29.4s, #\\quantrack_k", "sqrshrn2 v7.8h, v31.4s, #\\quantrack_k", "b 4f", ".endr",
            "4:",
            "sqadd v0.8h, v0.8h, v8.8h", "ldr {w0:w}, [{stage}, #{clamped}]", "sqadd v1.8h, v1.8h, v8.8h",
            "ldr {p1}, [{stage}, #{c}]", "sqadd v2.8h, v2.8h, v8.8h", "ldr {w1}, [{stage}, #{stride}]",
            "sqadd v3.8h, v3.8h, v8.8h", "sqadd v4.8h, v4.8h, v8.8h", "sqadd v5.8h, v5.8h, v8.8h",
            "add {p1}, {p1}, {column}, lsr #2", "sqadd v6.8h, v6.8h, v8.8h", "sqadd v7.8h, v7.8h, v8.8h",
            "add {p0}, {p1}, {w1}",
            ".irp quantrack_r, 0, 1, 2, 3, 4, 5, 6, 7", "sqxtn v\\quantrack_r\\().8b, v\\quantrack_r\\().8h", ".endr",
            "lsl {w1}, {w1}, #1", "cbz {w0:w}, 5f", "ldp {w2:w}, {w3:w}, [{stage}, #{min}]",
            "dup v9.8b, {w2:w}", "dup v10.8b, {w3:w}",
            ".irp quantrack_r, 0, 1, 2, 3, 4, 5, 6, 7", "smax v\\quantrack_r\\().8b, v\\quantrack_r\\().8b, v9.8b", ".endr",
            ".irp quantrack_r, 0, 1, 2, 3, 4, 5, 6, 7", "smin v\\quantrack_r\\().8b, v\\quantrack_r\\().8b, v10.8b", ".endr",
            "5:", "str d0, [{p1}]", "add {p1}, {p1}, {w1}", "str d1, [{p0}]", "add {p0}, {p0}, {w1}",
            "str d2, [{p1}]", "add {p1}, {p1}, {w1}", "str d3, [{p0}]", "add {p0}, {p0}, {w1}",
            "str d4, [{p1}]", "add {p1}, {p1}, {w1}", "str d5, [{p0}]", "add {p0}, {p0}, {w1}",
            "str d6, [{p1}]", "str d7, [{p0}]",
            bias = const offset_of!(AtOnce, bias), row_bias = const offset_of!(AtOnce, row_bias),
            negative_at = const offset_of!(AtOnce, negative_multiplier), shift_at = const offset_of!(AtOnce, shift),
            c = const offset_of!(AtOnce, c), stride = const offset_of!(AtOnce, stride), all_bits = const offset_of!(AtOnce, all_bits),
            zero_at = const offset_of!(AtOnce, zero_point), clamped = const offset_of!(AtOnce, clamped),
            min = const offset_of!(AtOnce, min),
            stage = in(reg) stage, column = in(reg) size_of::<i32>() * column,
            rows = out(reg) _, shift = out(reg) _, negative = out(reg) _, zero = out(reg) _,
            p0 = out(reg) _, p1 = out(reg) _, p2 = out(reg) _, p3 = out(reg) _,
            w0 = out(reg) _, w1 = out(reg) _, w2 = out(reg) _, w3 = out(reg) _,
            inout("v0") a => _, inout("v1") b => _, inout("v2") c => _, inout("v3") d => _,
            inout("v4") e => _, inout("v5") f => _, inout("v6") g => _, inout("v7") h => _,
            out("v8") _, out("v9") _, out("v10") _, out("v11") _, out("v12") _, out("v13") _,
            out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _, out("v23") _,
            out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _, out("v30") _, out("v31") _,
            options(nostack),
        );
    }
}

/// Adds the corrections of four rows from `first` on and eight columns.
///
/// # Safety
/// There are such, and pointers to corrections for all rows of a tile.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn correct(args: &BinGemmArgs, first: usize, column: usize, acc: &mut Quad) {
    for (r, acc) in acc.iter_mut().enumerate() {
        // SAFETY: the caller vouches for both.
        unsafe {
            let bias = (*args.row_bias.add(first + r)).add(column);
            acc[0] = vaddq_s32(acc[0], vld1q_s32(bias));
            acc[1] = vaddq_s32(acc[1], vld1q_s32(bias.add(4)));
        }
    }
}

/// Stores four rows of 16-bit counts from `first` on, as many as the tile has, with any output stage.
///
/// # Safety
/// As [`any`].
#[inline]
#[target_feature(enable = "neon")]
pub(super) unsafe fn any_counts<const SHIFT: i32>(
    args: &BinGemmArgs,
    first: usize,
    column: usize,
    [a, b, c, d]: [uint16x8_t; ROWS],
) {
    let taken = [take::<SHIFT>(a), take::<SHIFT>(b), take::<SHIFT>(c), take::<SHIFT>(d)];
    // SAFETY: the caller vouches for `args`.
    unsafe { any(args, first, column, &taken) };
}

/// Stores four rows from `first` on and eight columns from `column` on, as many as the tile has.
///
/// # Safety
/// As [`MicroKernel::run`](crate::kernels::micro::MicroKernel::run), whole groups of eight columns are readable, and there are
/// such a row and column.
#[inline(never)]
#[target_feature(enable = "neon")]
pub(super) unsafe fn any(args: &BinGemmArgs, first: usize, column: usize, taken: &Quad) {
    let rows = (args.rows - first).min(ROWS);
    // SAFETY: the caller vouches for biases and the arrays of `requant`, which are not read where there is `sums`; there are
    // pointers to corrections for all rows of a tile.
    unsafe {
        let none = undiminished(args, column);
        let mut acc = *taken;
        for acc in &mut acc {
            *acc = [vsubq_s32(none[0], acc[0]), vsubq_s32(none[1], acc[1])];
        }
        if !args.row_bias.is_null() {
            correct(args, first, column, &mut acc);
        }
        if !args.sums.is_null() {
            for (r, acc) in acc.iter().enumerate().take(rows) {
                let mut lanes = [0_i32; 8];
                vst1q_s32(lanes.as_mut_ptr(), acc[0]);
                vst1q_s32(lanes.as_mut_ptr().add(4), acc[1]);
                let cols = (args.cols - column).min(8);
                args.store_sums(first + r, column, &lanes[..cols]);
            }
            return;
        }
        let columns = [column, column + 4];
        let results: [int8x8_t; ROWS] = match NarrowPrelu::new(&args.requant, columns) {
            Some(stage) => stage.apply(acc),
            None => Narrow::new(&args.requant, columns).apply(acc),
        };
        for (r, row) in results.into_iter().enumerate().take(rows) {
            let to = args.c.add((first + r) * args.c_stride + column);
            store_row(row, to, args.cols - column);
        }
    }
}
