//! 8-bit depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    int8x8_t, int16x8_t, int32x4_t, vaddw_high_s16, vaddw_s16, vdup_n_s8, vdupq_n_s16,
    vget_low_s16, vld1_s8, vld1q_s32, vmlal_s8, vmull_s8,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{Narrow, NarrowPrelu, store_row};

/// Eight channels of four neighbouring pixels at a time. For windows three or five wide, stride 1 or 2, every pixel of the
/// input is loaded once per row of the window and serves all outputs that read it. Products are added in 16 bits before
/// they are widened to 32: those of a whole row of the window where its weights are small enough, which is known when they
/// are packed ([`I8DepthwiseArgs::narrow`]), else of two taps, which weights of -127..=127 cannot overflow.
pub(crate) static DEPTHWISE_8X4: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8x4_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

const NR: usize = 8;
/// Pixels of a segment.
const PIXELS: usize = 4;
/// Most pixels of the input that a segment reads: stride 2, five wide.
const MAX_COLUMNS: usize = 11;

type Sums<const N: usize> = [[int32x4_t; 2]; N];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise(args: &I8DepthwiseArgs) {
    let whole = args.pixels >= PIXELS;
    // SAFETY: the caller vouches for `args`.
    unsafe {
        match (args.taps.kernel[1], args.taps.step) {
            (3, 1) if whole => blocks(args, segment::<3, 1>),
            (3, 2) if whole => blocks(args, segment::<3, 2>),
            (5, 1) if whole => blocks(args, segment::<5, 1>),
            (5, 2) if whole => blocks(args, segment::<5, 2>),
            _ => blocks(args, any_window),
        }
    }
}

/// All channels of a row, `N` pixels at a time. The last ones begin earlier when they would go too far, and are computed
/// once more.
///
/// # Safety
/// As [`MicroKernel::run`]; `sums` adds up the products of eight channels of `N` pixels.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn blocks<const N: usize>(
    args: &I8DepthwiseArgs,
    sums: unsafe fn(&I8DepthwiseArgs, usize, usize) -> Sums<N>,
) {
    for channel in (0..args.channels).step_by(NR) {
        // SAFETY: the caller vouches for the arrays of `requant`, which cover whole blocks, and for `c`.
        unsafe {
            let columns = [channel, channel + 4];
            let prelu = NarrowPrelu::new(&args.requant, columns);
            let plain = Narrow::new(&args.requant, columns);
            let count = (args.channels - channel).min(NR);
            for pixel in (0..args.pixels).step_by(N) {
                let pixel = pixel.min(args.pixels - N);
                let acc = sums(args, channel, pixel);
                let rows = match &prelu {
                    None => plain.apply(acc),
                    Some(stage) => stage.apply(acc),
                };
                let c = args.c.add(pixel * args.c_stride + channel);
                for (p, row) in rows.into_iter().enumerate() {
                    store_row(row, c.add(p * args.c_stride), count);
                }
            }
        }
    }
}

/// Weights of a block, behind its biases.
///
/// # Safety
/// `channel` begins a block.
#[inline]
unsafe fn block(args: &I8DepthwiseArgs, channel: usize) -> *const i8 {
    // SAFETY: the caller vouches for the block.
    unsafe { args.w.add(channel * (args.taps.count() + 4)) }
}

/// Biases and products of eight channels of four pixels.
///
/// # Safety
/// As [`MicroKernel::run`], for windows `WIDTH` wide and a step of `STEP`; the row has the pixels.
#[target_feature(enable = "neon")]
unsafe fn segment<const WIDTH: usize, const STEP: usize>(
    args: &I8DepthwiseArgs,
    channel: usize,
    pixel: usize,
) -> Sums<PIXELS> {
    // SAFETY: the caller vouches for `args`: taps are readable for seven elements past their channels (SLACK), `w` has whole
    // blocks.
    unsafe {
        let block = block(args, channel);
        let mut acc = [[vld1q_s32(block.cast()), vld1q_s32(block.add(16).cast())]; PIXELS];
        let mut w = block.add(4 * NR);
        let height = args.taps.kernel[0];
        for y in 0..height {
            let row = args.taps.row(pixel, y);
            let mut x = [vdup_n_s8(0); MAX_COLUMNS];
            for (column, x) in x.iter_mut().enumerate().take((PIXELS - 1) * STEP + WIDTH) {
                *x = vld1_s8((*row.add(column)).add(channel));
            }
            let weights: [int8x8_t; WIDTH] = std::array::from_fn(|tap| vld1_s8(w.add(tap * NR)));
            let run = if *args.narrow.add(channel / NR * height + y) { WIDTH } else { 2 };
            let mut products = [vdupq_n_s16(0); PIXELS];
            for (tap, &weight) in weights.iter().enumerate() {
                for (p, products) in products.iter_mut().enumerate() {
                    let x = x[p * STEP + tap];
                    *products = match tap % run {
                        0 => vmull_s8(x, weight),
                        _ => vmlal_s8(*products, x, weight),
                    };
                }
                if tap + 1 == WIDTH || (tap + 1) % run == 0 {
                    products.iter().zip(&mut acc).for_each(|(&products, acc)| add(acc, products));
                }
            }
            w = w.add(WIDTH * NR);
        }
        acc
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn add(acc: &mut [int32x4_t; 2], products: int16x8_t) {
    acc[0] = vaddw_s16(acc[0], vget_low_s16(products));
    acc[1] = vaddw_high_s16(acc[1], products);
}

/// Biases and products of eight channels of a pixel, whatever the window.
///
/// # Safety
/// As [`MicroKernel::run`]; the row has the pixel.
#[target_feature(enable = "neon")]
unsafe fn any_window(args: &I8DepthwiseArgs, channel: usize, pixel: usize) -> Sums<1> {
    // SAFETY: as for `segment`.
    unsafe {
        let block = block(args, channel);
        let mut acc = [vld1q_s32(block.cast()), vld1q_s32(block.add(16).cast())];
        let mut w = block.add(4 * NR);
        for y in 0..args.taps.kernel[0] {
            let row = args.taps.row(pixel, y);
            for tap in 0..args.taps.kernel[1] {
                add(&mut acc, vmull_s8(vld1_s8((*row.add(tap)).add(channel)), vld1_s8(w)));
                w = w.add(NR);
            }
        }
        [acc]
    }
}
