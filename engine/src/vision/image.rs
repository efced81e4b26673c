use std::borrow::Cow;

use super::error::{VisionError, check_side};

/// The longest side, in pixels, of an image and of a model's input.
pub const MAX_SIDE: usize = 1 << 14;

/// An image of interleaved 8-bit RGB, borrowed or owned. Decoding files is the caller's business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RgbImage<'a> {
    width: usize,
    height: usize,
    bytes: Cow<'a, [u8]>,
}

impl<'a> RgbImage<'a> {
    /// An image of `width` × `height` pixels: `bytes` is row-major `[height, width, 3]`, without padding between rows.
    ///
    /// # Errors
    /// Where a side is zero or longer than [`MAX_SIDE`], or the bytes are too few or too many.
    pub fn new(
        width: usize,
        height: usize,
        bytes: impl Into<Cow<'a, [u8]>>,
    ) -> Result<Self, VisionError> {
        check_side("the image's width", width, MAX_SIDE)?;
        check_side("the image's height", height, MAX_SIDE)?;
        let (bytes, expected) = (bytes.into(), width * height * 3);
        if bytes.len() != expected {
            let found = bytes.len();
            return Err(VisionError::Length { what: "the image", expected, found });
        }
        Ok(Self { width, height, bytes })
    }

    /// In pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// In pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Row-major `[height, width, 3]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Red, green and blue of the pixel at column `x` and row `y`; the nearest pixel of the border outside the image.
    pub fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let first = (y.min(self.height - 1) * self.width + x.min(self.width - 1)) * 3;
        [self.bytes[first], self.bytes[first + 1], self.bytes[first + 2]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_must_fit() {
        assert!(RgbImage::new(2, 1, vec![0; 6]).is_ok());
        assert!(RgbImage::new(2, 1, [0; 5].as_slice()).is_err());
        assert!(RgbImage::new(0, 1, Vec::new()).is_err());
        assert!(RgbImage::new(usize::MAX, usize::MAX, Vec::new()).is_err());
    }

    #[test]
    fn outside_is_the_border() {
        let image = RgbImage::new(2, 2, (0..12).collect::<Vec<u8>>()).unwrap();
        assert_eq!(image.pixel(1, 0), [3, 4, 5]);
        assert_eq!(image.pixel(7, 9), [9, 10, 11]);
    }
}
