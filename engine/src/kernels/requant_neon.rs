//! The integer output stage for 64-bit ARM: [`Requant`] is defined to be exactly these instructions.

use std::arch::aarch64::{
    int8x8_t, int16x8_t, int32x4_t, uint32x4_t, vaddq_s32, vbslq_s32, vcltzq_s32, vcombine_s8,
    vdup_n_s8, vdupq_n_s16, vld1q_s32, vmax_s8, vmin_s8, vnegq_s32, vpaddq_s32, vqaddq_s16,
    vqmovn_high_s32, vqmovn_s16, vqmovn_s32, vqrdmulhq_s32, vqshlq_s32, vrshlq_s32, vst1_s8,
    vst1q_s8,
};

use super::micro::{I8GemmArgs, Requant};

#[derive(Clone, Copy)]
struct Factors {
    multiplier: int32x4_t,
    left: int32x4_t,
    /// Negated.
    right: int32x4_t,
}

impl Factors {
    /// Those of columns `column..column + 4`.
    ///
    /// # Safety
    /// The arrays have so many elements.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn load(
        multiplier: *const i32,
        left: *const i32,
        right: *const i32,
        column: usize,
    ) -> Self {
        // SAFETY: the caller vouches for the arrays.
        unsafe {
            Self {
                multiplier: vld1q_s32(multiplier.add(column)),
                left: vld1q_s32(left.add(column)),
                right: vnegq_s32(vld1q_s32(right.add(column))),
            }
        }
    }

    /// `other` in the lanes that `mask` has set.
    #[inline]
    #[target_feature(enable = "neon")]
    fn or_where(self, mask: uint32x4_t, other: Self) -> Self {
        Self {
            multiplier: vbslq_s32(mask, other.multiplier, self.multiplier),
            left: vbslq_s32(mask, other.left, self.left),
            right: vbslq_s32(mask, other.right, self.right),
        }
    }
}

/// The output stage of eight columns, for several rows side by side, because each instruction waits four cycles for the
/// one before. Results are narrowed to 16 bits before the zero point is added and to 8 before they are clamped: both
/// saturate, and what saturates is beyond the bounds anyway.
#[derive(Clone, Copy)]
pub(crate) struct Narrow {
    factors: [Factors; 2],
    only_right: bool,
    zero_point: int16x8_t,
    min: int8x8_t,
    max: int8x8_t,
}

/// As [`Narrow`], with other factors for negative accumulators.
#[derive(Clone, Copy)]
pub(crate) struct NarrowPrelu {
    positive: Narrow,
    negative: [Factors; 2],
}

impl Narrow {
    /// The four columns from each of `columns` on.
    ///
    /// # Safety
    /// The arrays of `requant` have so many elements.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn new(requant: &Requant, columns: [usize; 2]) -> Self {
        let Requant { multiplier, left, right, .. } = *requant;
        Self {
            // SAFETY: the caller vouches for the arrays.
            factors: columns
                .map(|column| unsafe { Factors::load(multiplier, left, right, column) }),
            only_right: requant.only_right,
            zero_point: vdupq_n_s16(requant.zero_point as i16),
            min: vdup_n_s8(requant.min as i8),
            max: vdup_n_s8(requant.max as i8),
        }
    }

    /// `N` rows of eight accumulators become results between the bounds.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn apply<const N: usize>(&self, acc: [[int32x4_t; 2]; N]) -> [int8x8_t; N] {
        let [low, high] = self.factors;
        let mut x = acc;
        if !self.only_right {
            x = x.map(|[a, b]| [vqshlq_s32(a, low.left), vqshlq_s32(b, high.left)]);
        }
        let x =
            x.map(|[a, b]| [vqrdmulhq_s32(a, low.multiplier), vqrdmulhq_s32(b, high.multiplier)]);
        self.finish(x.map(|[a, b]| [vrshlq_s32(a, low.right), vrshlq_s32(b, high.right)]))
    }

    #[inline]
    #[target_feature(enable = "neon")]
    fn finish<const N: usize>(&self, x: [[int32x4_t; 2]; N]) -> [int8x8_t; N] {
        let x = x.map(|[low, high]| vqmovn_high_s32(vqmovn_s32(low), high));
        let x = x.map(|x| vqmovn_s16(vqaddq_s16(x, self.zero_point)));
        x.map(|x| vmin_s8(vmax_s8(x, self.min), self.max))
    }
}

impl NarrowPrelu {
    /// The four columns from each of `columns` on; nothing where there is no PReLU.
    ///
    /// # Safety
    /// The arrays of `requant` have so many elements.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn new(requant: &Requant, columns: [usize; 2]) -> Option<Self> {
        let multiplier = requant.negative_multiplier;
        if multiplier.is_null() {
            return None;
        }
        let (left, right) = (requant.negative_left, requant.negative_right);
        // SAFETY: the caller vouches for the arrays.
        let negative =
            columns.map(|column| unsafe { Factors::load(multiplier, left, right, column) });
        // SAFETY: as above.
        Some(Self { positive: unsafe { Narrow::new(requant, columns) }, negative })
    }

    /// `N` rows of eight accumulators become results between the bounds.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn apply<const N: usize>(&self, acc: [[int32x4_t; 2]; N]) -> [int8x8_t; N] {
        let x = acc.map(|row| {
            let mut x = row;
            for (h, x) in x.iter_mut().enumerate() {
                let factors = self.positive.factors[h].or_where(vcltzq_s32(*x), self.negative[h]);
                *x = vrshlq_s32(
                    vqrdmulhq_s32(vqshlq_s32(*x, factors.left), factors.multiplier),
                    factors.right,
                );
            }
            x
        });
        self.positive.finish(x)
    }
}

/// Stores the first `count` of eight results to `c`.
///
/// # Safety
/// `c` is writable for `count` bytes, at most eight.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn store_row(bytes: int8x8_t, c: *mut i8, count: usize) {
    // SAFETY: the whole vector goes to `c` only when all eight are wanted.
    unsafe {
        if count >= 8 {
            vst1_s8(c, bytes);
        } else {
            let mut tail = [0_i8; 8];
            vst1_s8(tail.as_mut_ptr(), bytes);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, count);
        }
    }
}

/// Four rows of four accumulators, biases included, become `rows` rows of `cols` results at `c`, `stride` apart.
///
/// # Safety
/// `c` is writable for so many rows and columns (at most four each); the arrays of `requant` have four elements.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn store_4x4(
    requant: &Requant,
    acc: [int32x4_t; 4],
    c: *mut i8,
    stride: usize,
    (rows, cols): (usize, usize),
) {
    let pairs = [[acc[0], acc[1]], [acc[2], acc[3]]];
    // SAFETY: the caller vouches for the arrays; only rows and columns that exist are written.
    unsafe {
        let [low, high] = match NarrowPrelu::new(requant, [0, 0]) {
            None => Narrow::new(requant, [0, 0]).apply(pairs),
            Some(stage) => stage.apply(pairs),
        };
        let mut tile = [0_i8; 16];
        vst1q_s8(tile.as_mut_ptr(), vcombine_s8(low, high));
        for (r, row) in tile.as_chunks::<4>().0.iter().enumerate().take(rows) {
            let c = c.add(r * stride);
            if cols == 4 {
                c.cast::<[i8; 4]>().write_unaligned(*row);
            } else {
                std::ptr::copy_nonoverlapping(row.as_ptr(), c, cols);
            }
        }
    }
}

/// Every row of `args` by eight columns: `multiply` gives four sums for each, which are added up and become results.
///
/// # Safety
/// As [`MicroKernel::run`](super::micro::MicroKernel::run) for tiles of one row by eight columns; `multiply` may be called for the
/// pointers of every row.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn each_row_1x8(
    args: &I8GemmArgs,
    multiply: unsafe fn(&I8GemmArgs, *const *const i8) -> [int32x4_t; 8],
) {
    // SAFETY: the caller vouches for `args`: the panel starts with eight biases, the arrays of `requant` have eight elements,
    // and rows of `c` are writable for `cols` bytes.
    unsafe {
        let bias = args.w.cast::<i32>();
        for row in 0..args.rows {
            let acc = multiply(args, args.a.add(row * args.taps));
            let low = vpaddq_s32(vpaddq_s32(acc[0], acc[1]), vpaddq_s32(acc[2], acc[3]));
            let high = vpaddq_s32(vpaddq_s32(acc[4], acc[5]), vpaddq_s32(acc[6], acc[7]));
            let sums = [vaddq_s32(low, vld1q_s32(bias)), vaddq_s32(high, vld1q_s32(bias.add(4)))];
            let [results] = match NarrowPrelu::new(&args.requant, [0, 4]) {
                None => Narrow::new(&args.requant, [0, 4]).apply([sums]),
                Some(stage) => stage.apply([sums]),
            };
            store_row(results, args.c.add(row * args.c_stride), args.cols);
        }
    }
}
