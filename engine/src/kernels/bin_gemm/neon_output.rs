//! The output stage of one-bit tiles for 64-bit ARM: eight columns of four rows side by side.

use std::arch::aarch64::{
    int8x8_t, int32x4_t, uint16x8_t, vaddq_s32, vdupq_n_s32, vget_low_u16, vld1q_s32,
    vreinterpretq_s32_u32, vshll_high_n_u16, vshll_n_u16, vst1q_s32, vsubq_s32,
};

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
