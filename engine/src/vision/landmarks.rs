use super::error::{VisionError, check, check_side};
use super::square::rotate;
use super::{MAX_SIDE, Point, Point3, RotatedSquare};

/// The landmarks of a hand: wrist, then four joints of each finger from base to tip, thumb first.
pub const HAND_LANDMARKS: usize = 21;

/// What a landmark model says about one square of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Hand {
    /// Where the model looked.
    pub square: RotatedSquare,
    /// The probability that a hand is there.
    pub presence: f32,
    /// The probability that it is a right hand, as the camera sees it.
    pub handedness: f32,
    /// In image pixels; z, in the same scale, is towards the camera where negative.
    pub landmarks: [Point3; HAND_LANDMARKS],
    /// In metres about the hand's centre, turned as in the image.
    pub world: [Point3; HAND_LANDMARKS],
}

/// The points of a landmark output, `[21, 3]`.
fn points(what: &'static str, raw: &[f32]) -> Result<[Point3; HAND_LANDMARKS], VisionError> {
    check(what, raw, HAND_LANDMARKS * 3)?;
    Ok(std::array::from_fn(|k| std::array::from_fn(|axis| f64::from(raw[k * 3 + axis]))))
}

/// Landmarks in image pixels. `raw` is `[21, 3]`, x, y and z in pixels of a crop of `square` with a side of `crop_side`
/// pixels; z is scaled like x and y.
///
/// # Errors
/// Where the length is wrong, a number is not finite, or the square cannot be computed with.
pub fn landmarks_in_image(
    raw: &[f32],
    square: &RotatedSquare,
    crop_side: usize,
) -> Result<[Point3; HAND_LANDMARKS], VisionError> {
    square.check()?;
    check_side("the crop's side", crop_side, MAX_SIDE)?;
    let pixels = crop_side as f64;
    let to_image = |[x, y, z]: Point3| {
        let [x, y] = square.to_image([x / pixels, y / pixels]);
        [x, y, z / pixels * square.side]
    };
    Ok(points("the landmarks", raw)?.map(to_image))
}

/// Plane landmarks in image pixels. `raw` is `[points, 2]`, x and y in 0..1 along the sides of `square`.
///
/// # Errors
/// Where the length is odd, a number is not finite, or the square cannot be computed with.
pub fn points_in_image(raw: &[f32], square: &RotatedSquare) -> Result<Vec<Point>, VisionError> {
    square.check()?;
    check("the landmarks", raw, raw.len() / 2 * 2)?;
    let to_image = |point: &[f32]| square.to_image([f64::from(point[0]), f64::from(point[1])]);
    Ok(raw.chunks_exact(2).map(to_image).collect())
}

/// World landmarks, `[21, 3]` in metres as the model saw them in an upright crop, turned by `angle` radians into the
/// image's directions.
///
/// # Errors
/// Where the length is wrong or a number is not finite.
pub fn rotate_about_origin(
    raw: &[f32],
    angle: f64,
) -> Result<[Point3; HAND_LANDMARKS], VisionError> {
    super::error::check_finite("the angle", [angle])?;
    let turn = |[x, y, z]: Point3| {
        let [x, y] = rotate([x, y], angle);
        [x, y, z]
    };
    Ok(points("the world landmarks", raw)?.map(turn))
}

/// The hand with the highest presence of at least `min_presence`; the earlier of equal ones.
pub fn select_hand(hands: &[Hand], min_presence: f32) -> Option<&Hand> {
    let better =
        |best: Option<&'_ Hand>, hand: &Hand| best.is_none_or(|best| hand.presence > best.presence);
    hands
        .iter()
        .filter(|hand| hand.presence >= min_presence)
        .fold(None, |best, hand| if better(best, hand) { Some(hand) } else { best })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::FRAC_PI_2;

    fn hand(presence: f32) -> Hand {
        let square = RotatedSquare { center: [0.0, 0.0], side: 1.0, angle: 0.0 };
        let (landmarks, world) = ([[0.0; 3]; HAND_LANDMARKS], [[0.0; 3]; HAND_LANDMARKS]);
        Hand { square, presence, handedness: 0.0, landmarks, world }
    }

    #[test]
    fn landmarks_go_back_to_the_image() {
        let mut raw = [112.0; 63];
        raw[..3].copy_from_slice(&[112.0, 0.0, -56.0]);
        let square = RotatedSquare::new([100.0, 50.0], 40.0, FRAC_PI_2).unwrap();
        let result = landmarks_in_image(&raw, &square, 224).unwrap();
        for (found, expected) in result[0].iter().zip([120.0, 50.0, -10.0]) {
            assert!((found - expected).abs() < 1e-12);
        }
        assert_eq!(result[1][..2], [100.0, 50.0]);
        let plane = points_in_image(&[0.5, 0.0, 0.5, 0.5], &square).unwrap();
        assert!((plane[0][0] - 120.0).abs() < 1e-12 && plane[1] == [100.0, 50.0]);
    }

    #[test]
    fn bad_landmarks_are_errors() {
        let square = RotatedSquare::new([0.0, 0.0], 1.0, 0.0).unwrap();
        let mut raw = [0.0; 63];
        assert!(landmarks_in_image(&raw[1..], &square, 224).is_err());
        assert!(landmarks_in_image(&raw, &square, 0).is_err());
        assert!(points_in_image(&raw, &square).is_err());
        raw[62] = f32::NAN;
        assert!(rotate_about_origin(&raw, 0.0).is_err());
        assert!(rotate_about_origin(&[0.0; 63], f64::NAN).is_err());
    }

    #[test]
    fn the_surest_hand_counts() {
        let hands = [0.2, 0.5, 0.9, 0.9, f32::NAN].map(hand);
        assert!(std::ptr::eq(select_hand(&hands, 0.5).unwrap(), &raw const hands[2]));
        assert!(select_hand(&hands[..1], 0.5).is_none());
        assert!(select_hand(&hands[..2], 0.5).is_some());
        assert!(select_hand(&hands[4..], 0.0).is_none());
    }
}
