//! One-bit tiles in plain Rust.

use crate::kernels::isa::Isa;
use crate::kernels::micro::{BinGemm, BinGemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant::requantize_one;

/// Two rows by four columns, a word at a time.
pub(crate) static GEMM_2X4: BinGemm = MicroKernel {
    name: "bin_gemm_2x4_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, gemm_2x4) },
};

const MR: usize = 2;
const NR: usize = 4;

/// As [`GEMM_2X4`], for weights of -1, 0 and 1.
pub(crate) static TERNARY_2X4: BinGemm = MicroKernel {
    name: "ternary_gemm_2x4_portable",
    isa: Isa::Portable,
    tile: Tile { mr: MR, nr: NR, kr: 1 },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, MR, ternary_2x4) },
};

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn gemm_2x4(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`; a word of all columns is NR words.
    unsafe { tile::<NR>(args, |a, w| (a ^ *w).count_ones()) };
}

/// # Safety
/// As [`MicroKernel::run`].
unsafe fn ternary_2x4(args: &BinGemmArgs) {
    // SAFETY: the caller vouches for `args`; NR masks follow the signs of all columns.
    unsafe { tile::<{ 2 * NR }>(args, |a, w| 2 * ((a ^ *w) & *w.add(NR)).count_ones()) };
}

/// A tile whose weights have `STRIDE` words per word of a row; `count` is given a word of the row and where its weights are.
///
/// # Safety
/// As [`MicroKernel::run`], and `count` reads no more.
unsafe fn tile<const STRIDE: usize>(args: &BinGemmArgs, count: impl Fn(u64, *const u64) -> u32) {
    // SAFETY: the caller vouches for `args`; every index is below the extents that its fields state.
    unsafe {
        let mut counts = [[0_u32; NR]; MR];
        let mut w = args.w.add(NR / 2);
        for tap in 0..args.taps {
            for k in 0..args.words {
                for (r, counts) in counts.iter_mut().enumerate() {
                    let a = *(*args.a.add(tap * MR + r)).add(k);
                    for (j, sum) in counts.iter_mut().enumerate() {
                        *sum += count(a, w.add(j));
                    }
                }
                w = w.add(STRIDE);
            }
        }
        for (r, counts) in counts.iter().enumerate().take(args.rows) {
            store_row(args, r, counts);
        }
    }
}

/// # Safety
/// `args` as above, `r < args.rows`.
unsafe fn store_row(args: &BinGemmArgs, r: usize, counts: &[u32; NR]) {
    // SAFETY: the panel starts with NR biases; `row_bias`, when not null, has MR pointers to NR corrections.
    unsafe {
        let bias = args.w.cast::<i32>();
        for (j, &count) in counts.iter().enumerate().take(args.cols) {
            let mut acc = args.accumulate(count, *bias.add(j));
            if !args.row_bias.is_null() {
                acc = acc.wrapping_add(*(*args.row_bias.add(r)).add(j));
            }
            if args.sums.is_null() {
                *args.c.add(r * args.c_stride + j) = requantize_one(&args.requant, j, acc);
            } else {
                args.store_sums(r, j, &[acc]);
            }
        }
    }
}
