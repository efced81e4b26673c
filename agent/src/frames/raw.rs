//! Raw frames, as cameras' tools write them to a pipe.

use std::io::BufRead;
use std::str::FromStr;

use quantrack_engine::vision::{MAX_SIDE, RgbImage};

use super::{FrameError, read_exactly};

/// How the bytes of a raw frame are pixels; names are ffmpeg's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pixels {
    /// Red, green, blue.
    Rgb24,
    /// Blue, green, red.
    Bgr24,
    /// A plane of luma, then two of chroma with half the width and height: what `rpicam-vid --codec yuv420` writes.
    /// ITU-R BT.601, limited range.
    Yuv420,
}

/// Pixels and size of raw frames, as in `rgb24:640x480`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawFormat {
    /// The pixels.
    pub pixels: Pixels,
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
}

impl FromStr for RawFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = || "pixels and size are needed, as in rgb24:640x480".to_owned();
        let (pixels, size) = text.split_once(':').ok_or_else(form)?;
        let pixels = match pixels {
            "rgb24" => Pixels::Rgb24,
            "bgr24" => Pixels::Bgr24,
            "yuv420" | "yuv420p" => Pixels::Yuv420,
            _ => return Err(format!("unknown pixels {pixels:?}: use rgb24, bgr24 or yuv420")),
        };
        let (width, height) = size.split_once('x').ok_or_else(form)?;
        let side = |text: &str| {
            let side = text.parse().ok().filter(|side| (1..=MAX_SIDE).contains(side));
            side.ok_or_else(|| format!("{text:?} is no number from 1 to {MAX_SIDE}"))
        };
        let (width, height): (usize, usize) = (side(width)?, side(height)?);
        if pixels == Pixels::Yuv420 && (width % 2 != 0 || height % 2 != 0) {
            return Err("yuv420 needs an even width and height".to_owned());
        }
        Ok(Self { pixels, width, height })
    }
}

impl RawFormat {
    /// Bytes of a frame.
    fn bytes(&self) -> usize {
        let area = self.width * self.height;
        match self.pixels {
            Pixels::Rgb24 | Pixels::Bgr24 => area * 3,
            Pixels::Yuv420 => area / 2 * 3,
        }
    }

    pub(super) fn read(&self, bytes: &mut dyn BufRead) -> Result<RgbImage<'static>, FrameError> {
        let hint = "; check the pixels and the size in --frames";
        let mut frame = read_exactly(bytes, self.bytes(), hint)?;
        match self.pixels {
            Pixels::Rgb24 => {}
            Pixels::Bgr24 => frame.chunks_exact_mut(3).for_each(|pixel| pixel.swap(0, 2)),
            Pixels::Yuv420 => frame = self.yuv420_to_rgb(&frame),
        }
        Ok(RgbImage::new(self.width, self.height, frame)?)
    }

    fn yuv420_to_rgb(&self, frame: &[u8]) -> Vec<u8> {
        let area = self.width * self.height;
        let (luma, chroma) = frame.split_at(area);
        let (blue, red) = chroma.split_at(area / 4);
        let mut rgb = Vec::with_capacity(area * 3);
        for (row, lumas) in luma.chunks_exact(self.width).enumerate() {
            for (column, &y) in lumas.iter().enumerate() {
                let at = row / 2 * (self.width / 2) + column / 2;
                rgb.extend(bt601(y, blue[at], red[at]));
            }
        }
        rgb
    }
}

/// Red, green and blue of a pixel by ITU-R BT.601, whose luma is in 16..=235 and chroma in 16..=240; factors of 1/256.
fn bt601(y: u8, u: u8, v: u8) -> [u8; 3] {
    let [y, u, v] = [(y, 16), (u, 128), (v, 128)].map(|(byte, zero)| i32::from(byte) - zero);
    let y = 298 * y + 128;
    [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u].map(|value| (value >> 8).clamp(0, 255) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(format: &str, mut bytes: &[u8]) -> Result<Vec<u8>, FrameError> {
        let format: RawFormat = format.parse().unwrap();
        Ok(format.read(&mut bytes)?.bytes().to_vec())
    }

    #[test]
    fn channels_end_in_their_places() {
        assert_eq!(read("rgb24:2x1", b"abcdef").unwrap(), b"abcdef");
        assert_eq!(read("bgr24:2x1", b"abcdef").unwrap(), b"cbafed");
    }

    #[test]
    fn yuv_has_the_colours_of_test_bars() {
        // BT.601 bars: white, yellow, cyan, green, magenta, red, blue, black.
        let bars: [([u8; 3], [u8; 3]); 8] = [
            ([235, 128, 128], [255, 255, 255]),
            ([210, 16, 146], [255, 255, 0]),
            ([170, 166, 16], [0, 255, 255]),
            ([145, 54, 34], [0, 255, 0]),
            ([106, 202, 222], [255, 0, 255]),
            ([81, 90, 240], [255, 0, 0]),
            ([41, 240, 110], [0, 0, 255]),
            ([16, 128, 128], [0, 0, 0]),
        ];
        for ([y, u, v], expected) in bars {
            let found = read("yuv420:2x2", &[y, y, y, y, u, v]).unwrap();
            for (index, &byte) in found.iter().enumerate() {
                assert!(byte.abs_diff(expected[index % 3]) <= 2, "{found:?} {expected:?}");
            }
        }
    }

    #[test]
    fn chroma_belongs_to_four_pixels() {
        let frame = [&[235; 8][..], &[128, 240], &[128, 110]].concat();
        let found = read("yuv420:4x2", &frame).unwrap();
        assert_eq!(found[..6], [255; 6]);
        assert_ne!(found[6..12], [255; 6]);
        assert_eq!(found[..12], found[12..]);
    }

    #[test]
    fn a_frame_that_is_cut_is_named() {
        let error = read("rgb24:2x1", b"abc").unwrap_err().to_string();
        assert!(error.contains("3 of 6") && error.contains("--frames"), "{error}");
    }

    #[test]
    fn sizes_and_pixels_are_checked() {
        let error = |text: &str| text.parse::<RawFormat>().unwrap_err();
        assert!(error("rgb24").contains("rgb24:640x480"));
        assert!(error("nv12:2x2").contains("rgb24, bgr24 or yuv420"));
        assert!(error("rgb24:0x2").contains("no number from 1"));
        assert!(error("yuv420:3x2").contains("even"));
    }
}
