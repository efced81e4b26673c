//! Statistics of latency samples.

use serde::{Deserialize, Serialize};

/// Fewest samples with which the 95th percentile has an upper bound at 95 % confidence: `0.95^59 < 0.05`.
pub const MIN_SAMPLES_P95: usize = 59;
/// Fewest samples with which the 99th has one: `0.99^299 < 0.05`.
pub const MIN_SAMPLES_P99: usize = 299;

/// What the samples of a variant say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencySummary {
    /// Samples that count.
    pub samples: u64,
    /// Samples that were voided.
    pub voided: u64,
    /// Median in microseconds.
    pub median_us: f64,
    /// 95 % interval of the median in microseconds; absent below 6 samples.
    pub ci95_us: Option<(f64, f64)>,
    /// 90th percentile in microseconds.
    pub p90_us: f64,
    /// 95th percentile in microseconds; absent below [`MIN_SAMPLES_P95`] samples.
    pub p95_us: Option<f64>,
    /// 99th percentile in microseconds; absent below [`MIN_SAMPLES_P99`] samples.
    #[serde(default)]
    pub p99_us: Option<f64>,
    /// Samples far above the others, by more than three times the distance of the quartiles: they are kept, and count.
    #[serde(default)]
    pub outliers: u64,
    /// Fastest and slowest sample in microseconds.
    pub range_us: (f64, f64),
}

/// Summarizes samples in nanoseconds; `None` when there are none.
pub fn summarize(mut duration_ns: Vec<u64>, voided: u64) -> Option<LatencySummary> {
    duration_ns.sort_unstable();
    let us = |index: usize| duration_ns[index] as f64 / 1e3;
    let count = duration_ns.len();
    let last = count.checked_sub(1)?;
    Some(LatencySummary {
        samples: count as u64,
        voided,
        median_us: (us((count - 1) / 2) + us(count / 2)) / 2.0,
        ci95_us: median_ranks(count).map(|(low, high)| (us(low), us(high))),
        p90_us: us(nearest_rank(count, 90)),
        p95_us: (count >= MIN_SAMPLES_P95).then(|| us(nearest_rank(count, 95))),
        p99_us: (count >= MIN_SAMPLES_P99).then(|| us(nearest_rank(count, 99))),
        outliers: outliers(&duration_ns),
        range_us: (us(0), us(last)),
    })
}

/// How many of sorted samples lie beyond the outer fence (J. W. Tukey, "Exploratory Data Analysis", 2D).
fn outliers(sorted: &[u64]) -> u64 {
    let quartile = |percent| sorted[nearest_rank(sorted.len(), percent)];
    let (lower, upper) = (quartile(25), quartile(75));
    let fence = upper.saturating_add(3 * (upper - lower));
    sorted.iter().rev().take_while(|&&sample| sample > fence).count() as u64
}

/// The median of sorted numbers, of an even number of them the middle of the two in the middle; `None` of nothing.
pub fn median_of_sorted(sorted: &[f64]) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    Some((sorted[last / 2] + sorted[last.div_ceil(2)]) / 2.0)
}

/// Index of the `percent`-th percentile of `count` sorted samples by the nearest-rank definition.
fn nearest_rank(count: usize, percent: usize) -> usize {
    (count * percent).div_ceil(100).max(1) - 1
}

/// Indices into `count` sorted samples between which the median of the population lies with at least 95 %
/// confidence: the binomial (order-statistics) interval, for any distribution. `None` below 6 samples, where no
/// interval has that confidence.
pub fn median_ranks(count: usize) -> Option<(usize, usize)> {
    let n = count as f64;
    // P(X <= k) for X ~ Binomial(count, 1/2), term by term in logarithms: 2^-count underflows beyond 1074.
    let mut log_term = -n * std::f64::consts::LN_2;
    let mut cumulative = 0.0;
    let mut low = None;
    for k in 0..count / 2 {
        cumulative += log_term.exp();
        if cumulative > 0.025 {
            break;
        }
        low = Some(k);
        log_term += ((n - k as f64) / (k as f64 + 1.0)).ln();
    }
    low.map(|low| (low, count - 1 - low))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published ranks (counted from 1) of the 95 % interval of the median, e.g. Conover, table A3 / Hahn & Meeker.
    #[test]
    fn the_interval_of_the_median_has_the_published_ranks() {
        for (count, low, high) in
            [(6, 1, 6), (8, 1, 8), (9, 2, 8), (10, 2, 9), (20, 6, 15), (30, 10, 21), (100, 40, 61)]
        {
            assert_eq!(median_ranks(count), Some((low - 1, high - 1)), "{count} samples");
        }
        assert_eq!(median_ranks(5), None);
        assert_eq!(median_ranks(0), None);
        assert!(median_ranks(1_000_000).is_some());
    }

    #[test]
    fn percentiles_are_nearest_ranks_and_p95_needs_59_samples() {
        let summary = summarize((1..=100).map(|ms| ms * 1_000_000).rev().collect(), 3).unwrap();
        assert_eq!(summary.median_us, 50_500.0);
        assert_eq!(summary.p90_us, 90_000.0);
        assert_eq!(summary.p95_us, Some(95_000.0));
        assert_eq!(summary.range_us, (1_000.0, 100_000.0));
        assert_eq!((summary.samples, summary.voided), (100, 3));
        assert_eq!(summarize(vec![7_000; 58], 0).unwrap().p95_us, None);
        assert_eq!(summarize(vec![7_000; 59], 0).unwrap().p95_us, Some(7.0));
        assert_eq!(summarize(Vec::new(), 4), None);
    }

    #[test]
    fn p99_needs_299_samples_and_outliers_are_counted_and_kept() {
        assert_eq!(summarize(vec![7_000; 298], 0).unwrap().p99_us, None);
        assert_eq!(summarize(vec![7_000; 299], 0).unwrap().p99_us, Some(7.0));
        // Quartiles 1025 and 1075: the fence is at 1225.
        let mut samples: Vec<u64> = (1..=100).map(|i| (1000 + i) * 1000).collect();
        assert_eq!(summarize(samples.clone(), 0).unwrap().outliers, 0);
        samples.extend([1_225_000, 9_000_000, 80_000_000]);
        let summary = summarize(samples, 0).unwrap();
        assert_eq!((summary.outliers, summary.samples), (2, 103));
        assert_eq!(summary.range_us.1, 80_000.0);
    }
}
