use super::error::{VisionError, check};
use super::ssd::sigmoid;
use super::{Letterbox, RotatedSquare};

/// The one object that a single-box detector sees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SingleBox {
    /// The probability that it is there.
    pub presence: f64,
    /// Where it is, in image pixels.
    pub square: RotatedSquare,
}

/// Decodes the output of a single-box detector, `[presence, cx, cy, size, sin r, cos r]`: presence before the sigmoid;
/// centre and size in sides of the letterboxed square; r the clockwise turn. Sine and cosine need not be normalized. The
/// result's side is `margin` times the size. `None` where the presence is below `min_presence`, or the size or the
/// direction is nothing to crop by.
///
/// # Errors
/// Where the length is wrong or a number is not finite.
pub fn decode_single_box(
    raw: &[f32],
    place: &Letterbox,
    margin: f64,
    min_presence: f64,
) -> Result<Option<SingleBox>, VisionError> {
    check("the detector's output", raw, 6)?;
    let value = |index: usize| f64::from(raw[index]);
    let presence = sigmoid(value(0));
    let (sin, cos) = (value(4), value(5));
    let undirected = sin == 0.0 && cos == 0.0;
    if presence < min_presence || undirected {
        return Ok(None);
    }
    let side = place.side as f64;
    let center = place.to_image([value(1) * side, value(2) * side]);
    let size = value(3) * side / place.scale * margin;
    let square = RotatedSquare::new(center, size, libm::atan2(sin, cos));
    Ok(square.ok().map(|square| SingleBox { presence, square }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_to_crop_is_none() {
        let place = Letterbox::new(100, 50, 96).unwrap();
        let decode = |raw: [f32; 6]| decode_single_box(&raw, &place, 1.5, 0.5).unwrap();
        assert!(decode([0.0, 0.5, 0.5, 0.2, 0.0, 1.0]).is_some());
        assert!(decode([-0.1, 0.5, 0.5, 0.2, 0.0, 1.0]).is_none());
        assert!(decode([9.0, 0.5, 0.5, -0.2, 0.0, 1.0]).is_none());
        assert!(decode([9.0, 0.5, 0.5, 0.2, 0.0, 0.0]).is_none());
        assert!(decode([9.0, 1e30, 0.5, 0.2, 0.0, 1.0]).is_none());
        assert!(decode_single_box(&[0.0; 5], &place, 1.5, 0.5).is_err());
        assert!(decode_single_box(&[f32::NAN; 6], &place, 1.5, 0.5).is_err());
    }

    proptest! {
        #[test]
        fn a_square_comes_back(
            width in 20..900usize, height in 20..900usize,
            x in 0.1..0.9f64, y in 0.1..0.9f64, size in 0.1..0.8f64, angle in -3.1..3.1f64, length in 0.2..2.0f64,
        ) {
            let place = Letterbox::new(width, height, 96).unwrap();
            let longer = width.max(height) as f64;
            let center = [x * width as f64, y * height as f64];
            let [u, v] = place.from_image(center).map(|c| (c / 96.0) as f32);
            let (sin, cos) = libm::sincos(angle);
            let raw = [2.0, u, v, size as f32, (sin * length) as f32, (cos * length) as f32];
            let found = decode_single_box(&raw, &place, 1.0, 0.5).unwrap().unwrap();
            prop_assert!((found.presence - 0.880_797).abs() < 1e-6);
            prop_assert!((found.square.side - size * longer).abs() < 1e-3);
            prop_assert!((found.square.angle - angle).abs() < 1e-5);
            prop_assert!((found.square.center[0] - center[0]).abs() < 1e-2);
            prop_assert!((found.square.center[1] - center[1]).abs() < 1e-2);
        }
    }
}
