use super::error::{VisionError, check_finite};
use super::square::rotate;
use super::{HAND_LANDMARKS, Point, Point3};

/// Keeps a hand whose landmarks coincide from being divided by zero; MediaPipe's value.
const EPSILON: f64 = 1e-5;

/// The embedder's `hand` input, `[21, 3]`, from landmarks in pixels of an image of `width` × `height` pixels and the
/// angle of the hand's square: upright, relative to the wrist, and divided by the larger of its width and height.
///
/// # Errors
/// Where a side of the image is zero or a number is not finite.
pub fn image_features(
    landmarks: &[Point3; HAND_LANDMARKS],
    width: usize,
    height: usize,
    angle: f64,
) -> Result<[[f32; 3]; HAND_LANDMARKS], VisionError> {
    if width == 0 || height == 0 {
        return Err(VisionError::NoExtent { what: "the image" });
    }
    let (width, height) = (width as f64, height as f64);
    let longer = width.max(height);
    // Relative to the image's middle; z is a share of the width, whatever the aspect.
    let relative = |[x, y, z]: Point3| {
        [(x / width - 0.5) * width / longer, (y / height - 0.5) * height / longer, z / width]
    };
    canonical(landmarks.map(relative), angle)
}

/// The embedder's `world_hand` input, `[21, 3]`, from world landmarks in metres, turned as in the image, and the angle of
/// the hand's square.
///
/// # Errors
/// Where a number is not finite.
pub fn world_features(
    world: &[Point3; HAND_LANDMARKS],
    angle: f64,
) -> Result<[[f32; 3]; HAND_LANDMARKS], VisionError> {
    canonical(*world, angle)
}

/// `points` turned upright about the origin, relative to the first, and divided by their larger extent in the plane.
fn canonical(
    points: [Point3; HAND_LANDMARKS],
    angle: f64,
) -> Result<[[f32; 3]; HAND_LANDMARKS], VisionError> {
    check_finite("the angle", [angle])?;
    check_finite("the landmarks", points.iter().flatten().copied())?;
    let upright = points.map(|[x, y, z]| {
        let [x, y] = rotate([x, y], -angle);
        [x, y, z]
    });
    let size = extent(&upright, 0).max(extent(&upright, 1)) + EPSILON;
    let wrist = upright[0];
    let feature =
        |point: Point3| std::array::from_fn(|axis| ((point[axis] - wrist[axis]) / size) as f32);
    Ok(upright.map(feature))
}

/// Largest minus smallest coordinate along an axis.
fn extent<const N: usize>(points: &[[f64; N]], axis: usize) -> f64 {
    let coordinates = || points.iter().map(|point| point[axis]);
    coordinates().fold(f64::MIN, f64::max) - coordinates().fold(f64::MAX, f64::min)
}

/// Points of the plane relative to the middle of their bounding box, divided by its longer side, as `[points, 2]`: so
/// they lie within ±0.5, wherever and however large they were.
///
/// # Errors
/// Where all points coincide, there are none, or a number is not finite.
pub fn normalize_points(points: &[Point]) -> Result<Vec<f32>, VisionError> {
    check_finite("the points", points.iter().flatten().copied())?;
    let size = extent(points, 0).max(extent(points, 1));
    if !(size.is_finite() && size > 0.0) {
        return Err(VisionError::NoExtent { what: "the points" });
    }
    let middle = [0, 1].map(|axis| {
        let least = points.iter().map(|point| point[axis]).fold(f64::MAX, f64::min);
        least + extent(points, axis) / 2.0
    });
    let relative = |point: &Point| [0, 1].map(|axis| ((point[axis] - middle[axis]) / size) as f32);
    Ok(points.iter().flat_map(relative).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn arbitrary_hand() -> impl Strategy<Value = [Point3; HAND_LANDMARKS]> {
        let point = prop::array::uniform3(-1.0..1.0f64);
        prop::collection::vec(point, HAND_LANDMARKS).prop_map(|points| {
            let mut hand = [[0.0; 3]; HAND_LANDMARKS];
            hand.copy_from_slice(&points);
            hand
        })
    }

    #[test]
    fn features_by_hand() {
        let mut landmarks = [[100.0, 150.0, 0.0]; HAND_LANDMARKS];
        landmarks[1] = [140.0, 130.0, 20.0];
        // Sides 200 and 400: the larger extent is 40 / 400, and z is a share of the width.
        let result = image_features(&landmarks, 200, 400, 0.0).unwrap();
        assert_eq!(result[0], [0.0; 3]);
        for (found, expected) in result[1].iter().zip([0.1, -0.05, 0.1]) {
            assert!((f64::from(*found) - expected / (0.1 + 1e-5)).abs() < 1e-6);
        }
    }

    #[test]
    fn bad_points_are_errors() {
        let mut hand = [[0.0; 3]; HAND_LANDMARKS];
        assert!(image_features(&hand, 0, 5, 0.0).is_err());
        assert_eq!(world_features(&hand, 0.0), Ok([[0.0; 3]; HAND_LANDMARKS]));
        hand[20][2] = f64::NAN;
        assert!(world_features(&hand, 0.0).is_err());
        assert!(normalize_points(&[]).is_err());
        assert!(normalize_points(&[[1.0, 1.0], [1.0, 1.0]]).is_err());
        assert!(normalize_points(&[[1.0, f64::NAN]]).is_err());
        assert!(normalize_points(&[[f64::MAX, 0.0], [f64::MIN, 0.0]]).is_err());
    }

    proptest! {
        #[test]
        fn place_size_and_turn_do_not_matter(
            hand in arbitrary_hand(), turn in -3.0..3.0f64, scale in 0.5..2.0f64, dx in -1.0..1.0f64,
        ) {
            let expected = world_features(&hand, 0.0).unwrap();
            let moved = hand.map(|[x, y, z]| {
                let [x, y] = rotate([x * scale, y * scale], turn);
                [x + dx, y - dx, z * scale]
            });
            let result = world_features(&moved, turn).unwrap();
            for (a, b) in result.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((a - b).abs() < 1e-3, "{a} {b}");
            }
        }

        #[test]
        fn normalized_points_fill_the_unit_square(
            points in prop::collection::vec(prop::array::uniform2(-50.0..50.0f64), 2..30),
            scale in 0.1..10.0f64, dx in -99.0..99.0f64,
        ) {
            let result = normalize_points(&points).unwrap();
            let largest = result.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            prop_assert!((largest - 0.5).abs() < 1e-6);
            let moved: Vec<Point> = points.iter().map(|p| [p[0] * scale + dx, p[1] * scale - dx]).collect();
            let again = normalize_points(&moved).unwrap();
            prop_assert!(result.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-5));
        }
    }
}
