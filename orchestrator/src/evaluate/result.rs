//! What evaluations say.

use serde::{Deserialize, Serialize};

use super::interval::{interval, wilson};
use crate::search::Accuracy;

/// What an evaluation says about one image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleResult {
    /// The metric, in 0..=1; `None` where the stage has nothing to look at.
    pub value: Option<f64>,
    /// The class found, end to end.
    pub label: Option<String>,
}

/// A stage's own metric, averaged over the images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Name of the metric.
    pub metric: String,
    /// The mean, in 0..=1.
    pub value: f64,
    /// 95 % interval of the mean.
    pub ci95: (f64, f64),
    /// Images that count: those in which the stages before, at fp32, found something.
    pub samples: u64,
}

impl Score {
    /// Of the images' results, in order.
    pub fn new(metric: &str, results: &[SampleResult]) -> Self {
        let values: Vec<f64> = results.iter().filter_map(|result| result.value).collect();
        let value = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let samples = values.len() as u64;
        Self { metric: metric.to_owned(), value, ci95: interval(&values), samples }
    }
}

/// End-to-end accuracy of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndToEnd {
    /// Name of the metric.
    pub metric: String,
    /// Images with the right answer.
    pub correct: u64,
    /// Images in all; one without an answer counts as wrong.
    pub total: u64,
    /// The share of right answers.
    pub value: f64,
    /// Its 95 % interval.
    pub ci95: (f64, f64),
}

impl EndToEnd {
    /// Of the images' results.
    pub fn new(metric: &str, results: &[SampleResult]) -> Self {
        let total = results.len() as u64;
        let correct = results.iter().filter(|result| result.value == Some(1.0)).count() as u64;
        let value = correct as f64 / total.max(1) as f64;
        Self { metric: metric.to_owned(), correct, total, value, ci95: wilson(correct, total) }
    }

    /// As the search counts.
    pub fn accuracy(&self) -> Accuracy {
        Accuracy { correct: self.correct, total: self.total }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(values: &[Option<f64>]) -> Vec<SampleResult> {
        values.iter().map(|&value| SampleResult { value, label: None }).collect()
    }

    #[test]
    fn images_without_inputs_do_not_count_for_a_stage_but_do_end_to_end() {
        let results = results(&[Some(1.0), None, Some(0.5), Some(0.0)]);
        let score = Score::new("m", &results);
        assert_eq!((score.value, score.samples), (0.5, 3));
        let end_to_end = EndToEnd::new("top1", &results);
        assert_eq!((end_to_end.correct, end_to_end.total, end_to_end.value), (1, 4, 0.25));
    }

    #[test]
    fn nothing_is_no_accuracy() {
        assert_eq!(Score::new("m", &[]).ci95, (0.0, 1.0));
        assert_eq!(EndToEnd::new("top1", &[]).value, 0.0);
    }
}
