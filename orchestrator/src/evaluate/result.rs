//! What evaluations say.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::interval::wilson;
use crate::metric::{Criterion, Estimator, Tally, Unit};
use quantrack_engine::glue::{Part, Quantity};

/// What an evaluation says about one image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SampleResult {
    /// The metric; `None` where there is nothing to look at, or the image has no value of its own.
    pub value: Option<f64>,
    /// The class found, end to end.
    pub label: Option<String>,
    /// How a stage's finding compares with that of fp32.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
    /// The image's part in a metric of all images together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<Tally>,
}

/// A quantity in which a stage is compared with fp32, over all images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// The quantity.
    pub quantity: Quantity,
    /// Its value: a share or a ratio, and decibels for the SQNR; `None` where nothing differs, which is no number of
    /// decibels.
    pub value: Option<f64>,
}

impl Detail {
    /// Every quantity that some image has a part in.
    fn all(results: &[SampleResult]) -> Vec<Self> {
        let mut sums: BTreeMap<Quantity, (f64, f64)> = BTreeMap::new();
        for part in results.iter().flat_map(|result| &result.parts) {
            let (sum, of) = sums.entry(part.quantity).or_default();
            *sum += part.sum;
            *of += part.of;
        }
        let value = |(quantity, (sum, of)): (Quantity, (f64, f64))| match quantity {
            Quantity::SqnrDb if of == 0.0 => Some(Self { quantity, value: None }),
            Quantity::SqnrDb if sum == 0.0 => None,
            Quantity::SqnrDb => Some(Self { quantity, value: Some(10.0 * (sum / of).log10()) }),
            _ if of == 0.0 => None,
            _ => Some(Self { quantity, value: Some(sum / of) }),
        };
        sums.into_iter().filter_map(value).collect()
    }
}

impl fmt::Display for Detail {
    /// As in "recall 98.5 %".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(value) = self.value else { return f.write_str("SQNR unlimited") };
        let percent = 100.0 * value;
        match self.quantity {
            Quantity::Recall => write!(f, "recall {percent:.1} %"),
            Quantity::Precision => write!(f, "precision {percent:.1} %"),
            Quantity::MeanIou => write!(f, "mean IoU {value:.3}"),
            Quantity::HandsFound => write!(f, "hands found {percent:.1} %"),
            Quantity::NormalizedMeanError => write!(f, "NME {percent:.2} %"),
            Quantity::Agreement => write!(f, "agreement {percent:.1} %"),
            Quantity::Cosine => write!(f, "cosine {value:.4}"),
            Quantity::SqnrDb => write!(f, "SQNR {value:.1} dB"),
        }
    }
}

/// As in "recall 98.5 %, precision 100.0 %".
pub fn details_text(details: &[Detail]) -> String {
    let texts: Vec<String> = details.iter().map(Detail::to_string).collect();
    texts.join(", ")
}

/// A stage's own metric over the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// What the value is.
    #[serde(default)]
    pub unit: Unit,
    /// 95 % interval; absent where a program of the user's gave one number for all images.
    pub ci95: Option<(f64, f64)>,
    /// Images that count: those in which the stages before, at fp32, found something, and the metric has something to say.
    pub samples: u64,
    /// How the variant compares with fp32 in the terms of its field.
    #[serde(default)]
    pub details: Vec<Detail>,
}

impl Score {
    /// Of the images' results, in order.
    pub fn new(criterion: &Criterion, results: &[SampleResult]) -> Self {
        let estimator = Estimator::new(&criterion.measure, results);
        Self {
            metric: criterion.name(),
            value: estimator.value(),
            unit: criterion.unit(),
            ci95: Some(estimator.interval()),
            samples: estimator.images() as u64,
            details: Detail::all(results),
        }
    }

    /// What floors bound from below: more is better.
    pub fn quality(&self) -> f64 {
        self.unit.quality(self.value)
    }
}

/// End-to-end accuracy of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndToEnd {
    /// Name of the metric.
    pub metric: String,
    /// Images with the right answer; absent where they are not right or wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<u64>,
    /// Images in all; one without an answer counts as wrong.
    pub total: u64,
    /// The share of right answers, or the metric's value.
    pub value: f64,
    /// What the value is.
    #[serde(default)]
    pub unit: Unit,
    /// Its 95 % interval.
    pub ci95: (f64, f64),
}

impl EndToEnd {
    /// Of the images' results.
    pub fn new(criterion: &Criterion, results: &[SampleResult]) -> Self {
        let (metric, unit) = (criterion.name(), criterion.unit());
        let total = results.len() as u64;
        if !criterion.is_count() {
            let estimator = Estimator::new(&criterion.measure, results);
            let (value, ci95) = (estimator.value(), estimator.interval());
            return Self { metric, correct: None, total, value, unit, ci95 };
        }
        let correct = results.iter().filter(|result| result.value == Some(1.0)).count() as u64;
        let value = correct as f64 / total.max(1) as f64;
        Self { metric, correct: Some(correct), total, value, unit, ci95: wilson(correct, total) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: &[Option<f64>]) -> Vec<SampleResult> {
        values.iter().map(|&value| SampleResult { value, ..SampleResult::default() }).collect()
    }

    fn cosine() -> Criterion {
        Criterion::named("cosine", None).unwrap()
    }

    #[test]
    fn images_without_inputs_do_not_count_for_a_stage_but_do_end_to_end() {
        let results = results(&[Some(1.0), None, Some(0.5), Some(0.0)]);
        let score = Score::new(&cosine(), &results);
        assert_eq!((score.value, score.samples), (0.5, 3));
        let end_to_end = EndToEnd::new(&Criterion::top1(), &results);
        assert_eq!((end_to_end.correct, end_to_end.total, end_to_end.value), (Some(1), 4, 0.25));
        let mean = EndToEnd::new(&cosine(), &results);
        assert_eq!((mean.correct, mean.total, mean.value), (None, 4, 0.5));
    }

    #[test]
    fn quantities_are_ratios_of_sums_over_all_images() {
        let image = |parts: &[(Quantity, f64, f64)]| SampleResult {
            value: Some(1.0),
            parts: parts.iter().map(|&(quantity, sum, of)| Part { quantity, sum, of }).collect(),
            ..SampleResult::default()
        };
        let score = Score::new(
            &cosine(),
            &[
                image(&[(Quantity::SqnrDb, 90.0, 0.5), (Quantity::Recall, 1.0, 3.0)]),
                image(&[(Quantity::SqnrDb, 10.0, 0.5), (Quantity::Recall, 1.0, 1.0)]),
                image(&[(Quantity::MeanIou, 0.0, 0.0)]),
            ],
        );
        assert_eq!(details_text(&score.details), "recall 50.0 %, SQNR 20.0 dB");
        let same = Score::new(&cosine(), &[image(&[(Quantity::SqnrDb, 90.0, 0.0)])]);
        assert_eq!(same.details, [Detail { quantity: Quantity::SqnrDb, value: None }]);
    }

    #[test]
    fn nothing_is_no_accuracy() {
        assert_eq!(Score::new(&cosine(), &[]).ci95, Some((0.0, 1.0)));
        assert_eq!(EndToEnd::new(&Criterion::top1(), &[]).value, 0.0);
    }
}
