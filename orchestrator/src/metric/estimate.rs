//! From the images' results to one number with an interval.

use serde::{Deserialize, Serialize};

use super::builtin::Metric;
use super::criterion::Measure;
use super::detection::average_precision;
use crate::evaluate::{SampleResult, bootstrap, interval, quantiles, wilson, wilson_of};

/// Largest signal to noise ratio that is told, in decibels: fp32 itself is less exact.
const MOST_DECIBELS: f64 = 200.0;

/// An image's part in a value that is made of all images together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tally {
    /// The value is the ratio of the sums.
    Ratio {
        /// What counts.
        sum: f64,
        /// Out of how much.
        of: f64,
    },
    /// Boxes, ranked over all images.
    Ranked {
        /// How many are to be found.
        truths: u64,
        /// Score of each that was found, and a bit for every threshold at which it is right.
        found: Vec<(f64, u16)>,
    },
}

/// What a value is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// In 0..=1, where 1 is best.
    #[default]
    Share,
    /// A relative error, where 0 is best.
    Error,
    /// Decibels, of which more are better.
    Decibels,
    /// What a program of the user's says; more is better.
    Number,
}

impl Unit {
    /// The value as floors bound it from below: of an error what is left of 1.
    pub fn quality(self, value: f64) -> f64 {
        match self {
            Self::Error => 1.0 - value,
            Self::Share | Self::Decibels | Self::Number => value,
        }
    }

    /// As tables show it.
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Share => format!("{:.1} %", 100.0 * value),
            Self::Error => format!("{:.2} %", 100.0 * value),
            Self::Decibels => format!("{value:.1} dB"),
            Self::Number => format!("{value:.4}"),
        }
    }
}

/// `10 log10(signal / noise)` within what is told; 0 where there is neither.
pub(super) fn decibels(signal: f64, noise: f64) -> f64 {
    match (signal > 0.0, noise > 0.0) {
        (_, false) => MOST_DECIBELS,
        (false, true) => -MOST_DECIBELS,
        (true, true) => (10.0 * (signal / noise).log10()).clamp(-MOST_DECIBELS, MOST_DECIBELS),
    }
}

/// Makes one number of images' results, or of any draw from them.
#[derive(Clone, Debug, PartialEq)]
pub enum Estimator {
    /// The mean of the images' values.
    Mean(Vec<f64>),
    /// The ratio of sums that count boxes.
    Share(Vec<(f64, f64)>),
    /// The ratio of sums.
    Ratio(Vec<(f64, f64)>),
    /// Ten times the logarithm of the ratio of sums.
    Decibels(Vec<(f64, f64)>),
    /// Average precision, mean over so many thresholds.
    Ranked {
        /// How many boxes are to be found, by image.
        truths: Vec<u64>,
        /// Image and thresholds reached, in falling order of score; of equal scores the earlier image comes first.
        order: Vec<(usize, u16)>,
        /// How many thresholds.
        thresholds: usize,
    },
}

/// Whether `measure` has anything to say about the image.
fn counts(measure: &Measure, result: &SampleResult) -> bool {
    match (&result.tally, measure.is_pooled()) {
        (_, false) => result.value.is_some(),
        (Some(Tally::Ratio { sum, of }), true) => *sum > 0.0 || *of > 0.0,
        (Some(Tally::Ranked { truths, found }), true) => *truths > 0 || !found.is_empty(),
        (None, true) => false,
    }
}

impl Estimator {
    /// Of the images that count, in order.
    pub fn new(measure: &Measure, results: &[SampleResult]) -> Self {
        Self::of(measure, results.iter().filter(|result| counts(measure, result)))
    }

    /// Two estimators of the same images in the same order: of those that count for both.
    pub fn pair(measure: &Measure, a: &[SampleResult], b: &[SampleResult]) -> (Self, Self) {
        let both =
            |(a, b): &(&SampleResult, &SampleResult)| counts(measure, a) && counts(measure, b);
        let kept: Vec<_> = a.iter().zip(b).filter(both).collect();
        let first = Self::of(measure, kept.iter().map(|(a, _)| *a));
        (first, Self::of(measure, kept.iter().map(|(_, b)| *b)))
    }

    fn of<'a>(measure: &Measure, results: impl Iterator<Item = &'a SampleResult>) -> Self {
        let Measure::Builtin(metric) = measure else {
            return Self::Mean(results.filter_map(|result| result.value).collect());
        };
        let ratio = |result: &SampleResult| match result.tally {
            Some(Tally::Ratio { sum, of }) => (sum, of),
            _ => (0.0, 0.0),
        };
        match metric {
            Metric::Recall(_) | Metric::Precision(_) => Self::Share(results.map(ratio).collect()),
            Metric::Iou => Self::Ratio(results.map(ratio).collect()),
            Metric::Sqnr => Self::Decibels(results.map(ratio).collect()),
            Metric::AveragePrecision(thresholds) => ranking(results, *thresholds),
            Metric::SameClass
            | Metric::BestBox
            | Metric::CorrectKeypoints(_)
            | Metric::NormalizedMeanError
            | Metric::Cosine => Self::Mean(results.filter_map(|result| result.value).collect()),
        }
    }

    /// How many images count.
    pub fn images(&self) -> usize {
        match self {
            Self::Mean(values) => values.len(),
            Self::Share(sums) | Self::Ratio(sums) | Self::Decibels(sums) => sums.len(),
            Self::Ranked { truths, .. } => truths.len(),
        }
    }

    /// The value; 0 where no image counts.
    pub fn value(&self) -> f64 {
        let all: Vec<usize> = (0..self.images()).collect();
        self.at(&all)
    }

    /// The value of a draw of images, by index.
    pub fn at(&self, draw: &[usize]) -> f64 {
        if draw.is_empty() {
            return 0.0;
        }
        let sums = |sums: &[(f64, f64)]| {
            let add = |(sum, of): (f64, f64), &at: &usize| (sum + sums[at].0, of + sums[at].1);
            draw.iter().fold((0.0, 0.0), add)
        };
        match self {
            Self::Mean(values) => {
                draw.iter().map(|&at| values[at]).sum::<f64>() / draw.len() as f64
            }
            Self::Share(parts) | Self::Ratio(parts) => match sums(parts) {
                (_, 0.0) => 0.0,
                (sum, of) => sum / of,
            },
            Self::Decibels(parts) => {
                let (signal, noise) = sums(parts);
                decibels(signal, noise)
            }
            Self::Ranked { truths, order, thresholds } => {
                let mut times = vec![0_u64; truths.len()];
                draw.iter().for_each(|&at| times[at] += 1);
                let total = truths.iter().zip(&times).map(|(truths, times)| truths * times).sum();
                let at_threshold = |threshold: usize| {
                    let right = |&(image, hits): &(usize, u16)| {
                        (hits & (1 << threshold) != 0, times[image])
                    };
                    average_precision(order.iter().map(right), total)
                };
                (0..*thresholds).map(at_threshold).sum::<f64>() / *thresholds as f64
            }
        }
    }

    /// The 95 % interval of the value. Shares of images have Wilson's; shares of boxes, too, with only as many trials as there are
    /// images, for boxes of one image are not independent. Everything else has the bootstrap's, which draws images; where it
    /// cannot tell anything, for all images are perfect or all fail, Wilson's.
    pub fn interval(&self) -> (f64, f64) {
        let images = self.images();
        let value = self.value();
        let extreme = value == 0.0 || value == 1.0;
        match self {
            Self::Mean(values) => interval(values),
            Self::Share(_) => wilson_of(value * images as f64, images as f64),
            Self::Ratio(_) | Self::Ranked { .. } if extreme => {
                wilson(if value == 1.0 { images as u64 } else { 0 }, images as u64)
            }
            _ => quantiles(&bootstrap(images, |draw| self.at(draw)), 0.025),
        }
    }
}

fn ranking<'a>(results: impl Iterator<Item = &'a SampleResult>, thresholds: usize) -> Estimator {
    let (mut truths, mut boxes) = (Vec::new(), Vec::new());
    for result in results {
        let Some(Tally::Ranked { truths: here, found }) = &result.tally else { continue };
        boxes.extend(found.iter().map(|&(score, hits)| (score, truths.len(), hits)));
        truths.push(*here);
    }
    boxes.sort_by(|a: &(f64, usize, u16), b| b.0.total_cmp(&a.0));
    let order = boxes.into_iter().map(|(_, image, hits)| (image, hits)).collect();
    Estimator::Ranked { truths, order, thresholds }
}

#[cfg(test)]
mod tests {
    use quantrack_engine::glue::Regions;
    use quantrack_engine::vision::BoundingBox;

    use super::super::detection::ranked;
    use super::*;

    fn result(value: Option<f64>, tally: Option<Tally>) -> SampleResult {
        SampleResult { value, label: None, parts: Vec::new(), tally }
    }

    fn ratio(sum: f64, of: f64) -> SampleResult {
        result((of > 0.0).then(|| sum / of), Some(Tally::Ratio { sum, of }))
    }

    fn estimator(metric: &str, results: &[SampleResult]) -> Estimator {
        Estimator::new(&Measure::Builtin(Metric::named(metric).unwrap()), results)
    }

    #[test]
    fn shares_of_boxes_pool_all_images_and_count_images_as_trials() {
        // 5 of 8 boxes in three images; in a fourth there is nothing to find.
        let results = [ratio(1.0, 4.0), ratio(2.0, 2.0), ratio(2.0, 2.0), ratio(0.0, 0.0)];
        let recall = estimator("recall", &results);
        assert_eq!((recall.images(), recall.value()), (3, 5.0 / 8.0));
        assert_eq!(recall.interval(), wilson_of(3.0 * 5.0 / 8.0, 3.0));
        assert!(recall.interval().1 - recall.interval().0 > wilson(5, 8).1 - wilson(5, 8).0);
        let perfect = estimator("recall", &[ratio(3.0, 3.0), ratio(1.0, 1.0)]);
        assert_eq!(perfect.interval(), wilson(2, 2), "two images prove little");
    }

    #[test]
    fn decibels_are_those_of_all_images_together() {
        let results = [ratio(90.0, 0.5), ratio(10.0, 0.5)];
        let sqnr = estimator("sqnr", &results);
        assert!((sqnr.value() - 20.0).abs() < 1e-12);
        let (low, high) = sqnr.interval();
        assert!((13.0..=20.0).contains(&low) && (20.0..=22.6).contains(&high), "{low} {high}");
        assert_eq!(estimator("sqnr", &[ratio(9.0, 0.0)]).value(), 200.0);
        assert_eq!(estimator("sqnr", &[ratio(0.0, 1.0)]).value(), -200.0);
    }

    #[test]
    fn precision_is_averaged_over_boxes_ranked_over_all_images() {
        let image = |truths, found: &[(f64, u16)]| {
            result(None, Some(Tally::Ranked { truths, found: found.to_vec() }))
        };
        // Right at .9 (at all thresholds), wrong at .8, right at .7 (at IoU .50 only); one of three is missed.
        let all = [image(1, &[(0.9, 0x3ff), (0.8, 0)]), image(2, &[(0.7, 1)]), image(0, &[])];
        let at_50 = estimator("map@50", &all);
        assert_eq!(at_50.images(), 2);
        // 1 up to recall 1/3 (34 levels), 2/3 up to recall 2/3 (33 levels), nothing beyond.
        let expected = (34.0 + 33.0 * 2.0 / 3.0) / 101.0;
        assert!((at_50.value() - expected).abs() < 1e-12, "{}", at_50.value());
        let mean = estimator("map@50:95", &all);
        assert!((mean.value() - (expected + 9.0 * 34.0 / 101.0) / 10.0).abs() < 1e-12);
        let (low, high) = at_50.interval();
        assert!(low < at_50.value() && at_50.value() < high && high <= 1.0, "{low} {high}");
        assert_eq!(at_50.interval(), (low, high), "the seed is fixed");
        let perfect = estimator("map@50", &[image(1, &[(0.9, 1)]), image(1, &[(0.2, 1)])]);
        assert_eq!((perfect.value(), perfect.interval()), (1.0, wilson(2, 2)));
    }

    /// Boxes by formulas, evaluated by pycocotools 2.0: AP .195185643564, AP at IoU .50 .396039603960.
    #[test]
    fn average_precision_is_that_of_pycocotools() {
        let truth = |i: usize, k: usize| {
            let (x, y) = (7 * ((i * 3 + k * 5) % 11), 5 * ((i * 7 + k * 2) % 13));
            let (width, height) = (10 + (i + k) % 5, 8 + (2 * i + k) % 7);
            [x, y, x + width, y + height].map(|corner| corner as f64)
        };
        let regions = |boxes: Vec<([f64; 4], f64)>| Regions {
            squares: Vec::new(),
            bounds: boxes
                .iter()
                .map(|&([x_min, y_min, x_max, y_max], _)| BoundingBox {
                    x_min,
                    y_min,
                    x_max,
                    y_max,
                })
                .collect(),
            scores: boxes.iter().map(|&(_, score)| score).collect(),
        };
        let found = |i: usize, k: usize| {
            let shift = [0.0, 0.5, 1.0, 2.0, 4.0, 9.0][(i * 5 + k * 3) % 6];
            let [x_min, y_min, x_max, y_max] = truth(i, k);
            let half = shift / 2.0;
            let score = ((i * 37 + k * 61) % 97 + 1) as f64 / 100.0;
            ([x_min + shift, y_min + half, x_max + shift, y_max + half], score)
        };
        let image = |i: usize| {
            let truths = regions((0..i % 4).map(|k| (truth(i, k), 1.0)).collect());
            let found = regions((0..(i + 1) % 5 + i % 2).map(|k| found(i, k)).collect());
            result(None, Some(ranked(Some(&found), Some(&truths))))
        };
        let images: Vec<SampleResult> = (0..8).map(image).collect();
        for (metric, expected) in
            [("map@50", 0.396_039_603_960_396_06), ("map@50:95", 0.195_185_643_564_356_44)]
        {
            let value = estimator(metric, &images).value();
            assert!((value - expected).abs() < 1e-12, "{metric}: {value}");
        }
    }

    #[test]
    fn nothing_is_no_value_and_everything_is_possible() {
        for metric in ["recall", "iou", "map@50", "nme", "cosine", "sqnr"] {
            let none = estimator(metric, &[result(None, None)]);
            assert_eq!((none.images(), none.value()), (0, 0.0), "{metric}");
            assert_eq!(none.interval(), (0.0, 1.0), "{metric}");
        }
    }

    #[test]
    fn pairs_are_images_that_count_for_both() {
        let cosine = Measure::Builtin(Metric::Cosine);
        let (a, b) = ([Some(0.5), None, Some(1.0)], [Some(0.25), Some(1.0), Some(1.0)]);
        let results = |values: [Option<f64>; 3]| values.map(|value| result(value, None));
        let (a, b) = Estimator::pair(&cosine, &results(a), &results(b));
        assert_eq!((a, b), (Estimator::Mean(vec![0.5, 1.0]), Estimator::Mean(vec![0.25, 1.0])));
    }

    #[test]
    fn errors_leave_the_rest_of_one() {
        assert_eq!(Unit::Error.quality(0.02), 0.98);
        assert_eq!(Unit::Decibels.quality(20.0), 20.0);
        let texts = [Unit::Share, Unit::Error, Unit::Decibels, Unit::Number].map(|u| u.text(0.5));
        assert_eq!(texts, ["50.0 %", "50.00 %", "0.5 dB", "0.5000"]);
    }

    proptest::proptest! {
        #[test]
        fn intervals_contain_the_value(
            parts in proptest::collection::vec((0_u8..5, 0_u8..5), 1..30),
        ) {
            let image = |&(sum, more): &(u8, u8)| ratio(f64::from(sum), f64::from(sum + more));
            let results: Vec<SampleResult> = parts.iter().map(image).collect();
            for metric in ["recall", "precision", "iou"] {
                let estimator = estimator(metric, &results);
                let ((low, high), value) = (estimator.interval(), estimator.value());
                proptest::prop_assert!((0.0..=1.0).contains(&low) && high <= 1.0 && low <= high);
                if metric != "iou" && estimator.images() > 0 {
                    proptest::prop_assert!(low <= value + 1e-12 && value <= high + 1e-12);
                }
            }
        }

        #[test]
        fn the_order_of_images_does_not_change_the_ranking_s_value(
            scores in proptest::collection::vec((0_u16..1000, 0_u16..1024), 1..20),
        ) {
            // Different scores: ties may be broken either way.
            let image = |(index, &(score, hits)): (usize, &(u16, u16))| {
                let score = f64::from(score) + index as f64 / 100.0;
                result(None, Some(Tally::Ranked { truths: 1, found: vec![(score, hits)] }))
            };
            let mut images: Vec<SampleResult> = scores.iter().enumerate().map(image).collect();
            let value = estimator("map@50:95", &images).value();
            images.reverse();
            proptest::prop_assert!((estimator("map@50:95", &images).value() - value).abs() < 1e-12);
        }
    }
}
