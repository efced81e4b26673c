//! 4-bit tiles for AVX-512 VNNI.

use std::arch::x86_64::{
    __m512i, _mm512_and_si512, _mm512_dpbusd_epi32, _mm512_loadu_si512, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_setzero_si512, _mm512_srli_epi16, _mm512_sub_epi8, _mm512_sub_epi32,
    _mm512_xor_si512,
};

use crate::kernels::isa::Isa;
use crate::kernels::micro::{I8Gemm, I8GemmArgs, MicroKernel, Tile, each_tile};
use crate::kernels::requant_avx512::{requantize_16, store_16};

/// Twelve rows by thirty-two columns, four channels at a time, as the 8-bit kernel does it; weights are unpacked in
/// registers.
pub(crate) static GEMM_12X32: I8Gemm = MicroKernel {
    name: "i4_gemm_12x32c8_avx512vnni",
    isa: Isa::Avx512,
    tile: Tile { mr: 12, nr: 32, kr: KR },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 12, gemm::<12, 2>) },
};

/// Sixteen rows by sixteen columns, for layers of few channels.
pub(crate) static GEMM_16X16: I8Gemm = MicroKernel {
    name: "i4_gemm_16x16c8_avx512vnni",
    isa: Isa::Avx512,
    tile: Tile { mr: 16, nr: 16, kr: KR },
    // SAFETY: the caller vouches for every tile.
    run: |args| unsafe { each_tile(args, 16, gemm::<16, 1>) },
};

const KR: usize = 8;
/// Columns of a register of 32-bit accumulators.
const LANES: usize = 16;

/// # Safety
/// As [`MicroKernel::run`], for a tile of `MR` by `16 * VECTORS`.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")]
unsafe fn gemm<const MR: usize, const VECTORS: usize>(args: &I8GemmArgs) {
    // SAFETY: the caller vouches for `args` and for the features: `a` has taps * MR pointers to `channels` elements
    // followed by at least seven readable ones (SLACK), which meet zero weights; `w` is a whole panel.
    unsafe {
        let nr = LANES * VECTORS;
        let load = |w: *const i8| -> [__m512i; VECTORS] {
            std::array::from_fn(|v| _mm512_loadu_si512(w.add(4 * LANES * v).cast()))
        };
        let offset = _mm512_set1_epi8(i8::MIN);
        let mut acc = [load(args.w); MR];
        // 128 times the sum of each column's weights, as activations are offset by 128.
        let mut excess = [_mm512_setzero_si512(); VECTORS];
        let mut w = args.w.add(4 * nr);
        for tap in 0..args.taps {
            let rows: [*const i8; MR] = std::array::from_fn(|r| *args.a.add(tap * MR + r));
            for k in (0..args.channels).step_by(KR) {
                let packed = load(w);
                for (first, weights) in
                    [(k, packed.map(|w| low(w))), (k + 4, packed.map(|w| high(w)))]
                {
                    for (excess, &weights) in excess.iter_mut().zip(&weights) {
                        *excess = _mm512_dpbusd_epi32(*excess, offset, weights);
                    }
                    for (acc, row) in acc.iter_mut().zip(rows) {
                        let four = row.add(first).cast::<i32>().read_unaligned();
                        let a = _mm512_xor_si512(_mm512_set1_epi32(four), offset);
                        for (acc, &weights) in acc.iter_mut().zip(&weights) {
                            *acc = _mm512_dpbusd_epi32(*acc, a, weights);
                        }
                    }
                }
                w = w.add(KR / 2 * nr);
            }
        }
        for (r, acc) in acc.iter().enumerate().take(args.rows) {
            let c = args.c.add(r * args.c_stride);
            for (v, &x) in acc.iter().enumerate() {
                let first = LANES * v;
                if first < args.cols {
                    let x = _mm512_sub_epi32(x, excess[v]);
                    let q = requantize_16(&args.requant, first, x);
                    store_16(q, c.add(first), args.cols - first);
                }
            }
        }
    }
}

/// The low nibbles as signed bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn low(packed: __m512i) -> __m512i {
    let eight = _mm512_set1_epi8(8);
    let nibbles = _mm512_and_si512(packed, _mm512_set1_epi8(15));
    _mm512_sub_epi8(_mm512_xor_si512(nibbles, eight), eight)
}

/// The high nibbles as signed bytes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn high(packed: __m512i) -> __m512i {
    low(_mm512_srli_epi16::<4>(packed))
}
