//! Where the level of a series has changed.
//!
//! Pettitt's test finds a change point without assuming a distribution (A. N. Pettitt, "A Non-Parametric Approach to the
//! Change-Point Problem", 1979); binary segmentation finds several, by looking again on both sides of each (A. J. Scott,
//! M. Knott, 1974).

use super::effect::median;

/// A change is told when chance gives one as clear less often than this.
const SIGNIFICANCE: f64 = 0.01;
/// Fewest values on either side of a change.
const LEAST_SIDE: usize = 3;

/// A change of level.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct ChangePoint {
    /// The first value of the new level.
    pub index: usize,
    /// Median of the values since the change before, and up to this one.
    pub before: f64,
    /// Median of the values from here to the next change.
    pub after: f64,
}

/// The change points of a series, in its order.
pub fn change_points(values: &[f64]) -> Vec<ChangePoint> {
    let mut cuts = Vec::new();
    segment(values, 0, &mut cuts);
    cuts.sort_unstable();
    let bounds: Vec<usize> = [&[0][..], &cuts, &[values.len()]].concat();
    let level = |from: usize, to: usize| median(values[from..to].to_vec()).unwrap_or(f64::NAN);
    let point = |three: &[usize]| ChangePoint {
        index: three[1],
        before: level(three[0], three[1]),
        after: level(three[1], three[2]),
    };
    bounds.windows(3).map(point).collect()
}

/// Adds the cuts of `values`, which begin at `offset` of the whole series.
fn segment(values: &[f64], offset: usize, cuts: &mut Vec<usize>) {
    let Some(cut) = pettitt(values) else { return };
    cuts.push(offset + cut);
    segment(&values[..cut], offset, cuts);
    segment(&values[cut..], offset + cut, cuts);
}

/// The clearest change of one series: the index at which the new level begins.
fn pettitt(values: &[f64]) -> Option<usize> {
    let count = values.len();
    if count < 2 * LEAST_SIDE {
        return None;
    }
    let sign = |a: f64, b: f64| if a > b { 1.0 } else { -f64::from(a < b) };
    let statistic = |cut: usize| -> f64 {
        let (before, after) = values.split_at(cut);
        before.iter().flat_map(|a| after.iter().map(move |b| sign(*b, *a))).sum::<f64>().abs()
    };
    let cuts = (LEAST_SIDE..=count - LEAST_SIDE).map(|cut| (cut, statistic(cut)));
    let (cut, most) = cuts.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let n = count as f64;
    // Pettitt's approximation, which is conservative for short series.
    let chance = 2.0 * (-6.0 * most * most / (n * n * n + n * n)).exp();
    (chance < SIGNIFICANCE).then_some(cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noisy(count: usize, level: f64) -> impl Iterator<Item = f64> {
        (0..count).map(move |i| level * (1.0 + 0.002 * ((i * 7 % 5) as f64 - 2.0)))
    }

    #[test]
    fn finds_the_steps_of_a_series_and_none_in_noise() {
        let series: Vec<f64> =
            noisy(20, 100.0).chain(noisy(15, 105.0)).chain(noisy(25, 98.0)).collect();
        let found = change_points(&series);
        assert_eq!(found.iter().map(|point| point.index).collect::<Vec<_>>(), [20, 35]);
        assert!((found[0].before - 100.0).abs() < 0.5 && (found[0].after - 105.0).abs() < 0.5);
        let flat: Vec<f64> = noisy(60, 100.0).collect();
        assert_eq!(change_points(&flat), []);
        assert_eq!(change_points(&[1.0, 2.0]), []);
    }
}
