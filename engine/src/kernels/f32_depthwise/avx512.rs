//! fp32 depthwise rows for AVX-512.

use std::arch::x86_64::{
    __m512, _CMP_LT_OQ, _mm512_cmp_ps_mask, _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_mask_mul_ps,
    _mm512_mask_storeu_ps, _mm512_max_ps, _mm512_min_ps, _mm512_set1_ps, _mm512_setzero_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Thirty-two channels at a time.
pub(crate) static DEPTHWISE_32: F32Depthwise = MicroKernel {
    name: "f32_depthwise_32_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: 1, nr: 2 * LANES, kr: 1 },
    run: depthwise::<2>,
};

/// Sixteen channels at a time, for layers with few.
pub(crate) static DEPTHWISE_16: F32Depthwise = MicroKernel {
    name: "f32_depthwise_16_avx512",
    isa: Isa::Avx512,
    tile: Tile { mr: 1, nr: LANES, kr: 1 },
    run: depthwise::<1>,
};

const LANES: usize = 16;
/// Pixels that share a loaded weight.
const PIXELS: usize = 4;

/// # Safety
/// As [`MicroKernel::run`], for blocks of `16 * VECTORS` channels.
#[target_feature(enable = "avx512f")]
unsafe fn depthwise<const VECTORS: usize>(args: &F32DepthwiseArgs) {
    let nr = LANES * VECTORS;
    // SAFETY: the caller vouches for `args` and for the features: the taps have `channels` elements
    // followed by at least fifteen readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements.
    // Of a vector that would begin behind the last channel nothing is read but weights.
    unsafe {
        let [height, width] = args.taps.kernel;
        for channel in (0..args.channels).step_by(nr) {
            let w = args.w.add(channel * (args.taps.count() + 1));
            let vectors = (args.channels - channel).div_ceil(LANES).min(VECTORS);
            for pixel in (0..args.pixels).step_by(PIXELS) {
                // Behind the last pixel it is computed once more.
                let at: [usize; PIXELS] = std::array::from_fn(|p| (pixel + p).min(args.pixels - 1));
                let load = |w: *const f32| -> [__m512; VECTORS] {
                    std::array::from_fn(|v| _mm512_loadu_ps(w.add(LANES * v)))
                };
                let mut acc = [load(w); PIXELS];
                for y in 0..height {
                    let rows = at.map(|at| args.taps.row(at, y));
                    for tap in 0..width {
                        let weights = load(w.add((y * width + tap + 1) * nr));
                        for (acc, row) in acc.iter_mut().zip(rows) {
                            let pixel = (*row.add(tap)).add(channel);
                            for v in 0..vectors {
                                let x = _mm512_loadu_ps(pixel.add(LANES * v));
                                acc[v] = _mm512_fmadd_ps(x, weights[v], acc[v]);
                            }
                        }
                    }
                }
                for (acc, at) in acc.iter().zip(at) {
                    let c = args.c.add(at * args.c_stride);
                    for (v, &x) in acc.iter().enumerate().take(vectors) {
                        finish(args, channel + LANES * v, x, c);
                    }
                }
            }
        }
    }
}

/// # Safety
/// `c` is a pixel of `args.channels` elements; `args.slopes` is null or covers the vector.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn finish(args: &F32DepthwiseArgs, channel: usize, mut x: __m512, c: *mut f32) {
    // SAFETY: only channels that exist are stored.
    unsafe {
        if !args.slopes.is_null() {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, _mm512_setzero_ps());
            x = _mm512_mask_mul_ps(x, negative, x, _mm512_loadu_ps(args.slopes.add(channel)));
        }
        x = _mm512_max_ps(x, _mm512_set1_ps(args.min));
        x = _mm512_min_ps(x, _mm512_set1_ps(args.max));
        let left = args.channels - channel;
        let mask = if left >= LANES { u16::MAX } else { (1 << left) - 1 };
        _mm512_mask_storeu_ps(c.add(channel), mask, x);
    }
}
