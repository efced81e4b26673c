//! Whether a measured latency is what was predicted.

use serde::{Deserialize, Serialize};

use crate::spec::Percentile;
use crate::stats::LatencySummary;

/// How far a measured latency may be from the prediction by default: a share, beyond the intervals of both.
pub const DEFAULT_MAX_DEVIATION: f64 = 0.25;

/// A latency that the latency table lets expect.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Which percentile it is.
    pub percentile: Percentile,
    /// The latency in microseconds.
    pub latency_us: f64,
    /// Its 95 % interval in microseconds, where it has one.
    pub interval_us: Option<(f64, f64)>,
}

/// A measured latency held against its prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyCheck {
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Its 95 % interval; the latency itself where it has none.
    pub predicted_interval_us: (f64, f64),
    /// Measured latency in microseconds, at the percentile of the prediction.
    pub measured_us: f64,
    /// Its 95 % interval; fastest and slowest sample where there are too few for one.
    pub measured_interval_us: (f64, f64),
    /// What the measured interval must touch: the predicted one, widened by the deviation that is allowed.
    pub allowed_us: (f64, f64),
    /// Whether it does.
    pub within: bool,
}

impl LatencyCheck {
    /// Holds `measured` against `predicted`; `slack_us` is what the measured interval may be away from the predicted
    /// one, in microseconds.
    ///
    /// Percentiles above the median have no interval, and those of stages do not add up: their sum is a bound. Being
    /// faster than it is no deviation. Too few samples for a 95th percentile are judged by the 90th.
    pub fn new(predicted: Prediction, measured: &LatencySummary, slack_us: f64) -> Self {
        let (measured_us, measured_interval_us) = match predicted.percentile {
            Percentile::Median => {
                (measured.median_us, measured.ci95_us.unwrap_or(measured.range_us))
            }
            Percentile::P90 => (measured.p90_us, (measured.p90_us, measured.p90_us)),
            Percentile::P95 => {
                let us = measured.p95_us.unwrap_or(measured.p90_us);
                (us, (us, us))
            }
        };
        let predicted_us = predicted.latency_us;
        let interval = predicted.interval_us.unwrap_or((predicted_us, predicted_us));
        let lowest = match predicted.percentile {
            Percentile::Median => (interval.0 - slack_us).max(0.0),
            Percentile::P90 | Percentile::P95 => 0.0,
        };
        let allowed_us = (lowest, interval.1 + slack_us);
        Self {
            predicted_us,
            predicted_interval_us: interval,
            measured_us,
            measured_interval_us,
            allowed_us,
            within: measured_interval_us.0 <= allowed_us.1
                && measured_interval_us.1 >= allowed_us.0,
        }
    }

    /// By how much the measured latency differs, as a share of the predicted one.
    pub fn deviation(&self) -> f64 {
        self.measured_us / self.predicted_us - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::summarize;

    /// 20 samples from `low` to `high` microseconds, evenly spread.
    fn samples(low: f64, high: f64) -> LatencySummary {
        let one = |i: i32| ((low + (high - low) * f64::from(i) / 19.0) * 1e3) as u64;
        summarize((0..20).map(one).collect(), 0).unwrap()
    }

    fn median(latency_us: f64, interval_us: Option<(f64, f64)>) -> Prediction {
        Prediction { percentile: Percentile::Median, latency_us, interval_us }
    }

    #[test]
    fn only_what_is_off_beyond_both_intervals_deviates() {
        let predicted = median(1000.0, Some((980.0, 1030.0)));
        // Slack 250: 730 to 1280. The interval of the median of 20 samples is their 6th to 15th.
        for (low, high, within) in [
            (990.0, 1010.0, true),
            (1250.0, 1270.0, true),
            (1290.0, 1300.0, false),
            // Noisy: the interval, 1200 to 1600 or so, reaches into what is allowed.
            (1000.0, 1800.0, true),
            (735.0, 740.0, true),
            (700.0, 720.0, false),
        ] {
            let check = LatencyCheck::new(predicted, &samples(low, high), 250.0);
            assert_eq!(check.allowed_us, (730.0, 1280.0));
            assert_eq!(check.within, within, "{low} to {high}: {check:?}");
        }
    }

    #[test]
    fn few_samples_are_judged_by_their_range() {
        let measured = summarize(vec![900_000, 2_000_000], 0).unwrap();
        let check = LatencyCheck::new(median(1000.0, None), &measured, 0.0);
        assert_eq!(check.measured_interval_us, (900.0, 2000.0));
        assert!(check.within);
        assert!((check.deviation() - 0.45).abs() < 1e-12);
    }

    #[test]
    fn percentiles_bound_from_above_only() {
        let predicted =
            Prediction { percentile: Percentile::P95, latency_us: 1000.0, interval_us: None };
        assert!(LatencyCheck::new(predicted, &samples(100.0, 110.0), 100.0).within);
        assert!(!LatencyCheck::new(predicted, &samples(1090.0, 1110.0), 100.0).within);
    }
}
