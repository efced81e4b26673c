//! How the numbers of a value are stored.

use serde::{Deserialize, Serialize};

/// How the elements of an activation are stored, and which real numbers they stand for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Encoding {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// `real = scale * (q - zero_point)`, `q` in -128..=127, one scale for the whole tensor.
    Int8 {
        /// Real size of one step; finite and positive.
        scale: f32,
        /// The `q` that stands for real zero.
        zero_point: i8,
    },
    /// Signs, packed along the last (channel) axis: bit `c % 64` of word `c / 64`, 1 for +1 and 0 for -1. Each
    /// row of channels starts on a new 64-bit word; unused bits of its last word are 0. What ±1 stands for is
    /// folded into the consumers' scales and biases.
    Bits,
    /// 4-bit integers, -7..=7: weights, only in constants.
    Int4,
    /// 32-bit integers: indices, only in constants.
    I32,
    /// -1, 0 and 1, each half the sum of two signs: weights, only in constants. For each index of the first axis the first
    /// signs of all others, then the second, each packed like [`Encoding::Bits`].
    Ternary,
}

/// A tensor known before the model runs: weights, biases, slopes, indices.
#[derive(Clone, Debug, PartialEq)]
pub struct Constant {
    /// The elements, row-major; the shape is that of the value.
    pub data: ConstantData,
    /// For quantized weights the real size of one step per output channel (length = output channels);
    /// empty for floating point and indices.
    pub scales: Vec<f32>,
}

/// The elements of a [`Constant`].
#[derive(Clone, Debug, PartialEq)]
pub enum ConstantData {
    /// 32-bit floating point.
    F32(Vec<f32>),
    /// 16-bit floating point.
    F16(Vec<half::f16>),
    /// 8-bit integers, symmetric: `real = scales[c] * q`, `q` in -127..=127.
    I8(Vec<i8>),
    /// 4-bit integers, symmetric: `real = scales[c] * q`, `q` in -7..=7. Two's complement, two to a byte, the first in the
    /// low bits; those of a last byte that holds one are 0.
    I4(Vec<u8>),
    /// Signs, packed like [`Encoding::Bits`]: `real = scales[c] * (2 * bit - 1)`; of [`Encoding::Ternary`] both, where `real`
    /// is the sum of theirs.
    Bits(Vec<u64>),
    /// 32-bit integers: indices, and quantized biases and thresholds in accumulator units.
    I32(Vec<i32>),
}

impl Constant {
    /// fp32 elements.
    pub fn f32(values: Vec<f32>) -> Self {
        Self { data: ConstantData::F32(values), scales: Vec::new() }
    }

    /// Integer elements.
    pub fn i32(values: Vec<i32>) -> Self {
        Self { data: ConstantData::I32(values), scales: Vec::new() }
    }

    /// 4-bit elements, each -7..=7, and their scales.
    pub fn i4(values: &[i8], scales: Vec<f32>) -> Self {
        let nibble = |value: Option<&i8>| value.map_or(0, |&value| value as u8 & 15);
        let pair = |pair: &[i8]| nibble(pair.first()) | nibble(pair.get(1)) << 4;
        Self { data: ConstantData::I4(values.chunks(2).map(pair).collect()), scales }
    }

    /// The first `count` elements when they have 4 bits.
    pub fn to_i4(&self, count: usize) -> Option<Vec<i8>> {
        let ConstantData::I4(bytes) = &self.data else { return None };
        let pairs = bytes.iter().flat_map(|&byte| [(byte << 4) as i8 >> 4, byte as i8 >> 4]);
        Some(pairs.take(count).collect())
    }

    /// The elements when they are fp32.
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            ConstantData::F32(values) => Some(values),
            _ => None,
        }
    }

    /// The elements when they are 32-bit integers.
    pub fn as_i32(&self) -> Option<&[i32]> {
        match &self.data {
            ConstantData::I32(values) => Some(values),
            _ => None,
        }
    }

    /// Size of the stored elements and scales in bytes.
    pub fn bytes(&self) -> usize {
        let data = match &self.data {
            ConstantData::F32(v) => v.len() * 4,
            ConstantData::F16(v) => v.len() * 2,
            ConstantData::I8(v) => v.len(),
            ConstantData::I4(v) => v.len(),
            ConstantData::Bits(v) => v.len() * 8,
            ConstantData::I32(v) => v.len() * 4,
        };
        data + self.scales.len() * 4
    }
}
