//! fp32 tiles in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Gemm, F32GemmArgs, MicroKernel, Tile, clamp_f32, each_tile};

/// Four rows by eight columns. `mul_add` rounds once, like the fused instructions of the other kernels.
pub(crate) static GEMM_4X8: F32Gemm = MicroKernel {
    name: "f32_gemm_4x8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_4x8) },
};

const MR: usize = 4;
const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_4x8(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state.
    unsafe {
        let bias: [f32; NR] = std::array::from_fn(|j| *args.w.add(j));
        let mut acc = [bias; MR];
        let mut w = args.w.add(NR);
        for tap in 0..args.taps {
            for k in 0..args.channels {
                for (r, acc) in acc.iter_mut().enumerate() {
                    let a = *(*args.a.add(tap * MR + r)).add(k);
                    for (j, acc) in acc.iter_mut().enumerate() {
                        *acc = a.mul_add(*w.add(j), *acc);
                    }
                }
                w = w.add(NR);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            for (j, &x) in acc.iter().enumerate().take(args.cols) {
                let negative = !args.slopes.is_null() && x < 0.0;
                let x = if negative { x * *args.slopes.add(j) } else { x };
                *args.c.add(r * args.c_stride + j) = clamp_f32(x, args.min, args.max);
            }
        }
    }
}
