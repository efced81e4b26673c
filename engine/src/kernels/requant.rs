//! The integer output stage: from 32-bit accumulators to 8-bit results.

use super::micro::Requant;

/// A real factor as the integers that [`Requant`] applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Factor {
    /// Q31: the factor is `multiplier / 2^31 * 2^left / 2^right`. Never `i32::MIN`, so products never saturate.
    pub multiplier: i32,
    /// Left shift before the multiplication, 0..=30.
    pub left: i32,
    /// Rounding right shift after it, 0..=31.
    pub right: i32,
}

impl Factor {
    /// The nearest factor: exact to 31 bits. Zero, and factors too small to matter (below 2^-32), become 0; factors of
    /// 2^30 and more saturate. Not-a-number becomes 0.
    pub fn from_real(real: f64) -> Self {
        let zero = Self { multiplier: 0, left: 0, right: 0 };
        if real == 0.0 || real.is_nan() {
            return zero;
        }
        // real = fraction * 2^exponent with 0.5 <= |fraction| < 1.
        let (fraction, mut exponent) = libm::frexp(real);
        let mut multiplier = (fraction * 2_f64.powi(31)).round() as i64;
        if multiplier.abs() == 1 << 31 {
            multiplier /= 2;
            exponent += 1;
        }
        if exponent < -31 {
            return zero;
        }
        if exponent > 30 {
            let multiplier = if real > 0.0 { i32::MAX } else { -i32::MAX };
            return Self { multiplier, left: 30, right: 0 };
        }
        Self { multiplier: multiplier as i32, left: exponent.max(0), right: (-exponent).max(0) }
    }

    /// The factor, which is below 2^-right, with that right shift.
    fn shifted(real: f64, right: i32) -> Self {
        let multiplier = (real * 2_f64.powi(31 + right)).round();
        let limit = f64::from(i32::MAX);
        Self { multiplier: multiplier.clamp(-limit, limit) as i32, left: 0, right }
    }

    /// Applies the factor to an accumulator, exactly as SQSHL, SQRDMULH and SRSHL do.
    #[inline]
    pub fn apply(self, acc: i32) -> i32 {
        let saturate = |x: i64| x.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        let x = saturate(i64::from(acc) << self.left);
        let product = saturate((2 * x * i64::from(self.multiplier) + (1 << 31)) >> 32);
        ((product + ((1_i64 << self.right) >> 1)) >> self.right) as i32
    }
}

/// The output stage of an operator: a factor per channel, another for negative accumulators where PReLU asks for it,
/// and the result's zero point and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequantParams {
    channels: usize,
    positive: Columns,
    negative: Option<Columns>,
    zero_point: i32,
    min: i32,
    max: i32,
    only_right: bool,
    /// The right shift of all channels, or 0.
    shift: i32,
    /// The left shift of all channels, where they have that right shift; or 0.
    left: i32,
}

/// The factors as the arrays that micro-kernels read, padded so that whole panels can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    multiplier: Vec<i32>,
    left: Vec<i32>,
    right: Vec<i32>,
}

/// Micro-kernels read the arrays in whole panels of at most this many channels.
const MAX_PANEL: usize = 64;

impl Columns {
    /// With the shift that they have in common, if there is one.
    fn new(real: &[f64], common: Option<i32>) -> Self {
        let factor = |&real: &f64| match common {
            None => Factor::from_real(real),
            Some(right) => Factor::shifted(real, right),
        };
        let mut factors: Vec<Factor> = real.iter().map(factor).collect();
        let zero = Factor { multiplier: 0, left: 0, right: 0 };
        factors.resize(factors.len().next_multiple_of(MAX_PANEL), zero);
        Self {
            multiplier: factors.iter().map(|f| f.multiplier).collect(),
            left: factors.iter().map(|f| f.left).collect(),
            right: factors.iter().map(|f| f.right).collect(),
        }
    }

    fn only_right(&self) -> bool {
        self.left.iter().all(|&left| left == 0)
    }

    fn factor(&self, channel: usize) -> Factor {
        Factor {
            multiplier: self.multiplier[channel],
            left: self.left[channel],
            right: self.right[channel],
        }
    }
}

/// The right shift for all factors of a layer: the largest factor's, so that no other has too few bits; nothing where that
/// leaves results before it too coarse.
fn common_shift<'a>(factors: impl Iterator<Item = &'a f64>) -> Option<i32> {
    /// Multiplied accumulators have so many bits behind the point, rounding which makes errors of a sixteenth of a step at most.
    const LEAST: i32 = 3;
    /// That many bits can be cut off while 32 bits are narrowed to 16.
    const MOST: i32 = 16;
    let factors = factors.map(|&real| Factor::from_real(real)).filter(|f| f.multiplier != 0);
    let least = factors.map(|factor| factor.right - factor.left).min().unwrap_or(MOST);
    (least >= LEAST).then_some(least.min(MOST))
}

/// The right shift with which an instruction can narrow all of these channels, where there is one; channels without a shift
/// take any.
pub(crate) fn shift_in_common(shifts: &[Option<u8>]) -> Option<u8> {
    let mut known = shifts.iter().flatten();
    let first = *known.next().unwrap_or(&1);
    ((1..=16).contains(&first) && known.all(|&shift| shift == first)).then_some(first)
}

impl RequantParams {
    /// From real factors per channel (input scale times weight scale over output scale), optionally others for negative
    /// accumulators (as many, or this panics), the result's zero point and inclusive bounds within -128..=127.
    pub fn from_real(
        factors: &[f64],
        negative: Option<&[f64]>,
        zero_point: i8,
        min: i8,
        max: i8,
    ) -> Self {
        let paired = negative.is_none_or(|negative| negative.len() == factors.len());
        assert!(paired, "both sets have a factor per channel");
        let common = common_shift(factors.iter().chain(negative.into_iter().flatten()));
        let columns = |factors: &[f64]| Columns::new(factors, common);
        let (positive, negative) = (columns(factors), negative.map(columns));
        let only_right =
            [Some(&positive), negative.as_ref()].into_iter().flatten().all(Columns::only_right);
        Self {
            channels: factors.len(),
            positive,
            negative,
            zero_point: i32::from(zero_point),
            min: i32::from(min),
            max: i32::from(max),
            only_right,
            shift: common.unwrap_or(0),
            left: 0,
        }
    }

    /// As [`RequantParams::from_real`], but where factors below `2^left / 8` would not have a right shift in common, accumulators
    /// are multiplied by `2^left` first. Layers whose weights have room for that take it into them.
    pub fn with_left(
        factors: &[f64],
        negative: Option<&[f64]>,
        zero_point: i8,
        (min, max): (i8, i8),
        left: i32,
    ) -> Self {
        let plain = Self::from_real(factors, negative, zero_point, min, max);
        let less = |factors: &[f64]| -> Vec<f64> {
            factors.iter().map(|factor| factor / 2_f64.powi(left)).collect()
        };
        let negative = negative.map(less);
        let mut shifted =
            Self::from_real(&less(factors), negative.as_deref(), zero_point, min, max);
        if plain.shift > 0 || shifted.shift == 0 || left == 0 {
            return plain;
        }
        shifted.set_left(left);
        shifted
    }

    fn set_left(&mut self, left: i32) {
        for columns in [Some(&mut self.positive), self.negative.as_mut()].into_iter().flatten() {
            columns.left.fill(left);
        }
        (self.left, self.only_right) = (left, left == 0);
    }

    /// The left shift of all channels, which weights and biases can take instead; 0 where there is none or it differs.
    pub(crate) fn left(&self) -> i32 {
        self.left
    }

    /// The same for accumulators that are multiplied by `2^left` already.
    pub(crate) fn without_left(mut self) -> Self {
        self.set_left(0);
        self
    }

    /// Number of channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The result of one accumulator of `channel`.
    #[inline]
    pub fn apply(&self, channel: usize, acc: i32) -> i8 {
        let columns = match &self.negative {
            Some(negative) if acc < 0 => negative,
            _ => &self.positive,
        };
        let x = columns.factor(channel).apply(acc).saturating_add(self.zero_point);
        x.clamp(self.min, self.max) as i8
    }

    /// The right shift of each channel where there is none in common, no left shift and no PReLU; none for channels whose result
    /// is the same with any.
    pub(crate) fn right_shifts(&self) -> Option<Vec<Option<u8>>> {
        if self.shift > 0 || self.negative.is_some() || !self.only_right {
            return None;
        }
        Some(self.shifts())
    }

    fn shifts(&self) -> Vec<Option<u8>> {
        let factors = (0..self.channels).map(|channel| self.positive.factor(channel));
        factors.map(|f| (f.multiplier != 0).then_some(f.right as u8)).collect()
    }

    /// As [`I8DepthwiseArgs::shifts`](super::micro::I8DepthwiseArgs::shifts).
    pub(crate) fn block_shifts(&self) -> Vec<u8> {
        const BLOCK: usize = 8;
        let of_block = |shifts: &[Option<u8>]| [shift_in_common(shifts).unwrap_or(0); BLOCK];
        self.shifts().chunks(BLOCK).flat_map(of_block).collect()
    }

    /// The arrays from `channel` on, as micro-kernels take them; valid as long as `self`.
    pub(crate) fn raw(&self, channel: usize) -> Requant {
        let null = std::ptr::null();
        let from = |array: &[i32]| array[channel..].as_ptr();
        let negative = self.negative.as_ref();
        Requant {
            multiplier: from(&self.positive.multiplier),
            left: from(&self.positive.left),
            right: from(&self.positive.right),
            negative_multiplier: negative.map_or(null, |n| from(&n.multiplier)),
            negative_left: negative.map_or(null, |n| from(&n.left)),
            negative_right: negative.map_or(null, |n| from(&n.right)),
            zero_point: self.zero_point,
            min: self.min,
            max: self.max,
            only_right: self.only_right,
            shift: if self.left == 0 { self.shift } else { 0 },
        }
    }
}

/// The result of one accumulator of column `j`, for portable micro-kernels.
///
/// # Safety
/// The arrays of `requant` have more than `j` elements.
pub(crate) unsafe fn requantize_one(requant: &Requant, j: usize, acc: i32) -> i8 {
    // SAFETY: the caller vouches for the arrays; the negative set is read only when it is there.
    let factor = unsafe {
        if acc < 0 && !requant.negative_multiplier.is_null() {
            Factor {
                multiplier: *requant.negative_multiplier.add(j),
                left: *requant.negative_left.add(j),
                right: *requant.negative_right.add(j),
            }
        } else {
            Factor {
                multiplier: *requant.multiplier.add(j),
                left: *requant.left.add(j),
                right: *requant.right.add(j),
            }
        }
    };
    factor.apply(acc).saturating_add(requant.zero_point).clamp(requant.min, requant.max) as i8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn powers_of_two_are_exact() {
        for (real, acc, expected) in
            [(1.0, 7, 7), (0.5, 7, 4), (0.5, -7, -3), (4.0, -3, -12), (0.25, 6, 2), (-0.5, 8, -4)]
        {
            assert_eq!(Factor::from_real(real).apply(acc), expected, "{real} * {acc}");
        }
    }

    #[test]
    fn extremes_saturate_and_vanish() {
        assert_eq!(Factor::from_real(1e30).apply(1), 1 << 30);
        assert_eq!(Factor::from_real(1e30).apply(i32::MIN), -i32::MAX);
        assert_eq!(Factor::from_real(1e-30).apply(i32::MAX), 0);
        assert_eq!(Factor::from_real(f64::NAN).apply(123), 0);
    }

    proptest! {
        #[test]
        fn the_factor_is_the_real_one_to_a_rounding(real in 1e-6..100.0_f64, acc in -1_000_000..1_000_000_i32) {
            let exact = real * f64::from(acc);
            let got = f64::from(Factor::from_real(real).apply(acc));
            prop_assert!((got - exact).abs() <= 1.0 + exact.abs() * 1e-9, "{got} for {exact}");
        }
    }
}
