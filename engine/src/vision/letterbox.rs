use ndarray::{ArrayD, IxDyn};

use super::error::{VisionError, check_side};
use super::{MAX_SIDE, Point, RgbImage, resample};
use crate::Tensor;

/// Where an image lies in its letterboxed square.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Square pixels per image pixel, the same along both axes.
    pub scale: f64,
    /// Padding on the left, in square pixels.
    pub left: usize,
    /// Padding on the top, in square pixels.
    pub top: usize,
    /// The side of the square in pixels.
    pub side: usize,
}

impl Letterbox {
    /// Where an image of `width` × `height` pixels comes to lie in a square of `side` pixels: as large as fits, centred,
    /// an odd pixel of padding going to the right or bottom.
    ///
    /// # Errors
    /// Where a length is zero or above [`MAX_SIDE`].
    pub fn new(width: usize, height: usize, side: usize) -> Result<Self, VisionError> {
        check_side("the image's width", width, MAX_SIDE)?;
        check_side("the image's height", height, MAX_SIDE)?;
        check_side("the letterbox's side", side, MAX_SIDE)?;
        let scale = side as f64 / width.max(height) as f64;
        let fitted = |length: usize| fitted(length, scale, side);
        let (left, top) = ((side - fitted(width)) / 2, (side - fitted(height)) / 2);
        Ok(Self { scale, left, top, side })
    }

    /// From square pixels to image pixels.
    pub fn to_image(&self, [x, y]: Point) -> Point {
        [(x - self.left as f64) / self.scale, (y - self.top as f64) / self.scale]
    }

    /// From image pixels to square pixels.
    pub fn from_image(&self, [x, y]: Point) -> Point {
        [x * self.scale + self.left as f64, y * self.scale + self.top as f64]
    }
}

/// The length of an image's side in the square, in pixels.
fn fitted(length: usize, scale: f64, side: usize) -> usize {
    ((length as f64 * scale).round() as usize).clamp(1, side)
}

/// The image in a square of `side` pixels, `[1, side, side, 3]` in 0..=1, its aspect kept, zeros around it; and where it
/// lies there. Shrinking averages areas (OpenCV's `INTER_AREA`), growing is bilinear. Pixels are rounded to whole bytes
/// before they become shares, as in the reference: detections near a threshold depend on it.
///
/// # Errors
/// Where `side` is zero or above [`MAX_SIDE`].
pub fn letterbox(image: &RgbImage<'_>, side: usize) -> Result<(Tensor, Letterbox), VisionError> {
    let place = Letterbox::new(image.width(), image.height(), side)?;
    let width = fitted(image.width(), place.scale, side);
    let height = fitted(image.height(), place.scale, side);
    let mut square = vec![0.0; side * side * 3];
    let resized = resample::resize(image, width, height);
    for (y, row) in resized.chunks_exact(width * 3).enumerate() {
        let first = ((place.top + y) * side + place.left) * 3;
        for (pixel, &sample) in square[first..first + width * 3].iter_mut().zip(row) {
            *pixel = sample.round_ties_even() / 255.0;
        }
    }
    Ok((square_tensor(side, square)?, place))
}

/// `[1, side, side, 3]` from its elements.
pub(super) fn square_tensor(side: usize, elements: Vec<f32>) -> Result<Tensor, VisionError> {
    let found = elements.len();
    ArrayD::from_shape_vec(IxDyn(&[1, side, side, 3]), elements).map_err(|_| VisionError::Length {
        what: "the square",
        expected: side * side * 3,
        found,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn padding_is_centred_and_zero() {
        let image = RgbImage::new(8, 4, vec![255; 96]).unwrap();
        let (square, place) = letterbox(&image, 4).unwrap();
        assert_eq!(place, Letterbox { scale: 0.5, left: 0, top: 1, side: 4 });
        let rows: Vec<f32> = (0..4).map(|y| square[[0, y, 2, 1]]).collect();
        assert_eq!(rows, [0.0, 1.0, 1.0, 0.0]);
    }

    #[test]
    fn a_hair_keeps_one_pixel() {
        let image = RgbImage::new(1, 5000, vec![51; 15000]).unwrap();
        let (square, place) = letterbox(&image, 10).unwrap();
        assert_eq!((place.left, place.top), (4, 0));
        assert!(square.iter().filter(|&&v| (v - 0.2).abs() < 1e-6).count() == 30);
    }

    #[test]
    fn sides_are_checked() {
        let image = RgbImage::new(1, 1, vec![0; 3]).unwrap();
        assert!(letterbox(&image, 0).is_err());
        assert!(letterbox(&image, usize::MAX).is_err());
    }

    proptest! {
        #[test]
        fn mapping_there_and_back(
            width in 1..3000usize, height in 1..3000usize, side in 1..600usize,
            x in -1e4..1e4f64, y in -1e4..1e4f64,
        ) {
            let place = Letterbox::new(width, height, side).unwrap();
            let [u, v] = place.to_image(place.from_image([x, y]));
            prop_assert!((u - x).abs() < 1e-6 && (v - y).abs() < 1e-6);
            let corner = place.from_image([width as f64, height as f64]);
            prop_assert!(corner.iter().all(|&c| c < side as f64 + 1.0));
        }
    }
}
