//! PPM images: `P6`, width, height and 255, separated by white space and comments, one white space, then the pixels
//! (<https://netpbm.sourceforge.net/doc/ppm.html>). A file may hold several, one after the other.

use std::io::BufRead;

use quantrack_engine::vision::{MAX_SIDE, RgbImage};

use super::{FrameError, read_exactly};

/// The longest header that is read: comments may be long, but not without end.
const MAX_HEADER: usize = 1 << 16;

pub(super) fn read(bytes: &mut dyn BufRead) -> Result<RgbImage<'static>, FrameError> {
    let mut header = Header { bytes, read: 0 };
    match [header.byte()?, header.byte()?] {
        [Some(b'P'), Some(b'6')] => {}
        [Some(b'P'), Some(b'1'..=b'7')] => {
            return Err(FrameError::Kind { found: "another kind of Netpbm image" });
        }
        [Some(0xff), Some(0xd8)] => return Err(FrameError::Kind { found: "a JPEG image" }),
        [Some(0x89), Some(b'P')] => return Err(FrameError::Kind { found: "a PNG image" }),
        _ => return Err(FrameError::Kind { found: "unknown bytes" }),
    }
    let [width, height, most] = [header.number()?, header.number()?, header.number()?];
    if most != 255 {
        return Err(wrong(format!("its largest value is {most}, where 255 is taken")));
    }
    if width > MAX_SIDE || height > MAX_SIDE {
        return Err(wrong(format!(
            "{width} x {height} pixels; a side may have {MAX_SIDE} at most"
        )));
    }
    let pixels = read_exactly(bytes, width * height * 3, "")?;
    Ok(RgbImage::new(width, height, pixels)?)
}

fn wrong(why: String) -> FrameError {
    FrameError::Header { why }
}

struct Header<'a> {
    bytes: &'a mut dyn BufRead,
    read: usize,
}

impl Header<'_> {
    fn byte(&mut self) -> Result<Option<u8>, FrameError> {
        let next = self.bytes.fill_buf()?.first().copied();
        if next.is_some() {
            self.bytes.consume(1);
            self.read += 1;
            if self.read > MAX_HEADER {
                return Err(wrong("it is too long".to_owned()));
            }
        }
        Ok(next)
    }

    /// A number after white space and comments, with the one white space that ends it.
    fn number(&mut self) -> Result<usize, FrameError> {
        let ends = || wrong("it ends early".to_owned());
        let mut next = self.byte()?.ok_or_else(ends)?;
        while next.is_ascii_whitespace() || next == b'#' {
            if next == b'#' {
                while next != b'\n' {
                    next = self.byte()?.ok_or_else(ends)?;
                }
            }
            next = self.byte()?.ok_or_else(ends)?;
        }
        let mut number = 0usize;
        while next.is_ascii_digit() {
            number = number.saturating_mul(10).saturating_add(usize::from(next - b'0'));
            next = self.byte()?.ok_or_else(ends)?;
        }
        if next.is_ascii_whitespace() {
            Ok(number)
        } else {
            Err(wrong(format!("byte {next:#04x} in a number")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut bytes: &[u8]) -> Result<Vec<RgbImage<'static>>, FrameError> {
        let mut images = Vec::new();
        while !bytes.is_empty() {
            images.push(read(&mut bytes)?);
        }
        Ok(images)
    }

    #[test]
    fn several_images_follow_each_other() {
        let images = all(b"P6\n2 1\n255\nabcdefP6 # one\n#\n 1\t1 255 \n\xff\x00").unwrap();
        assert_eq!(images[0].bytes(), b"abcdef");
        assert_eq!((images[1].width(), images[1].bytes()), (1, b"\n\xff\x00".as_slice()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let message = |bytes: &[u8]| all(bytes).unwrap_err().to_string();
        assert!(message(b"\xff\xd8\xff\xe0").contains("djpeg"));
        assert!(message(b"\x89PNG").contains("a PNG image"));
        assert!(message(b"P5 1 1 255 a").contains("another kind of Netpbm"));
        assert!(message(b"P6 1 1 65535 abcdef").contains("largest value is 65535"));
        assert!(message(b"P6 99999999999999999999999 1 255 abc").contains("a side may have"));
        assert!(message(b"P6 0 1 255 ").contains("width"));
        assert!(message(b"P6 2 1 255 abc").contains("3 of 6"));
        assert!(message(b"P6 2").contains("ends early"));
        assert!(message(b"P6 2x1 255 ").contains("0x78"));
        let endless = [b"P6 #".as_slice(), &[b' '; MAX_HEADER]].concat();
        assert!(message(&endless).contains("too long"));
    }
}
