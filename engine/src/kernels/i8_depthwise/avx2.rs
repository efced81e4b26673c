//! 8-bit depthwise rows for AVX2.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_add_epi32, _mm256_cvtepi8_epi16, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_permute2x128_si256, _mm256_setzero_si256, _mm256_unpackhi_epi16,
    _mm256_unpacklo_epi16,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_avx2::{requantize_8, store_8};

/// Sixteen channels at a time, two taps per VPMADDWD.
pub(crate) static DEPTHWISE_16: I8Depthwise = MicroKernel {
    name: "i8_depthwise_16_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_16,
};

const NR: usize = 16;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn depthwise_16(args: &I8DepthwiseArgs) {
    // SAFETY: the caller vouches for `args` and for AVX2: the taps have `channels` elements followed
    // by at least fifteen readable ones (SLACK), `w` whole blocks, the arrays of `requant` cover whole blocks.
    unsafe {
        let taps = args.taps.per_pixel(args.pixels);
        for pixel in 0..args.pixels {
            let rows = taps.as_ptr().add(pixel * args.taps.count());
            let c = args.c.add(pixel * args.c_stride);
            for channel in (0..args.channels).step_by(NR) {
                let block = args.w.add(channel * (args.taps.count() + 4));
                let sums = accumulate(rows, args.taps.count(), channel, block.add(4 * NR));
                for (half, sum) in sums.into_iter().enumerate() {
                    let first = channel + 8 * half;
                    if first < args.channels {
                        let bias = _mm256_loadu_si256(block.add(32 * half).cast());
                        let acc = _mm256_add_epi32(sum, bias);
                        let q = requantize_8(&args.requant, first, acc);
                        store_8(q, c.add(first), args.channels - first);
                    }
                }
            }
        }
    }
}

/// Sums of products of sixteen channels, as two registers in order.
///
/// # Safety
/// `rows` has `taps` pointers, each readable for sixteen elements from `channel` on; `w` has `taps` rows of NR weights.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn accumulate(
    rows: *const *const i8,
    taps: usize,
    channel: usize,
    w: *const i8,
) -> [__m256i; 2] {
    let zero = _mm256_setzero_si256();
    let (mut low, mut high) = (zero, zero);
    for tap in (0..taps).step_by(2) {
        // SAFETY: as above; a missing second tap counts as zeros.
        let (a0, w0, a1, w1) = unsafe {
            let load = |p: *const i8| _mm256_cvtepi8_epi16(_mm_loadu_si128(p.cast()));
            let row = |tap: usize| load((*rows.add(tap)).add(channel));
            let paired = tap + 1 < taps;
            let (a1, w1) =
                if paired { (row(tap + 1), load(w.add((tap + 1) * NR))) } else { (zero, zero) };
            (row(tap), load(w.add(tap * NR)), a1, w1)
        };
        let products = |a, b| _mm256_madd_epi16(a, b);
        let (a_low, w_low) = (_mm256_unpacklo_epi16(a0, a1), _mm256_unpacklo_epi16(w0, w1));
        let (a_high, w_high) = (_mm256_unpackhi_epi16(a0, a1), _mm256_unpackhi_epi16(w0, w1));
        low = _mm256_add_epi32(low, products(a_low, w_low));
        high = _mm256_add_epi32(high, products(a_high, w_high));
    }
    // Unpacking works within 128-bit halves: `low` has channels 0-3 and 8-11.
    [_mm256_permute2x128_si256::<0x20>(low, high), _mm256_permute2x128_si256::<0x31>(low, high)]
}
