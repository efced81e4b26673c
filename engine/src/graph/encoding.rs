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
    /// The same, each run of `group` of them along the last axis (of which a row's last may be shorter) with a multiplier of
    /// its own, 1..=15.
    Int4Groups {
        /// Weights that share a multiplier, at least 1.
        group: usize,
    },
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
    /// 4-bit integers whose groups have multipliers: `real = scales[c] * m * q` with `m` in 1..=15.
    I4Groups {
        /// As in [`ConstantData::I4`].
        weights: Vec<u8>,
        /// Those of each row's groups, packed like the weights but without signs.
        multipliers: Vec<u8>,
    },
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
        Self { data: ConstantData::I4(nibbles(bytemuck::cast_slice(values))), scales }
    }

    /// 4-bit elements, each -7..=7, the multipliers of their groups, each 1..=15, and their scales.
    pub fn i4_groups(values: &[i8], multipliers: &[u8], scales: Vec<f32>) -> Self {
        let weights = nibbles(bytemuck::cast_slice(values));
        Self { data: ConstantData::I4Groups { weights, multipliers: nibbles(multipliers) }, scales }
    }

    /// The first `count` elements when they have 4 bits, without the multipliers of their groups.
    pub fn to_i4(&self, count: usize) -> Option<Vec<i8>> {
        let (ConstantData::I4(weights) | ConstantData::I4Groups { weights, .. }) = &self.data
        else {
            return None;
        };
        let pairs = weights.iter().flat_map(|&byte| [(byte << 4) as i8 >> 4, byte as i8 >> 4]);
        Some(pairs.take(count).collect())
    }

    /// The first `count` multipliers of groups when there are such.
    pub fn to_multipliers(&self, count: usize) -> Option<Vec<u8>> {
        let ConstantData::I4Groups { multipliers, .. } = &self.data else { return None };
        Some(multipliers.iter().flat_map(|&byte| [byte & 15, byte >> 4]).take(count).collect())
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
            ConstantData::I4Groups { weights, multipliers } => weights.len() + multipliers.len(),
            ConstantData::Bits(v) => v.len() * 8,
            ConstantData::I32(v) => v.len() * 4,
        };
        data + self.scales.len() * 4
    }
}

/// Numbers by their four lowest bits, two to a byte, the first in the low bits.
fn nibbles(values: &[u8]) -> Vec<u8> {
    let nibble = |value: Option<&u8>| value.map_or(0, |value| value & 15);
    values.chunks(2).map(|pair| nibble(pair.first()) | nibble(pair.get(1)) << 4).collect()
}

/// Weights in rows of `row`, each times the multiplier of its group of `group`: whole numbers of steps, -105..=105.
pub fn grouped(weights: &[i8], multipliers: &[u8], row: usize, group: usize) -> Vec<i8> {
    let groups = weights.chunks(row).flat_map(|row| row.chunks(group)).zip(multipliers);
    groups.flat_map(|(weights, &m)| weights.iter().map(move |w| w * m as i8)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn four_bits_and_multipliers_read_back(
            weights in prop::collection::vec(-7..=7_i8, 1..40),
            multipliers in prop::collection::vec(1..=15_u8, 1..9),
        ) {
            let plain = Constant::i4(&weights, vec![1.0]);
            prop_assert_eq!(plain.to_i4(weights.len()), Some(weights.clone()));
            prop_assert_eq!(plain.to_multipliers(1), None);
            let groups = Constant::i4_groups(&weights, &multipliers, vec![1.0]);
            prop_assert_eq!(groups.to_i4(weights.len()), Some(weights.clone()));
            prop_assert_eq!(groups.to_multipliers(multipliers.len()), Some(multipliers.clone()));
            let nibbles = weights.len().div_ceil(2) + multipliers.len().div_ceil(2);
            prop_assert_eq!(groups.bytes(), nibbles + size_of::<f32>());
        }

        #[test]
        fn each_weight_meets_the_multiplier_of_its_group(rows in 1..4_usize, row in 1..70_usize, group in 1..80_usize) {
            let per_row = row.div_ceil(group);
            let weights: Vec<i8> = (0..rows * row).map(|i| (i * 37 % 15) as i8 - 7).collect();
            let multipliers: Vec<u8> = (0..rows * per_row).map(|i| (i * 11 % 15) as u8 + 1).collect();
            let products = grouped(&weights, &multipliers, row, group);
            prop_assert_eq!(products.len(), weights.len());
            for (i, &product) in products.iter().enumerate() {
                let multiplier = multipliers[i / row * per_row + i % row / group];
                prop_assert_eq!(i32::from(product), i32::from(weights[i]) * i32::from(multiplier));
            }
        }
    }
}
