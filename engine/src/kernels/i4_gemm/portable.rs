//! 4-bit tiles in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant::requantize_one;

/// Four rows by eight columns.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i4_gemm_4x8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8::<false>) },
};

/// Four rows by eight columns, with multipliers.
pub(crate) static GROUP_GEMM_4X8: I8Gemm = MicroKernel {
    name: "i4_group_gemm_4x8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 2 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8::<true>) },
};

const MR: usize = 4;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x8<const GROUPED: bool>(args: &I8GemmArgs) {
    const GROUP: usize = Tile::GROUPED_CHANNELS;
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state, an activation behind
    // the last channel lies in the slack and meets a zero weight.
    unsafe {
        let bias = args.w.cast::<i32>();
        let bias: [i32; NR] = std::array::from_fn(|j| *bias.add(j));
        let mut acc = [bias; MR];
        let mut w = args.w.add(4 * NR);
        let multipliers = w.add(NR * args.taps * args.channels.div_ceil(2)).cast::<i16>();
        for tap in 0..args.taps {
            for k in (0..args.channels).step_by(2) {
                let group = tap * args.channels.div_ceil(GROUP) + k / GROUP;
                let multipliers: [i32; NR] = match GROUPED {
                    true => std::array::from_fn(|j| (*multipliers.add(group * NR + j)).into()),
                    false => [1; NR],
                };
                for (r, acc) in acc.iter_mut().enumerate() {
                    let row = *args.a.add(tap * MR + r);
                    let (a, b) = (i32::from(*row.add(k)), i32::from(*row.add(k + 1)));
                    for (j, acc) in acc.iter_mut().enumerate() {
                        let pair = *w.add(j);
                        let (low, high) = (i32::from(pair << 4 >> 4), i32::from(pair >> 4));
                        *acc = acc.wrapping_add((a * low + b * high) * multipliers[j]);
                    }
                }
                w = w.add(NR);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            for (j, &x) in acc.iter().enumerate().take(args.cols) {
                *args.c.add(r * args.c_stride + j) = requantize_one(&args.requant, j, x);
            }
        }
    }
}
