//! The distribution-free 95 % confidence interval of a median.

/// A median and its interval, in the unit of the samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MedianInterval {
    /// The middle sample, the lower of two.
    pub median: u64,
    /// Lower end.
    pub low: u64,
    /// Upper end.
    pub high: u64,
}

impl MedianInterval {
    /// Width as a share of the median.
    pub fn relative_width(&self) -> f64 {
        (self.high - self.low) as f64 / (self.median.max(1)) as f64
    }
}

/// The interval between two order statistics that covers the median with at least 95 %: the number of samples below
/// the median is binomial with p = ½, whatever their distribution (David and Nagaraja, "Order Statistics", 7.1). `None`
/// for fewer than 6 samples, of which not even the whole range covers that much.
pub fn median_interval(samples: &[u64]) -> Option<MedianInterval> {
    let rank = lower_rank(samples.len())?;
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    let last = sorted.len() - 1;
    Some(MedianInterval { median: sorted[last / 2], low: sorted[rank], high: sorted[last - rank] })
}

/// The largest index k with P(B ≤ k) ≤ 2.5 % for B binomial (n, ½).
fn lower_rank(n: usize) -> Option<usize> {
    let n_real = n as f64;
    let mut log_term = -n_real * std::f64::consts::LN_2;
    let mut sum = 0.0;
    let mut rank = None;
    for k in 0..n {
        sum += log_term.exp();
        if sum > 0.025 {
            break;
        }
        rank = Some(k);
        log_term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    rank
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_agree_with_published_tables() {
        // 1-based ranks of the lower end: Conover, "Practical Nonparametric Statistics", and any binomial table.
        let table =
            [(5, None), (6, Some(1)), (9, Some(2)), (20, Some(6)), (50, Some(18)), (100, Some(40))];
        for (n, rank) in table {
            assert_eq!(lower_rank(n).map(|index| index + 1), rank, "{n} samples");
        }
        assert!(lower_rank(100_000).is_some());
    }

    #[test]
    fn covers_the_median_of_a_skewed_distribution_at_least_as_often_as_it_says() {
        // Samples u³: their median is that of u, cubed.
        let mut state = 1u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let u = (state >> 33) as f64 / (1u64 << 31) as f64;
            (u.powi(3) * 1e9) as u64
        };
        let median = (0.125 * 1e9) as u64;
        for n in [6, 17, 60] {
            let covered = (0..4000).filter(|_| {
                let samples: Vec<u64> = (0..n).map(|_| draw()).collect();
                let interval = median_interval(&samples).unwrap();
                interval.low <= median && median <= interval.high
            });
            let share = covered.count() as f64 / 4000.0;
            assert!(share > 0.94, "{n} samples: {share}");
        }
    }

    #[test]
    fn zero_durations_do_not_divide_by_zero() {
        assert!(median_interval(&[0; 6]).unwrap().relative_width().abs() < f64::EPSILON);
    }
}
