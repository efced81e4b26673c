//! The collapse test: a few images tell a variant that finds nothing any more from one that is worth measuring.

use std::sync::Arc;

use quantrack_engine::glue::Kind;
use serde::{Deserialize, Serialize};

use super::{EvaluateError, Evaluator, LoadedVariant, NoJournal, SampleResult};
use crate::dataset::spread;

/// Images of the first batch.
const FIRST: usize = 8;
/// Largest share of a data set that the test looks at.
const MOST_SHARE: f64 = 0.05;
/// Below this share of images in which a variant agrees with fp32 it has collapsed.
const COLLAPSED: f64 = 0.5;
/// Probability of rejecting a variant that agrees in that share of images, at each look; there are two.
const ERROR: f64 = 0.005;

/// What the collapse test saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollapseTest {
    /// Images in which the variant agrees with fp32.
    pub agreeing: u64,
    /// Images looked at: those in which the stages before, at fp32, found something.
    pub samples: u64,
    /// Whether the variant has collapsed: so few agree only by a chance of one in 200 if half of all images do.
    pub collapsed: bool,
}

/// How many of `total` images the test looks at: at most one in twenty, but no fewer than its first batch.
pub fn test_images(total: usize) -> usize {
    ((total as f64 * MOST_SHARE) as usize).max(FIRST).min(total)
}

/// Tests variants on the images of one data set: a first batch, evenly spread, and the others only where that does not tell.
#[derive(Debug)]
pub struct CollapseTester {
    evaluator: Evaluator,
    first: Vec<usize>,
    others: Vec<usize>,
}

impl CollapseTester {
    /// With an evaluator on the images to look at. It should judge stages by what is usual for what they find.
    pub fn new(evaluator: Evaluator) -> Self {
        let images = evaluator.dataset().samples.len();
        let first = spread(images, FIRST);
        let others = (0..images).filter(|index| !first.contains(index)).collect();
        Self { evaluator, first, others }
    }

    /// Tests a variant of stage number `stage`, the stages before it at fp32.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn test(
        &self,
        stage: usize,
        variant: &Arc<LoadedVariant>,
    ) -> Result<CollapseTest, EvaluateError> {
        let least = least_agreement(self.evaluator.chain().glue(stage).finds());
        let agreements =
            |images: &[usize]| self.evaluator.agreements_in(images, stage, variant, &NoJournal);
        let mut results = agreements(&self.first)?;
        if !judge(&results, least).collapsed {
            results.extend(agreements(&self.others)?);
        }
        Ok(judge(&results, least))
    }
}

/// From which value of a stage's metric on a variant agrees with fp32 in an image. Vectors of unrelated directions still have
/// cosines well above 0 where all have a common part, as embeddings do.
fn least_agreement(found: Kind) -> f64 {
    if found == Kind::Tensors { 0.8 } else { 0.5 }
}

fn judge(results: &[SampleResult], least: f64) -> CollapseTest {
    let values: Vec<f64> = results.iter().filter_map(|result| result.value).collect();
    // What is no number agrees with nothing.
    let agreeing = values.iter().filter(|&&value| value >= least).count() as u64;
    let samples = values.len() as u64;
    let collapsed = at_most(agreeing, samples, COLLAPSED) <= ERROR;
    CollapseTest { agreeing, samples, collapsed }
}

/// The probability of at most `successes` in `trials`, each with probability `share`.
fn at_most(successes: u64, trials: u64, share: f64) -> f64 {
    let mut term = (1.0 - share).powi(i32::try_from(trials).unwrap_or(i32::MAX));
    let mut sum = 0.0;
    for count in 0..=successes.min(trials) {
        sum += term;
        term *= (trials - count) as f64 / (count + 1) as f64 * share / (1.0 - share);
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(agreeing: usize, samples: usize) -> Vec<SampleResult> {
        let value = |index: usize| Some(if index < agreeing { 1.0 } else { 0.2 });
        (0..samples).map(|i| SampleResult { value: value(i), ..SampleResult::default() }).collect()
    }

    #[test]
    fn only_what_hardly_ever_agrees_has_collapsed() {
        for (agreeing, samples, collapsed) in [
            (0, 8, true),
            (1, 8, false),
            (2, 8, false),
            (4, 24, true),
            (6, 24, false),
            (24, 24, false),
            (0, 0, false),
            (0, 5, false),
        ] {
            let test = judge(&results(agreeing, samples), 0.5);
            assert_eq!(test.collapsed, collapsed, "{test:?}");
        }
    }

    #[test]
    fn what_is_no_number_does_not_agree_and_what_is_missing_does_not_count() {
        let mut results = results(1, 2);
        results.push(SampleResult { value: Some(f64::NAN), ..SampleResult::default() });
        results.push(SampleResult::default());
        let test = judge(&results, 0.5);
        assert_eq!((test.agreeing, test.samples), (1, 3));
    }

    #[test]
    fn a_variant_that_agrees_in_nine_of_ten_images_is_never_rejected() {
        // Both looks together, at worst.
        let rejected = |samples: u64| {
            let worst =
                (0..=samples).take_while(|&k| at_most(k, samples, COLLAPSED) <= ERROR).last();
            worst.map_or(0.0, |most| at_most(most, samples, 0.9))
        };
        assert!(rejected(8) + rejected(24) < 1e-6, "{} {}", rejected(8), rejected(24));
    }

    #[test]
    fn few_images_are_enough() {
        assert_eq!(test_images(498), 24);
        assert_eq!(test_images(100), 8);
        assert_eq!(test_images(3), 3);
    }
}
