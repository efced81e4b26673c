//! 95 % intervals of shares and means.

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// Resamplings of a bootstrap.
const RESAMPLES: usize = 2000;

/// Wilson's score interval at 95 % confidence for a share of `correct` in `total` (E. B. Wilson, "Probable inference,
/// the law of succession, and statistical inference", 1927). Without samples: everything is possible.
pub fn wilson(correct: u64, total: u64) -> (f64, f64) {
    wilson_at(correct as f64, total as f64, Z)
}

/// As [`wilson`], of counts that need not be whole.
pub fn wilson_of(correct: f64, total: f64) -> (f64, f64) {
    wilson_at(correct, total, Z)
}

/// The interval at the quantile `z` of the standard normal distribution, of counts that need not be whole.
pub(super) fn wilson_at(correct: f64, total: f64, z: f64) -> (f64, f64) {
    if total == 0.0 {
        return (0.0, 1.0);
    }
    let share = correct / total;
    let denominator = 1.0 + z * z / total;
    let center = (share + z * z / (2.0 * total)) / denominator;
    let half =
        z * (share * (1.0 - share) / total + z * z / (4.0 * total * total)).sqrt() / denominator;
    let low = if correct == 0.0 { 0.0 } else { (center - half).max(0.0) };
    let high = if correct == total { 1.0 } else { (center + half).min(1.0) };
    (low, high)
}

/// The percentile bootstrap interval at 95 % confidence of the mean of `values` (B. Efron, 1979), with a fixed seed: the
/// same values in the same order give the same interval. Without values: 0 to 1.
pub fn bootstrap_mean(values: &[f64]) -> (f64, f64) {
    let mean = |draw: &[usize]| draw.iter().map(|&at| values[at]).sum::<f64>() / draw.len() as f64;
    quantiles(&bootstrap(values.len(), mean), 0.025)
}

/// What `statistic` says of resamplings of `count` samples, given by their indices; in increasing order. The seed is fixed. Without
/// samples: nothing.
pub fn bootstrap(count: usize, statistic: impl Fn(&[usize]) -> f64) -> Vec<f64> {
    if count == 0 {
        return Vec::new();
    }
    let mut state = 0x5DEE_CE66_D1CE_4E5B_u64;
    let mut draw = vec![0; count];
    let mut values: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            draw.fill_with(|| below(&mut state, count));
            statistic(&draw)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    values
}

/// The nearest ranks of the share `tail` from both ends of sorted values; 0 to 1 where there are none.
pub fn quantiles(sorted: &[f64], tail: f64) -> (f64, f64) {
    if sorted.is_empty() {
        return (0.0, 1.0);
    }
    let rank = ((tail * sorted.len() as f64).round() as usize).clamp(1, sorted.len());
    (sorted[rank - 1], sorted[sorted.len() - rank])
}

/// The interval that suits `values` in 0..=1: Wilson's where all are 0 or 1, else the bootstrap's.
pub fn interval(values: &[f64]) -> (f64, f64) {
    if values.iter().all(|&value| value == 0.0 || value == 1.0) {
        let correct = values.iter().filter(|&&value| value == 1.0).count();
        return wilson(correct as u64, values.len() as u64);
    }
    bootstrap_mean(values)
}

/// A number below `bound` by SplitMix64; its bias, below `bound / 2^64`, does not matter here.
fn below(state: &mut u64, bound: usize) -> usize {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    ((u128::from(mixed) * bound as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R. G. Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    #[test]
    fn wilson_equals_the_published_intervals() {
        let published = [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ];
        for (correct, total, low, high) in published {
            let (found_low, found_high) = wilson(correct, total);
            assert!((found_low - low).abs() < 5e-5, "{correct}/{total}: {found_low}");
            assert!((found_high - high).abs() < 5e-5, "{correct}/{total}: {found_high}");
        }
        assert_eq!(wilson(0, 0), (0.0, 1.0));
    }

    #[test]
    fn the_bootstrap_agrees_with_the_normal_interval_and_repeats() {
        let values: Vec<f64> = (0..200_u32).map(|i| f64::from(i * 37 % 200) / 199.0).collect();
        let mean = values.iter().sum::<f64>() / 200.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 200.0;
        let half = Z * (variance / 200.0).sqrt();
        let (low, high) = bootstrap_mean(&values);
        assert!((low - (mean - half)).abs() < 0.1 * half, "{low}");
        assert!((high - (mean + half)).abs() < 0.1 * half, "{high}");
        assert_eq!(bootstrap_mean(&values), (low, high));
        assert_eq!(bootstrap_mean(&[0.25; 9]), (0.25, 0.25));
    }

    proptest::proptest! {
        #[test]
        fn wilson_contains_the_share_and_mirrors(total in 1_u64..2000, share in 0.0..=1.0_f64) {
            let correct = (share * total as f64) as u64;
            let value = correct as f64 / total as f64;
            let (low, high) = wilson(correct, total);
            assert!(0.0 <= low && low <= value && value <= high && high <= 1.0);
            let (mirrored_low, mirrored_high) = wilson(total - correct, total);
            assert!((mirrored_low - (1.0 - high)).abs() < 1e-12);
            assert!((mirrored_high - (1.0 - low)).abs() < 1e-12);
        }

        #[test]
        fn the_bootstrap_stays_within_the_values(values in proptest::collection::vec(0.0..=1.0_f64, 1..40)) {
            let (low, high) = interval(&values);
            assert!((0.0..=1.0).contains(&low) && low <= high && high <= 1.0);
        }
    }
}
