//! 8-bit tiles in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant::requantize_one;

/// Four rows by eight columns.
pub(crate) static GEMM_4X8: I8Gemm = MicroKernel {
    name: "i8_gemm_4x8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8) },
};

const MR: usize = 4;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x8(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state.
    unsafe {
        let bias = args.w.cast::<i32>();
        let bias: [i32; NR] = std::array::from_fn(|j| *bias.add(j));
        let mut acc = [bias; MR];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            for k in 0..args.channels {
                for (r, acc) in acc.iter_mut().enumerate() {
                    let a = i32::from(*(*args.a.add(tap * MR + r)).add(k));
                    for (j, acc) in acc.iter_mut().enumerate() {
                        *acc = acc.wrapping_add(a * i32::from(*w.add(j)));
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
