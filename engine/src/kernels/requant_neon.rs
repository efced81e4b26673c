//! The integer output stage for 64-bit ARM: [`Requant`] is defined to be exactly these instructions.

use std::arch::aarch64::{
    int32x4_t, vbslq_s32, vcltzq_s32, vcombine_s8, vcombine_s16, vdupq_n_s32, vld1q_s32, vmaxq_s32,
    vminq_s32, vmovn_s16, vmovn_s32, vnegq_s32, vqaddq_s32, vqrdmulhq_s32, vqshlq_s32, vrshlq_s32,
    vst1_s8, vst1q_s8,
};

use super::micro::Requant;

/// The output stage of four columns, in registers.
#[derive(Clone, Copy)]
pub(crate) struct OutputStage {
    positive: Factors,
    /// Where there is PReLU.
    negative: Option<Factors>,
    zero_point: int32x4_t,
    min: int32x4_t,
    max: int32x4_t,
}

#[derive(Clone, Copy)]
struct Factors {
    multiplier: int32x4_t,
    left: int32x4_t,
    /// Negated.
    right: int32x4_t,
}

impl OutputStage {
    /// Columns `column..column + 4`.
    ///
    /// # Safety
    /// The arrays of `requant` have at least `column + 4` elements.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) unsafe fn new(requant: &Requant, column: usize) -> Self {
        // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
        unsafe {
            let load = |multiplier: *const i32, left: *const i32, right: *const i32| Factors {
                multiplier: vld1q_s32(multiplier.add(column)),
                left: vld1q_s32(left.add(column)),
                right: vnegq_s32(vld1q_s32(right.add(column))),
            };
            let positive = load(requant.multiplier, requant.left, requant.right);
            let prelu = !requant.negative_multiplier.is_null();
            let negative = prelu.then(|| {
                load(requant.negative_multiplier, requant.negative_left, requant.negative_right)
            });
            Self {
                positive,
                negative,
                zero_point: vdupq_n_s32(requant.zero_point),
                min: vdupq_n_s32(requant.min),
                max: vdupq_n_s32(requant.max),
            }
        }
    }

    /// The stage without negative factors, which the compiler then knows not to look for.
    #[inline]
    pub(crate) fn without_prelu(self) -> Self {
        Self { negative: None, ..self }
    }

    /// Four accumulators become results between the bounds.
    #[inline]
    #[target_feature(enable = "neon")]
    pub(crate) fn apply(&self, acc: int32x4_t) -> int32x4_t {
        let Factors { mut multiplier, mut left, mut right } = self.positive;
        if let Some(negative) = &self.negative {
            let below = vcltzq_s32(acc);
            multiplier = vbslq_s32(below, negative.multiplier, multiplier);
            left = vbslq_s32(below, negative.left, left);
            right = vbslq_s32(below, negative.right, right);
        }
        let scaled = vqrdmulhq_s32(vqshlq_s32(acc, left), multiplier);
        let x = vqaddq_s32(vrshlq_s32(scaled, right), self.zero_point);
        vminq_s32(vmaxq_s32(x, self.min), self.max)
    }
}

/// Four accumulators of columns `column..column + 4` become results between `min` and `max`.
///
/// # Safety
/// The arrays of `requant` have at least `column + 4` elements.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn requantize(requant: &Requant, column: usize, acc: int32x4_t) -> int32x4_t {
    // SAFETY: the caller vouches for the arrays.
    unsafe { OutputStage::new(requant, column) }.apply(acc)
}

/// Stores `count` (1..=8) of the eight results to `c`.
///
/// # Safety
/// `c` is writable for `count` bytes.
#[inline]
#[target_feature(enable = "neon")]
pub(crate) unsafe fn store_8(low: int32x4_t, high: int32x4_t, c: *mut i8, count: usize) {
    // SAFETY: the whole vector goes to `c` only when all eight are wanted.
    unsafe {
        let bytes = vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high)));
        if count >= 8 {
            vst1_s8(c, bytes);
        } else {
            let mut tail = [0_i8; 8];
            vst1_s8(tail.as_mut_ptr(), bytes);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, count);
        }
    }
}

/// Four rows of four accumulators, biases included, become `rows` rows of `cols` results at `c`, `stride` apart: all stages
/// of the rows side by side, because each waits four cycles for the one before.
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
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    let x = unsafe {
        let load = |array: *const i32| [vld1q_s32(array); 4];
        let (mut multiplier, mut left, mut right) =
            (load(requant.multiplier), load(requant.left), load(requant.right));
        if !requant.negative_multiplier.is_null() {
            let negative = acc.map(|acc| vcltzq_s32(acc));
            let pick = |array: *const i32, positive: &mut [int32x4_t; 4]| {
                let other = vld1q_s32(array);
                for (positive, &negative) in positive.iter_mut().zip(&negative) {
                    *positive = vbslq_s32(negative, other, *positive);
                }
            };
            pick(requant.negative_multiplier, &mut multiplier);
            pick(requant.negative_left, &mut left);
            pick(requant.negative_right, &mut right);
        }
        let x: [int32x4_t; 4] = std::array::from_fn(|r| vqshlq_s32(acc[r], left[r]));
        let x: [int32x4_t; 4] = std::array::from_fn(|r| vqrdmulhq_s32(x[r], multiplier[r]));
        let x: [int32x4_t; 4] = std::array::from_fn(|r| vrshlq_s32(x[r], vnegq_s32(right[r])));
        let x: [int32x4_t; 4] =
            std::array::from_fn(|r| vqaddq_s32(x[r], vdupq_n_s32(requant.zero_point)));
        let x: [int32x4_t; 4] = std::array::from_fn(|r| vmaxq_s32(x[r], vdupq_n_s32(requant.min)));
        x.map(|x| vminq_s32(x, vdupq_n_s32(requant.max)))
    };
    let words = [
        vcombine_s16(vmovn_s32(x[0]), vmovn_s32(x[1])),
        vcombine_s16(vmovn_s32(x[2]), vmovn_s32(x[3])),
    ];
    let bytes = vcombine_s8(vmovn_s16(words[0]), vmovn_s16(words[1]));
    let mut tile = [0_i8; 16];
    // SAFETY: only rows and columns that exist are written.
    unsafe {
        vst1q_s8(tile.as_mut_ptr(), bytes);
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
