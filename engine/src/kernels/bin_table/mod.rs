//! One-bit layers of few channels, by table: how many bits of a pixel and a column differ has so few values that the result
//! for each is known beforehand.

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;

use super::micro::{BinTable, BinTableArgs};
use super::requant::RequantParams;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&BinTable] = &[
    &portable::TABLE_1X1,
    #[cfg(target_arch = "aarch64")]
    &neon::TABLE_16X8,
];

/// Most input channels.
pub(crate) const MOST_CHANNELS: usize = 64;

/// The columns of a layer as kernels of the family read them.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    count: usize,
    bytes: usize,
    masked: bool,
    signs: Vec<u8>,
    tables: Vec<u8>,
}

impl Columns {
    /// Columns of `channels` input channels, from 1 to [`MOST_CHANNELS`]: a word with their signs, and one with their masks or
    /// none. An accumulator is its bias and, for each channel that is not masked, `unit`, or as much less where signs differ.
    pub(crate) fn new(
        channels: usize,
        signs: &[u64],
        masks: Option<&[u64]>,
        unit: i32,
        bias: &[i32],
        requant: &RequantParams,
    ) -> Self {
        assert!((1..=MOST_CHANNELS).contains(&channels), "as many as a word has");
        let bytes = match channels.div_ceil(8) {
            0..=2 => 2,
            5 | 6 => 6,
            7.. => 8,
            bytes => bytes,
        };
        let count = signs.len();
        let mut columns =
            Self { count, bytes, masked: masks.is_some(), signs: Vec::new(), tables: Vec::new() };
        let args = columns.args(0, std::ptr::null(), std::ptr::null_mut());
        let (group, entries) = (args.sign_bytes(4), args.table_bytes(1));
        let whole = count.next_multiple_of(8);
        // Kernels read the first bytes of columns behind the last.
        columns.signs = vec![0; args.sign_bytes(whole) + 4];
        columns.tables = vec![0; args.table_bytes(whole)];
        for (column, sign) in signs.iter().enumerate() {
            let mask = masks.map(|masks| masks[column]);
            let products = mask.map_or(channels as i32, |mask| mask.count_ones() as i32);
            let result = |count: usize| {
                let sum = (products - 2 * count as i32).wrapping_mul(unit);
                requant.apply(column, sum.wrapping_add(bias[column])) as u8
            };
            let to = &mut columns.signs[column / 4 * group + column % 4..];
            let planes = [Some(*sign), mask].into_iter().flatten();
            let count = planes.clone().count();
            for (plane, word) in planes.enumerate() {
                for (byte, value) in word.to_le_bytes().into_iter().enumerate().take(bytes) {
                    to[4 * (count * byte + plane)] = value;
                }
            }
            to[group - 4] = result(entries);
            let table = &mut columns.tables[column * entries..][..entries];
            table.iter_mut().enumerate().for_each(|(count, entry)| *entry = result(count));
        }
        columns
    }

    /// The arguments for `rows` pixels at `a` whose results go to `c`.
    pub(crate) fn args(&self, rows: usize, a: *const u64, c: *mut i8) -> BinTableArgs {
        BinTableArgs {
            rows,
            cols: self.count,
            bytes: self.bytes,
            masked: self.masked,
            a,
            signs: self.signs.as_ptr(),
            tables: self.tables.as_ptr(),
            c,
            c_stride: self.count,
        }
    }

    /// Size in bytes.
    pub(crate) fn size(&self) -> usize {
        self.signs.len() + self.tables.len()
    }
}
