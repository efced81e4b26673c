//! How much slower: a ratio of medians with an interval that needs no assumption about the noise.
//!
//! The unit is the *run*: one worker process, which loads the model anew and times it in blocks. Samples within a run share
//! their memory layout and the board's mood, so they are correlated, in several modes and with long tails, and a thousand
//! of them say little more than one. Each run therefore counts as one number, the median of its blocks' medians, and only
//! runs are taken for exchangeable.
//!
//! The change is the Hodges–Lehmann estimate over the logarithms of the runs' medians, its interval the one that inverts
//! the Mann–Whitney test, exactly: J. L. Hodges, E. L. Lehmann, "Estimates of Location Based on Rank Tests" (1963);
//! M. Hollander, D. A. Wolfe, E. Chicken, "Nonparametric Statistical Methods", 3rd ed., 4.2 and 4.3.

use serde::{Deserialize, Serialize};

use crate::stats::median_of_sorted;

/// Confidence of intervals.
pub const CONFIDENCE: f64 = 0.99;

/// Fewest blocks that count with which a run has a median.
pub const MIN_BLOCKS: usize = 3;

/// By what share a model has become slower.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// 0.05: five percent slower; negative: faster.
    pub change: f64,
    /// Lower end of the interval at [`CONFIDENCE`].
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The median of the medians of a run's blocks, in the unit of the samples; `None` with fewer than [`MIN_BLOCKS`].
pub fn run_median<'a>(blocks: impl IntoIterator<Item = &'a [u64]>) -> Option<f64> {
    let of_block = |block: &[u64]| median(block.iter().map(|&sample| sample as f64).collect());
    let medians: Vec<f64> = blocks.into_iter().filter_map(of_block).collect();
    if medians.len() < MIN_BLOCKS { None } else { median(medians) }
}

/// The median, of an even number the middle of the two in the middle; `None` of nothing.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    median_of_sorted(&values)
}

/// How much slower `now` is than `baseline`, both medians of runs. `None` when there are too few runs for an interval: it
/// takes five on both sides, or fewer on one and more on the other.
pub fn effect(baseline: &[f64], now: &[f64]) -> Option<Effect> {
    let rank = lower_rank(baseline.len(), now.len())?;
    let mut ratios: Vec<f64> =
        now.iter().flat_map(|now| baseline.iter().map(move |then| (now / then).ln())).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    let last = ratios.len() - 1;
    let (low, high) = (ratios[rank], ratios[last - rank]);
    let share = |logarithm: f64| logarithm.exp_m1();
    Some(Effect { change: share(median_of_sorted(&ratios)?), low: share(low), high: share(high) })
}

/// The index into the sorted ratios at which the interval begins: the largest k with P(U ≤ k) at most half of what the
/// interval may miss, U being Mann and Whitney's statistic of `n` and `m` exchangeable values. `None` when even the whole
/// range misses more.
fn lower_rank(n: usize, m: usize) -> Option<usize> {
    if n == 0 || m == 0 {
        return None;
    }
    // How many of the orders have U = k, for k up to the middle: the coefficients of a Gaussian binomial.
    let middle = n * m / 2;
    let mut orders = vec![0.0; middle + 1];
    orders[0] = 1.0;
    let mut all = 1.0;
    for i in 1..=n {
        for k in (m + i..=middle).rev() {
            orders[k] -= orders[k - (m + i)];
        }
        for k in i..=middle {
            orders[k] += orders[k - i];
        }
        all *= (m + i) as f64 / i as f64;
    }
    let allowed = all * (1.0 - CONFIDENCE) / 2.0;
    let mut sum = 0.0;
    let reached = orders.iter().take_while(|&&count| {
        sum += count;
        sum <= allowed
    });
    reached.count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Critical values of the two-sided test at 1 %, e.g. Hollander, Wolfe and Chicken, table A.6: reject at U ≤ k.
    #[test]
    fn ranks_agree_with_published_tables() {
        for (n, m, rank) in [
            (4, 4, None),
            (5, 5, Some(0)),
            (4, 6, Some(0)),
            (6, 6, Some(2)),
            (8, 8, Some(7)),
            (10, 6, Some(6)),
            (10, 10, Some(16)),
            (20, 20, Some(105)),
            (0, 9, None),
        ] {
            assert_eq!(lower_rank(n, m), rank, "{n} and {m}");
            assert_eq!(lower_rank(m, n), rank, "{m} and {n}");
        }
        assert!(lower_rank(100, 100).is_some());
    }

    #[test]
    fn a_change_is_the_ratio_of_medians_and_one_outlier_does_not_move_it() {
        let baseline: Vec<f64> = (0..10).map(|i| 1000.0 + f64::from(i)).collect();
        let mut now: Vec<f64> = baseline.iter().take(6).map(|run| run * 1.05).collect();
        let five = effect(&baseline, &now).unwrap();
        assert!((five.change - 0.05).abs() < 0.005, "{five:?}");
        assert!(five.low > 0.04 && five.high < 0.06, "{five:?}");
        now[0] *= 3.0;
        let five = effect(&baseline, &now).unwrap();
        assert!((five.change - 0.05).abs() < 0.006 && five.low > 0.04, "{five:?}");
        let same = effect(&baseline, &baseline).unwrap();
        assert!(same.change.abs() < 1e-9 && same.low < 0.0 && same.high > 0.0);
        assert_eq!(effect(&baseline[..4], &now[..4]), None);
    }

    #[test]
    fn runs_need_blocks() {
        let block = |value: u64| vec![value, value, 90 * value];
        let blocks = [block(10), block(11), block(12)];
        assert_eq!(run_median(blocks.iter().map(Vec::as_slice)), Some(11.0));
        assert_eq!(run_median(blocks[..2].iter().map(Vec::as_slice)), None);
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
