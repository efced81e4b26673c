//! How an assignment compares with another on the same samples, and whether it meets its target.

use serde::Serialize;

use super::SampleResult;
use super::decision::{Paired, Verdict, decide, settle};
use super::interval::{bootstrap, quantiles, wilson};
use crate::metric::{Criterion, Estimator, Unit};
use crate::search::Floor;

/// A candidate beside its reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Who is right where, if images are right or wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paired: Option<Paired>,
    /// By how much the candidate is better; of an error, by how much less it is.
    pub difference: f64,
    /// 95 % interval of the difference.
    pub difference_ci95: (f64, f64),
    /// Whether the candidate reaches the accuracy that is asked for.
    pub verdict: Verdict,
}

impl Comparison {
    /// Of results for the same samples in the same order.
    pub fn new(
        criterion: &Criterion,
        reference: &[SampleResult],
        candidate: &[SampleResult],
        (floor, confidence): (Floor, f64),
    ) -> Self {
        if criterion.is_count() {
            let paired = Paired::of(reference, candidate);
            return Self {
                paired: Some(paired),
                difference: paired.difference(),
                difference_ci95: paired.interval(0.95),
                verdict: decide(floor, &paired, confidence),
            };
        }
        let unit = criterion.unit();
        let (reference, candidate) = Estimator::pair(&criterion.measure, reference, candidate);
        let images = candidate.images();
        let quality = |draw: &[usize]| unit.quality(candidate.at(draw));
        let gain = |draw: &[usize]| quality(draw) - unit.quality(reference.at(draw));
        let all: Vec<usize> = (0..images).collect();
        let gains = bootstrap(images, gain);
        let widened = |draws: &[f64], tail: f64| widened(quantiles(draws, tail), images, unit);
        let tail = 1.0 - confidence;
        let (value, bounds, floor) = match floor {
            Floor::MaxDropPoints(points) => (gain(&all), widened(&gains, tail), -points / 100.0),
            Floor::MinAccuracy(least) => {
                (quality(&all), widened(&bootstrap(images, quality), tail), least)
            }
        };
        // Half widths shrink with the root of the number of samples.
        let shrunk = |factor: f64| {
            let bound = |bound: f64| value + (bound - value) / factor.sqrt();
            (bound(bounds.0), bound(bounds.1))
        };
        let verdict = match images {
            0 => Verdict::Inconclusive { more: None },
            images => settle(images as u64, floor, shrunk),
        };
        Self {
            paired: None,
            difference: gain(&all),
            difference_ci95: widened(&gains, 0.025),
            verdict,
        }
    }
}

/// By how much the candidate is better than the reference, as in [`Comparison`], with its interval at `confidence`.
pub fn gain(
    criterion: &Criterion,
    reference: &[SampleResult],
    candidate: &[SampleResult],
    confidence: f64,
) -> (f64, (f64, f64)) {
    if criterion.is_count() {
        let paired = Paired::of(reference, candidate);
        return (paired.difference(), paired.interval(confidence));
    }
    let unit = criterion.unit();
    let (reference, candidate) = Estimator::pair(&criterion.measure, reference, candidate);
    let images = candidate.images();
    let gain = |draw: &[usize]| unit.quality(candidate.at(draw)) - unit.quality(reference.at(draw));
    let all: Vec<usize> = (0..images).collect();
    let bounds = quantiles(&bootstrap(images, gain), (1.0 - confidence) / 2.0);
    (gain(&all), widened(bounds, images, unit))
}

/// The interval, or, where resampling saw no spread at all, one as wide as the share of images that may be otherwise though none
/// was seen: Wilson's for none of so many. Without images everything is possible.
fn widened((low, high): (f64, f64), images: usize, unit: Unit) -> (f64, f64) {
    let bounded = matches!(unit, Unit::Share | Unit::Error);
    match (images, low == high && bounded) {
        (0, _) => (-1.0, 1.0),
        (_, false) => (low, high),
        (images, true) => {
            let unseen = wilson(0, images as u64).1;
            (low - unseen, (high + unseen).min(1.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: impl IntoIterator<Item = f64>) -> Vec<SampleResult> {
        let one = |value| SampleResult { value: Some(value), ..SampleResult::default() };
        values.into_iter().map(one).collect()
    }

    fn compared(metric: &str, candidate: &[SampleResult], floor: Floor) -> Comparison {
        let criterion = Criterion::named(metric, None).unwrap();
        let perfect = if metric == "nme" { 0.0 } else { 1.0 };
        let reference = results(candidate.iter().map(|_| perfect));
        Comparison::new(&criterion, &reference, candidate, (floor, 0.95))
    }

    #[test]
    fn means_are_decided_by_resampled_bounds() {
        // Between .94 and .98: on average .96.
        let candidate = results((0..200).map(|i| 0.94 + 0.04 * f64::from(i) / 199.0));
        let of = |floor| compared("cosine", &candidate, floor);
        let met = of(Floor::MaxDropPoints(5.0));
        assert_eq!((met.paired, met.verdict), (None, Verdict::Meets));
        assert!((met.difference + 0.04).abs() < 1e-9, "{met:?}");
        let (low, high) = met.difference_ci95;
        // The normal interval: 1.96 * .04 / sqrt(12 * 200).
        assert!((low + 0.0416).abs() < 3e-4 && (high + 0.0384).abs() < 3e-4, "{low} {high}");
        assert_eq!(of(Floor::MaxDropPoints(3.0)).verdict, Verdict::Misses);
        assert_eq!(of(Floor::MinAccuracy(0.95)).verdict, Verdict::Meets);
        assert_eq!(of(Floor::MinAccuracy(0.97)).verdict, Verdict::Misses);
        let near = of(Floor::MinAccuracy(0.9595)).verdict;
        assert!(matches!(near, Verdict::Inconclusive { more: Some(more) } if more > 200), "{near}");
    }

    #[test]
    fn errors_count_from_the_other_side() {
        let candidate = results((0..50).map(|i| 0.01 + 0.0002 * f64::from(i)));
        let met = compared("nme", &candidate, Floor::MaxDropPoints(2.0));
        assert_eq!(met.verdict, Verdict::Meets);
        assert!((met.difference + 0.0149).abs() < 1e-9, "more error is worse: {met:?}");
        assert_eq!(compared("nme", &candidate, Floor::MinAccuracy(0.99)).verdict, Verdict::Misses);
    }

    #[test]
    fn a_few_images_without_any_difference_prove_little() {
        let same = |count: usize| {
            compared("cosine", &results(vec![1.0; count]), Floor::MaxDropPoints(1.0)).verdict
        };
        assert!(matches!(same(10), Verdict::Inconclusive { more: Some(_) }), "{}", same(10));
        assert_eq!(same(500), Verdict::Meets);
        assert_eq!(same(0), Verdict::Inconclusive { more: None });
    }

    #[test]
    fn images_that_are_right_or_wrong_are_paired() {
        let criterion = Criterion::agreement();
        let (fp32, other) = (results([1.0, 1.0, 0.0]), results([1.0, 0.0, 1.0]));
        let floor = (Floor::MaxDropPoints(4.0), 0.95);
        let comparison = Comparison::new(&criterion, &fp32, &other, floor);
        let paired = Paired { both: 1, lost: 1, gained: 1, neither: 0 };
        assert_eq!((comparison.paired, comparison.difference), (Some(paired), 0.0));
    }
}
