//! 8-bit depthwise rows for 64-bit ARM.

use std::arch::aarch64::{vget_low_s16, vld1_s8, vld1q_s32, vmlal_high_s16, vmlal_s16, vmovl_s8};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{requantize, store_8};

/// Eight channels at a time, widened to 16 bits, accumulated in 32.
pub(crate) static DEPTHWISE_8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise_8(args: &I8DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`: `a` has pixels * taps pointers to `channels` elements followed by at
    // least seven readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements, and the arrays of
    // `requant` cover whole blocks.
    unsafe {
        for pixel in 0..args.pixels {
            let rows = args.a.add(pixel * args.taps);
            let c = args.c.add(pixel * args.c_stride);
            let mut w = args.w;
            let mut channel = 0;
            while channel < args.channels {
                let bias = w.cast::<i32>();
                let (mut low, mut high) = (vld1q_s32(bias), vld1q_s32(bias.add(4)));
                w = w.add(4 * NR);
                for tap in 0..args.taps {
                    let a = vmovl_s8(vld1_s8((*rows.add(tap)).add(channel)));
                    let weights = vmovl_s8(vld1_s8(w));
                    low = vmlal_s16(low, vget_low_s16(a), vget_low_s16(weights));
                    high = vmlal_high_s16(high, a, weights);
                    w = w.add(NR);
                }
                let low = requantize(&args.requant, channel, low);
                let high = requantize(&args.requant, channel + 4, high);
                store_8(low, high, c.add(channel), (args.channels - channel).min(NR));
                channel += NR;
            }
        }
    }
}
