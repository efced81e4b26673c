//! 8-bit depthwise rows for 64-bit ARM.

use std::arch::aarch64::{
    int8x8_t, int32x4_t, vaddvq_u16, vaddw_high_s16, vaddw_s16, vandq_u16, vcgeq_s16, vdupq_n_s16,
    vdupq_n_s32, vget_low_s16, vld1_s8, vld1q_s16, vld1q_s32, vld1q_u16, vmlal_s8, vmull_s8,
    vst1q_s32,
};
use std::ops::Range;

use super::neon_rows as rows;
use crate::kernels::isa::Isa;
use crate::kernels::micro::{
    I8Depthwise, I8DepthwiseArgs, I8DepthwiseSigns, I8DepthwiseSignsArgs, MicroKernel, Requant,
    Taps, Tile,
};
use crate::kernels::requant_neon::{Narrow, NarrowPrelu, store_row};

/// Eight channels of seven or six neighbouring pixels at a time. For windows three or five wide, stride 1 or 2, every pixel of
/// the input is loaded once per row of the window and serves all outputs that read it. Products add up in 16 bits for as many
/// taps as the weights allow, which is known when they are packed ([`I8DepthwiseArgs::run_ends`]): in real 5x5 layers three
/// at a time on average. Rows of the window outside of the input are left out.
pub(crate) static DEPTHWISE_8X7: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8x7_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise,
};

/// As [`DEPTHWISE_8X7`], for results that are bits. Their sums never leave 16 bits, so that neither a wider sum nor an output
/// stage is left: 8 x 7 results of a 5x5 window take 280 cycles of a Cortex-A53 instead of some 470.
pub(crate) static SIGNS_8X7: I8DepthwiseSigns = MicroKernel {
    name: "i8_depthwise_signs_8x7_neon",
    isa: Isa::Neon,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: signs,
};

const NR: usize = 8;
/// Most pixels of a segment.
const MAX_PIXELS: usize = 7;
/// Pixels of the shorter segments.
const MIN_PIXELS: usize = 6;
/// Highest window of which rows are left out.
const MAX_HEIGHT: usize = 16;
/// Blocks of channels that are computed together where rows are left out.
const BORDER_BLOCKS: usize = 16;

/// Outputs side by side, of some blocks of channels one after the other: where their sums come from and go to.
#[repr(C)]
pub(super) struct Segment {
    /// Results of the first output and channel 0; or where sums of 32 bits are stored, eight per output without gaps.
    c: *mut i8,
    /// Bytes between outputs.
    stride: usize,
    /// Eight biases of the first block; where results are bits, its thresholds and the bit of each channel.
    bias: *const i32,
    /// Multipliers of all channels.
    multiplier: *const i32,
    /// Right shifts of all channels; null where sums are wanted.
    right: *const i32,
    zero_point: i32,
    min: i32,
    max: i32,
    /// Whether the bounds are narrower than 8 bits.
    clamped: u32,
    /// The tables of pointers behind the first.
    rows: *const *const *const i8,
    /// The first table, from the first output's first tap on.
    table: *const *const i8,
    /// Rows of the window.
    height: usize,
    /// Weights of the first block.
    w: *const i8,
    /// Ends of runs in the first block's rows.
    run_ends: *const u8,
    /// Bytes between blocks of weights, of ends of runs, and of biases.
    w_step: usize,
    run_ends_step: usize,
    bias_step: usize,
    /// Bytes of a table before the first output's first tap.
    pub(super) skip: usize,
    /// As [`I8DepthwiseArgs::shifts`]. For each shift from 1 on there is code of 64 bytes.
    shifts: *const u8,
}

/// Code for one kind of window and so many outputs side by side. It changes `segment`.
///
/// # Safety
/// The segment's pointers are as it says for `blocks` blocks from `channel` on: there are as many tables as `height` says and
/// another one, which have the outputs' pixels, each readable for eight elements from a channel on; `height` rows of weights,
/// and as many ends of runs, the last of which has the bit of its last tap. The outputs are writable.
pub(super) type MultiplyRows = unsafe fn(segment: &mut Segment, channel: usize, blocks: usize);

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn depthwise(args: &I8DepthwiseArgs) {
    let segments: [MultiplyRows; 2] = match (args.taps.kernel[1], args.taps.step) {
        (3, 1) => [rows::seven_three_wide, rows::six_three_wide],
        (3, 2) => [rows::seven_three_wide_stride_2, rows::six_three_wide_stride_2],
        (5, 1) => [rows::seven_five_wide, rows::six_five_wide],
        (5, 2) => [rows::seven_five_wide_stride_2, rows::six_five_wide_stride_2],
        // SAFETY: the caller vouches for `args`.
        _ => return unsafe { any_window(args) },
    };
    // SAFETY: as above.
    unsafe { if args.pixels < MIN_PIXELS { any_window(args) } else { row(args, segments) } }
}

/// Blocks of channels of which the biases and ends of runs are at hand.
#[derive(Clone, Copy)]
struct Blocks {
    /// The first channel.
    channel: usize,
    count: usize,
    bias: *const i32,
    bias_step: usize,
    run_ends: *const u8,
    run_ends_step: usize,
}

/// All channels of a row.
///
/// # Safety
/// As [`MicroKernel::run`]; the segments, of seven and six pixels, are for the window and its step, and the row has at least
/// six pixels.
#[target_feature(enable = "neon")]
unsafe fn row(args: &I8DepthwiseArgs, segments: [MultiplyRows; 2]) {
    let [height, width] = args.taps.kernel;
    let blocks = args.channels.div_ceil(NR);
    // SAFETY: the caller vouches for the tables and the weights.
    unsafe {
        let inside = if height <= MAX_HEIGHT { args.taps.inside() } else { 0..height };
        if inside.len() == height {
            let (bias, run_ends) = (args.w.cast(), args.run_ends);
            let bias_step = NR * (args.taps.count() + 4);
            let (channel, count, run_ends_step) = (0, blocks, height);
            let all = Blocks { channel, count, bias, bias_step, run_ends, run_ends_step };
            return some_blocks(args, segments, inside, all);
        }
        // What rows outside of the input add is part of the bias.
        let mut biases = [[0_i32; NR]; BORDER_BLOCKS];
        let mut run_ends = [[0_u8; MAX_HEIGHT]; BORDER_BLOCKS];
        for first in (0..blocks).step_by(BORDER_BLOCKS) {
            let count = (blocks - first).min(BORDER_BLOCKS);
            for (block, (bias, ends)) in
                biases.iter_mut().zip(&mut run_ends).enumerate().take(count)
            {
                let channel = (first + block) * NR;
                let (mut acc, weights) = begin(args, channel);
                for y in (0..inside.start).chain(inside.end..height) {
                    multiply_row(&args.taps, &mut acc, weights, 0, y, channel);
                }
                vst1q_s32(bias.as_mut_ptr(), acc[0]);
                vst1q_s32(bias.as_mut_ptr().add(4), acc[1]);
                let all_ends = args.run_ends.add((first + block) * height + inside.start);
                std::ptr::copy_nonoverlapping(all_ends, ends.as_mut_ptr(), inside.len());
                ends[inside.len() - 1] |= 1 << (width - 1);
            }
            let (channel, bias_step, run_ends_step) = (first * NR, 4 * NR, MAX_HEIGHT);
            let (bias, run_ends) = (biases.as_ptr().cast(), run_ends.as_ptr().cast());
            let some = Blocks { channel, count, bias, bias_step, run_ends, run_ends_step };
            some_blocks(args, segments, inside.clone(), some);
        }
    }
}

/// The first pixel and the pixels of the segment that has `pixel` and those before it done, of `all` pixels, at least six.
/// Segments are few, and the shorter where they suffice: rows of any multiple of six or seven have no pixel twice.
fn next_segment(pixel: usize, all: usize) -> (usize, usize) {
    let left = all - pixel;
    let long = left > MIN_PIXELS * left.div_ceil(MAX_PIXELS) && all >= MAX_PIXELS;
    let pixels = if long { MAX_PIXELS } else { MIN_PIXELS };
    (pixel.min(all - pixels), pixels)
}

/// Some blocks of channels of a row. The last segment begins earlier when it would go too far, and computes some pixels once
/// more.
///
/// # Safety
/// As for `row`; `blocks` are of the row.
#[target_feature(enable = "neon")]
unsafe fn some_blocks(
    args: &I8DepthwiseArgs,
    [seven, six]: [MultiplyRows; 2],
    inside: Range<usize>,
    blocks: Blocks,
) {
    let (taps, requant) = (&args.taps, &args.requant);
    let plain = requant.negative_multiplier.is_null() && requant.only_right;
    let whole = blocks.count.min((args.channels - blocks.channel) / NR);
    let w_step = NR * (taps.count() + 4);
    let at_once = if plain { whole } else { 0 };
    // SAFETY: the caller vouches for the tables, the weights and the arrays of `requant`, which cover whole blocks.
    unsafe {
        let mut segment = Segment {
            c: args.c,
            stride: args.c_stride,
            bias: blocks.bias,
            multiplier: requant.multiplier,
            right: requant.right,
            zero_point: requant.zero_point,
            min: requant.min,
            max: requant.max,
            clamped: u32::from(requant.min > -128 || requant.max < 127),
            rows: taps.rows.add(inside.start + 1),
            table: std::ptr::null(),
            height: inside.len(),
            w: args.w,
            run_ends: blocks.run_ends,
            w_step,
            run_ends_step: blocks.run_ends_step,
            bias_step: blocks.bias_step,
            skip: 0,
            shifts: args.shifts,
        };
        let weights =
            args.w.add(blocks.channel / NR * w_step + NR * (4 + inside.start * taps.kernel[1]));
        let mut pixel = 0;
        while pixel < args.pixels {
            let (first, pixels) = next_segment(pixel, args.pixels);
            let multiply = if pixels == MAX_PIXELS { seven } else { six };
            segment.table = taps.row(first, inside.start);
            segment.skip = size_of::<*const i8>() * first * taps.step;
            let begin = |segment: &mut Segment, block: usize| {
                segment.bias = blocks.bias.byte_add(block * blocks.bias_step);
                segment.w = weights.add(block * w_step);
                segment.run_ends = blocks.run_ends.add(block * blocks.run_ends_step);
            };
            if at_once > 0 {
                segment.c = args.c.add(first * args.c_stride);
                begin(&mut segment, 0);
                multiply(&mut segment, blocks.channel, at_once);
            }
            for block in at_once..blocks.count {
                let channel = blocks.channel + block * NR;
                let mut sums = [[0_i32; NR]; MAX_PIXELS];
                let mut segment =
                    Segment { c: sums.as_mut_ptr().cast(), right: std::ptr::null(), ..segment };
                begin(&mut segment, block);
                multiply(&mut segment, channel, 1);
                finish(args, channel, first, &sums[..pixels]);
            }
            pixel = first + pixels;
        }
    }
}

/// Results of the sums of a block that is not whole, or where there are left shifts or PReLU.
///
/// # Safety
/// The row has the pixels from `first` on, and the arrays of `requant` cover the block from `channel` on.
#[target_feature(enable = "neon")]
unsafe fn finish(args: &I8DepthwiseArgs, channel: usize, first: usize, sums: &[[i32; NR]]) {
    let mut acc = [[vdupq_n_s32(0); 2]; MAX_PIXELS];
    for (acc, sums) in acc.iter_mut().zip(sums) {
        // SAFETY: eight sums are two vectors.
        *acc = unsafe { [vld1q_s32(sums.as_ptr()), vld1q_s32(sums.as_ptr().add(4))] };
    }
    // SAFETY: the caller vouches for the arrays and pixels.
    unsafe {
        let results = requantize(&args.requant, channel, acc);
        for (p, &results) in results.iter().enumerate().take(sums.len()) {
            let c = args.c.add((first + p) * args.c_stride + channel);
            store_row(results, c, (args.channels - channel).min(NR));
        }
    }
}

/// # Safety
/// The arrays of `requant` cover the block from `channel` on.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn requantize<const N: usize>(
    requant: &Requant,
    channel: usize,
    acc: [[int32x4_t; 2]; N],
) -> [int8x8_t; N] {
    let columns = [channel, channel + 4];
    // SAFETY: the caller vouches for the arrays.
    unsafe {
        match NarrowPrelu::new(requant, columns) {
            None => Narrow::new(requant, columns).apply(acc),
            Some(stage) => stage.apply(acc),
        }
    }
}

/// The biases of a block, and its weights.
///
/// # Safety
/// `channel` begins a block.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn begin(args: &I8DepthwiseArgs, channel: usize) -> ([int32x4_t; 2], *const i8) {
    // SAFETY: the caller vouches for the block.
    unsafe {
        let block = args.w.add(channel * (args.taps.count() + 4));
        ([vld1q_s32(block.cast()), vld1q_s32(block.add(16).cast())], block.add(4 * NR))
    }
}

/// Adds the products of row `y` of a pixel's window.
///
/// # Safety
/// `weights` are those of the block, and `taps` have the pixel and channels, as [`MicroKernel::run`] demands.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn multiply_row(
    taps: &Taps<i8>,
    acc: &mut [int32x4_t; 2],
    weights: *const i8,
    pixel: usize,
    y: usize,
    channel: usize,
) {
    let width = taps.kernel[1];
    // SAFETY: the caller vouches for both: taps are readable for seven elements past their channels (SLACK), and blocks are
    // whole.
    unsafe {
        let row = taps.row(pixel, y);
        for x in 0..width {
            let tap = vld1_s8((*row.add(x)).add(channel));
            let products = vmull_s8(tap, vld1_s8(weights.add((y * width + x) * NR)));
            acc[0] = vaddw_s16(acc[0], vget_low_s16(products));
            acc[1] = vaddw_high_s16(acc[1], products);
        }
    }
}

/// A row of any window.
///
/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn any_window(args: &I8DepthwiseArgs) {
    for channel in (0..args.channels).step_by(NR) {
        for pixel in 0..args.pixels {
            // SAFETY: the caller vouches for `args`.
            unsafe {
                let (mut acc, weights) = begin(args, channel);
                for y in 0..args.taps.kernel[0] {
                    multiply_row(&args.taps, &mut acc, weights, pixel, y, channel);
                }
                let [results] = requantize(&args.requant, channel, [acc]);
                let c = args.c.add(pixel * args.c_stride + channel);
                store_row(results, c, (args.channels - channel).min(NR));
            }
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn signs(args: &I8DepthwiseSignsArgs) {
    let segments: [MultiplyRows; 2] = match (args.taps.kernel[1], args.taps.step) {
        (3, 1) => [rows::seven_three_wide_signs, rows::six_three_wide_signs],
        (3, 2) => [rows::seven_three_wide_stride_2_signs, rows::six_three_wide_stride_2_signs],
        (5, 1) => [rows::seven_five_wide_signs, rows::six_five_wide_signs],
        (5, 2) => [rows::seven_five_wide_stride_2_signs, rows::six_five_wide_stride_2_signs],
        // SAFETY: the caller vouches for `args`.
        _ => return unsafe { signs_of_any_window(args) },
    };
    let [height, width] = args.taps.kernel;
    if args.pixels < MIN_PIXELS || height > MAX_HEIGHT {
        // SAFETY: as above.
        return unsafe { signs_of_any_window(args) };
    }
    let blocks = args.channels.div_ceil(NR);
    // SAFETY: the caller vouches for tables, weights and thresholds.
    unsafe {
        let inside = args.taps.inside();
        if inside.len() == height {
            return signs_of_blocks(args, segments, inside, 0..blocks, args.thresholds);
        }
        // What rows outside of the input add comes off the thresholds. Those that no sum reaches, or every sum, stay so: no
        // sum of a part of the products is larger than one of all.
        let mut thresholds = [[0_i16; 2 * NR]; BORDER_BLOCKS];
        for first in (0..blocks).step_by(BORDER_BLOCKS) {
            let some = first..blocks.min(first + BORDER_BLOCKS);
            for (block, thresholds) in some.clone().zip(&mut thresholds) {
                *thresholds = *args.thresholds.add(block);
                let (channel, mut acc) = (block * NR, [vdupq_n_s32(0); 2]);
                let weights = args.w.add(channel * (height * width + 4) + 4 * NR);
                for y in (0..inside.start).chain(inside.end..height) {
                    multiply_row(&args.taps, &mut acc, weights, 0, y, channel);
                }
                let mut sums = [0_i32; NR];
                vst1q_s32(sums.as_mut_ptr(), acc[0]);
                vst1q_s32(sums.as_mut_ptr().add(4), acc[1]);
                for (threshold, sum) in thresholds.iter_mut().zip(sums) {
                    *threshold = threshold.saturating_sub(sum as i16);
                }
            }
            signs_of_blocks(args, segments, inside.clone(), some, thresholds.as_ptr());
        }
    }
}

/// Bits of some blocks of channels of a row; see [`some_blocks`].
///
/// # Safety
/// As for [`signs`]; the segments, of seven and six pixels, are for the window and its step, the row has at least six pixels
/// and `blocks`, at least one, whose thresholds are `thresholds`.
#[target_feature(enable = "neon")]
unsafe fn signs_of_blocks(
    args: &I8DepthwiseSignsArgs,
    [seven, six]: [MultiplyRows; 2],
    inside: Range<usize>,
    blocks: Range<usize>,
    thresholds: *const [i16; 2 * NR],
) {
    let taps = &args.taps;
    // Sums leave 16 bits nowhere, and end with the last tap.
    let mut run_ends = [0_u8; MAX_HEIGHT];
    run_ends[inside.len() - 1] = 1 << (taps.kernel[1] - 1);
    let step = NR * (taps.count() + 4);
    let mut pixel = 0;
    while pixel < args.pixels {
        let (first, pixels) = next_segment(pixel, args.pixels);
        let multiply = if pixels == MAX_PIXELS { seven } else { six };
        // SAFETY: the caller vouches for the tables, the weights and the thresholds of whole blocks, and for the results.
        unsafe {
            let w = args.w.add(blocks.start * step);
            let mut segment = Segment {
                c: args.c.add(first * args.c_stride).cast(),
                stride: args.c_stride,
                bias: thresholds.cast(),
                multiplier: std::ptr::null(),
                right: std::ptr::null(),
                zero_point: 0,
                min: 0,
                max: 0,
                clamped: 0,
                rows: taps.rows.add(inside.start + 1),
                table: taps.row(first, inside.start),
                height: inside.len(),
                w: w.add(NR * (4 + inside.start * taps.kernel[1])),
                run_ends: run_ends.as_ptr(),
                w_step: step,
                run_ends_step: 0,
                bias_step: size_of::<[i16; 2 * NR]>(),
                skip: size_of::<*const i8>() * first * taps.step,
                shifts: std::ptr::null(),
            };
            multiply(&mut segment, blocks.start * NR, blocks.len());
        }
        pixel = first + pixels;
    }
}

/// Bits of a row of any window.
///
/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn signs_of_any_window(args: &I8DepthwiseSignsArgs) {
    let [height, width] = args.taps.kernel;
    for pixel in 0..args.pixels {
        for channel in (0..args.channels).step_by(NR) {
            // SAFETY: the caller vouches for `args`: taps are readable for seven elements past their channels (SLACK), weights
            // and thresholds are there for whole blocks, and so is a byte of the result.
            unsafe {
                let mut w = args.w.add(channel * (height * width + 4) + 4 * NR);
                let mut sums = vdupq_n_s16(0);
                for y in 0..height {
                    let row = args.taps.row(pixel, y);
                    for x in 0..width {
                        sums = vmlal_s8(sums, vld1_s8((*row.add(x)).add(channel)), vld1_s8(w));
                        w = w.add(NR);
                    }
                }
                let block = args.thresholds.add(channel / NR).cast::<i16>();
                let are = vcgeq_s16(sums, vld1q_s16(block));
                let bits = vaddvq_u16(vandq_u16(are, vld1q_u16(block.add(NR).cast()))) as u8;
                *args.c.add(pixel * args.c_stride + channel / NR) = bits;
            }
        }
    }
}
