//! 8-bit depthwise rows for AVX-512 VNNI.

use std::arch::x86_64::{
    __m256i, _mm_loadu_si128, _mm256_castsi128_si256, _mm256_dpbusd_epi32, _mm256_inserti128_si256,
    _mm256_loadu_si256, _mm256_permute2x128_si256, _mm256_set1_epi8, _mm256_setzero_si256,
    _mm256_sub_epi32, _mm256_unpackhi_epi8, _mm256_unpackhi_epi16, _mm256_unpacklo_epi8,
    _mm256_unpacklo_epi16, _mm256_xor_si256, _mm512_castsi256_si512, _mm512_inserti64x4,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_avx512::{requantize_16, store_16};

/// Thirty-two channels at a time, four taps per VPDPBUSD. That instruction wants unsigned activations: they are offset by
/// 128, and 128 times the sum of each channel's weights comes off the bias.
pub(crate) static DEPTHWISE_32: I8Depthwise = MicroKernel {
    name: "i8_depthwise_32_avx512vnni",
    isa: Isa::Avx512,
    tile: Tile { mr: 1, nr: NR, kr: TAPS },
    run: depthwise_32,
};

const NR: usize = 32;
const TAPS: usize = 4;

/// Accumulators of a block. Unpacking works within 128-bit halves: register `i` has channels `4 i..4 i + 4` and
/// `16 + 4 i..20 + 4 i`.
type Block = [__m256i; 4];

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx2")]
unsafe fn depthwise_32(args: &I8DepthwiseArgs) {
    let groups = args.taps.count().div_ceil(TAPS);
    let block_bytes = NR * (4 + groups * TAPS);
    // SAFETY: the caller vouches for `args` and for the features: the taps have `channels` elements
    // followed by at least 31 readable ones (SLACK), `w` whole blocks, the arrays of `requant` cover whole blocks.
    unsafe {
        let [height, width] = args.taps.kernel;
        for channel in (0..args.channels).step_by(NR) {
            let block = args.w.add(channel / NR * block_bytes);
            let weights = block.add(4 * NR);
            let start = start(block, groups);
            for pixel in 0..args.pixels {
                let (mut acc, mut w) = (start, weights);
                let mut pixels = [std::ptr::null(); TAPS];
                let mut filled = 0;
                for y in 0..height {
                    let row = args.taps.row(pixel, y);
                    for x in 0..width {
                        pixels[filled] = *row.add(x);
                        filled += 1;
                        let last = (y, x) == (height - 1, width - 1);
                        if last {
                            // Weights of taps that are not there are zero.
                            let tap = pixels[filled - 1];
                            pixels[filled..].fill(tap);
                        }
                        if last || filled == TAPS {
                            let load = |row: *const i8| _mm256_loadu_si256(row.add(channel).cast());
                            multiply(&mut acc, interleave(pixels.map(load)), w);
                            (w, filled) = (w.add(TAPS * NR), 0);
                        }
                    }
                }
                finish(args, channel, acc, args.c.add(pixel * args.c_stride + channel));
            }
        }
    }
}

/// Biases less 128 times the sum of the weights.
///
/// # Safety
/// `block` is a whole block.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vnni,avx2")]
unsafe fn start(block: *const i8, groups: usize) -> Block {
    // SAFETY: as above.
    unsafe {
        let mut excess = [_mm256_setzero_si256(); 4];
        for group in 0..groups {
            let offset = _mm256_set1_epi8(i8::MIN);
            multiply(&mut excess, [offset; 4], block.add(4 * NR + group * TAPS * NR));
        }
        std::array::from_fn(|i| _mm256_sub_epi32(halves(block.add(16 * i)), excess[i]))
    }
}

/// 16 bytes from `p` and 16 from 64 bytes behind.
///
/// # Safety
/// Both are readable.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn halves(p: *const i8) -> __m256i {
    // SAFETY: the caller vouches for both.
    unsafe {
        let low = _mm256_castsi128_si256(_mm_loadu_si128(p.cast()));
        _mm256_inserti128_si256::<1>(low, _mm_loadu_si128(p.add(64).cast()))
    }
}

/// The bytes of four rows next to each other, per channel, each offset by 128.
#[inline]
#[target_feature(enable = "avx2")]
fn interleave(rows: [__m256i; 4]) -> Block {
    let [a, b, c, d] = rows.map(|row| _mm256_xor_si256(row, _mm256_set1_epi8(i8::MIN)));
    let (ab, cd) = (_mm256_unpacklo_epi8(a, b), _mm256_unpacklo_epi8(c, d));
    let (ab_high, cd_high) = (_mm256_unpackhi_epi8(a, b), _mm256_unpackhi_epi8(c, d));
    [
        _mm256_unpacklo_epi16(ab, cd),
        _mm256_unpackhi_epi16(ab, cd),
        _mm256_unpacklo_epi16(ab_high, cd_high),
        _mm256_unpackhi_epi16(ab_high, cd_high),
    ]
}

/// # Safety
/// `w` has NR groups of TAPS weights.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512vnni,avx2")]
unsafe fn multiply(acc: &mut Block, a: Block, w: *const i8) {
    for (i, (acc, a)) in acc.iter_mut().zip(a).enumerate() {
        // SAFETY: weights of channels 4 i.. and of 16 + 4 i.. are within the group.
        *acc = _mm256_dpbusd_epi32(*acc, a, unsafe { halves(w.add(16 * i)) });
    }
}

/// # Safety
/// `c` is writable for the channels from `channel` on, at most NR; the arrays of `args.requant` cover the block.
#[inline]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2")]
unsafe fn finish(args: &I8DepthwiseArgs, channel: usize, acc: Block, c: *mut i8) {
    let low = |i| _mm256_permute2x128_si256::<0x20>(acc[i], acc[i + 1]);
    let high = |i| _mm256_permute2x128_si256::<0x31>(acc[i], acc[i + 1]);
    let join = |a, b| _mm512_inserti64x4::<1>(_mm512_castsi256_si512(a), b);
    for (half, x) in [join(low(0), low(2)), join(high(0), high(2))].into_iter().enumerate() {
        let first = channel + 16 * half;
        if first < args.channels {
            // SAFETY: as above.
            unsafe {
                let q = requantize_16(&args.requant, first, x);
                store_16(q, c.add(16 * half), args.channels - first);
            }
        }
    }
}
