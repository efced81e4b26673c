//! Average precision of detections, as COCO computes it.

use quantrack_engine::glue::{Regions, pair_boxes};
use quantrack_engine::vision::BoundingBox;

use super::estimate::Tally;

/// IoU thresholds: 0.50, 0.55, ... 0.95.
pub(super) const THRESHOLDS: usize = 10;

/// Boxes that count in an image, the surest of them; COCO's `maxDets`.
const MOST_BOXES: usize = 100;

/// Levels of recall at which precision is read: 0, 0.01, ... 1.
const LEVELS: usize = 101;

/// An image's boxes with their scores, each with the thresholds at which it has a true one.
pub(super) fn ranked(found: Option<&Regions>, truth: Option<&Regions>) -> Tally {
    let truths = truth.map_or(&[][..], |truth| &truth.bounds);
    let mut boxes: Vec<(f64, BoundingBox)> = match found {
        Some(found) => found.scores.iter().copied().zip(found.bounds.iter().copied()).collect(),
        None => Vec::new(),
    };
    boxes.sort_by(|a, b| b.0.total_cmp(&a.0));
    boxes.truncate(MOST_BOXES);
    let bounds: Vec<BoundingBox> = boxes.iter().map(|(_, bounds)| *bounds).collect();
    let mut found: Vec<(f64, u16)> = boxes.iter().map(|(score, _)| (*score, 0)).collect();
    for threshold in 0..THRESHOLDS {
        let least_iou = (50 + 5 * threshold) as f64 / 100.0;
        let pairs = pair_boxes(&bounds, truths, least_iou);
        for ((_, hits), _) in found.iter_mut().zip(pairs).filter(|(_, pair)| pair.is_some()) {
            *hits |= 1 << threshold;
        }
    }
    Tally::Ranked { truths: truths.len() as u64, found }
}

/// COCO's average precision of detections in falling order of score, each right or wrong and so many times there, where so many
/// are to be found: at every hundredth of recall, the best precision at that recall or beyond, averaged. 0 where nothing is to be
/// found.
pub fn average_precision(ranked: impl Iterator<Item = (bool, u64)>, truths: u64) -> f64 {
    if truths == 0 {
        return 0.0;
    }
    let (mut right, mut seen) = (0_u64, 0_u64);
    let mut curve: Vec<(u64, f64)> = Vec::new();
    for (is_right, times) in ranked.filter(|(_, times)| *times > 0) {
        seen += times;
        right += if is_right { times } else { 0 };
        curve.push((right, right as f64 / seen as f64));
    }
    let mut best = 0.0_f64;
    for (_, precision) in curve.iter_mut().rev() {
        best = best.max(*precision);
        *precision = best;
    }
    let mut at = 0;
    let mut sum = 0.0;
    for level in 0..LEVELS as u64 {
        // In whole numbers: the first place where right / truths is at least level / 100.
        while at < curve.len() && curve[at].0 * (LEVELS as u64 - 1) < level * truths {
            at += 1;
        }
        let Some((_, precision)) = curve.get(at) else { break };
        sum += precision;
    }
    sum / LEVELS as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranked: &[bool], truths: u64) -> f64 {
        average_precision(ranked.iter().map(|&right| (right, 1)), truths)
    }

    #[test]
    fn average_precision_by_hand() {
        assert_eq!(of(&[true, true], 2), 1.0);
        assert_eq!(of(&[], 2), 0.0);
        assert_eq!(of(&[false, false], 2), 0.0);
        assert_eq!(of(&[true], 0), 0.0);
        // One of two is found, first: precision 1 up to a recall of 0.5, which are 51 of 101 levels.
        assert!((of(&[true, false], 2) - 51.0 / 101.0).abs() < 1e-12);
        // Right, wrong, right: precision 1 up to 0.5, then 2 of 3 for the other 50 levels.
        assert!((of(&[true, false, true], 2) - (51.0 + 50.0 * 2.0 / 3.0) / 101.0).abs() < 1e-12);
        // A wrong one first: at best half, up to a recall of 0.5, and 2 of 3 from there on lifts all below.
        assert!((of(&[false, true, true], 2) - 2.0 / 3.0).abs() < 1e-12);
        // Weights stand for copies.
        let weighted = average_precision([(true, 2), (false, 0), (true, 1)].into_iter(), 4);
        assert!((weighted - of(&[true, true, true], 4)).abs() < 1e-12);
    }

    #[test]
    fn boxes_are_right_at_the_thresholds_that_they_reach() {
        let bounds =
            |x_min: f64| BoundingBox { x_min, y_min: 0.0, x_max: x_min + 10.0, y_max: 10.0 };
        let regions = |boxes: &[(f64, f64)]| Regions {
            squares: Vec::new(),
            bounds: boxes.iter().map(|&(x, _)| bounds(x)).collect(),
            scores: boxes.iter().map(|&(_, score)| score).collect(),
        };
        // Moved by 2 of 10: an IoU of 80 / 120, which passes 0.50, 0.55, 0.60 and 0.65. The surer one takes the true box.
        let found = regions(&[(0.0, 0.3), (2.0, 0.8), (50.0, 0.5)]);
        let truth = regions(&[(0.0, 1.0)]);
        let Tally::Ranked { truths, found } = ranked(Some(&found), Some(&truth)) else {
            unreachable!("boxes are ranked")
        };
        assert_eq!(truths, 1);
        assert_eq!(found, [(0.8, 0b1111), (0.5, 0), (0.3, 0b11_1111_0000)]);
        assert_eq!(ranked(None, None), Tally::Ranked { truths: 0, found: Vec::new() });
    }

    proptest::proptest! {
        /// Against the definition read literally.
        #[test]
        fn every_level_reads_the_best_precision_at_its_recall_or_beyond(
            ranked in proptest::collection::vec(proptest::bool::ANY, 0..40), more in 0_u64..20,
        ) {
            let right = |upto: usize| ranked[..upto].iter().filter(|&&right| right).count() as u64;
            let truths = right(ranked.len()) + more;
            let at = |level: u64| {
                let reaches = |upto: &usize| 100 * right(*upto) >= level * truths;
                let precision = |upto: usize| right(upto) as f64 / upto as f64;
                (1..=ranked.len()).filter(reaches).map(precision).fold(0.0, f64::max)
            };
            let expected = (0..=100).map(at).sum::<f64>() / 101.0;
            let expected = if truths == 0 { 0.0 } else { expected };
            let found = of(&ranked, truths);
            proptest::prop_assert!((found - expected).abs() < 1e-12, "{found} {expected}");
            proptest::prop_assert!((0.0..=1.0).contains(&found));
        }
    }
}
