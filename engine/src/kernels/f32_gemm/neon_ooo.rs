//! fp32 tiles for 64-bit ARM cores that reorder instructions.
//!
//! Such a core overlaps loads and multiply-adds by itself; what counts is how many of each there are. A Cortex-A72 starts an FMLA
//! of four elements and a 128-bit load per cycle, an A76 two of each: 4 and 8 MAC per cycle. The kernels for in-order cores
//! assemble operands by moves from integer registers, which here compete with the loads or the multiply-adds.

use std::arch::aarch64::{
    float32x4_t, vbslq_f32, vcgtq_f32, vcltq_f32, vcltzq_f32, vdupq_n_f32, vfmaq_laneq_f32,
    vld1q_f32, vmulq_f32, vst1q_f32,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{Block, F32Gemm, F32GemmArgs, MicroKernel, Tile};

/// Eight rows by eight columns: 16 sums, of which an A76 meets each every eighth cycle, longer than a multiply-add takes. Four
/// channels are 64 FMLA and 16 loads. A last tile of fewer rows has a loop of its own.
pub(crate) static GEMM_8X8: F32Gemm = MicroKernel {
    name: "f32_gemm_8x8_neon_ooo",
    isa: Isa::NeonOoo,
    tile: Tile { mr: 8, nr: 8, kr: 1 },
    run: gemm_8x8,
};

/// One row by 32 columns, for fully connected layers of a single row: eight sums, enough to hide the latency of FMLA, and
/// weights that are read from memory once, in order.
pub(crate) static GEMM_1X32: F32Gemm = MicroKernel {
    name: "f32_gemm_1x32_neon_ooo",
    isa: Isa::NeonOoo,
    tile: Tile { mr: 1, nr: 32, kr: 1 },
    run: gemm_1x32,
};

/// Elements of a vector.
const LANES: usize = 4;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_8x8(args: &F32GemmArgs) {
    for index in 0..args.rows.div_ceil(8) {
        // SAFETY: the caller vouches for `args`, so for each tile of it; pointers of rows beyond the last are valid.
        unsafe {
            let tile = args.tile(index, 8);
            match tile.rows {
                1 => rows::<1, 8, 2>(&tile),
                2 => rows::<2, 8, 2>(&tile),
                3 | 4 => rows::<4, 8, 2>(&tile),
                _ => rows::<8, 8, 2>(&tile),
            }
        }
    }
}

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "neon")]
unsafe fn gemm_1x32(args: &F32GemmArgs) {
    for index in 0..args.rows {
        // SAFETY: the caller vouches for `args`, so for each row of it.
        unsafe { rows::<1, 1, 8>(&args.tile(index, 1)) };
    }
}

/// The first `R` rows of a tile of `MR`, at least those of `args`, by `V` vectors of columns.
///
/// # Safety
/// As [`MicroKernel::run`], for a tile.
#[target_feature(enable = "neon")]
unsafe fn rows<const R: usize, const MR: usize, const V: usize>(args: &F32GemmArgs) {
    // SAFETY: the caller vouches for `args`: `a` has taps * MR pointers to `channels` elements followed by at least three readable
    // ones (SLACK), which are not used; `w` is a whole panel, `c` `rows` rows of `cols` elements.
    unsafe {
        let mut acc = [vectors::<V>(args.w); R];
        let mut w = args.w.add(LANES * V);
        for tap in 0..args.taps {
            let rows = *args.a.add(tap * MR).cast::<[*const f32; R]>();
            let mut a = [vdupq_n_f32(0.0); R];
            macro_rules! channel {
                ($lane:literal) => {
                    let weights = vectors::<V>(w);
                    for r in 0..R {
                        for v in 0..V {
                            acc[r][v] = vfmaq_laneq_f32::<$lane>(acc[r][v], weights[v], a[r]);
                        }
                    }
                    w = w.add(LANES * V);
                };
            }
            macro_rules! load {
                ($k:expr) => {
                    for r in 0..R {
                        a[r] = vld1q_f32(rows[r].add($k));
                    }
                };
            }
            let left = args.channels % LANES;
            let whole = args.channels - left;
            for k in (0..whole).step_by(LANES) {
                load!(k);
                channel!(0);
                channel!(1);
                channel!(2);
                channel!(3);
            }
            if left > 0 {
                load!(whole);
                channel!(0);
            }
            if left > 1 {
                channel!(1);
            }
            if left > 2 {
                channel!(2);
            }
        }
        store(args, acc);
    }
}

/// `V` vectors from `p` on.
///
/// # Safety
/// `p` is readable for them.
#[inline]
#[target_feature(enable = "neon")]
unsafe fn vectors<const V: usize>(p: *const f32) -> [float32x4_t; V] {
    let mut all = [vdupq_n_f32(0.0); V];
    for (v, vector) in all.iter_mut().enumerate() {
        // SAFETY: the caller vouches for it.
        *vector = unsafe { vld1q_f32(p.add(LANES * v)) };
    }
    all
}

/// PReLU, bounds, and the rows and columns of `args`.
///
/// # Safety
/// `args.c` is writable for them; `args.slopes` is null or as long as the panel is wide.
#[inline]
#[target_feature(enable = "neon")]
#[expect(clippy::needless_range_loop, reason = "iterators over vectors may stay calls here")]
unsafe fn store<const R: usize, const V: usize>(
    args: &F32GemmArgs,
    mut acc: [[float32x4_t; V]; R],
) {
    let (min, max) = (vdupq_n_f32(args.min), vdupq_n_f32(args.max));
    // SAFETY: as above.
    unsafe {
        for v in 0..V {
            if !args.slopes.is_null() {
                let slopes = vld1q_f32(args.slopes.add(LANES * v));
                for r in 0..R {
                    let x = acc[r][v];
                    acc[r][v] = vbslq_f32(vcltzq_f32(x), vmulq_f32(x, slopes), x);
                }
            }
            for r in 0..R {
                let x = vbslq_f32(vcgtq_f32(acc[r][v], min), acc[r][v], min);
                acc[r][v] = vbslq_f32(vcltq_f32(x, max), x, max);
            }
        }
        if args.rows == R && args.cols == LANES * V {
            for r in 0..R {
                for v in 0..V {
                    vst1q_f32(args.c.add(r * args.c_stride + LANES * v), acc[r][v]);
                }
            }
            return;
        }
        let mut tile = [[[0.0_f32; LANES]; V]; R];
        for r in 0..R {
            for v in 0..V {
                vst1q_f32(tile[r][v].as_mut_ptr(), acc[r][v]);
            }
        }
        for (r, row) in tile.iter().enumerate().take(args.rows) {
            let row = row.as_flattened().as_ptr();
            std::ptr::copy_nonoverlapping(row, args.c.add(r * args.c_stride), args.cols);
        }
    }
}
