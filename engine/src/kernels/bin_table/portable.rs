//! Layers by table in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinTable, BinTableArgs, MicroKernel, Tile};

/// One result at a time.
pub(crate) static TABLE_1X1: BinTable = MicroKernel {
    name: "bin_table_1x1_portable",
    isa: Isa::Portable,
    tile: Tile { mr: 1, nr: 1, kr: 1 },
    run: |args| {
        // SAFETY: the caller vouches for `args`.
        unsafe { table(args) }
    },
};

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn table(args: &BinTableArgs) {
    // SAFETY: the caller vouches for pixels, columns and results.
    unsafe {
        for row in 0..args.rows {
            let x = (*args.a.add(row)).to_le_bytes();
            for column in 0..args.cols {
                let signs = args.signs.add(column / 4 * args.sign_bytes(4) + column % 4);
                let mut count = 0;
                for (byte, &x) in x.iter().enumerate().take(args.bytes) {
                    let differ = match args.masked {
                        false => x ^ *signs.add(4 * byte),
                        true => (x ^ *signs.add(8 * byte)) & *signs.add(8 * byte + 4),
                    };
                    count += differ.count_ones() as usize;
                }
                let entries = args.table_bytes(1);
                let result = match count < entries {
                    true => *args.tables.add(column * entries + count),
                    false => *signs.add(args.sign_bytes(4) - 4),
                };
                *args.c.add(row * args.c_stride + column) = result as i8;
            }
        }
    }
}
