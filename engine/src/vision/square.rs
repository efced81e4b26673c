use std::f64::consts::{FRAC_PI_2, PI, TAU};

use super::error::{VisionError, check_finite};
use super::{Detection, Point};

/// The side of a hand's square in sides of its palm's box.
const HAND_PER_PALM: f64 = 2.6;

/// How far a hand's centre lies beyond its palm's, towards the fingers, in heights of the palm's box.
const HAND_SHIFT: f64 = 0.5;

/// Coordinates beyond this, in pixels, belong to no image.
const MAX_COORDINATE: f64 = 1e6;

/// A square about a centre, turned clockwise: the region of interest (ROI) that a landmark model sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RotatedSquare {
    /// The centre in image pixels.
    pub center: Point,
    /// The side in image pixels.
    pub side: f64,
    /// In radians, within ±π: how far the square is turned from upright.
    pub angle: f64,
}

impl RotatedSquare {
    /// A square whose pixels can be computed with; the angle is wrapped.
    ///
    /// # Errors
    /// Where a number is not finite, the side is not positive, or the square lies beyond a million pixels.
    pub fn new(center: Point, side: f64, angle: f64) -> Result<Self, VisionError> {
        let square = Self { center, side, angle };
        square.check()?;
        Ok(Self { angle: wrap_angle(angle), ..square })
    }

    /// Fails where the square cannot be computed with; see [`Self::new`].
    pub(super) fn check(&self) -> Result<(), VisionError> {
        let Self { center: [x, y], side, angle } = *self;
        check_finite("the square", [x, y, side, angle])?;
        let near = x.abs().max(y.abs()).max(side) <= MAX_COORDINATE;
        if near && side > 0.0 { Ok(()) } else { Err(VisionError::Square { side, x, y }) }
    }

    /// From the square's own coordinates, 0..1 along each side from its top left corner, to image pixels.
    pub fn to_image(&self, [u, v]: Point) -> Point {
        let [x, y] = rotate([(u - 0.5) * self.side, (v - 0.5) * self.side], self.angle);
        [self.center[0] + x, self.center[1] + y]
    }

    /// From image pixels to the square's own coordinates: the inverse of [`Self::to_image`].
    pub fn from_image(&self, [x, y]: Point) -> Point {
        let [u, v] = rotate([x - self.center[0], y - self.center[1]], -self.angle);
        [u / self.side + 0.5, v / self.side + 0.5]
    }
}

/// `point` turned about the origin by `angle`, clockwise on the screen.
pub(super) fn rotate([x, y]: Point, angle: f64) -> Point {
    let (sin, cos) = libm::sincos(angle);
    [x * cos - y * sin, x * sin + y * cos]
}

/// The angle within -π ≤ angle < π that points the same way.
pub fn wrap_angle(angle: f64) -> f64 {
    angle - TAU * ((angle + PI) / TAU).floor()
}

/// The square about the hand that `palm`, in image pixels, belongs to: turned so that the line from the wrist to the
/// middle finger's knuckle points up, moved from the palm towards the fingers, and large enough for them.
///
/// # Errors
/// Where the palm's box has no area or its numbers are not finite.
pub fn hand_square(palm: &Detection) -> Result<RotatedSquare, VisionError> {
    let [wrist, _, middle, ..] = palm.keypoints;
    let (width, height) = (palm.bounds.width(), palm.bounds.height());
    let angle = FRAC_PI_2 - libm::atan2(-(middle[1] - wrist[1]), middle[0] - wrist[0]);
    let [x, y] = palm.bounds.center();
    let (sin, cos) = libm::sincos(angle);
    let shift = HAND_SHIFT * height;
    let center = [x + shift * sin, y - shift * cos];
    RotatedSquare::new(center, HAND_PER_PALM * width.max(height), angle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::{BoundingBox, PALM_KEYPOINTS};
    use proptest::prelude::*;

    /// A palm of side 10 about (50, 60), whose fingers point along `direction`.
    fn palm([x, y]: Point) -> Detection {
        let mut keypoints = [[50.0, 60.0]; PALM_KEYPOINTS];
        keypoints[2] = [50.0 + x, 60.0 + y];
        let bounds = BoundingBox { x_min: 45.0, y_min: 55.0, x_max: 55.0, y_max: 65.0 };
        Detection { score: 1.0, bounds, keypoints }
    }

    #[test]
    fn squares_by_hand() {
        let cases = [
            ([0.0, -1.0], [50.0, 55.0], 0.0),
            ([1.0, 0.0], [55.0, 60.0], FRAC_PI_2),
            ([-1.0, 0.0], [45.0, 60.0], -FRAC_PI_2),
            ([0.0, 1.0], [50.0, 65.0], -PI),
        ];
        for (direction, center, angle) in cases {
            let square = hand_square(&palm(direction)).unwrap();
            assert_eq!(square.side, 26.0);
            assert!((square.angle - angle).abs() < 1e-12, "{direction:?}: {square:?}");
            for (found, expected) in square.center.iter().zip(center) {
                assert!((found - expected).abs() < 1e-12, "{direction:?}: {square:?}");
            }
        }
    }

    #[test]
    fn impossible_squares_are_errors() {
        let nan = f64::NAN;
        for (center, side, angle) in [
            ([nan, 0.0], 1.0, 0.0),
            ([0.0, 0.0], 1.0, f64::INFINITY),
            ([0.0, 0.0], 0.0, 0.0),
            ([0.0, 0.0], -1.0, 0.0),
            ([1e9, 0.0], 1.0, 0.0),
        ] {
            assert!(RotatedSquare::new(center, side, angle).is_err());
        }
        assert!(hand_square(&palm([nan, 1.0])).is_err());
    }

    proptest! {
        #[test]
        fn mapping_there_and_back(
            x in -500.0..500.0f64, y in -500.0..500.0f64, side in 0.1..900.0f64, angle in -9.0..9.0f64,
            u in -2.0..2.0f64, v in -2.0..2.0f64,
        ) {
            let square = RotatedSquare::new([x, y], side, angle).unwrap();
            let [a, b] = square.from_image(square.to_image([u, v]));
            prop_assert!((a - u).abs() < 1e-8 && (b - v).abs() < 1e-8);
            prop_assert!((-PI..PI + 1e-12).contains(&square.angle));
        }

        #[test]
        fn the_middle_finger_points_up(angle in 0.0..TAU) {
            let palm = palm([libm::cos(angle), libm::sin(angle)]);
            let square = hand_square(&palm).unwrap();
            let [wrist, middle] = [0, 2].map(|k| square.from_image(palm.keypoints[k]));
            prop_assert!((wrist[0] - middle[0]).abs() < 1e-9 && wrist[1] > middle[1]);
        }
    }
}
