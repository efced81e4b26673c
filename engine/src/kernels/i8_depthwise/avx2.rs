//! 8-bit depthwise rows for AVX2.

use std::arch::x86_64::{
    __m256i, _mm_loadl_epi64, _mm_unpackhi_epi64, _mm_unpacklo_epi8, _mm256_add_epi32,
    _mm256_and_si256, _mm256_cvtepi8_epi16, _mm256_cvtepi8_epi32, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_set1_epi32, _mm256_setzero_si256,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Depthwise, I8DepthwiseArgs, MicroKernel, Tile};
use crate::kernels::requant_avx2::{narrow, scale, store};

/// Eight outputs by eight channels. VPMADDWD multiplies two rows of the window at a time, their pixels side by side with
/// 16 bits: a pair of pixels is widened once for all outputs that it belongs to.
pub(crate) static DEPTHWISE_8X8: I8Depthwise = MicroKernel {
    name: "i8_depthwise_8x8_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8x8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2")]
unsafe fn depthwise_8x8(args: &I8DepthwiseArgs) {
    let segments: Segments = match (args.taps.kernel[1], args.taps.step) {
        (3, 1) => segments::<Shared<3, 1>>,
        (3, 2) => segments::<Shared<3, 2>>,
        (5, 1) => segments::<Shared<5, 1>>,
        (5, 2) => segments::<Shared<5, 2>>,
        _ => segments::<Separate>,
    };
    // SAFETY: the caller vouches for `args` and for AVX2; the window and step are those of the segments.
    unsafe { segments(args) };
}

type Segments = unsafe fn(&I8DepthwiseArgs);

/// Two rows of the window (or its last), and where eight channels are.
#[derive(Clone, Copy)]
struct Rows {
    /// Pointers to the pixels of both rows; the same twice for a single row.
    pixels: [*const *const i8; 2],
    channel: usize,
    /// Weights of both rows.
    w: [*const i8; 2],
    width: usize,
    step: usize,
    single: bool,
}

impl Rows {
    /// A pixel of both rows side by side: `[first, second; 8]` as 16 bits, of a single row its own sign as second.
    ///
    /// # Safety
    /// The rows have the pixel, which is readable for eight elements from `channel` on.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn pixel(&self, column: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let first = (*self.pixels[0].add(column)).add(self.channel);
            if self.single {
                return _mm256_cvtepi8_epi32(_mm_loadl_epi64(first.cast()));
            }
            let second = (*self.pixels[1].add(column)).add(self.channel);
            side_by_side(first, second)
        }
    }

    /// The weights of a column likewise, of a single row 0 as second.
    ///
    /// # Safety
    /// There are such weights.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn weights(&self, x: usize) -> __m256i {
        // SAFETY: as above.
        unsafe {
            let first = self.w[0].add(NR * x);
            if self.single {
                let alone = _mm256_cvtepi8_epi32(_mm_loadl_epi64(first.cast()));
                return _mm256_and_si256(alone, _mm256_set1_epi32(0xffff));
            }
            side_by_side(first, self.w[1].add(NR * x))
        }
    }
}

/// `[first, second; 8]` as 16 bits.
///
/// # Safety
/// Both are readable for eight elements.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn side_by_side(first: *const i8, second: *const i8) -> __m256i {
    // SAFETY: the caller vouches for them.
    let (first, second) =
        unsafe { (_mm_loadl_epi64(first.cast()), _mm_loadl_epi64(second.cast())) };
    _mm256_cvtepi8_epi16(_mm_unpacklo_epi8(first, second))
}

#[inline]
#[target_feature(enable = "avx2")]
fn multiply_add(acc: &mut __m256i, a: __m256i, w: __m256i) {
    *acc = _mm256_add_epi32(*acc, _mm256_madd_epi16(a, w));
}

/// The multiplications of rows of the window.
trait Multiply {
    /// Adds the products to `acc`, which comes and goes by value to stay in registers.
    ///
    /// # Safety
    /// AVX2 is there, and `rows` has the pixels of `P` outputs.
    unsafe fn multiply<const P: usize>(acc: [__m256i; P], rows: Rows) -> [__m256i; P];
}

/// Repeats `$body` for every column of the longest segment: eight outputs, two pixels apart, of windows five wide. A loop of
/// this length the compiler may leave as it is, with sums in memory, and a closure it may leave a call.
macro_rules! for_each_column {
    ($column:ident: $($index:literal)* => $body:block) => { $({ let $column: usize = $index; $body })* };
}

/// Windows `W` wide whose outputs are `S` pixels apart: pixel by pixel, each multiplied for all outputs.
struct Shared<const W: usize, const S: usize>;

impl<const W: usize, const S: usize> Multiply for Shared<W, S> {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn multiply<const P: usize>(mut acc: [__m256i; P], rows: Rows) -> [__m256i; P] {
        // SAFETY: the caller vouches for (P - 1) * S + W pixels and W weights.
        unsafe {
            let mut weights = [_mm256_setzero_si256(); W];
            for (x, weights) in weights.iter_mut().enumerate() {
                *weights = rows.weights(x);
            }
            for_each_column!(column: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 => {
                if column < (P - 1) * S + W {
                    let a = rows.pixel(column);
                    for x in 0..W {
                        if column >= x && (column - x).is_multiple_of(S) && (column - x) / S < P {
                            multiply_add(&mut acc[(column - x) / S], a, weights[x]);
                        }
                    }
                }
            });
        }
        acc
    }
}

/// Any window: tap by tap, each with a pixel for every output.
struct Separate;

impl Multiply for Separate {
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn multiply<const P: usize>(mut acc: [__m256i; P], rows: Rows) -> [__m256i; P] {
        for x in 0..rows.width {
            // SAFETY: the caller vouches for the pixels of P outputs.
            unsafe {
                let w = rows.weights(x);
                for (p, acc) in acc.iter_mut().enumerate() {
                    multiply_add(acc, rows.pixel(p * rows.step + x), w);
                }
            }
        }
        acc
    }
}

/// All outputs of a row: eight or four at a time. The last of them may be computed twice.
///
/// # Safety
/// As [`MicroKernel::run`], and the window is one of `M`.
#[target_feature(enable = "avx2")]
unsafe fn segments<M: Multiply>(args: &I8DepthwiseArgs) {
    let mut pixel = 0;
    while pixel < args.pixels {
        let left = args.pixels - pixel;
        // SAFETY: the segments lie within the row.
        pixel = unsafe {
            if left > 4 && args.pixels >= 8 {
                segment::<M, 8>(args, pixel.min(args.pixels - 8))
            } else if args.pixels >= 4 {
                segment::<M, 4>(args, pixel.min(args.pixels - 4))
            } else {
                segment::<M, 1>(args, pixel)
            }
        };
    }
}

/// Computes `P` outputs from `pixel` on, and returns the next.
///
/// # Safety
/// As [`MicroKernel::run`]; there are so many outputs.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn segment<M: Multiply, const P: usize>(args: &I8DepthwiseArgs, pixel: usize) -> usize {
    let [height, width] = args.taps.kernel;
    // SAFETY: the caller vouches for `args`: the taps have `channels` elements followed by at least seven readable ones
    // (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements, the arrays of `requant` whole blocks.
    unsafe {
        for channel in (0..args.channels).step_by(NR) {
            let block = args.w.add(channel * (height * width + 4));
            let mut acc = [_mm256_loadu_si256(block.cast()); P];
            for y in (0..height).step_by(2) {
                let other = (y + 1).min(height - 1);
                acc = M::multiply(
                    acc,
                    Rows {
                        pixels: [args.taps.row(pixel, y), args.taps.row(pixel, other)],
                        channel,
                        w: [block.add(NR * (4 + y * width)), block.add(NR * (4 + other * width))],
                        width,
                        step: args.taps.step,
                        single: other == y,
                    },
                );
            }
            finish(args, channel, acc, args.c.add(pixel * args.c_stride + channel));
        }
    }
    pixel + P
}

/// # Safety
/// `c` is writable for `P` outputs of the channels from `channel` on, at most NR; the arrays of `args.requant` cover the
/// block.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish<const P: usize>(
    args: &I8DepthwiseArgs,
    channel: usize,
    acc: [__m256i; P],
    c: *mut i8,
) {
    let count = NR.min(args.channels - channel);
    // SAFETY: as above.
    unsafe {
        let acc = scale(&args.requant, channel, acc);
        for p in (0..P).step_by(2) {
            let two = narrow(&args.requant, [acc[p], acc[(p + 1).min(P - 1)]]);
            store(two, c.add(p * args.c_stride), count);
            if p + 1 < P {
                store(_mm_unpackhi_epi64(two, two), c.add((p + 1) * args.c_stride), count);
            }
        }
    }
}
