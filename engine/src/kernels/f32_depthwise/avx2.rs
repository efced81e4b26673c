//! fp32 depthwise rows for AVX2.

use std::arch::x86_64::{
    __m256, _mm256_blendv_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_storeu_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Sixteen channels at a time.
pub(crate) static DEPTHWISE_16: F32Depthwise = MicroKernel {
    name: "f32_depthwise_16_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_16,
};

const NR: usize = 16;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn depthwise_16(args: &F32DepthwiseArgs) {
    // SAFETY: the caller vouches for `args` and for AVX2: the taps have `channels` elements followed
    // by at least fifteen readable ones (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements.
    unsafe {
        let taps = args.taps.per_pixel(args.pixels);
        for pixel in 0..args.pixels {
            let rows = taps.as_ptr().add(pixel * args.taps.count());
            let c = args.c.add(pixel * args.c_stride);
            let mut w = args.w;
            for channel in (0..args.channels).step_by(NR) {
                let mut acc = [_mm256_loadu_ps(w), _mm256_loadu_ps(w.add(8))];
                w = w.add(NR);
                for tap in 0..args.taps.count() {
                    let row = (*rows.add(tap)).add(channel);
                    acc[0] = _mm256_fmadd_ps(_mm256_loadu_ps(row), _mm256_loadu_ps(w), acc[0]);
                    let (row, weights) = (_mm256_loadu_ps(row.add(8)), _mm256_loadu_ps(w.add(8)));
                    acc[1] = _mm256_fmadd_ps(row, weights, acc[1]);
                    w = w.add(NR);
                }
                finish(args, channel, acc, c.add(channel));
            }
        }
    }
}

/// # Safety
/// `c` is writable for the channels from `channel` on, at most NR; `args.slopes` is null or covers the block.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish(args: &F32DepthwiseArgs, channel: usize, mut acc: [__m256; 2], c: *mut f32) {
    // SAFETY: as above; the whole vectors go to `c` only when the block is whole.
    unsafe {
        for (half, x) in acc.iter_mut().enumerate() {
            if !args.slopes.is_null() {
                let slopes = _mm256_loadu_ps(args.slopes.add(channel + 8 * half));
                *x = _mm256_blendv_ps(*x, _mm256_mul_ps(*x, slopes), *x);
            }
            *x = _mm256_max_ps(*x, _mm256_set1_ps(args.min));
            *x = _mm256_min_ps(*x, _mm256_set1_ps(args.max));
        }
        let left = args.channels - channel;
        if left >= NR {
            _mm256_storeu_ps(c, acc[0]);
            _mm256_storeu_ps(c.add(8), acc[1]);
        } else {
            let mut tail = [0.0_f32; NR];
            _mm256_storeu_ps(tail.as_mut_ptr(), acc[0]);
            _mm256_storeu_ps(tail.as_mut_ptr().add(8), acc[1]);
            std::ptr::copy_nonoverlapping(tail.as_ptr(), c, left);
        }
    }
}
