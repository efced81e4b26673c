//! fp32 depthwise rows in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile, clamp_f32};

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise_8(args: &F32DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state.
    unsafe {
        let [height, width] = args.taps.kernel;
        for pixel in 0..args.pixels {
            for channel in 0..args.channels {
                let w = args.w.add(channel / NR * NR * (args.taps.count() + 1) + channel % NR);
                let mut x = *w;
                for y in 0..height {
                    let row = args.taps.row(pixel, y);
                    for tap in 0..width {
                        let weight = *w.add((y * width + tap + 1) * NR);
                        x = (*(*row.add(tap)).add(channel)).mul_add(weight, x);
                    }
                }
                let negative = !args.slopes.is_null() && x < 0.0;
                let x = if negative { x * *args.slopes.add(channel) } else { x };
                *args.c.add(pixel * args.c_stride + channel) = clamp_f32(x, args.min, args.max);
            }
        }
    }
}
