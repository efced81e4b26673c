//! The A/A noise floor: what a board's results differ by when nothing has changed.
//!
//! Two things move the result of a comparison in which nothing changed: the runs (their memory layout, what the board does
//! meanwhile), and, where the baseline was measured in another night, the night. Both are estimated from what the board
//! has measured of the same model before. The floor is the largest change that must be expected of noise alone: a
//! prediction limit for one more comparison (G. J. Hahn, W. Q. Meeker, "Statistical Intervals", 4.7) at [`CONFIDENCE`].
//!
//! A board begins without nights behind it, so its own scatter between nights is mixed with an assumed one that counts
//! like a few nights more: moderated variances (G. K. Smyth, "Linear models and empirical Bayes methods", 2004).

use serde::{Deserialize, Serialize};

use super::effect::{CONFIDENCE, median};

/// Assumed standard deviation between nights, as a share, and how many nights it counts for.
const ASSUMED_NIGHTS: (f64, usize) = (0.003, 4);

/// The noise of a model on a board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// Standard deviation between runs of one night, as a share; by their quartiles, since outliers among runs hardly move
    /// what is estimated from all of them.
    pub run_sd: f64,
    /// What it was estimated from: runs less nights.
    pub run_freedom: usize,
    /// Standard deviation between nights, as a share, mixed with the assumed one.
    pub night_sd: f64,
    /// Nights it was estimated from.
    pub nights: usize,
}

impl Noise {
    /// Estimates the noise from the medians of runs, night by night. Nights in which something was found must not be among
    /// them: what was found would count as noise from then on.
    pub fn of(nights: &[Vec<f64>]) -> Self {
        let logarithms = |night: &Vec<f64>| night.iter().map(|run| run.ln()).collect::<Vec<f64>>();
        let nights: Vec<Vec<f64>> =
            nights.iter().filter(|night| !night.is_empty()).map(logarithms).collect();
        let centres: Vec<f64> = nights.iter().filter_map(|night| median(night.clone())).collect();
        let of_night = |(night, centre): (&Vec<f64>, &f64)| -> Vec<f64> {
            night.iter().map(|run| run - centre).collect()
        };
        let scattered: Vec<f64> = nights.iter().zip(&centres).flat_map(of_night).collect();
        let run_freedom = scattered.len() - nights.len();
        // The centres are estimated from the same runs, which makes those look closer than they are.
        let shrunk = scattered.len() as f64 / run_freedom.max(1) as f64;
        let (assumed, weight) = ASSUMED_NIGHTS;
        let freedom = (weight + centres.len().saturating_sub(1)) as f64;
        let night_squares = weight as f64 * assumed * assumed + squares(&centres);
        Self {
            run_sd: quartile_sd(scattered) * shrunk.sqrt(),
            run_freedom,
            night_sd: (night_squares / freedom).sqrt(),
            nights: centres.len(),
        }
    }

    /// The floor of a comparison of so many runs, as a share. Of two models measured in turns in the same night, nights
    /// are no part of it.
    pub fn floor(&self, baseline: usize, now: usize, same_night: bool) -> f64 {
        // The Hodges–Lehmann estimate has 3/π of the efficiency of the mean, where noise is Gaussian, and more elsewhere.
        let per_run = std::f64::consts::FRAC_PI_3 * (1.0 / baseline as f64 + 1.0 / now as f64);
        let runs = match self.run_freedom {
            0 => f64::INFINITY,
            freedom => quantile(freedom) * self.run_sd * per_run.sqrt(),
        };
        if same_night {
            return runs;
        }
        let freedom = ASSUMED_NIGHTS.1 + self.nights.saturating_sub(1);
        // The scatter of the nights' medians includes that of their runs.
        runs.max(quantile(freedom) * self.night_sd * std::f64::consts::SQRT_2)
    }
}

/// The standard deviation of a Gaussian with these quartiles.
fn quartile_sd(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    match (values.get(last / 4), values.get(last - last / 4)) {
        (Some(lower), Some(upper)) => (upper - lower) / 1.349,
        _ => 0.0,
    }
}

/// Squared distances from the mean, summed.
fn squares(values: &[f64]) -> f64 {
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum()
}

/// The two-sided quantile of Student's t at [`CONFIDENCE`] for so many degrees of freedom; of those between the rows of
/// the table, that of the row before.
fn quantile(freedom: usize) -> f64 {
    const { assert!(CONFIDENCE == 0.99) };
    const TABLE: [(usize, f64); 16] = [
        (1, 63.657),
        (2, 9.925),
        (3, 5.841),
        (4, 4.604),
        (5, 4.032),
        (6, 3.707),
        (7, 3.499),
        (8, 3.355),
        (9, 3.250),
        (10, 3.169),
        (12, 3.055),
        (15, 2.947),
        (20, 2.845),
        (30, 2.750),
        (60, 2.660),
        (1000, 2.581),
    ];
    TABLE.iter().rev().find(|(row, _)| *row <= freedom).map_or(f64::INFINITY, |(_, t)| *t)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quiet_board_has_a_low_floor_and_a_restless_one_a_high_one() {
        let night = |centre: f64| (0..6).map(|i| centre * (1.0 + 0.001 * f64::from(i))).collect();
        let quiet: Vec<Vec<f64>> = (0..12).map(|i| night(1000.0 + f64::from(i % 2))).collect();
        let restless: Vec<Vec<f64>> =
            (0..12).map(|i| night(1000.0 + 30.0 * f64::from(i % 2))).collect();
        let (quiet, restless) = (Noise::of(&quiet), Noise::of(&restless));
        assert_eq!((quiet.nights, quiet.run_freedom), (12, 60));
        assert!((quiet.run_sd - 0.00243).abs() < 1e-4, "{quiet:?}");
        assert!(quiet.floor(10, 6, false) < 0.012, "{quiet:?}");
        assert!(restless.floor(10, 6, false) > 0.05, "{restless:?}");
        // In one night only the runs count, of which both have the same.
        assert!((quiet.floor(6, 6, true) - restless.floor(6, 6, true)).abs() < 1e-4);
        assert!(quiet.floor(6, 6, true) < 0.004);
    }

    #[test]
    fn without_history_nights_are_assumed_and_without_runs_nothing_is_known() {
        let first = Noise::of(&[vec![1000.0; 10]]);
        assert!((first.floor(10, 6, false) - 0.0195).abs() < 1e-3, "{first:?}");
        let one_run = Noise::of(&[vec![1000.0]]);
        assert_eq!(one_run.run_freedom, 0);
        assert_eq!(one_run.floor(6, 6, true), f64::INFINITY);
    }
}
