//! What a stage's results are judged by. Overlap of boxes is [`BoundingBox::iou`](super::BoundingBox::iou).

use super::error::{VisionError, check};
use super::{Point, Point3};

/// The distance in the plane, averaged over the points, divided by `size` (in the points' units): the normalized mean
/// error (NME) of landmarks. The third coordinate, a model's guess at depth, does not count.
///
/// # Errors
/// Where the points differ in number, there are none, `size` is not positive, or a number is not finite.
pub fn normalized_mean_error(
    found: &[Point3],
    truth: &[Point3],
    size: f64,
) -> Result<f64, VisionError> {
    let plane = |points: &[Point3]| points.iter().map(|p| [p[0], p[1]]).collect::<Vec<Point>>();
    let distances = distances(&plane(found), &plane(truth), size)?;
    Ok(distances.iter().sum::<f64>() / distances.len() as f64)
}

/// The share of points that lie within `tolerance` sizes of their true places: PCK, "percentage of correct keypoints".
///
/// # Errors
/// As [`normalized_mean_error`].
pub fn correct_keypoints(
    found: &[Point],
    truth: &[Point],
    size: f64,
    tolerance: f64,
) -> Result<f64, VisionError> {
    let distances = distances(found, truth, size)?;
    let correct = distances.iter().filter(|&&distance| distance <= tolerance).count();
    Ok(correct as f64 / distances.len() as f64)
}

/// The distance between each pair of points in units of `size`.
fn distances(found: &[Point], truth: &[Point], size: f64) -> Result<Vec<f64>, VisionError> {
    if found.len() != truth.len() {
        let (expected, found) = (truth.len(), found.len());
        return Err(VisionError::Length { what: "the list of landmarks", expected, found });
    }
    if found.is_empty() || !(size.is_finite() && size > 0.0) {
        return Err(VisionError::NoExtent { what: "the list of landmarks" });
    }
    let what = "the landmarks";
    super::error::check_finite(what, found.iter().chain(truth).flatten().copied())?;
    let distance = |(a, b): (&Point, &Point)| libm::hypot(a[0] - b[0], a[1] - b[1]) / size;
    Ok(found.iter().zip(truth).map(distance).collect())
}

/// The index of the largest score, the first of equal ones.
///
/// # Errors
/// Where there are none, or one is not finite.
pub fn arg_max(scores: &[f32]) -> Result<usize, VisionError> {
    check("the scores", scores, scores.len().max(1))?;
    let better =
        |best: usize, index: usize| if scores[index] > scores[best] { index } else { best };
    Ok((0..scores.len()).fold(0, better))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_by_hand() {
        let (a, b) = ([[0.0, 0.0, 9.0], [1.0, 1.0, 0.0]], [[3.0, 4.0, 0.0], [1.0, 1.0, 7.0]]);
        assert_eq!(normalized_mean_error(&a, &b, 10.0), Ok(0.25));
        assert!(normalized_mean_error(&a, &b[1..], 10.0).is_err());
        assert!(normalized_mean_error(&[], &[], 10.0).is_err());
        assert!(normalized_mean_error(&a, &b, 0.0).is_err());
        assert!(normalized_mean_error(&[[f64::NAN; 3]], &b[..1], 1.0).is_err());
        let (a, b) = ([[0.0, 0.0], [1.0, 1.0]], [[3.0, 4.0], [1.0, 1.0]]);
        assert_eq!(correct_keypoints(&a, &b, 10.0, 0.5), Ok(1.0));
        assert_eq!(correct_keypoints(&a, &b, 10.0, 0.49), Ok(0.5));
    }

    #[test]
    fn the_first_largest_wins() {
        assert_eq!(arg_max(&[-3.0, 2.0, 2.0, 1.0]), Ok(1));
        assert_eq!(arg_max(&[-3.0]), Ok(0));
        assert!(arg_max(&[]).is_err());
        assert!(arg_max(&[1.0, f32::NAN]).is_err());
    }
}
