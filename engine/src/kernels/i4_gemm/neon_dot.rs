//! 4-bit tile for 64-bit ARM with SDOT.

use crate::kernels::i8_gemm::neon_dot::{NR, rows};
use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, I8Gemm, MicroKernel, Tile};

/// Four rows by eight columns, eight channels at a time, as the 8-bit kernel does it; three shifts take two vectors of weights out
/// of one.
///
/// Shifts and SDOT share two pipes, so where operands are in cache 4 bits are slower than 8. The tile is for layers of few rows,
/// which meet each weight once and wait for memory: larger ones have their weights unpacked when the plan is made.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i4_gemm_4x8c8_neon_dotprod",
    isa: Isa::NeonDotprod,
    tile: Tile { mr: 4, nr: NR, kr: 8 },
    run: |args| {
        for index in 0..args.rows.div_ceil(4) {
            // SAFETY: the caller vouches for `args`, so for each tile of it, and pointers of rows beyond the last are valid.
            unsafe {
                let tile = args.tile(index, 4);
                match tile.rows {
                    1 => rows::<1, 4, true>(&tile),
                    2 => rows::<2, 4, true>(&tile),
                    _ => rows::<4, 4, true>(&tile),
                }
            }
        }
    },
};
