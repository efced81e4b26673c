//! Image files to pixels. JPEG goes through libjpeg-turbo's decoder, whose pixels OpenCV, Pillow and the trainers of
//! most models have seen: other decoders' pixels differ by up to 5 grey levels, enough to move a palm detection.

use std::io::{BufRead, Cursor, Error, Read};
use std::panic::catch_unwind;

use image::{ImageFormat, ImageReader};
use mozjpeg::Decompress;
use quantrack_engine::vision::{MAX_SIDE, RgbImage, VisionError};

/// Why bytes are no image that the engine takes.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The file cannot be read.
    #[error("failed to read the file")]
    Read(#[source] std::io::Error),
    /// Neither JPEG nor PNG.
    #[error("its first bytes are neither those of a JPEG nor of a PNG file")]
    Format,
    /// Corrupt, truncated, or of a kind (lossless, CMYK) that the decoder lacks.
    #[error("the JPEG data are corrupt or of an unsupported kind: {0}")]
    Jpeg(String),
    /// Corrupt or truncated.
    #[error("the PNG data are corrupt")]
    Png(#[source] image::ImageError),
    /// Too large.
    #[error("its size is not supported")]
    Size(#[source] VisionError),
    /// Too large for memory to be set aside.
    #[error("{width} x {height} pixels are too many: a side may have at most {MAX_SIDE}")]
    TooLarge {
        /// In pixels.
        width: usize,
        /// In pixels.
        height: usize,
    },
}

/// Decodes a JPEG or PNG file, told apart by their first bytes, to RGB: grey is repeated, transparency dropped.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<RgbImage<'static>, DecodeError> {
    let (width, height) = dimensions(bytes)?;
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(DecodeError::TooLarge { width, height });
    }
    let pixels = if is_jpeg(bytes) {
        jpeg(|| {
            let mut lines = Decompress::new_reader(Complete(bytes))?.rgb()?;
            let pixels: Vec<u8> = lines.read_scanlines()?;
            lines.finish()?;
            Ok(pixels)
        })?
    } else {
        png(bytes)?.decode().map_err(DecodeError::Png)?.into_rgb8().into_raw()
    };
    RgbImage::new(width, height, pixels).map_err(DecodeError::Size)
}

/// Width and height, in pixels, that a file's header states.
///
/// # Errors
/// See [`DecodeError`].
pub(super) fn dimensions(bytes: &[u8]) -> Result<(usize, usize), DecodeError> {
    if is_jpeg(bytes) {
        return jpeg(|| Decompress::new_reader(Complete(bytes)).map(|image| image.size()));
    }
    let (width, height) = png(bytes)?.into_dimensions().map_err(DecodeError::Png)?;
    Ok((width as usize, height as usize))
}

fn is_jpeg(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xff, 0xd8])
}

/// A file in memory whose end is an error to whoever reads past it: libjpeg would make up the missing rest.
struct Complete<'a>(&'a [u8]);

impl BufRead for Complete<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.0.is_empty() { Err(Error::other("the file is truncated")) } else { Ok(self.0) }
    }

    fn consume(&mut self, count: usize) {
        self.0 = &self.0[count..];
    }
}

impl Read for Complete<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}

/// The library reports fatal errors by unwinding with a message.
fn jpeg<T>(
    read: impl FnOnce() -> std::io::Result<T> + std::panic::UnwindSafe,
) -> Result<T, DecodeError> {
    match catch_unwind(read) {
        Ok(result) => result.map_err(|error| DecodeError::Jpeg(error.to_string())),
        Err(payload) => {
            let message = payload.downcast_ref::<String>();
            Err(DecodeError::Jpeg(message.map_or("no reason given", String::as_str).to_owned()))
        }
    }
}

fn png(bytes: &[u8]) -> Result<ImageReader<Cursor<&[u8]>>, DecodeError> {
    if !bytes.starts_with(b"\x89PNG") {
        return Err(DecodeError::Format);
    }
    Ok(ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: u16 = 24;

    fn jpeg_file() -> Vec<u8> {
        let mut compressor = mozjpeg::Compress::new(mozjpeg::ColorSpace::JCS_RGB);
        compressor.set_size(usize::from(SIDE), usize::from(SIDE));
        compressor.set_quality(95.0);
        let mut lines = compressor.start_compress(Vec::new()).unwrap();
        let pixels: Vec<u8> =
            (0..SIDE * SIDE).flat_map(|i| [200, (i % SIDE * 8) as u8, 30]).collect();
        lines.write_scanlines(&pixels).unwrap();
        lines.finish().unwrap()
    }

    #[test]
    fn a_jpeg_gives_its_pixels() {
        let image = decode(&jpeg_file()).unwrap();
        assert_eq!((image.width(), image.height()), (24, 24));
        let [red, green, blue] = image.pixel(12, 5);
        assert!(red.abs_diff(200) < 6 && green.abs_diff(96) < 6 && blue.abs_diff(30) < 6);
    }

    #[test]
    fn every_truncation_is_an_error() {
        let file = jpeg_file();
        for length in 0..file.len() - 2 {
            assert!(decode(&file[..length]).is_err(), "{length} of {} bytes", file.len());
        }
    }

    #[test]
    fn absurd_sizes_are_refused_before_memory_is_set_aside() {
        let mut file = jpeg_file();
        let frame =
            file.windows(2).position(|pair| pair[0] == 0xff && matches!(pair[1], 0xc0 | 0xc2));
        let at = frame.unwrap() + 5;
        file[at..at + 4].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
        assert!(matches!(
            decode(&file),
            Err(DecodeError::TooLarge { width: 65500, height: 65500 })
        ));
    }

    proptest::proptest! {
        #[test]
        fn corrupt_files_never_panic(at in 0_usize..600, value: u8) {
            let mut file = jpeg_file();
            let at = at % file.len();
            file[at] = value;
            let _ = decode(&file);
        }
    }
}
