//! 8-bit depthwise rows in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{
    I8Depthwise, I8DepthwiseArgs, I8DepthwiseSigns, I8DepthwiseSignsArgs, MicroKernel, Taps, Tile,
};
use crate::kernels::requant::requantize_one;

/// Eight channels at a time.
pub(crate) static DEPTHWISE_8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

/// As [`DEPTHWISE_8`], for results that are bits.
pub(crate) static SIGNS_8: I8DepthwiseSigns = MicroKernel {
    name: "i8_depthwise_signs_8_portable",
    isa: Isa::Portable,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: signs_8,
};

const NR: usize = 8;

/// The bias of a channel, and the sum of its products for an output.
///
/// # Safety
/// `w` are packed weights that have the channel, and `taps` have the pixel and channel.
unsafe fn sum(taps: &Taps<i8>, w: *const i8, pixel: usize, channel: usize) -> (i32, i32) {
    let [height, width] = taps.kernel;
    // SAFETY: the caller vouches for both.
    unsafe {
        let block = w.add(channel / NR * NR * (taps.count() + 4));
        let w = block.add(4 * NR + channel % NR);
        let mut sum = 0_i32;
        for y in 0..height {
            let row = taps.row(pixel, y);
            for x in 0..width {
                let a = i32::from(*(*row.add(x)).add(channel));
                sum = sum.wrapping_add(a * i32::from(*w.add((y * width + x) * NR)));
            }
        }
        (*block.cast::<i32>().add(channel % NR), sum)
    }
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn depthwise_8(args: &I8DepthwiseArgs) {
    for pixel in 0..args.pixels {
        for channel in 0..args.channels {
            // SAFETY: the caller vouches for `args`; pixel and channel are below the extents that its fields state.
            unsafe {
                let (bias, sum) = sum(&args.taps, args.w, pixel, channel);
                let acc = bias.wrapping_add(sum);
                *args.c.add(pixel * args.c_stride + channel) =
                    requantize_one(&args.requant, channel, acc);
            }
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn signs_8(args: &I8DepthwiseSignsArgs) {
    for pixel in 0..args.pixels {
        for first in (0..args.channels).step_by(NR) {
            let mut bits = 0;
            for channel in first..args.channels.min(first + NR) {
                // SAFETY: as above.
                unsafe {
                    let (_, sum) = sum(&args.taps, args.w, pixel, channel);
                    let thresholds = *args.thresholds.add(channel / NR);
                    let is = sum >= i32::from(thresholds[channel % NR]);
                    bits |= u8::from(is) << (channel % NR);
                }
            }
            // SAFETY: there is a byte for each block of an output.
            unsafe { *args.c.add(pixel * args.c_stride + first / NR) = bits };
        }
    }
}
