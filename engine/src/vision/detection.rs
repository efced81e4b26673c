use super::{Letterbox, Point};

/// The keypoints of a palm detection, in this order: wrist, base knuckles (MCP) of index, middle, ring and little
/// finger, base (CMC) and knuckle (MCP) of the thumb.
pub const PALM_KEYPOINTS: usize = 7;

/// An upright rectangle; in pixels of whatever its owner says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// Left edge.
    pub x_min: f64,
    /// Top edge.
    pub y_min: f64,
    /// Right edge.
    pub x_max: f64,
    /// Bottom edge.
    pub y_max: f64,
}

impl BoundingBox {
    /// Negative where the edges are swapped.
    pub fn width(&self) -> f64 {
        self.x_max - self.x_min
    }

    /// Negative where the edges are swapped.
    pub fn height(&self) -> f64 {
        self.y_max - self.y_min
    }

    /// The middle.
    pub fn center(&self) -> Point {
        [f64::midpoint(self.x_min, self.x_max), f64::midpoint(self.y_min, self.y_max)]
    }

    /// Intersection over union, in 0..=1; 0 where either box has no area or a corner is not a number.
    pub fn iou(&self, other: &Self) -> f64 {
        let width = self.x_max.min(other.x_max) - self.x_min.max(other.x_min);
        let height = self.y_max.min(other.y_max) - self.y_min.max(other.y_min);
        if !(width > 0.0 && height > 0.0) {
            return 0.0;
        }
        let shared = width * height;
        let union = self.width() * self.height() + other.width() * other.height() - shared;
        if union > 0.0 { (shared / union).min(1.0) } else { 0.0 }
    }
}

/// One palm that a detector found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// In 0..=1.
    pub score: f64,
    /// The palm.
    pub bounds: BoundingBox,
    /// In the order that [`PALM_KEYPOINTS`] gives, in the units of `bounds`.
    pub keypoints: [Point; PALM_KEYPOINTS],
}

impl Detection {
    /// From letterbox pixels to image pixels.
    #[must_use]
    pub fn to_image(&self, place: &Letterbox) -> Self {
        let [x_min, y_min] = place.to_image([self.bounds.x_min, self.bounds.y_min]);
        let [x_max, y_max] = place.to_image([self.bounds.x_max, self.bounds.y_max]);
        Self {
            score: self.score,
            bounds: BoundingBox { x_min, y_min, x_max, y_max },
            keypoints: self.keypoints.map(|point| place.to_image(point)),
        }
    }

    /// All coordinates: the box, then the keypoints.
    fn coordinates(&self) -> impl Iterator<Item = f64> {
        let b = self.bounds;
        [b.x_min, b.y_min, b.x_max, b.y_max].into_iter().chain(self.keypoints.into_iter().flatten())
    }
}

/// Weighted non-maximum suppression as in MediaPipe: the best detection and all that overlap it by more than
/// `iou_threshold` become one, with the best one's score and with coordinates averaged by score; and so on with the
/// rest. The result is in falling order of score; of equal scores the earlier comes first.
///
/// A detection whose score is not a positive number is left out.
pub fn weighted_nms(detections: &[Detection], iou_threshold: f64) -> Vec<Detection> {
    let mut rest: Vec<Detection> =
        detections.iter().filter(|detection| detection.score > 0.0).copied().collect();
    rest.sort_by(|a, b| b.score.total_cmp(&a.score));
    let mut kept = Vec::new();
    while let Some(&best) = rest.first() {
        let overlaps = |other: &Detection| best.bounds.iou(&other.bounds) > iou_threshold;
        // The best one belongs to its own cluster even where it has no area.
        let (mut cluster, others): (Vec<_>, Vec<_>) = rest[1..].iter().partition(|d| overlaps(d));
        cluster.insert(0, best);
        kept.push(weighted_mean(&best, &cluster));
        rest = others;
    }
    kept
}

fn weighted_mean(best: &Detection, cluster: &[Detection]) -> Detection {
    if cluster.len() == 1 {
        return *best;
    }
    let total: f64 = cluster.iter().map(|detection| detection.score).sum();
    let mut mean = [0.0; 4 + 2 * PALM_KEYPOINTS];
    for detection in cluster {
        let share = detection.score / total;
        for (sum, coordinate) in mean.iter_mut().zip(detection.coordinates()) {
            *sum += share * coordinate;
        }
    }
    let keypoint = |k: usize| [mean[4 + 2 * k], mean[5 + 2 * k]];
    Detection {
        score: best.score,
        bounds: BoundingBox { x_min: mean[0], y_min: mean[1], x_max: mean[2], y_max: mean[3] },
        keypoints: std::array::from_fn(keypoint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn detection(score: f64, x: f64, y: f64, size: f64) -> Detection {
        let bounds = BoundingBox { x_min: x, y_min: y, x_max: x + size, y_max: y + size };
        let keypoints = std::array::from_fn(|k| [x + k as f64, y - k as f64]);
        Detection { score, bounds, keypoints }
    }

    /// As the definition reads, with a flag for each detection rather than a shrinking list.
    fn naive(detections: &[Detection], threshold: f64) -> Vec<(f64, Vec<f64>)> {
        let mut used = vec![false; detections.len()];
        let mut result = Vec::new();
        loop {
            let mut best: Option<usize> = None;
            for (i, d) in detections.iter().enumerate() {
                if !used[i] && best.is_none_or(|b| d.score > detections[b].score) {
                    best = Some(i);
                }
            }
            let Some(best) = best else { return result };
            let mut sums = vec![0.0; 18];
            let mut weight = 0.0;
            for (i, d) in detections.iter().enumerate() {
                if used[i] || i != best && d.bounds.iou(&detections[best].bounds) <= threshold {
                    continue;
                }
                used[i] = true;
                weight += d.score;
                for (sum, c) in sums.iter_mut().zip(d.coordinates()) {
                    *sum += c * d.score;
                }
            }
            let mean = sums.into_iter().map(|sum| sum / weight).collect();
            result.push((detections[best].score, mean));
        }
    }

    #[test]
    fn overlap_by_hand() {
        let square = |x: f64| detection(1.0, x, 0.0, 2.0).bounds;
        assert!((square(0.0).iou(&square(1.0)) - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(square(0.0).iou(&square(2.0)), 0.0);
        assert_eq!(square(f64::NAN).iou(&square(0.0)), 0.0);
        let flat = BoundingBox { x_min: 0.0, y_min: 0.0, x_max: 0.0, y_max: 1.0 };
        assert_eq!(flat.iou(&flat), 0.0);
    }

    #[test]
    fn no_score_is_no_detection() {
        let scores = [f64::NAN, 0.0, -1.0, 0.6];
        let detections = scores.map(|score| detection(score, 0.0, 0.0, 1.0));
        assert_eq!(weighted_nms(&detections, 0.3), [detections[3]]);
    }

    proptest! {
        #[test]
        fn suppression_equals_the_naive_one(
            raw in prop::collection::vec((0.1..1.0f64, 0.0..9.0f64, 0.0..9.0f64, 0.0..5.0f64), 0..40),
            threshold in 0.0..1.0f64,
        ) {
            let detections: Vec<_> =
                raw.into_iter().map(|(score, x, y, size)| detection(score, x, y, size)).collect();
            let (result, expected) = (weighted_nms(&detections, threshold), naive(&detections, threshold));
            prop_assert_eq!(result.len(), expected.len());
            for (found, (score, mean)) in result.iter().zip(expected) {
                prop_assert_eq!(found.score, score);
                prop_assert!(found.coordinates().zip(mean).all(|(a, b)| (a - b).abs() < 1e-9));
            }
            prop_assert!(result.windows(2).all(|pair| pair[0].score >= pair[1].score));
        }
    }
}
