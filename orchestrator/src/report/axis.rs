//! Ticks of axes.

/// 1, 2 and 5 times the powers of ten from `low` to `high`; where those are few, even steps.
pub(super) fn duration_ticks(low: f64, high: f64) -> Vec<f64> {
    let first = low.log10().floor() as i32;
    let last = high.log10().ceil() as i32;
    let round: Vec<f64> = (first..=last)
        .flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)))
        .filter(|&us| us >= low && us <= high)
        .collect();
    if round.len() >= 3 { round } else { even_ticks(low, high) }
}

/// Three to seven multiples of 1, 2 or 5 times a power of ten from `low` to `high`, which differ.
pub(super) fn even_ticks(low: f64, high: f64) -> Vec<f64> {
    let power = 10_f64.powf(((high - low) / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let fits = |step: &f64| (high / step).floor() - (low / step).ceil() + 1.0 <= 7.0;
    let step = steps.into_iter().find(fits).unwrap_or(high - low);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    (first..=last).map(|tick| tick as f64 * step).collect()
}

/// A tick on an axis of microseconds.
pub(super) fn tick_duration(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1000.0 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    // Even steps are not exact in binary.
    format!("{} {unit}", (value * 1e6).round() / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_lie_within_the_range() {
        assert_eq!(duration_ticks(900.0, 60_000.0), [1e3, 2e3, 5e3, 1e4, 2e4, 5e4]);
        let narrow = duration_ticks(650.0, 1_350.0);
        assert_eq!(narrow, [700.0, 800.0, 900.0, 1000.0, 1100.0, 1200.0, 1300.0]);
        for (low, high) in [(10_000.0, 10_400.0), (1.1, 1.9), (0.21, 0.3), (2.1e6, 4.7e6)] {
            let ticks = even_ticks(low, high);
            assert!((3..=7).contains(&ticks.len()), "{low} to {high}: {ticks:?}");
            assert!(ticks.iter().all(|&tick| tick >= low && tick <= high));
        }
    }

    #[test]
    fn durations_have_the_unit_that_suits() {
        assert_eq!(tick_duration(500.0), "500 µs");
        assert_eq!(tick_duration(2500.0), "2.5 ms");
        assert_eq!(tick_duration(3e6), "3 s");
    }
}
