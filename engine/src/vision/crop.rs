use super::error::{VisionError, check_side};
use super::letterbox::square_tensor;
use super::{MAX_SIDE, RgbImage, RotatedSquare};
use crate::Tensor;

/// The part of the image in `square`, turned upright, as `[1, size, size, 3]` in 0..=1: bilinear between pixels, the
/// image's border continued outside. Pixels are rounded to whole bytes first, as in the reference.
///
/// Pixel (u, v) of the result samples the image at [`RotatedSquare::to_image`] of (u / size, v / size), where whole
/// coordinates are pixel centres: no half pixel is added on either side, as in the pipeline's reference.
///
/// # Errors
/// Where the square cannot be computed with, or `size` is zero or above [`MAX_SIDE`].
pub fn crop(
    image: &RgbImage<'_>,
    square: &RotatedSquare,
    size: usize,
) -> Result<Tensor, VisionError> {
    square.check()?;
    check_side("the crop's size", size, MAX_SIDE)?;
    let (sin, cos) = libm::sincos(square.angle);
    let step = square.side / size as f64;
    let mut elements = Vec::with_capacity(size * size * 3);
    for v in 0..size {
        let down = (v as f64 - size as f64 / 2.0) * step;
        for u in 0..size {
            let right = (u as f64 - size as f64 / 2.0) * step;
            let x = square.center[0] + right * cos - down * sin;
            let y = square.center[1] + right * sin + down * cos;
            elements.extend(sample(image, x, y));
        }
    }
    square_tensor(size, elements)
}

/// Red, green and blue in 0..=1 at a place between pixel centres.
fn sample(image: &RgbImage<'_>, x: f64, y: f64) -> [f32; 3] {
    let x = x.clamp(0.0, (image.width() - 1) as f64);
    let y = y.clamp(0.0, (image.height() - 1) as f64);
    let (left, top) = (x as usize, y as usize);
    let (fraction_x, fraction_y) = ((x - left as f64) as f32, (y - top as f64) as f32);
    let mix = |a: u8, b: u8, fraction: f32| f32::from(a) + fraction * (f32::from(b) - f32::from(a));
    let corners = [[left, top], [left + 1, top], [left, top + 1], [left + 1, top + 1]];
    let [a, b, c, d] = corners.map(|[x, y]| image.pixel(x, y));
    std::array::from_fn(|channel| {
        let above = mix(a[channel], b[channel], fraction_x);
        let below = mix(c[channel], d[channel], fraction_x);
        (above + fraction_y * (below - above)).round_ties_even() / 255.0
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::f64::consts::FRAC_PI_2;

    /// Red is 10 x and green 10 y: linear, so bilinear interpolation is exact.
    fn ramp(width: usize, height: usize) -> RgbImage<'static> {
        let pixel = |i: usize| [10 * (i % width) as u8, 10 * (i / width) as u8, 9];
        RgbImage::new(width, height, (0..width * height).flat_map(pixel).collect::<Vec<u8>>())
            .unwrap()
    }

    #[test]
    fn upright_and_whole_is_the_image() {
        let image = ramp(8, 8);
        let square = RotatedSquare::new([4.0, 4.0], 8.0, 0.0).unwrap();
        let result = crop(&image, &square, 8).unwrap();
        let expected: Vec<f32> = image.bytes().iter().map(|&b| f32::from(b) / 255.0).collect();
        assert_eq!(result.into_raw_vec_and_offset().0, expected);
    }

    #[test]
    fn a_quarter_turn_swaps_the_axes() {
        let square = RotatedSquare::new([8.0, 8.0], 8.0, FRAC_PI_2).unwrap();
        let result = crop(&ramp(20, 20), &square, 8).unwrap();
        // The crop's up is the image's right.
        for (u, v) in [(0, 0), (4, 4), (7, 2)] {
            assert!((result[[0, v, u, 0]] * 25.5 - (12.0 - v as f32)).abs() < 0.5 / 10.0 + 1e-4);
            assert!((result[[0, v, u, 1]] * 25.5 - (4.0 + u as f32)).abs() < 0.5 / 10.0 + 1e-4);
        }
    }

    #[test]
    fn bad_crops_are_errors() {
        let image = ramp(3, 3);
        let square = RotatedSquare { center: [1.0, 1.0], side: f64::NAN, angle: 0.0 };
        assert!(crop(&image, &square, 4).is_err());
        let square = RotatedSquare::new([1.0, 1.0], 1.0, 0.0).unwrap();
        assert!(crop(&image, &square, 0).is_err());
        assert!(crop(&image, &square, usize::MAX).is_err());
    }

    proptest! {
        #[test]
        fn pixels_come_from_where_the_square_says(
            x in -30.0..60.0f64, y in -30.0..60.0f64, side in 0.5..80.0f64, angle in -4.0..4.0f64,
            size in 1..20usize,
        ) {
            let square = RotatedSquare::new([x, y], side, angle).unwrap();
            let result = crop(&ramp(25, 17), &square, size).unwrap();
            for v in 0..size {
                for u in 0..size {
                    let at = [u, v].map(|c| c as f64 / size as f64);
                    let [x, y] = square.to_image(at);
                    let expected = [x.clamp(0.0, 24.0) / 25.5, y.clamp(0.0, 16.0) / 25.5, 9.0 / 255.0];
                    for (channel, e) in expected.into_iter().enumerate() {
                        prop_assert!((f64::from(result[[0, v, u, channel]]) - e).abs() < 0.5 / 255.0 + 1e-5);
                    }
                }
            }
        }
    }
}
