//! Tiles of 8-bit activations for 64-bit ARM with SDOT.

use std::arch::aarch64::{
    int8x16_t, int32x4_t, vdupq_n_s8, vdupq_n_s32, vld1q_s8, vld1q_s32, vshlq_n_s8, vshrq_n_s8,
    vst1_s8,
};
use std::arch::asm;

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, I8Gemm, I8GemmArgs, MicroKernel, Tile};
use crate::kernels::requant_neon::{Narrow, NarrowPrelu};

/// Eight rows by eight columns, four channels at a time: SDOT adds the products of four channels of a row (a lane) to the sums of
/// four columns, sixteen products.
///
/// A Cortex-A76 starts two SDOT per cycle, so 32 MAC, beside two loads: sixteen channels are 64 SDOT (32 cycles) and 16
/// loads, and each of the 16 sums is met every eighth cycle. A last tile of fewer rows has a loop of its own, which serves
/// fully connected layers of a single row too: what those wait for is their weights.
pub(crate) static GEMM_8X8: I8Gemm = MicroKernel {
    name: "i8_gemm_8x8c4_neon_dotprod",
    isa: Isa::NeonDotprod,
    tile: Tile { mr: 8, nr: NR, kr: 4 },
    run: |args| {
        for index in 0..args.rows.div_ceil(8) {
            // SAFETY: the caller vouches for `args`, so for each tile of it, and pointers of rows beyond the last are valid.
            unsafe {
                let tile = args.tile(index, 8);
                match tile.rows {
                    1 => rows::<1, 8, false>(&tile),
                    2 => rows::<2, 8, false>(&tile),
                    3 | 4 => rows::<4, 8, false>(&tile),
                    _ => rows::<8, 8, false>(&tile),
                }
            }
        }
    },
};

/// Columns of a panel.
pub(in crate::kernels) const NR: usize = 8;
/// Channels of a vector of activations.
const STEP: usize = 16;

/// `sdot acc.4s, w.16b, a.4b[lane]`, for which stable Rust has no intrinsic.
macro_rules! sdot {
    ($acc:expr, $w:expr, $a:expr, $lane:literal) => {
        asm!(
            concat!("sdot {acc:v}.4s, {w:v}.16b, {a:v}.4b[", $lane, "]"),
            acc = inout(vreg) $acc,
            w = in(vreg) $w,
            a = in(vreg) $a,
            options(pure, nomem, nostack, preserves_flags),
        )
    };
}

/// The first `R` rows of a tile of `MR`, at least those of `args`, by eight columns. With `FOUR`, weights have 4 bits: each vector
/// has four channels of four columns in its low nibbles and the next four in the high ones.
///
/// # Safety
/// The CPU has SDOT; otherwise as [`MicroKernel::run`], for a tile.
#[target_feature(enable = "neon,dotprod")]
pub(in crate::kernels) unsafe fn rows<const R: usize, const MR: usize, const FOUR: bool>(
    args: &I8GemmArgs,
) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least fifteen readable
    // ones (SLACK), which meet zero weights or are not used; `w` is a whole panel, `c` `rows` rows of `cols` elements, the
    // arrays of `requant` have NR elements.
    unsafe {
        let bias = args.w.cast::<i32>();
        let mut acc = [[vld1q_s32(bias), vld1q_s32(bias.add(4))]; R];
        let mut w = args.w.add(4 * NR);
        for tap in 0..args.taps {
            let rows = *args.a.add(tap * MR).cast::<[*const i8; R]>();
            let mut a = [vdupq_n_s8(0); R];
            macro_rules! four_channels {
                ($lane:literal, $weights:expr) => {
                    let weights: [int8x16_t; 2] = $weights;
                    for r in 0..R {
                        sdot!(acc[r][0], weights[0], a[r], $lane);
                        sdot!(acc[r][1], weights[1], a[r], $lane);
                    }
                };
            }
            macro_rules! eight_channels {
                ($first:literal, $second:literal, $left:expr) => {
                    let packed = [vld1q_s8(w), vld1q_s8(w.add(16))];
                    w = w.add(32);
                    if FOUR {
                        four_channels!($first, [low(packed[0]), low(packed[1])]);
                        four_channels!($second, [high(packed[0]), high(packed[1])]);
                    } else {
                        four_channels!($first, packed);
                        if $left > 4 {
                            four_channels!($second, [vld1q_s8(w), vld1q_s8(w.add(16))]);
                            w = w.add(32);
                        }
                    }
                };
            }
            macro_rules! load {
                ($k:expr) => {
                    for r in 0..R {
                        a[r] = vld1q_s8(rows[r].add($k));
                    }
                };
            }
            let left = args.channels % STEP;
            let whole = args.channels - left;
            for k in (0..whole).step_by(STEP) {
                load!(k);
                eight_channels!("0", "1", 8);
                eight_channels!("2", "3", 8);
            }
            if left > 0 {
                load!(whole);
                eight_channels!("0", "1", left);
            }
            if left > 8 {
                eight_channels!("2", "3", left - 8);
            }
        }
        // Element by element: sums whose array is passed on are in memory all along.
        let mut sums = [[vdupq_n_s32(0); 2]; R];
        for r in 0..R {
            sums[r] = [acc[r][0], acc[r][1]];
        }
        store(args, sums);
    }
}

/// The low nibbles as signed bytes.
#[inline]
#[target_feature(enable = "neon")]
fn low(packed: int8x16_t) -> int8x16_t {
    vshrq_n_s8::<4>(vshlq_n_s8::<4>(packed))
}

/// The high nibbles as signed bytes.
#[inline]
#[target_feature(enable = "neon")]
fn high(packed: int8x16_t) -> int8x16_t {
    vshrq_n_s8::<4>(packed)
}

/// The output stage of a tile.
///
/// # Safety
/// `args.c` is writable for `rows` rows of `cols` elements; the arrays of `requant` have NR elements.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn store<const R: usize>(args: &I8GemmArgs, acc: [[int32x4_t; 2]; R]) {
    // SAFETY: the caller vouches for the arrays and `c`.
    unsafe {
        let results = match NarrowPrelu::new(&args.requant, [0, 4]) {
            None => Narrow::new(&args.requant, [0, 4]).apply(acc),
            Some(stage) => stage.apply(acc),
        };
        let mut tile = [[0_i8; NR]; R];
        for r in 0..R {
            vst1_s8(tile[r].as_mut_ptr(), results[r]);
        }
        for (r, row) in tile.iter().enumerate().take(args.rows) {
            let c = args.c.add(r * args.c_stride);
            if args.cols == NR {
                c.cast::<[i8; NR]>().write_unaligned(*row);
            } else {
                std::ptr::copy_nonoverlapping(row.as_ptr(), c, args.cols);
            }
        }
    }
}
