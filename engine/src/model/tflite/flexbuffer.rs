//! The parameters of custom operators: FlexBuffers whose root is a map of integers.
//!
//! Layout (`flexbuffers.h` in google/flatbuffers): numbers are little-endian and as wide as stated beside them; offsets
//! count backwards from where they stand; a map is a vector of values with, before its length, the offset of a vector
//! of keys and the width of that vector's elements.

use crate::model::fault::{Fault, malformed};

/// Longest buffer that is read; real ones have some hundred bytes.
const MAX_BYTES: usize = 1 << 16;
const INT: u8 = 1;
const UINT: u8 = 2;
const MAP: u8 = 9;
const BOOL: u8 = 26;

/// A map from names to integers.
#[derive(Debug)]
pub(super) struct IntegerMap(Vec<(String, i64)>);

impl IntegerMap {
    /// Reads a whole buffer.
    ///
    /// # Errors
    /// [`Fault::Malformed`] unless it is a map, all of it lies within the buffer, and its values are integers.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let short = bytes.len() <= MAX_BYTES;
        let entries = short.then(|| Buffer(bytes).root_map()).flatten();
        entries
            .map(Self)
            .ok_or_else(|| malformed("has parameters that are no map of integers".into()))
    }

    /// The value of `key`.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when it is absent, or no 32-bit integer.
    pub(super) fn get(&self, key: &str) -> Result<i32, Fault> {
        let value = self.0.iter().find(|(name, _)| name == key).map(|entry| entry.1);
        value
            .and_then(|value| i32::try_from(value).ok())
            .ok_or_else(|| malformed(format!("has {value:?} as its parameter {key}")))
    }
}

/// Every access is checked: `None` is outside of the buffer, or of another kind than needed.
struct Buffer<'a>(&'a [u8]);

impl Buffer<'_> {
    fn root_map(&self) -> Option<Vec<(String, i64)>> {
        let end = self.0.len().checked_sub(2)?;
        let (kind, width) = (self.0[end], usize::from(self.0[end + 1]));
        if kind >> 2 != MAP {
            return None;
        }
        let values = self.follow(end.checked_sub(width)?, width)?;
        let width = element_width(kind);
        let count = self.length(values, width)?;
        let keys_width = self.length(values.checked_sub(width)?, width)?;
        let keys = self.follow(values.checked_sub(3 * width)?, width)?;
        if !matches!(keys_width, 1 | 2 | 4 | 8) || self.length(keys, keys_width)? != count {
            return None;
        }
        let entry = |index: usize| {
            let key = self.text(self.follow(keys + index * keys_width, keys_width)?)?;
            let kind = *self.0.get(values + count * width + index)?;
            Some((key, self.integer(values + index * width, width, kind >> 2)?))
        };
        // An element takes a byte at least.
        (count <= self.0.len()).then(|| (0..count).map(entry).collect())?
    }

    /// The little-endian number of `width` bytes at `at`.
    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.0.get(at..at.checked_add(width)?)?;
        if !matches!(width, 1 | 2 | 4 | 8) {
            return None;
        }
        Some(bytes.iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte)))
    }

    /// The length before a vector.
    fn length(&self, vector: usize, width: usize) -> Option<usize> {
        usize::try_from(self.number(vector.checked_sub(width)?, width)?).ok()
    }

    /// Where the offset at `at` leads.
    fn follow(&self, at: usize, width: usize) -> Option<usize> {
        at.checked_sub(usize::try_from(self.number(at, width)?).ok()?)
    }

    fn integer(&self, at: usize, width: usize, kind: u8) -> Option<i64> {
        let number = self.number(at, width)?;
        match kind {
            INT => {
                let unused = 64 - 8 * width as u32;
                Some((number << unused) as i64 >> unused)
            }
            UINT | BOOL => i64::try_from(number).ok(),
            _ => None,
        }
    }

    /// The text from `at` to the next zero.
    fn text(&self, at: usize) -> Option<String> {
        let bytes = self.0.get(at..)?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(&bytes[..end]).ok().map(str::to_owned)
    }
}

/// Bytes of the elements of a vector of this type.
fn element_width(kind: u8) -> usize {
    1 << (kind & 3)
}

/// A map of integers as FlexBuffers; keys in ascending order, as readers that search them need.
pub(super) fn write(entries: &[(&str, i32)]) -> Vec<u8> {
    let mut sorted = entries.to_vec();
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    let keys: Vec<usize> = sorted
        .iter()
        .map(|(key, _)| {
            bytes.extend(key.bytes().chain([0]));
            bytes.len() - key.len() - 1
        })
        .collect();
    // Everything is 4 bytes wide, whatever would do.
    let push = |bytes: &mut Vec<u8>, number: u32| bytes.extend(number.to_le_bytes());
    let count = sorted.len() as u32;
    push(&mut bytes, count);
    let first_key = bytes.len();
    for key in keys {
        let offset = (bytes.len() - key) as u32;
        push(&mut bytes, offset);
    }
    let offset = (bytes.len() - first_key) as u32;
    push(&mut bytes, offset);
    push(&mut bytes, 4);
    push(&mut bytes, count);
    let values = bytes.len();
    for (_, value) in &sorted {
        push(&mut bytes, *value as u32);
    }
    bytes.extend(sorted.iter().map(|_| INT << 2 | 2));
    let offset = (bytes.len() - values) as u32;
    push(&mut bytes, offset);
    bytes.extend([MAP << 2 | 2, 4]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Written by larq-compute-engine 0.16.0 for a `LceBMaxPool2d`.
    const REAL: &[u8] = b"padding\0stride_width\0stride_height\0filter_width\0filter_height\0\
        \x05\x0f\x1d\x41\x2d\x3b\x05\x01\x05\x02\x02\x00\x02\x02\x04\x04\x04\x04\x04\x0a\x24\x01";

    #[test]
    fn a_map_of_a_real_file_is_read() {
        let map = IntegerMap::read(REAL).unwrap();
        assert_eq!(map.get("filter_height").unwrap(), 2);
        assert_eq!(map.get("padding").unwrap(), 0);
        assert_eq!(map.get("stride_width").unwrap(), 2);
        assert!(map.get("dilation").is_err());
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(a: i32, b: i32, c in 0..2) {
            let map = IntegerMap::read(&write(&[("b", b), ("long name", c), ("a", a)])).unwrap();
            prop_assert_eq!(
                (map.get("a").unwrap(), map.get("b").unwrap(), map.get("long name").unwrap()),
                (a, b, c)
            );
        }

        #[test]
        fn no_bytes_are_too_strange(bytes: Vec<u8>) {
            let _ = IntegerMap::read(&bytes);
        }

        #[test]
        fn damaged_maps_are_read_or_refused(at in 0..REAL.len(), value: u8, cut in 0..REAL.len()) {
            let mut bytes = REAL.to_vec();
            bytes[at] = value;
            let _ = IntegerMap::read(&bytes);
            let _ = IntegerMap::read(&bytes[cut..]);
        }
    }
}
