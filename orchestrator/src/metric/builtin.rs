//! The built-in metrics, image by image.

use quantrack_engine::Tensor;
use quantrack_engine::glue::{
    Finding, GlueError, Hand, Kind, Regions, cosine, extent, noise, pair_boxes,
};
use quantrack_engine::vision::{Point, metrics};

use super::detection::{THRESHOLDS, ranked};
use super::estimate::{Tally, Unit, decibels};

/// From this IoU on, two boxes show the same thing, unless another share is named.
const SAME_BOX: f64 = 0.5;

/// The share of the hand within which a landmark is right, unless another is named.
const SAME_PLACE: f64 = 0.1;

/// A metric. Boxes are paired as [`pair_boxes`] does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Metric {
    /// Share of the images with the right class, or in which there is none and none is found.
    SameClass,
    /// Share of the images in which the best box overlaps the right one by an IoU of at least one half, or in which there is
    /// none and none is found.
    BestBox,
    /// PCK, "percentage of correct keypoints" (Y. Yang, D. Ramanan, 2013): share of the landmarks that lie within this share of
    /// the hand's extent, the longer side of the box about its true landmarks; mean over the images. Neither with a hand: 1;
    /// only one: 0.
    CorrectKeypoints(f64),
    /// NME, normalized mean error: distance of a landmark from its true place in shares of the hand's extent, mean over the
    /// landmarks and then over the images. An error: less is better. A hand that only one of the two has counts as an error of
    /// 1, the whole hand; images without any do not count.
    NormalizedMeanError,
    /// IoU of a true box (P. Jaccard, 1912) with the one that was found for it, 0 where none was; mean over the true boxes of
    /// all images.
    Iou,
    /// Share of the true boxes of all images for which one with at least this IoU was found: TP / (TP + FN).
    Recall(f64),
    /// Share of the boxes found in all images that have a true one with at least this IoU: TP / (TP + FP).
    Precision(f64),
    /// COCO's average precision (T.-Y. Lin et al., 2014; `pycocotools`) of one class: precision at 101 levels of recall, each
    /// the best at that recall or beyond, averaged. At so many IoU thresholds 0.50, 0.55, ...: one, or the mean over ten.
    AveragePrecision(usize),
    /// Cosine of the angle between the tensors, those beyond a right angle counted as 0; mean over the tensors and then over
    /// the images.
    Cosine,
    /// Signal to quantization noise ratio in decibels: energy of the reference over that of the differences, both summed over
    /// all images. At most 200: that is no difference at all.
    Sqnr,
}

/// What a metric says about one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measured {
    /// The image's own value; `None` where it has none.
    pub value: Option<f64>,
    /// The image's part in a value that is made of all images together.
    pub tally: Option<Tally>,
}

impl Metric {
    /// The metric of stages that find this, unless another is named.
    pub fn default_of(kind: Kind) -> Self {
        match kind {
            Kind::Regions => Self::BestBox,
            Kind::Hand => Self::CorrectKeypoints(SAME_PLACE),
            Kind::Tensors => Self::Cosine,
            Kind::Class => Self::SameClass,
        }
    }

    /// The names of the metrics for stages that find this, as in pipeline files.
    pub fn names_for(kind: Kind) -> &'static [&'static str] {
        match kind {
            Kind::Regions => &["iou50-match", "iou", "recall", "precision", "map@50", "map@50:95"],
            Kind::Hand => &["pck@0.1", "nme"],
            Kind::Tensors => &["cosine", "sqnr"],
            Kind::Class => &["top1-agreement", "top1"],
        }
    }

    /// The metric with that name; thresholds may follow an `@`.
    pub fn named(name: &str) -> Option<Self> {
        let (base, threshold) = match name.split_once('@') {
            Some((base, threshold)) => (base, Some(threshold)),
            None => (name, None),
        };
        let share = |usual: f64| match threshold {
            None => Some(usual),
            Some(text) => text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0),
        };
        match (base, threshold) {
            ("map", Some("50")) => Some(Self::AveragePrecision(1)),
            ("map", Some("50:95")) => Some(Self::AveragePrecision(THRESHOLDS)),
            ("pck", _) => share(SAME_PLACE).map(Self::CorrectKeypoints),
            ("recall", _) => share(SAME_BOX).map(Self::Recall),
            ("precision", _) => share(SAME_BOX).map(Self::Precision),
            ("iou50-match", None) => Some(Self::BestBox),
            ("nme", None) => Some(Self::NormalizedMeanError),
            ("iou", None) => Some(Self::Iou),
            ("cosine", None) => Some(Self::Cosine),
            ("sqnr", None) => Some(Self::Sqnr),
            _ => None,
        }
    }

    /// Its name in pipeline files and tables.
    pub fn name(self) -> String {
        let at = |base: &str, share: f64, usual: f64| match share == usual {
            true => base.to_owned(),
            false => format!("{base}@{share}"),
        };
        match self {
            Self::SameClass => "top1-agreement".to_owned(),
            Self::BestBox => "iou50-match".to_owned(),
            Self::CorrectKeypoints(share) => format!("pck@{share}"),
            Self::NormalizedMeanError => "nme".to_owned(),
            Self::Iou => "iou".to_owned(),
            Self::Recall(share) => at("recall", share, SAME_BOX),
            Self::Precision(share) => at("precision", share, SAME_BOX),
            Self::AveragePrecision(1) => "map@50".to_owned(),
            Self::AveragePrecision(_) => "map@50:95".to_owned(),
            Self::Cosine => "cosine".to_owned(),
            Self::Sqnr => "sqnr".to_owned(),
        }
    }

    /// What it looks at.
    pub fn kind(self) -> Kind {
        match self {
            Self::SameClass => Kind::Class,
            Self::CorrectKeypoints(_) | Self::NormalizedMeanError => Kind::Hand,
            Self::Cosine | Self::Sqnr => Kind::Tensors,
            Self::BestBox
            | Self::Iou
            | Self::Recall(_)
            | Self::Precision(_)
            | Self::AveragePrecision(_) => Kind::Regions,
        }
    }

    /// Whether an image is either right or wrong.
    pub fn is_count(self) -> bool {
        matches!(self, Self::SameClass | Self::BestBox)
    }

    /// What its value is.
    pub fn unit(self) -> Unit {
        match self {
            Self::NormalizedMeanError => Unit::Error,
            Self::Sqnr => Unit::Decibels,
            _ => Unit::Share,
        }
    }

    /// Compares what was found in an image with what is there.
    ///
    /// # Errors
    /// When the two cannot be compared.
    pub fn measure(
        self,
        found: Option<&Finding>,
        truth: Option<&Finding>,
    ) -> Result<Measured, GlueError> {
        let share = |right: bool| Measured::of(f64::from(u8::from(right)));
        Ok(match self {
            Self::SameClass => share(label(found)? == label(truth)?),
            Self::BestBox => share(same_best_box(regions(found)?, regions(truth)?)),
            Self::CorrectKeypoints(within) => match (hand(found)?, hand(truth)?) {
                (None, None) => Measured::of(1.0),
                (Some(found), Some(truth)) => Measured::of(correct(found, truth, within)?),
                _ => Measured::of(0.0),
            },
            Self::NormalizedMeanError => match (hand(found)?, hand(truth)?) {
                (None, None) => Measured::default(),
                (Some(found), Some(truth)) => Measured::of(mean_error(found, truth)?),
                _ => Measured::of(1.0),
            },
            Self::Iou => {
                let pairs = pairs(found, truth, SAME_BOX)?;
                Measured::ratio(pairs.iou, pairs.truths)
            }
            Self::Recall(iou) => {
                let pairs = pairs(found, truth, iou)?;
                Measured::ratio(pairs.count, pairs.truths)
            }
            Self::Precision(iou) => {
                let pairs = pairs(found, truth, iou)?;
                Measured::ratio(pairs.count, pairs.found)
            }
            Self::AveragePrecision(_) => {
                let tally = ranked(regions(found)?, regions(truth)?);
                Measured { value: None, tally: Some(tally) }
            }
            Self::Cosine => Measured::of(mean_cosine(tensors(found)?, tensors(truth)?)),
            Self::Sqnr => signal_to_noise(tensors(found)?, tensors(truth)?),
        })
    }
}

impl Measured {
    fn of(value: f64) -> Self {
        Self { value: Some(value), tally: None }
    }

    fn ratio(sum: f64, of: f64) -> Self {
        let value = (of > 0.0).then(|| sum / of);
        Self { value, tally: Some(Tally::Ratio { sum, of }) }
    }
}

/// A finding of another kind than the metric's.
fn foreign(wanted: Kind, found: &Finding) -> GlueError {
    GlueError::Incomparable(wanted.name(), found.kind())
}

fn label(found: Option<&Finding>) -> Result<Option<&str>, GlueError> {
    match found {
        None => Ok(None),
        Some(Finding::Class(class)) => Ok(Some(&class.label)),
        Some(other) => Err(foreign(Kind::Class, other)),
    }
}

fn regions(found: Option<&Finding>) -> Result<Option<&Regions>, GlueError> {
    match found {
        None => Ok(None),
        Some(Finding::Regions(regions)) => Ok(Some(regions)),
        Some(other) => Err(foreign(Kind::Regions, other)),
    }
}

fn hand(found: Option<&Finding>) -> Result<Option<&Hand>, GlueError> {
    match found {
        None => Ok(None),
        Some(Finding::Hand(hand)) => Ok(Some(hand)),
        Some(other) => Err(foreign(Kind::Hand, other)),
    }
}

fn tensors(found: Option<&Finding>) -> Result<Option<&[Tensor]>, GlueError> {
    match found {
        None => Ok(None),
        Some(Finding::Tensors(tensors)) => Ok(Some(tensors)),
        Some(other) => Err(foreign(Kind::Tensors, other)),
    }
}

fn same_best_box(found: Option<&Regions>, truth: Option<&Regions>) -> bool {
    match (found, truth) {
        (None, None) => true,
        (Some(found), Some(truth)) => match (found.bounds.first(), truth.bounds.first()) {
            (Some(found), Some(truth)) => found.iou(truth) >= SAME_BOX,
            _ => false,
        },
        _ => false,
    }
}

/// Boxes of an image that are paired, and how many there are.
struct Pairs {
    count: f64,
    /// Sum over the pairs.
    iou: f64,
    found: f64,
    truths: f64,
}

fn pairs(
    found: Option<&Finding>,
    truth: Option<&Finding>,
    least_iou: f64,
) -> Result<Pairs, GlueError> {
    let bounds = |regions: Option<&Regions>| regions.map_or_else(Vec::new, |r| r.bounds.clone());
    let (found, truths) = (bounds(regions(found)?), bounds(regions(truth)?));
    let paired: Vec<f64> = pair_boxes(&found, &truths, least_iou).into_iter().flatten().collect();
    Ok(Pairs {
        count: paired.len() as f64,
        iou: paired.iter().sum(),
        found: found.len() as f64,
        truths: truths.len() as f64,
    })
}

/// The size that distances are measured in; `None` where the points coincide.
fn size(truth: &Hand) -> Option<f64> {
    let size = extent(&truth.landmarks);
    (size.is_finite() && size > 0.0).then_some(size)
}

fn correct(found: &Hand, truth: &Hand, within: f64) -> Result<f64, GlueError> {
    let Some(size) = size(truth) else {
        return Ok(f64::from(u8::from(found.landmarks == truth.landmarks)));
    };
    Ok(metrics::correct_keypoints(&found.landmarks, &truth.landmarks, size, within)?)
}

fn mean_error(found: &Hand, truth: &Hand) -> Result<f64, GlueError> {
    let Some(size) = size(truth) else {
        return Ok(f64::from(u8::from(found.landmarks != truth.landmarks)));
    };
    let flat = |points: &[Point]| points.iter().map(|[x, y]| [*x, *y, 0.0]).collect::<Vec<_>>();
    let (found, truth) = (flat(&found.landmarks), flat(&truth.landmarks));
    Ok(metrics::normalized_mean_error(&found, &truth, size)?)
}

/// Neither with tensors: 1; only one, or other numbers of them: 0.
fn mean_cosine(found: Option<&[Tensor]>, truth: Option<&[Tensor]>) -> f64 {
    let (found, truth) = match (found, truth) {
        (None, None) => return 1.0,
        (Some(found), Some(truth)) if found.len() == truth.len() => (found, truth),
        _ => return 0.0,
    };
    let sum: f64 = found.iter().zip(truth).map(|(a, b)| cosine(a, b)).sum();
    (sum / found.len().max(1) as f64).clamp(0.0, 1.0)
}

/// What is not found counts as zeros.
fn signal_to_noise(found: Option<&[Tensor]>, truth: Option<&[Tensor]>) -> Measured {
    let elements = |tensors: Option<&[Tensor]>| -> Vec<f32> {
        tensors.unwrap_or_default().iter().flatten().copied().collect()
    };
    let (mut found, mut truth) = (elements(found), elements(truth));
    if found.is_empty() && truth.is_empty() {
        return Measured::default();
    }
    let longer = found.len().max(truth.len());
    found.resize(longer, 0.0);
    truth.resize(longer, 0.0);
    let part = noise(found.iter().zip(&truth));
    let value = Some(decibels(part.sum, part.of));
    Measured { value, tally: Some(Tally::Ratio { sum: part.sum, of: part.of }) }
}

#[cfg(test)]
mod tests {
    use quantrack_engine::glue::Class;
    use quantrack_engine::vision::{BoundingBox, RotatedSquare};

    use super::*;

    fn boxes(corners: &[[f64; 4]]) -> Finding {
        let bounds =
            |&[x_min, y_min, x_max, y_max]: &[f64; 4]| BoundingBox { x_min, y_min, x_max, y_max };
        Finding::Regions(Regions {
            squares: Vec::new(),
            bounds: corners.iter().map(bounds).collect(),
            scores: vec![0.9; corners.len()],
        })
    }

    fn points(landmarks: &[Point]) -> Finding {
        let square = RotatedSquare::new([0.0, 0.0], 1.0, 0.0).unwrap();
        Finding::Hand(Hand { square, landmarks: landmarks.to_vec(), full: None })
    }

    fn vector(values: &[f32]) -> Finding {
        Finding::Tensors(vec![Tensor::from_shape_vec(vec![values.len()], values.to_vec()).unwrap()])
    }

    fn value(metric: &str, found: Option<&Finding>, truth: Option<&Finding>) -> Option<f64> {
        Metric::named(metric).unwrap().measure(found, truth).unwrap().value
    }

    #[test]
    fn names_come_back_and_thresholds_are_shares() {
        for name in [
            "iou50-match",
            "pck@0.1",
            "pck@0.05",
            "nme",
            "iou",
            "recall",
            "recall@0.75",
            "precision",
            "map@50",
            "map@50:95",
            "cosine",
            "sqnr",
        ] {
            assert_eq!(Metric::named(name).unwrap().name(), name);
        }
        assert_eq!(Metric::named("pck"), Metric::named("pck@0.1"));
        for name in ["pck@0", "pck@1.5", "pck@nan", "recall@", "map", "map@75", "nme@1", "f1"] {
            assert_eq!(Metric::named(name), None, "{name}");
        }
        for kind in [Kind::Regions, Kind::Hand, Kind::Tensors] {
            let fit = |name: &&str| Metric::named(name).is_some_and(|m| m.kind() == kind);
            assert!(Metric::names_for(kind).iter().all(fit), "{kind:?}");
        }
    }

    #[test]
    fn classes_agree_or_not_and_nothing_agrees_with_nothing() {
        let class =
            |label: &str| Finding::Class(Class { label: label.to_owned(), scores: Vec::new() });
        let (fist, palm) = (class("fist"), class("palm"));
        let same = |found, truth| Metric::SameClass.measure(found, truth).unwrap().value.unwrap();
        assert_eq!(same(Some(&fist), Some(&fist)), 1.0);
        assert_eq!(same(Some(&palm), Some(&fist)), 0.0);
        assert_eq!(same(None, Some(&fist)), 0.0);
        assert_eq!(same(None, None), 1.0);
        let wrong = Metric::SameClass.measure(Some(&boxes(&[])), Some(&fist)).unwrap_err();
        assert!(wrong.to_string().contains("a class and regions"), "{wrong}");
    }

    #[test]
    fn the_best_boxes_agree_from_half_overlap_on() {
        let truth = boxes(&[[0.0, 0.0, 10.0, 10.0]]);
        let agrees = |found: Option<&Finding>| value("iou50-match", found, Some(&truth)).unwrap();
        assert_eq!(agrees(Some(&boxes(&[[0.0, 0.0, 5.0, 10.0]]))), 1.0);
        assert_eq!(agrees(Some(&boxes(&[[0.0, 0.0, 4.9, 10.0]]))), 0.0);
        assert_eq!(agrees(None), 0.0);
        assert_eq!(value("iou50-match", None, None), Some(1.0));
    }

    #[test]
    fn detections_by_hand() {
        // Of three true boxes the first is found twice, the second moved by 2 of 10 (IoU 80 / 120), the third missed.
        let truth =
            boxes(&[[0.0, 0.0, 10.0, 10.0], [50.0, 0.0, 60.0, 10.0], [0.0, 90.0, 10.0, 100.0]]);
        let found =
            boxes(&[[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0], [52.0, 0.0, 62.0, 10.0]]);
        let of = |name: &str| value(name, Some(&found), Some(&truth)).unwrap();
        assert_eq!(of("recall"), 2.0 / 3.0);
        assert_eq!(of("recall@0.7"), 1.0 / 3.0, "80 of 120 is less than 0.7");
        assert_eq!(of("precision"), 2.0 / 3.0);
        assert!((of("iou") - (1.0 + 80.0 / 120.0) / 3.0).abs() < 1e-12, "the missed one is 0");
        assert_eq!(value("recall", Some(&found), None), None, "nothing is there to be found");
        assert_eq!(value("precision", Some(&found), None), Some(0.0));
        assert_eq!(value("recall", None, Some(&truth)), Some(0.0));
    }

    #[test]
    fn landmarks_by_hand() {
        // The hand is 20 long; its landmarks are off by 5, 0 and 1.
        let truth = points(&[[0.0, 0.0], [20.0, 0.0], [0.0, 10.0]]);
        let found = points(&[[3.0, 4.0], [20.0, 0.0], [0.0, 9.0]]);
        let of = |name: &str| value(name, Some(&found), Some(&truth)).unwrap();
        assert!((of("nme") - (5.0 + 0.0 + 1.0) / 3.0 / 20.0).abs() < 1e-12);
        assert_eq!(of("pck@0.25"), 1.0);
        assert_eq!(of("pck@0.1"), 2.0 / 3.0);
        assert_eq!(of("pck@0.01"), 1.0 / 3.0);
        for (metric, missed, neither) in [("nme", Some(1.0), None), ("pck", Some(0.0), Some(1.0))] {
            assert_eq!(value(metric, None, Some(&truth)), missed);
            assert_eq!(value(metric, Some(&found), None), missed);
            assert_eq!(value(metric, None, None), neither);
        }
        let point = points(&[[1.0, 1.0]; 3]);
        assert_eq!(value("nme", Some(&point), Some(&point)), Some(0.0), "a point has no extent");
        assert_eq!(value("pck", Some(&found), Some(&point)), Some(0.0));
        let fewer = points(&[[0.0, 0.0]]);
        assert!(Metric::NormalizedMeanError.measure(Some(&fewer), Some(&truth)).is_err());
    }

    #[test]
    fn tensors_by_hand() {
        let truth = vector(&[3.0, 4.0]);
        let of = |name: &str, found: Option<&Finding>| value(name, found, Some(&truth)).unwrap();
        // Energy 25, noise 0.25: a factor of 100.
        assert!((of("sqnr", Some(&vector(&[3.0, 3.5]))) - 20.0).abs() < 1e-12);
        assert!(
            (of("cosine", Some(&vector(&[3.0, 3.5]))) - 23.0 / (5.0 * 21.25_f64.sqrt())).abs()
                < 1e-6
        );
        assert_eq!(of("sqnr", Some(&truth)), 200.0, "nothing differs");
        assert_eq!(of("sqnr", None), 0.0, "all of it is missing");
        assert_eq!(of("cosine", Some(&vector(&[-3.0, -4.0]))), 0.0);
        assert_eq!(of("cosine", None), 0.0);
        for metric in ["cosine", "sqnr"] {
            let broken = of(metric, Some(&vector(&[f32::NAN, f32::INFINITY])));
            assert_eq!(broken, 0.0, "{metric} of what is no number");
        }
        assert_eq!(value("cosine", None, None), Some(1.0));
        assert_eq!(value("sqnr", None, None), None);
    }

    proptest::proptest! {
        #[test]
        fn every_metric_is_a_number_whatever_is_found(
            found in proptest::collection::vec(proptest::array::uniform4(-50.0..50.0_f64), 0..5),
            truth in proptest::collection::vec(proptest::array::uniform4(-50.0..50.0_f64), 0..5),
            a in proptest::collection::vec(proptest::num::f32::ANY, 3),
            b in proptest::collection::vec(-1e3_f32..1e3, 3),
        ) {
            let (found, truth) = (boxes(&found), boxes(&truth));
            for name in Metric::names_for(Kind::Regions) {
                let metric = Metric::named(name).unwrap();
                let one = metric.measure(Some(&found), Some(&truth)).unwrap();
                proptest::prop_assert!(one.value.is_none_or(|value| (0.0..=1.0).contains(&value)));
                let same = metric.measure(Some(&truth), Some(&truth)).unwrap();
                proptest::prop_assert!(same.value.is_none_or(f64::is_finite));
            }
            for name in Metric::names_for(Kind::Tensors) {
                let value = value(name, Some(&vector(&a)), Some(&vector(&b))).unwrap();
                proptest::prop_assert!(value.is_finite(), "{name}: {value}");
            }
        }

        #[test]
        fn landmarks_that_move_together_keep_their_error_at_any_scale(
            shift in 0.0..5.0_f64, scale in 0.1..50.0_f64,
        ) {
            let hand = |dx: f64| points(&[[dx * scale, 0.0], [(10.0 + dx) * scale, 0.0], [dx * scale, 7.0 * scale]]);
            let error = value("nme", Some(&hand(shift)), Some(&hand(0.0))).unwrap();
            proptest::prop_assert!((error - shift / 10.0).abs() < 1e-9);
        }
    }
}
