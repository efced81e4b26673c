//! The output stage of one-bit tiles for 64-bit ARM: eight columns of four rows side by side.

use std::arch::aarch64::{
    int8x8_t, int32x4_t, uint16x8_t, vaddq_s32, vdup_n_s8, vdupq_n_s16, vdupq_n_s32, vget_low_u16,
    vld1q_s32, vnegq_s32, vreinterpretq_s32_u32, vshll_high_n_u16, vshll_n_u16, vst1q_s32,
    vsubq_s32,
};

use std::arch::asm;

use crate::kernels::micro::{BinGemmArgs, Requant};
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

/// Stores eight rows of eight columns from `column` on at `to`, as [`Plain`] does, without corrections and left shifts: what
/// most layers need. The narrowing of the first four rows hides the latency of the arithmetic of the others, in 108 cycles of a
/// Cortex-A53.
///
/// # Safety
/// As [`Plain::new`], with `requant.only_right` and eight rows, the first at `to`.
#[inline]
#[target_feature(enable = "neon")]
#[rustfmt::skip]
#[expect(clippy::too_many_lines, reason = "one block of assembly")]
pub(super) unsafe fn store_8x8(args: &BinGemmArgs, column: usize, counts: [uint16x8_t; 8], to: *mut i8) {
    let Requant { multiplier, right, zero_point, min, max, .. } = args.requant;
    let [c0, c1, c2, c3, c4, c5, c6, c7] = counts;
    // SAFETY: the caller vouches for biases, the arrays of `requant` and all rows, the only ones that are written.
    unsafe {
        let none = undiminished(args, column);
        let [right, multiplier] = [right.add(column), multiplier.add(column)];
        asm!(
            "ushll {t0:v}.4s, {c0:v}.4h, #9", "ushll2 {t1:v}.4s, {c0:v}.8h, #9",
            "ushll {t2:v}.4s, {c1:v}.4h, #9", "ushll2 {t3:v}.4s, {c1:v}.8h, #9",
            "ushll {t4:v}.4s, {c2:v}.4h, #9", "ushll2 {t5:v}.4s, {c2:v}.8h, #9",
            "ushll {t6:v}.4s, {c3:v}.4h, #9", "ushll2 {t7:v}.4s, {c3:v}.8h, #9",
            "sub {t0:v}.4s, {n0:v}.4s, {t0:v}.4s", "sub {t1:v}.4s, {n1:v}.4s, {t1:v}.4s",
            "sub {t2:v}.4s, {n0:v}.4s, {t2:v}.4s", "sub {t3:v}.4s, {n1:v}.4s, {t3:v}.4s",
            "sub {t4:v}.4s, {n0:v}.4s, {t4:v}.4s", "sub {t5:v}.4s, {n1:v}.4s, {t5:v}.4s",
            "sub {t6:v}.4s, {n0:v}.4s, {t6:v}.4s", "sub {t7:v}.4s, {n1:v}.4s, {t7:v}.4s",
            "sqrdmulh {t0:v}.4s, {t0:v}.4s, {m0:v}.4s", "sqrdmulh {t1:v}.4s, {t1:v}.4s, {m1:v}.4s",
            "sqrdmulh {t2:v}.4s, {t2:v}.4s, {m0:v}.4s", "sqrdmulh {t3:v}.4s, {t3:v}.4s, {m1:v}.4s",
            "sqrdmulh {t4:v}.4s, {t4:v}.4s, {m0:v}.4s", "sqrdmulh {t5:v}.4s, {t5:v}.4s, {m1:v}.4s",
            "sqrdmulh {t6:v}.4s, {t6:v}.4s, {m0:v}.4s", "sqrdmulh {t7:v}.4s, {t7:v}.4s, {m1:v}.4s",
            "srshl {t0:v}.4s, {t0:v}.4s, {s0:v}.4s", "srshl {t1:v}.4s, {t1:v}.4s, {s1:v}.4s",
            "srshl {t2:v}.4s, {t2:v}.4s, {s0:v}.4s", "srshl {t3:v}.4s, {t3:v}.4s, {s1:v}.4s",
            "srshl {t4:v}.4s, {t4:v}.4s, {s0:v}.4s", "srshl {t5:v}.4s, {t5:v}.4s, {s1:v}.4s",
            "srshl {t6:v}.4s, {t6:v}.4s, {s0:v}.4s", "srshl {t7:v}.4s, {t7:v}.4s, {s1:v}.4s",
            "ushll {c0:v}.4s, {c4:v}.4h, #9", "ushll2 {c1:v}.4s, {c4:v}.8h, #9",
            "sqxtn {t0:v}.4h, {t0:v}.4s", "sqxtn {t2:v}.4h, {t2:v}.4s",
            "ushll {c2:v}.4s, {c5:v}.4h, #9", "ushll2 {c3:v}.4s, {c5:v}.8h, #9",
            "sqxtn {t4:v}.4h, {t4:v}.4s", "sqxtn {t6:v}.4h, {t6:v}.4s",
            "ushll {u4:v}.4s, {c6:v}.4h, #9", "ushll2 {u5:v}.4s, {c6:v}.8h, #9",
            "sqxtn2 {t0:v}.8h, {t1:v}.4s", "sqxtn2 {t2:v}.8h, {t3:v}.4s",
            "ushll {u6:v}.4s, {c7:v}.4h, #9", "ushll2 {u7:v}.4s, {c7:v}.8h, #9",
            "sqxtn2 {t4:v}.8h, {t5:v}.4s", "sqxtn2 {t6:v}.8h, {t7:v}.4s",
            "sub {c0:v}.4s, {n0:v}.4s, {c0:v}.4s", "sub {c1:v}.4s, {n1:v}.4s, {c1:v}.4s",
            "sqadd {t0:v}.8h, {t0:v}.8h, {zero:v}.8h", "sqadd {t2:v}.8h, {t2:v}.8h, {zero:v}.8h",
            "sub {c2:v}.4s, {n0:v}.4s, {c2:v}.4s", "sub {c3:v}.4s, {n1:v}.4s, {c3:v}.4s",
            "sqadd {t4:v}.8h, {t4:v}.8h, {zero:v}.8h", "sqadd {t6:v}.8h, {t6:v}.8h, {zero:v}.8h",
            "sub {u4:v}.4s, {n0:v}.4s, {u4:v}.4s", "sub {u5:v}.4s, {n1:v}.4s, {u5:v}.4s",
            "sqxtn {t0:v}.8b, {t0:v}.8h", "sqxtn {t2:v}.8b, {t2:v}.8h",
            "sub {u6:v}.4s, {n0:v}.4s, {u6:v}.4s", "sub {u7:v}.4s, {n1:v}.4s, {u7:v}.4s",
            "sqxtn {t4:v}.8b, {t4:v}.8h", "sqxtn {t6:v}.8b, {t6:v}.8h",
            "sqrdmulh {c0:v}.4s, {c0:v}.4s, {m0:v}.4s", "sqrdmulh {c1:v}.4s, {c1:v}.4s, {m1:v}.4s",
            "smax {t0:v}.8b, {t0:v}.8b, {min:v}.8b", "smax {t2:v}.8b, {t2:v}.8b, {min:v}.8b",
            "sqrdmulh {c2:v}.4s, {c2:v}.4s, {m0:v}.4s", "sqrdmulh {c3:v}.4s, {c3:v}.4s, {m1:v}.4s",
            "smax {t4:v}.8b, {t4:v}.8b, {min:v}.8b", "smax {t6:v}.8b, {t6:v}.8b, {min:v}.8b",
            "sqrdmulh {u4:v}.4s, {u4:v}.4s, {m0:v}.4s", "sqrdmulh {u5:v}.4s, {u5:v}.4s, {m1:v}.4s",
            "smin {t0:v}.8b, {t0:v}.8b, {max:v}.8b", "smin {t2:v}.8b, {t2:v}.8b, {max:v}.8b",
            "sqrdmulh {u6:v}.4s, {u6:v}.4s, {m0:v}.4s", "sqrdmulh {u7:v}.4s, {u7:v}.4s, {m1:v}.4s",
            "smin {t4:v}.8b, {t4:v}.8b, {max:v}.8b", "smin {t6:v}.8b, {t6:v}.8b, {max:v}.8b",
            "srshl {c0:v}.4s, {c0:v}.4s, {s0:v}.4s", "str {t0:d}, [{c}]",
            "srshl {c1:v}.4s, {c1:v}.4s, {s1:v}.4s", "add {c}, {c}, {stride}",
            "srshl {c2:v}.4s, {c2:v}.4s, {s0:v}.4s", "str {t2:d}, [{c}]",
            "srshl {c3:v}.4s, {c3:v}.4s, {s1:v}.4s", "add {c}, {c}, {stride}",
            "srshl {u4:v}.4s, {u4:v}.4s, {s0:v}.4s", "str {t4:d}, [{c}]",
            "srshl {u5:v}.4s, {u5:v}.4s, {s1:v}.4s", "add {c}, {c}, {stride}",
            "srshl {u6:v}.4s, {u6:v}.4s, {s0:v}.4s", "str {t6:d}, [{c}]",
            "srshl {u7:v}.4s, {u7:v}.4s, {s1:v}.4s", "add {c}, {c}, {stride}",
            "sqxtn {c0:v}.4h, {c0:v}.4s", "sqxtn {c2:v}.4h, {c2:v}.4s",
            "sqxtn {u4:v}.4h, {u4:v}.4s", "sqxtn {u6:v}.4h, {u6:v}.4s",
            "sqxtn2 {c0:v}.8h, {c1:v}.4s", "sqxtn2 {c2:v}.8h, {c3:v}.4s",
            "sqxtn2 {u4:v}.8h, {u5:v}.4s", "sqxtn2 {u6:v}.8h, {u7:v}.4s",
            "sqadd {c0:v}.8h, {c0:v}.8h, {zero:v}.8h", "sqadd {c2:v}.8h, {c2:v}.8h, {zero:v}.8h",
            "sqadd {u4:v}.8h, {u4:v}.8h, {zero:v}.8h", "sqadd {u6:v}.8h, {u6:v}.8h, {zero:v}.8h",
            "sqxtn {c0:v}.8b, {c0:v}.8h", "sqxtn {c2:v}.8b, {c2:v}.8h",
            "sqxtn {u4:v}.8b, {u4:v}.8h", "sqxtn {u6:v}.8b, {u6:v}.8h",
            "smax {c0:v}.8b, {c0:v}.8b, {min:v}.8b", "smax {c2:v}.8b, {c2:v}.8b, {min:v}.8b",
            "smax {u4:v}.8b, {u4:v}.8b, {min:v}.8b", "smax {u6:v}.8b, {u6:v}.8b, {min:v}.8b",
            "smin {c0:v}.8b, {c0:v}.8b, {max:v}.8b", "smin {c2:v}.8b, {c2:v}.8b, {max:v}.8b",
            "smin {u4:v}.8b, {u4:v}.8b, {max:v}.8b", "smin {u6:v}.8b, {u6:v}.8b, {max:v}.8b",
            "str {c0:d}, [{c}]", "add {c}, {c}, {stride}",
            "str {c2:d}, [{c}]", "add {c}, {c}, {stride}",
            "str {u4:d}, [{c}]", "add {c}, {c}, {stride}",
            "str {u6:d}, [{c}]", "add {c}, {c}, {stride}",
            c = inout(reg) to => _, stride = in(reg) args.c_stride,
            c0 = inout(vreg) c0 => _, c1 = inout(vreg) c1 => _, c2 = inout(vreg) c2 => _, c3 = inout(vreg) c3 => _,
            c4 = inout(vreg) c4 => _, c5 = inout(vreg) c5 => _, c6 = inout(vreg) c6 => _, c7 = inout(vreg) c7 => _,
            n0 = in(vreg) none[0], n1 = in(vreg) none[1],
            m0 = in(vreg) vld1q_s32(multiplier), m1 = in(vreg) vld1q_s32(multiplier.add(4)),
            s0 = in(vreg) vnegq_s32(vld1q_s32(right)), s1 = in(vreg) vnegq_s32(vld1q_s32(right.add(4))),
            zero = in(vreg) vdupq_n_s16(zero_point as i16),
            min = in(vreg) vdup_n_s8(min as i8), max = in(vreg) vdup_n_s8(max as i8),
            t0 = out(vreg) _, t1 = out(vreg) _, t2 = out(vreg) _, t3 = out(vreg) _,
            t4 = out(vreg) _, t5 = out(vreg) _, t6 = out(vreg) _, t7 = out(vreg) _,
            u4 = out(vreg) _, u5 = out(vreg) _, u6 = out(vreg) _, u7 = out(vreg) _,
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
