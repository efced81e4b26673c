use super::error::{VisionError, check, check_side};
use super::{BoundingBox, Detection, MAX_SIDE, PALM_KEYPOINTS, Point, weighted_nms};

/// Numbers that a detector gives for one anchor: box centre and size, then the keypoints.
const REGRESSORS: usize = 4 + 2 * PALM_KEYPOINTS;

/// Raw scores beyond this make no difference to a sigmoid in fp32.
const SCORE_CLIP: f64 = 100.0;

/// One square grid of anchors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnchorGrid {
    /// Cells along a side.
    pub cells: usize,
    /// Anchors in each cell, all at its centre.
    pub per_cell: usize,
}

/// The grids of MediaPipe's palm detector: 24 × 24 × 2 + 12 × 12 × 6 = 2016 anchors.
pub const PALM_ANCHOR_GRIDS: [AnchorGrid; 2] =
    [AnchorGrid { cells: 24, per_cell: 2 }, AnchorGrid { cells: 12, per_cell: 6 }];

/// Turns the outputs of a single-shot detector (SSD) of palms into detections.
#[derive(Debug, Clone, PartialEq)]
pub struct SsdDecoder {
    /// The side of the detector's input in pixels.
    side: usize,
    /// In pixels of the input.
    anchors: Vec<Point>,
    /// The least score of a detection.
    pub min_score: f64,
    /// Detections that overlap by more are one.
    pub max_iou: f64,
    /// At most so many detections, the best.
    pub max_detections: usize,
}

impl SsdDecoder {
    /// A decoder for a detector whose input has a side of `side` pixels, with MediaPipe's thresholds: score ≥ 0.5,
    /// overlap ≤ 0.3, two detections. Grids follow one another, rows first.
    ///
    /// # Errors
    /// Where the side or a grid is empty or above [`MAX_SIDE`].
    pub fn new(side: usize, grids: &[AnchorGrid]) -> Result<Self, VisionError> {
        check_side("the detector's input", side, MAX_SIDE)?;
        let mut anchors = Vec::new();
        for grid in grids {
            check_side("a grid of anchors", grid.cells, side)?;
            let at = |cell: usize| (cell as f64 + 0.5) / grid.cells as f64 * side as f64;
            for cell in 0..grid.cells * grid.cells {
                let center = [at(cell % grid.cells), at(cell / grid.cells)];
                anchors.extend(std::iter::repeat_n(center, grid.per_cell));
            }
        }
        Ok(Self { side, anchors, min_score: 0.5, max_iou: 0.3, max_detections: 2 })
    }

    /// The decoder of MediaPipe's palm detector, input 192 × 192.
    ///
    /// # Errors
    /// None; see [`Self::new`].
    pub fn palm() -> Result<Self, VisionError> {
        Self::new(192, &PALM_ANCHOR_GRIDS)
    }

    /// The side of the detector's input in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The anchors' centres in pixels of the input.
    pub fn anchors(&self) -> &[Point] {
        &self.anchors
    }

    /// The best detections in pixels of the detector's input, best first, overlapping ones merged.
    ///
    /// `regressors` is `[anchors, 18]` in pixels of the input: box centre relative to the anchor, width, height, then 7
    /// keypoints relative to the anchor. `scores` is `[anchors]`, before the sigmoid. Boxes without area are left out.
    ///
    /// # Errors
    /// Where a length is wrong or a number is not finite.
    pub fn decode(
        &self,
        regressors: &[f32],
        scores: &[f32],
    ) -> Result<Vec<Detection>, VisionError> {
        check("the detector's scores", scores, self.anchors.len())?;
        check("the detector's regressors", regressors, self.anchors.len() * REGRESSORS)?;
        let candidates: Vec<Detection> = self
            .anchors
            .iter()
            .zip(scores)
            .zip(regressors.chunks_exact(REGRESSORS))
            .map(|((&anchor, &score), offsets)| detection(anchor, score, offsets))
            .filter(|found| found.score >= self.min_score)
            .filter(|found| found.bounds.width() > 0.0 && found.bounds.height() > 0.0)
            .collect();
        let mut kept = weighted_nms(&candidates, self.max_iou);
        kept.truncate(self.max_detections);
        Ok(kept)
    }
}

/// What one anchor says. `offsets` has [`REGRESSORS`] elements.
fn detection([x, y]: Point, score: f32, offsets: &[f32]) -> Detection {
    let offset = |index: usize| f64::from(offsets[index]);
    let (center_x, center_y) = (x + offset(0), y + offset(1));
    let (half_width, half_height) = (offset(2) / 2.0, offset(3) / 2.0);
    Detection {
        score: sigmoid(f64::from(score).clamp(-SCORE_CLIP, SCORE_CLIP)),
        bounds: BoundingBox {
            x_min: center_x - half_width,
            y_min: center_y - half_height,
            x_max: center_x + half_width,
            y_max: center_y + half_height,
        },
        keypoints: std::array::from_fn(|k| [x + offset(4 + 2 * k), y + offset(5 + 2 * k)]),
    }
}

/// The logistic function, `1 / (1 + exp(-x))`.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn palm_anchors_lie_as_described() {
        let decoder = SsdDecoder::palm().unwrap();
        let anchors = decoder.anchors();
        assert_eq!(anchors.len(), 2016);
        assert_eq!(anchors[..3], [[4.0, 4.0], [4.0, 4.0], [12.0, 4.0]]);
        assert_eq!(anchors[48], [4.0, 12.0]);
        assert_eq!(
            anchors[1152..][..7],
            [[8.0, 8.0], [8.0, 8.0], [8.0, 8.0], [8.0, 8.0], [8.0, 8.0], [8.0, 8.0], [24.0, 8.0]]
        );
        assert_eq!(anchors[2015], [184.0, 184.0]);
    }

    #[test]
    fn one_palm_is_decoded() {
        let decoder = SsdDecoder::palm().unwrap();
        let (mut regressors, mut scores) = (vec![0.0; 2016 * 18], vec![-200.0; 2016]);
        let offsets: Vec<f32> = (0..18).map(|i| i as f32 + 1.0).collect();
        regressors[3 * 18..4 * 18].copy_from_slice(&offsets);
        scores[3] = 1e30;
        scores[9] = 5.0; // no area
        let found = decoder.decode(&regressors, &scores).unwrap();
        assert_eq!(found.len(), 1);
        assert!((found[0].score - 1.0).abs() < 1e-12);
        let bounds = BoundingBox { x_min: 11.5, y_min: 4.0, x_max: 14.5, y_max: 8.0 };
        assert_eq!(found[0].bounds, bounds);
        assert_eq!(found[0].keypoints[0], [17.0, 10.0]);
        assert_eq!(found[0].keypoints[6], [29.0, 22.0]);
    }

    #[test]
    fn bad_outputs_are_errors() {
        let decoder = SsdDecoder::palm().unwrap();
        let (mut regressors, mut scores) = (vec![0.0; 2016 * 18], vec![-200.0; 2016]);
        assert_eq!(decoder.decode(&regressors, &scores), Ok(vec![]));
        assert!(decoder.decode(&regressors[1..], &scores).is_err());
        assert!(decoder.decode(&regressors, &scores[1..]).is_err());
        regressors[7] = f32::NAN;
        let what = "the detector's regressors";
        let expected = Err(VisionError::NotFinite { what, index: 7 });
        assert_eq!(decoder.decode(&regressors, &scores), expected);
        scores[2] = f32::INFINITY;
        assert!(decoder.decode(&regressors, &scores).is_err());
    }

    #[test]
    fn sigmoid_by_hand() {
        assert_eq!(sigmoid(0.0), 0.5);
        assert!((sigmoid(1.0) - 0.731_058_578_630_004_9).abs() < 1e-15);
        assert!((sigmoid(3.0) + sigmoid(-3.0) - 1.0).abs() < 1e-15);
    }
}
