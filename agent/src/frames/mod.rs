//! Images from files and cameras. Compressed ones are left to the tools that cameras come with: the accuracy of a bundle was
//! measured on the pixels of libjpeg-turbo (`djpeg`), and other decoders' pixels differ.

mod ppm;
mod raw;

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use quantrack_engine::vision::{RgbImage, VisionError};

pub use raw::{Pixels, RawFormat};

/// Bytes that are no frames.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Reading failed.
    #[error("failed to read")]
    Read(#[from] std::io::Error),
    /// Not a PPM image.
    #[error(
        "{found}: no PPM image (P6); `djpeg photo.jpg` and `pngtopnm picture.png` write such images, and --frames takes raw ones"
    )]
    Kind {
        /// What the bytes look like.
        found: &'static str,
    },
    /// A PPM image with a broken header.
    #[error("the header of the PPM image is wrong: {why}")]
    Header {
        /// What is wrong.
        why: String,
    },
    /// The bytes end within a frame.
    #[error("the bytes end within the frame: {found} of {expected} are there{hint}")]
    Truncated {
        /// How many bytes a frame has.
        expected: usize,
        /// How many there are.
        found: usize,
        /// What may be the cause.
        hint: &'static str,
    },
    /// A size that is not taken.
    #[error(transparent)]
    Size(#[from] VisionError),
}

/// The frames of a file, one after the other.
pub struct Frames {
    bytes: Box<dyn BufRead>,
    raw: Option<RawFormat>,
}

impl Frames {
    /// Opens `file`, or standard input where it is `-`. Without a raw format it must hold PPM images.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path, raw: Option<RawFormat>) -> std::io::Result<Self> {
        let bytes: Box<dyn BufRead> = if file == Path::new("-") {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            Box::new(BufReader::new(std::fs::File::open(file)?))
        };
        Ok(Self { bytes, raw })
    }

    /// The next frame; `None` where the bytes end after a whole one.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn next_frame(&mut self) -> Result<Option<RgbImage<'static>>, FrameError> {
        if self.bytes.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let frame = match self.raw {
            Some(format) => format.read(&mut self.bytes),
            None => ppm::read(&mut self.bytes),
        };
        frame.map(Some)
    }
}

/// So many bytes, or an error that says how many there were.
fn read_exactly(
    bytes: &mut dyn BufRead,
    expected: usize,
    hint: &'static str,
) -> Result<Vec<u8>, FrameError> {
    // Grows as bytes arrive, whatever a header promises.
    let mut content = Vec::new();
    let found = bytes.take(expected as u64).read_to_end(&mut content)?;
    if found == expected {
        Ok(content)
    } else {
        Err(FrameError::Truncated { expected, found, hint })
    }
}
