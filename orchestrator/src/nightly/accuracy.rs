//! Accuracy of assignments, compared with a baseline's image by image.
//!
//! Accuracy is measured on this machine, where it is what it is on the board, and a second evaluation gives the same bits: the
//! gates of conditions, of the board's noise and of the rerun fall away. What is left is that the images are the same, that the
//! loss is above what was asked, and that an interval for paired answers excludes zero.

use serde::{Deserialize, Serialize};

use super::effect::CONFIDENCE;
use super::verdict::Verdict;
use crate::evaluate::{EndToEnd, SampleResult, gain};
use crate::metric::{Criterion, Unit};

/// Names of images that a report gives.
const NAMED_IMAGES: usize = 20;

/// An assignment, evaluated end to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccuracyBody {
    /// Digests of the variants, in the order of the stages.
    pub variants: Vec<String>,
    /// Name of the metric.
    pub metric: String,
    /// Digest of the images and their labels.
    pub samples_sha256: String,
    /// The images, by their files.
    pub images: Vec<String>,
    /// What was answered, image by image.
    pub results: Vec<SampleResult>,
}

/// What a check of accuracy found.
#[derive(Clone, Debug, Serialize)]
pub struct AccuracyReport {
    /// The name in the suite.
    pub name: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive.
    pub reason: Option<String>,
    /// The loss that was to be found, in points.
    pub max_drop_points: f64,
    /// Name of the metric.
    pub metric: String,
    /// What its values are.
    pub unit: Unit,
    /// How many images.
    pub images: usize,
    /// The baseline's value.
    pub baseline: f64,
    /// Today's value.
    pub now: f64,
    /// By how much it is better; a loss is negative. Absent where the baseline was refused.
    pub change: Option<f64>,
    /// Interval of the change.
    pub interval: Option<(f64, f64)>,
    /// The first of the images that were answered right, or better, before.
    pub lost: Vec<String>,
    /// Digests of the variants that the baseline ran.
    pub baseline_variants: Vec<String>,
    /// Digests of the variants, in the order of the stages.
    pub variants: Vec<String>,
}

/// Compares today's answers with the baseline's.
pub fn judge(
    name: &str,
    max_drop_points: f64,
    criterion: &Criterion,
    baseline: &AccuracyBody,
    now: &AccuracyBody,
) -> AccuracyReport {
    let value = |body: &AccuracyBody| EndToEnd::new(criterion, &body.results).value;
    let mut report = AccuracyReport {
        name: name.to_owned(),
        verdict: Verdict::Inconclusive,
        reason: refusal(baseline, now),
        max_drop_points,
        metric: now.metric.clone(),
        unit: criterion.unit(),
        images: now.results.len(),
        baseline: value(baseline),
        now: value(now),
        change: None,
        interval: None,
        lost: Vec::new(),
        baseline_variants: baseline.variants.clone(),
        variants: now.variants.clone(),
    };
    if report.reason.is_some() {
        return report;
    }
    let (change, interval) = gain(criterion, &baseline.results, &now.results, CONFIDENCE);
    (report.change, report.interval) = (Some(change), Some(interval));
    report.lost = lost(criterion, baseline, now);
    (report.verdict, report.reason) = if baseline.results == now.results {
        // Nothing was answered otherwise: no number of images would tell more about these.
        (Verdict::Ok, None)
    } else {
        verdict(change, interval, max_drop_points)
    };
    report
}

/// Why answers cannot be compared.
fn refusal(baseline: &AccuracyBody, now: &AccuracyBody) -> Option<String> {
    if baseline.metric != now.metric {
        return Some(format!(
            "the baseline is of the metric {}, not {}",
            baseline.metric, now.metric
        ));
    }
    (baseline.samples_sha256 != now.samples_sha256).then(|| {
        let (before, after) = (baseline.results.len(), now.results.len());
        format!("the baseline is of other images or labels ({before}, now {after})")
    })
}

fn verdict(
    change: f64,
    (low, high): (f64, f64),
    max_drop_points: f64,
) -> (Verdict, Option<String>) {
    let bar = max_drop_points / 100.0;
    let points = |share: f64| format!("{:.1} points", 100.0 * share.abs());
    if high < 0.0 && change < -bar {
        return (Verdict::Regression, None);
    }
    if low > 0.0 && change > bar {
        return (Verdict::Improved, None);
    }
    if low >= -bar {
        return (Verdict::Ok, None);
    }
    let why = match high < 0.0 {
        true => format!(
            "worse by {}, below the {max_drop_points} that were to be found",
            points(change)
        ),
        false => format!(
            "a loss of up to {} cannot be ruled out with these images, and {max_drop_points} were to be \
             found",
            points(low)
        ),
    };
    (Verdict::Inconclusive, Some(why))
}

/// The images that were answered better before.
fn lost(criterion: &Criterion, baseline: &AccuracyBody, now: &AccuracyBody) -> Vec<String> {
    let unit = criterion.unit();
    let quality = |result: &SampleResult| result.value.map(|value| unit.quality(value));
    let worse = |(before, after): (&SampleResult, &SampleResult)| quality(after) < quality(before);
    let pairs = baseline.results.iter().zip(&now.results);
    let images = now.images.iter().zip(pairs).filter(|(_, pair)| worse(*pair));
    images.map(|(image, _)| image.clone()).take(NAMED_IMAGES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of which those in `wrong` are wrong.
    fn body(images: usize, wrong: std::ops::Range<usize>) -> AccuracyBody {
        let result = |image: usize| SampleResult {
            value: Some(if wrong.contains(&image) { 0.0 } else { 1.0 }),
            ..SampleResult::default()
        };
        AccuracyBody {
            variants: Vec::new(),
            metric: "top1".to_owned(),
            samples_sha256: images.to_string(),
            images: (0..images).map(|image| format!("{image}.png")).collect(),
            results: (0..images).map(result).collect(),
        }
    }

    fn judged(before: &AccuracyBody, after: &AccuracyBody) -> AccuracyReport {
        judge("all", 1.0, &Criterion::top1(), before, after)
    }

    #[test]
    fn losses_are_found_and_what_is_no_loss_is_ok() {
        let before = body(400, 0..20);
        let worse = judged(&before, &body(400, 0..60));
        assert_eq!(worse.verdict, Verdict::Regression, "{worse:?}");
        assert_eq!((worse.lost.len(), worse.lost[0].as_str()), (20, "20.png"));
        assert_eq!(judged(&body(400, 0..60), &before).verdict, Verdict::Improved);
        // Two images without any difference say nothing of others, and nothing has become worse.
        assert_eq!(judged(&body(2, 0..1), &body(2, 0..1)).verdict, Verdict::Ok);
        assert_eq!(judged(&body(5000, 0..20), &body(5000, 1..21)).verdict, Verdict::Ok);
    }

    #[test]
    fn what_cannot_be_told_is_said() {
        let few = judged(&body(40, 0..2), &body(40, 0..4));
        assert_eq!(few.verdict, Verdict::Inconclusive);
        assert!(few.reason.unwrap().contains("cannot be ruled out"));
        let small = judged(&body(20_000, 0..0), &body(20_000, 0..199));
        let why = small.reason.unwrap();
        assert!(why.contains("below the 1 that were to be found"), "{why}");
        let other = judged(&body(40, 0..2), &body(41, 0..2));
        assert_eq!((other.verdict, other.change), (Verdict::Inconclusive, None));
        assert!(other.reason.unwrap().contains("other images"));
    }
}
