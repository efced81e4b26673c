//! Bits of 8-bit elements on AVX2: a comparison of 32 of them and VPMOVMSKB.

use std::arch::x86_64::{__m256i, _mm256_cmpgt_epi8, _mm256_loadu_si256, _mm256_movemask_epi8};

use crate::kernels::micro::SLACK;

/// Elements of a vector.
const LANES: usize = 32;

/// What 64 channels are compared with.
#[derive(Debug)]
struct Group {
    /// Elements above it set their bit: thresholds less 1, 127 for channels that are missing.
    below: [i8; 64],
    /// Bits of channels whose threshold is the least element, which nothing is less than.
    always: u64,
}

/// Thresholds of all channels.
#[derive(Debug)]
pub(super) struct Thresholds {
    channels: usize,
    groups: Vec<Group>,
}

impl Thresholds {
    /// Of each channel, -128..=128.
    pub(super) fn new(thresholds: &[i16]) -> Self {
        let group = |thresholds: &[i16]| {
            let mut group = Group { below: [i8::MAX; 64], always: 0 };
            for (channel, &threshold) in thresholds.iter().enumerate() {
                group.below[channel] = (threshold - 1).max(-128) as i8;
                group.always |= u64::from(threshold <= -128) << channel;
            }
            group
        };
        Self { channels: thresholds.len(), groups: thresholds.chunks(64).map(group).collect() }
    }

    /// The bits of as many pixels as `output` has words for. `input` goes on for [`SLACK`] bytes after them.
    #[target_feature(enable = "avx2")]
    pub(super) fn compare(&self, input: &[u8], output: &mut [u64]) {
        let words = self.groups.len();
        let pixels = output.len() / words;
        assert!(input.len() >= pixels * self.channels + SLACK);
        for (word, group) in self.groups.iter().enumerate() {
            let (first, last) = group.below.split_at(LANES);
            // SAFETY: both halves have LANES elements.
            let (first, last) = unsafe { (vector(first.as_ptr()), vector(last.as_ptr())) };
            let wide = self.channels - 64 * word > LANES;
            for (pixel, output) in output.chunks_exact_mut(words).enumerate() {
                let at = pixel * self.channels + 64 * word;
                // SAFETY: the channels of a group end SLACK bytes before the input does, or earlier, and 64 are read at most.
                let bits = unsafe {
                    let x = input.as_ptr().add(at).cast();
                    let low = u64::from(above(vector(x), first));
                    if wide {
                        low | u64::from(above(vector(x.add(LANES)), last)) << 32
                    } else {
                        low
                    }
                };
                output[word] = bits | group.always;
            }
        }
    }
}

/// # Safety
/// `p` is readable for [`LANES`] elements.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn vector(p: *const i8) -> __m256i {
    // SAFETY: the caller vouches for it.
    unsafe { _mm256_loadu_si256(p.cast()) }
}

/// The bits of elements that are greater.
#[inline]
#[target_feature(enable = "avx2")]
fn above(x: __m256i, below: __m256i) -> u32 {
    _mm256_movemask_epi8(_mm256_cmpgt_epi8(x, below)) as u32
}
