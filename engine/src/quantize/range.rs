//! Ranges of activations that clip on purpose: a few far elements are not worth coarser steps for all others.

use super::weights::asymmetric;

/// Bins of a [`Distribution`]: eight per 8-bit step of the whole range.
const BINS: usize = 2048;
/// Candidates for an end of the range are the multiples of this share of it, down to [`LEAST_SHARE`].
const SHARES: usize = 40;
/// No range is clipped to less than this many [`SHARES`].
const LEAST_SHARE: usize = 8;
/// Rounds in which first the upper and then the lower end is chosen.
const ROUNDS: usize = 2;

/// How often elements of a value fall into equal bins of its range.
#[derive(Debug)]
pub(super) struct Distribution {
    low: f32,
    high: f32,
    bins: Vec<f64>,
}

impl Distribution {
    /// Of elements between `low <= 0` and `high >= 0`, given how many lie in each `(from, to, count)`.
    pub(super) fn new(
        (low, high): (f32, f32),
        counts: impl Iterator<Item = (f32, f32, u64)>,
    ) -> Self {
        let mut bins = vec![0.0; BINS];
        let width = (f64::from(high) - f64::from(low)) / BINS as f64;
        for (from, to, count) in counts.filter(|_| width > 0.0) {
            let place = |x: f32| {
                ((f64::from(x.clamp(low, high)) - f64::from(low)) / width).min(BINS as f64 - 1e-6)
            };
            let (from, to) = (place(from), place(to));
            let (first, last) = (from as usize, to as usize);
            if first == last {
                bins[first] += count as f64;
                continue;
            }
            for (bin, mass) in bins.iter_mut().enumerate().take(last + 1).skip(first) {
                let overlap = to.min((bin + 1) as f64) - from.max(bin as f64);
                *mass += count as f64 * overlap / (to - from);
            }
        }
        Self { low, high, bins }
    }

    /// The range within the distribution's that leaves the smallest mean squared error when it is cut into 8-bit steps.
    /// Never worse than the whole one.
    pub(super) fn least_squares(&self) -> (f32, f32) {
        self.search(|range| self.squared_error(range))
    }

    /// The range of which 8-bit steps lose least information: the Kullback-Leibler divergence of the quantized
    /// distribution from this one (S. Migacz, "8-bit inference with TensorRT", GTC 2017), here with a range that need not
    /// be symmetric.
    pub(super) fn least_divergence(&self) -> (f32, f32) {
        self.search(|range| self.divergence(range))
    }

    /// Alternately the best upper and lower end, from the whole range on. Ties keep the wider one.
    fn search(&self, cost: impl Fn((f32, f32)) -> f64) -> (f32, f32) {
        let mut best = (cost((self.low, self.high)), (self.low, self.high));
        for _ in 0..ROUNDS {
            let low = best.1.0;
            for share in shares() {
                let range = (low, self.high * share);
                let cost = cost(range);
                if cost < best.0 {
                    best = (cost, range);
                }
            }
            let high = best.1.1;
            for share in shares().filter(|_| self.low < 0.0) {
                let range = (self.low * share, high);
                let cost = cost(range);
                if cost < best.0 {
                    best = (cost, range);
                }
            }
        }
        best.1
    }

    fn width(&self) -> f64 {
        (f64::from(self.high) - f64::from(self.low)) / BINS as f64
    }

    fn squared_error(&self, range: (f32, f32)) -> f64 {
        let (scale, zero_point) = asymmetric(range);
        let (scale, zero_point) = (f64::from(scale), f64::from(zero_point));
        let (low, width) = (f64::from(self.low), self.width());
        let of_bin = |(index, mass): (usize, &f64)| {
            let x = low + (index as f64 + 0.5) * width;
            let q = (x / scale + zero_point).round_ties_even().clamp(-128.0, 127.0);
            let error = (q - zero_point) * scale - x;
            mass * error * error
        };
        self.bins.iter().enumerate().map(of_bin).sum()
    }

    fn divergence(&self, (low, high): (f32, f32)) -> f64 {
        let bin = |x: f32| ((f64::from(x) - f64::from(self.low)) / self.width()).round() as usize;
        let (first, end) = (bin(low).min(BINS), bin(high).min(BINS));
        if end <= first {
            return f64::INFINITY;
        }
        let total: f64 = self.bins.iter().sum();
        // Clipped elements come to lie in the outermost bins.
        let mut real = self.bins[first..end].to_vec();
        real[0] += self.bins[..first].iter().sum::<f64>();
        real[end - first - 1] += self.bins[end..].iter().sum::<f64>();
        let inner = &self.bins[first..end];
        let mut sum = 0.0;
        for step in 0..256 {
            let cut = |step: usize| step * inner.len() / 256;
            let (from, to) = (cut(step), cut(step + 1));
            let filled = inner[from..to].iter().filter(|&&mass| mass > 0.0).count();
            // A step stands for the elements within it, evenly; for those clipped to it there is nothing.
            let each = inner[from..to].iter().sum::<f64>() / filled.max(1) as f64;
            for &p in real[from..to].iter().filter(|&&p| p > 0.0) {
                sum += p / total * (p / each.max(total * 1e-9)).ln();
            }
        }
        sum
    }
}

/// Shares of an end, from a little clipping to the most.
fn shares() -> impl Iterator<Item = f32> {
    (LEAST_SHARE..SHARES).rev().map(|share| share as f32 / SHARES as f32)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(elements: &[f32]) -> Distribution {
        let fold = |f: fn(f32, f32) -> f32| elements.iter().copied().fold(0.0, f);
        let counts = elements.iter().map(|&x| (x, x, 1));
        Distribution::new((fold(f32::min), fold(f32::max)), counts)
    }

    /// Squared error of the elements themselves.
    fn error(elements: &[f32], range: (f32, f32)) -> f64 {
        let (scale, zero_point) = asymmetric(range);
        let off = |&x: &f32| {
            let q = (x / scale + f32::from(zero_point)).round_ties_even().clamp(-128.0, 127.0);
            f64::from((q - f32::from(zero_point)) * scale - x)
        };
        elements.iter().map(off).map(|off| off * off).sum()
    }

    #[test]
    fn an_outlier_among_many_is_clipped() {
        let mut elements: Vec<f32> = (0..200_000).map(|i| (i % 1000) as f32 / 1000.0).collect();
        elements.push(3.0);
        let distribution = of(&elements);
        for range in [distribution.least_squares(), distribution.least_divergence()] {
            assert!(range.0 == 0.0 && (0.9..2.9).contains(&range.1), "{range:?}");
        }
        assert!(error(&elements, distribution.least_squares()) < error(&elements, (0.0, 3.0)));
    }

    #[test]
    fn even_elements_keep_their_range() {
        let elements: Vec<f32> = (-500..=500).map(|i| i as f32 / 100.0).collect();
        let (low, high) = of(&elements).least_squares();
        assert!(low < -4.8 && high > 4.8, "{low} {high}");
    }

    #[test]
    fn nothing_but_zeros_has_no_range() {
        assert_eq!(of(&[0.0; 5]).least_squares(), (0.0, 0.0));
        assert_eq!(of(&[0.0; 5]).least_divergence(), (0.0, 0.0));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn least_squares_are_never_worse_than_the_whole_range(
            elements in prop::collection::vec(-8.0..20.0_f32, 1..300)
        ) {
            let distribution = of(&elements);
            let whole = (distribution.low, distribution.high);
            let best = distribution.least_squares();
            prop_assert!(whole.0 <= best.0 && best.1 <= whole.1 && best.0 <= 0.0 && best.1 >= 0.0);
            prop_assert!(distribution.squared_error(best) <= distribution.squared_error(whole));
            let divergence = distribution.least_divergence();
            prop_assert!(distribution.divergence(divergence) <= distribution.divergence(whole));
        }
    }
}
