//! 8-bit depthwise rows in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant::requantize_one;

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise_8(args: &I8DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state.
    unsafe {
        let [height, width] = args.taps.kernel;
        for pixel in 0..args.pixels {
            for channel in 0..args.channels {
                let block = args.w.add(channel / NR * NR * (args.taps.count() + 4));
                let mut acc = *block.cast::<i32>().add(channel % NR);
                let w = block.add(4 * NR + channel % NR);
                for y in 0..height {
                    let row = args.taps.row(pixel, y);
                    for tap in 0..width {
                        let a = i32::from(*(*row.add(tap)).add(channel));
                        let weight = i32::from(*w.add((y * width + tap) * NR));
                        acc = acc.wrapping_add(a * weight);
                    }
                }
                *args.c.add(pixel * args.c_stride + channel) =
                    requantize_one(&args.requant, channel, acc);
            }
        }
    }
}
