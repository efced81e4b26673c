//! 8-bit depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    int8x8_t, int32x4_t, vaddw_high_s16, vaddw_s16, vdup_n_s8, vget_low_s16, vld1_s8, vld1q_s32,
    vmlal_s8, vmull_s8,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{OutputStage, store_8};

/// Eight channels and two pixels at a time: the products of two taps add up in 16 bits, which weights of -127..=127 cannot
/// overflow, before they are widened to 32. Weights and output stage of a block serve a whole row of pixels.
pub(crate) static DEPTHWISE_8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8x2_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8,
};

const NR: usize = 8;
/// Pixels that share a loaded weight.
const PIXELS: usize = 2;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise_8(args: &I8DepthwiseArgs) {
    // SAFETY: the caller vouches for `args`.
    unsafe {
        match (args.taps, args.requant.negative_multiplier.is_null()) {
            (9, true) => blocks::<9, false>(args),
            (25, true) => blocks::<25, false>(args),
            (_, true) => blocks::<0, false>(args),
            (_, false) => blocks::<0, true>(args),
        }
    }
}

/// All blocks; `TAPS` is `args.taps`, or 0 when only known at run time; `PRELU` whether there are negative factors.
///
/// # Safety
/// As [`MicroKernel::run`].
#[inline]
#[target_feature(enable = "neon")]
unsafe fn blocks<const TAPS: usize, const PRELU: bool>(args: &I8DepthwiseArgs) {
    let taps = if TAPS == 0 { args.taps } else { TAPS };
    // SAFETY: the caller vouches for `args`: `a` has pixels * taps pointers to `channels` elements followed by at
    // least seven readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements, and the arrays of
    // `requant` cover whole blocks.
    unsafe {
        for channel in (0..args.channels).step_by(NR) {
            let block = args.w.add(channel * (taps + 4));
            let bias = [vld1q_s32(block.cast()), vld1q_s32(block.add(16).cast())];
            let w = block.add(4 * NR);
            let stages = [channel, channel + 4].map(|first| {
                let stage = OutputStage::new(&args.requant, first);
                if PRELU { stage } else { stage.without_prelu() }
            });
            let count = (args.channels - channel).min(NR);
            for pixel in (0..args.pixels).step_by(PIXELS) {
                // Behind the last pixel it is computed once more.
                let at: [usize; PIXELS] = std::array::from_fn(|p| (pixel + p).min(args.pixels - 1));
                let acc = accumulate(at.map(|at| args.a.add(at * taps)), channel, w, taps, bias);
                for (acc, at) in acc.into_iter().zip(at) {
                    let (low, high) = (stages[0].apply(acc[0]), stages[1].apply(acc[1]));
                    store_8(low, high, args.c.add(at * args.c_stride + channel), count);
                }
            }
        }
    }
}

/// Sums of eight channels of each pixel, in two registers.
///
/// # Safety
/// Each of `rows` has `taps` pointers, readable for eight elements from `channel` on; `w` has `taps` rows of weights.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn accumulate(
    rows: [*const *const i8; PIXELS],
    channel: usize,
    w: *const i8,
    taps: usize,
    bias: [int32x4_t; 2],
) -> [[int32x4_t; 2]; PIXELS] {
    let mut acc = [bias; PIXELS];
    let mut tap = 0;
    while tap < taps {
        let paired = tap + 1 < taps;
        // SAFETY: as above; a missing second tap counts as zeros.
        unsafe {
            let first = vld1_s8(w.add(tap * NR));
            let second = if paired { vld1_s8(w.add((tap + 1) * NR)) } else { vdup_n_s8(0) };
            for (acc, rows) in acc.iter_mut().zip(rows) {
                let load = |tap: usize| -> int8x8_t { vld1_s8((*rows.add(tap)).add(channel)) };
                let mut products = vmull_s8(load(tap), first);
                if paired {
                    products = vmlal_s8(products, load(tap + 1), second);
                }
                acc[0] = vaddw_s16(acc[0], vget_low_s16(products));
                acc[1] = vaddw_high_s16(acc[1], products);
            }
        }
        tap += 2;
    }
    acc
}
