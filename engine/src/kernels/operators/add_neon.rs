//! Sums of 8-bit operands on 64-bit NEON, scheduled for in-order cores: 32 of them take 39 cycles of a Cortex-A53, with PReLU 47
//! or 55. The shift in the end is part of the instruction that narrows, so there is a copy of the code for each. Four registers
//! of eight sums go side by side, because instructions wait up to four cycles for the one before, and the next operands are
//! loaded beside: a 128-bit load would take two cycles, in which nothing else issues.

use std::arch::aarch64::{vdupq_n_s8, vdupq_n_s16, vld1q_s16, vsetq_lane_s16};
use std::arch::asm;

use super::binary::I8Sum;

/// Sums at a time.
pub(super) const LANES: usize = 32;

/// Sums of so many times 32 elements at `y`, all of them `step` elements apart, of those at `a` and `b`.
#[derive(Clone, Copy)]
struct Column {
    y: *mut i8,
    a: *const i8,
    b: *const i8,
    step: usize,
    count: usize,
}

/// A function for what becomes of sums in v20 to v23 before the result's zero point is added; v8 to v11 are slopes, v4 how far
/// their products are shifted.
macro_rules! column {
    ($(#[$doc:meta])* $name:ident, $($prelu:literal,)*) => {
        $(#[$doc])*
        ///
        /// # Safety
        /// There are the column's elements, one at least, and [`LANES`] slopes.
        #[target_feature(enable = "neon")]
        #[rustfmt::skip]
        unsafe fn $name<const FRACTION: u32>(column: Column, slopes: *const i16, sum: &I8Sum) {
            let Column { y, a, b, step, count } = column;
            let multipliers = vsetq_lane_s16::<1>(sum.multipliers.1, vdupq_n_s16(sum.multipliers.0));
            // SAFETY: the caller vouches for what is read and written: the last pass loads its own operands again.
            unsafe {
                asm!(
                "ldr q16, [{a}]", "ldr q17, [{a}, #16]", "ldr q18, [{b}]", "ldr q19, [{b}, #16]",
                "2:", "subs {left}, {left}, #1", "csel {ahead}, {step}, xzr, ne",
                "shll v20.8h, v16.8b, #8", "shll2 v21.8h, v16.16b, #8", "shll v22.8h, v17.8b, #8",
                "shll2 v23.8h, v17.16b, #8", "shll v24.8h, v18.8b, #8", "shll2 v25.8h, v18.16b, #8",
                "shll v26.8h, v19.8b, #8", "shll2 v27.8h, v19.16b, #8", "sqrdmulh v20.8h, v20.8h, v0.h[0]",
                "add {a}, {a}, {ahead}", "sqrdmulh v21.8h, v21.8h, v0.h[0]", "add {b}, {b}, {ahead}",
                "sqrdmulh v22.8h, v22.8h, v0.h[0]", "sqrdmulh v23.8h, v23.8h, v0.h[0]", "ldr {x0}, [{a}, #8]",
                "sqrdmulh v24.8h, v24.8h, v0.h[1]", "ldr {x1}, [{a}, #24]", "sqrdmulh v25.8h, v25.8h, v0.h[1]",
                "ldr {x2}, [{b}, #8]", "sqrdmulh v26.8h, v26.8h, v0.h[1]", "ldr {x3}, [{b}, #24]",
                "sqrdmulh v27.8h, v27.8h, v0.h[1]", "sqadd v20.8h, v20.8h, v24.8h", "sqadd v21.8h, v21.8h, v25.8h",
                "sqadd v22.8h, v22.8h, v26.8h", "sqadd v23.8h, v23.8h, v27.8h", "ldr d16, [{a}]",
                "mov v16.d[1], {x0}", "ldr d17, [{a}, #16]", "mov v17.d[1], {x1}", "ldr d18, [{b}]",
                "mov v18.d[1], {x2}", "ldr d19, [{b}, #16]", "mov v19.d[1], {x3}", "sqadd v20.8h, v20.8h, v1.8h",
                "sqadd v21.8h, v21.8h, v1.8h", "sqadd v22.8h, v22.8h, v1.8h", "sqadd v23.8h, v23.8h, v1.8h",
                $($prelu,)*
                "sqadd v20.8h, v20.8h, v2.8h", "sqadd v21.8h, v21.8h, v2.8h", "sqadd v22.8h, v22.8h, v2.8h",
                "sqadd v23.8h, v23.8h, v2.8h", "sqrshrn v20.8b, v20.8h, #{fraction}", "sqrshrn v22.8b, v22.8h, #{fraction}",
                "sqrshrn2 v20.16b, v21.8h, #{fraction}", "sqrshrn2 v22.16b, v23.8h, #{fraction}",
                "cbz {clamped:w}, 3f",
                "smax v20.16b, v20.16b, v5.16b", "smax v22.16b, v22.16b, v5.16b", "smin v20.16b, v20.16b, v6.16b",
                "smin v22.16b, v22.16b, v6.16b",
                "3:",
                "str q20, [{y}]", "str q22, [{y}, #16]", "add {y}, {y}, {step}", "b.ne 2b",
                a = inout(reg) a => _, b = inout(reg) b => _, y = inout(reg) y => _, left = inout(reg) count => _,
                step = in(reg) step, ahead = out(reg) _, clamped = in(reg) u32::from(sum.bounds != (i8::MIN, i8::MAX)),
                fraction = const FRACTION, x0 = out(reg) _, x1 = out(reg) _, x2 = out(reg) _, x3 = out(reg) _,
                in("v0") multipliers, in("v1") vdupq_n_s16(sum.bias), in("v2") vdupq_n_s16(sum.zero),
                in("v4") vdupq_n_s16(sum.slope_shift as i16),
                in("v5") vdupq_n_s8(sum.bounds.0), in("v6") vdupq_n_s8(sum.bounds.1),
                in("v8") vld1q_s16(slopes), in("v9") vld1q_s16(slopes.add(8)), in("v10") vld1q_s16(slopes.add(16)),
                in("v11") vld1q_s16(slopes.add(24)),
                out("v16") _, out("v17") _, out("v18") _, out("v19") _, out("v20") _, out("v21") _, out("v22") _,
                out("v23") _, out("v24") _, out("v25") _, out("v26") _, out("v27") _, out("v28") _, out("v29") _,
                out("v30") _, out("v31") _,
                options(nostack),
                );
            }
        }
    };
}

column! {
    /// Sums without PReLU.
    plain,
}

column! {
    /// With PReLU where no slope is beyond 1: then the product with the slope is the larger number below 0, and the smaller above.
    up_to_1,
    "sqrdmulh v24.8h, v20.8h, v8.8h", "sqrdmulh v25.8h, v21.8h, v9.8h", "sqrdmulh v26.8h, v22.8h, v10.8h",
    "sqrdmulh v27.8h, v23.8h, v11.8h", "smax v20.8h, v20.8h, v24.8h", "smax v21.8h, v21.8h, v25.8h",
    "smax v22.8h, v22.8h, v26.8h", "smax v23.8h, v23.8h, v27.8h",
}

column! {
    /// With PReLU where slopes are beyond 1.
    beyond_1,
    "sqrdmulh v24.8h, v20.8h, v8.8h", "sqrdmulh v25.8h, v21.8h, v9.8h", "sqrdmulh v26.8h, v22.8h, v10.8h",
    "sqrdmulh v27.8h, v23.8h, v11.8h", "cmlt v28.8h, v20.8h, #0", "cmlt v29.8h, v21.8h, #0",
    "cmlt v30.8h, v22.8h, #0", "cmlt v31.8h, v23.8h, #0", "sqshl v24.8h, v24.8h, v4.8h",
    "sqshl v25.8h, v25.8h, v4.8h", "sqshl v26.8h, v26.8h, v4.8h", "sqshl v27.8h, v27.8h, v4.8h",
    "bit v20.16b, v24.16b, v28.16b", "bit v21.16b, v25.16b, v29.16b", "bit v22.16b, v26.16b, v30.16b",
    "bit v23.16b, v27.16b, v31.16b",
}

/// Elements of each operand that are in the first cache while their columns are computed.
const BLOCK: usize = 4096;

/// A function of [`column`].
type Sums = unsafe fn(Column, *const i16, &I8Sum);

/// `$name` for each fraction, from 1 on.
macro_rules! fractions {
    ($name:ident) => {
        [$name::<1>, $name::<2>, $name::<3>, $name::<4>, $name::<5>, $name::<6>, $name::<7>]
    };
}

/// Computes as many sums of `y` as are a multiple of [`LANES`]. `slopes` are none, or one for each of the channels if these are a
/// multiple of it, or as many as `y` has or more. `sum` has a fraction.
#[target_feature(enable = "neon")]
pub(super) fn add(y: &mut [i8], a: &[i8], b: &[i8], slopes: &[i16], channels: usize, sum: &I8Sum) {
    let functions: [Sums; 7] = match (slopes, sum.slope_shift) {
        ([], _) => fractions!(plain),
        (_, 0) => fractions!(up_to_1),
        _ => fractions!(beyond_1),
    };
    let function = functions[sum.fraction as usize - 1];
    let all = y.len() / LANES * LANES;
    assert!(a.len() >= all && b.len() >= all);
    let (slopes, period) = match slopes {
        [] => (&[0; LANES][..], LANES),
        _ if channels.is_multiple_of(LANES) => (slopes, channels),
        _ => (slopes, all.max(LANES)),
    };
    for start in (0..all).step_by((BLOCK / period).max(1) * period) {
        let end = all.min(start + (BLOCK / period).max(1) * period);
        for first in (0..period.min(end - start)).step_by(LANES) {
            let (slopes, first) = (&slopes[first..][..LANES], start + first);
            let column = Column {
                y: y[first..].as_mut_ptr(),
                a: a[first..].as_ptr(),
                b: b[first..].as_ptr(),
                step: period,
                count: (end - first).div_ceil(period),
            };
            // SAFETY: the CPU has NEON; the last elements of the column begin at first + (count - 1) * period, below `end`, and
            // all of these numbers are multiples of LANES; there are so many slopes.
            unsafe { function(column, slopes.as_ptr(), sum) };
        }
    }
}
