//! fp32 depthwise rows for AVX2.

use std::arch::x86_64::{
    __m256, _mm256_blendv_ps, _mm256_fmadd_ps, _mm256_loadu_ps, _mm256_max_ps, _mm256_min_ps,
    _mm256_mul_ps, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{F32Depthwise, F32DepthwiseArgs, MicroKernel, Tile};

/// Eight outputs by eight channels. A pixel is loaded once per row of the window for all outputs that it belongs to, so
/// windows three and five wide are bound by the multiply-adds, of which eight are in flight.
pub(crate) static DEPTHWISE_8X8: F32Depthwise = MicroKernel {
    name: "f32_depthwise_8x8_avx2",
    isa: Isa::Avx2,
    tile: Tile { mr: 1, nr: NR, kr: 1 },
    run: depthwise_8x8,
};

const NR: usize = 8;

/// # Safety
/// As [`MicroKernel::run`].
#[target_feature(enable = "avx2,fma")]
unsafe fn depthwise_8x8(args: &F32DepthwiseArgs) {
    let segment: Segments = match (args.taps.kernel[1], args.taps.step) {
        (3, 1) => segments::<Shared<3, 1>>,
        (3, 2) => segments::<Shared<3, 2>>,
        (5, 1) => segments::<Shared<5, 1>>,
        (5, 2) => segments::<Shared<5, 2>>,
        _ => segments::<Separate>,
    };
    // SAFETY: the caller vouches for `args` and for AVX2; the window and step are those of the segments.
    unsafe { segment(args) };
}

type Segments = unsafe fn(&F32DepthwiseArgs);

/// The multiplications of a row of the window.
trait Row {
    /// Adds the products of a row of the window to `acc`, which comes and goes by value to stay in registers.
    ///
    /// # Safety
    /// AVX2 and FMA are there. `row` has the pointers of `P` outputs, each readable for eight elements from `channel`
    /// on; `w` has `width` vectors.
    unsafe fn multiply<const P: usize>(
        acc: [__m256; P],
        row: *const *const f32,
        channel: usize,
        w: *const f32,
        taps: (usize, usize),
    ) -> [__m256; P];
}

/// Repeats `$body` for every column of the longest segment: eight outputs, two pixels apart, of windows five wide. A loop of
/// this length the compiler may leave as it is, with sums in memory, and a closure it may leave a call.
macro_rules! for_each_column {
    ($column:ident: $($index:literal)* => $body:block) => { $({ let $column: usize = $index; $body })* };
}

/// Windows `W` wide whose outputs are `S` pixels apart: pixel by pixel, each multiplied for all outputs.
struct Shared<const W: usize, const S: usize>;

impl<const W: usize, const S: usize> Row for Shared<W, S> {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply<const P: usize>(
        mut acc: [__m256; P],
        row: *const *const f32,
        channel: usize,
        w: *const f32,
        _: (usize, usize),
    ) -> [__m256; P] {
        // SAFETY: as above, for (P - 1) * S + W pixels.
        unsafe {
            let mut weights = [_mm256_setzero_ps(); W];
            for (x, weights) in weights.iter_mut().enumerate() {
                *weights = _mm256_loadu_ps(w.add(NR * x));
            }
            for_each_column!(column: 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 => {
                if column < (P - 1) * S + W {
                    let a = _mm256_loadu_ps((*row.add(column)).add(channel));
                    for x in 0..W {
                        if column >= x && (column - x).is_multiple_of(S) && (column - x) / S < P {
                            let acc = &mut acc[(column - x) / S];
                            *acc = _mm256_fmadd_ps(a, weights[x], *acc);
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

impl Row for Separate {
    #[inline]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn multiply<const P: usize>(
        mut acc: [__m256; P],
        row: *const *const f32,
        channel: usize,
        w: *const f32,
        (width, step): (usize, usize),
    ) -> [__m256; P] {
        for x in 0..width {
            // SAFETY: as above.
            unsafe {
                let weights = _mm256_loadu_ps(w.add(NR * x));
                for (p, acc) in acc.iter_mut().enumerate() {
                    let a = _mm256_loadu_ps((*row.add(p * step + x)).add(channel));
                    *acc = _mm256_fmadd_ps(a, weights, *acc);
                }
            }
        }
        acc
    }
}

/// All outputs of a row: eight or four at a time. The last of them may be computed twice.
///
/// # Safety
/// As [`MicroKernel::run`], and the window is one of `R`.
#[target_feature(enable = "avx2,fma")]
unsafe fn segments<R: Row>(args: &F32DepthwiseArgs) {
    let mut pixel = 0;
    while pixel < args.pixels {
        let left = args.pixels - pixel;
        // SAFETY: the segments lie within the row.
        pixel = unsafe {
            if left > 4 && args.pixels >= 8 {
                segment::<R, 8>(args, pixel.min(args.pixels - 8))
            } else if args.pixels >= 4 {
                segment::<R, 4>(args, pixel.min(args.pixels - 4))
            } else {
                segment::<R, 1>(args, pixel)
            }
        };
    }
}

/// Computes `P` outputs from `pixel` on, and returns the next.
///
/// # Safety
/// As [`MicroKernel::run`]; there are so many outputs.
#[inline]
#[target_feature(enable = "avx2,fma")]
unsafe fn segment<R: Row, const P: usize>(args: &F32DepthwiseArgs, pixel: usize) -> usize {
    let [height, width] = args.taps.kernel;
    // SAFETY: the caller vouches for `args`: the taps have `channels` elements followed by at least seven readable ones
    // (SLACK), `w` whole blocks, `c` `pixels` rows of `channels` elements.
    unsafe {
        let c = args.c.add(pixel * args.c_stride);
        let mut w = args.w;
        for channel in (0..args.channels).step_by(NR) {
            let mut acc = [_mm256_loadu_ps(w); P];
            w = w.add(NR);
            for y in 0..height {
                let row = args.taps.row(pixel, y);
                acc = R::multiply(acc, row, channel, w, (width, args.taps.step));
                w = w.add(NR * width);
            }
            finish(args, channel, acc, c.add(channel));
        }
    }
    pixel + P
}

/// # Safety
/// `c` is writable for `P` outputs of the channels from `channel` on, at most NR; `args.slopes` is null or covers the
/// block.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn finish<const P: usize>(
    args: &F32DepthwiseArgs,
    channel: usize,
    mut acc: [__m256; P],
    c: *mut f32,
) {
    let (min, max) = (_mm256_set1_ps(args.min), _mm256_set1_ps(args.max));
    let left = args.channels - channel;
    // SAFETY: as above; whole vectors go to `c` only when the block is whole.
    unsafe {
        if !args.slopes.is_null() {
            let slopes = _mm256_loadu_ps(args.slopes.add(channel));
            for x in &mut acc {
                *x = _mm256_blendv_ps(*x, _mm256_mul_ps(*x, slopes), *x);
            }
        }
        for (p, &x) in acc.iter().enumerate() {
            let x = _mm256_min_ps(_mm256_max_ps(x, min), max);
            let c = c.add(p * args.c_stride);
            if left >= NR {
                _mm256_storeu_ps(c, x);
            } else {
                let mut tail = [0.0_f32; NR];
                _mm256_storeu_ps(tail.as_mut_ptr(), x);
                std::ptr::copy_nonoverlapping(tail.as_ptr(), c, left);
            }
        }
    }
}
