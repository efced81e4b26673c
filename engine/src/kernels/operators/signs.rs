//! Activations to bits, packed along the channels: a bit is 1 where the element is at least its channel's threshold.

#[cfg(target_arch = "x86_64")]
use super::signs_avx2 as vectors;
#[cfg(target_arch = "arm")]
use super::signs_v7 as vectors;
use super::{Operator, Scratch, elements, elements_mut, for_rows};
use crate::Pool;
use crate::kernels::isa::CpuFeatures;
#[cfg(any(target_arch = "arm", target_arch = "x86_64"))]
use crate::kernels::isa::Isa;
use crate::kernels::vectorize::Vectorizer;

/// Fewest pixels worth a task.
const LEAST: usize = 64;

/// Bits of `rows` pixels whose elements have the type of `T`, compared with thresholds of type `U`.
#[derive(Debug)]
struct Signs<U> {
    /// One per channel.
    thresholds: Vec<U>,
    rows: usize,
    vectorizer: Vectorizer,
}

impl<U: Copy + Sync> Signs<U> {
    fn run<T: bytemuck::Pod + Send + Sync>(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        at_least: impl Fn(T, U) -> bool + Sync,
    ) {
        let channels = self.thresholds.len();
        let words = channels.div_ceil(64);
        let input = elements::<T>(input, self.rows * channels);
        let output = elements_mut::<u64>(output, self.rows * words);
        for_rows(pool, output, words, LEAST, |first, output| {
            let input = input[first * channels..].chunks_exact(channels);
            for (words, row) in output.chunks_exact_mut(words).zip(input) {
                let groups = row.chunks(64).zip(self.thresholds.chunks(64));
                for (word, (row, thresholds)) in words.iter_mut().zip(groups) {
                    let mut flags = [0_u8; 64];
                    let flag = |x, threshold| u8::from(at_least(x, threshold));
                    self.vectorizer.map_2(&mut flags[..row.len()], row, thresholds, flag);
                    *word = gather_flags(&flags);
                }
            }
        });
    }

    fn weight_bytes(&self) -> usize {
        size_of_val(&self.thresholds[..])
    }
}

/// Bit `i` of the result is byte `i` of `flags`, each of which is 0 or 1. The product moves bit `8 i` of eight flags to
/// bit `56 + i`, without carries.
#[inline(always)]
fn gather_flags(flags: &[u8; 64]) -> u64 {
    let mut word = [0_u8; 8];
    for (byte, flags) in word.iter_mut().zip(flags.as_chunks::<8>().0) {
        *byte = (u64::from_le_bytes(*flags).wrapping_mul(0x0102_0408_1020_4080) >> 56) as u8;
    }
    u64::from_le_bytes(word)
}

/// What 64 channels are compared with, and the bits that elements at or above it set: none for channels that are missing or that
/// no element of 8 bits can reach.
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
#[derive(Debug)]
#[repr(C)]
pub(super) struct Group {
    pub(super) thresholds: [i8; 64],
    pub(super) bits: [u8; 64],
}

/// Thresholds of 8-bit elements, for instructions that compare many and add up their bits.
#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
#[derive(Debug)]
pub(super) struct BitThresholds {
    pub(super) channels: usize,
    pub(super) groups: Vec<Group>,
}

#[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
impl BitThresholds {
    /// Of each channel, -128..=128.
    pub(super) fn new(thresholds: &[i16]) -> Self {
        let group = |thresholds: &[i16]| {
            let mut group = Group { thresholds: [127; 64], bits: [0; 64] };
            for (channel, &threshold) in thresholds.iter().enumerate() {
                group.thresholds[channel] = threshold.min(127) as i8;
                group.bits[channel] = if threshold > 127 { 0 } else { 1 << (channel % 8) };
            }
            group
        };
        Self { channels: thresholds.len(), groups: thresholds.chunks(64).map(group).collect() }
    }
}

/// Bits of fp32 elements.
#[derive(Debug)]
pub struct F32Signs(Signs<f32>);

impl F32Signs {
    /// A threshold per channel, and the number of pixels.
    pub fn new(cpu: &CpuFeatures, thresholds: &[f32], rows: usize) -> Self {
        let (thresholds, vectorizer) = (thresholds.to_vec(), Vectorizer::new(cpu));
        Self(Signs { thresholds, rows, vectorizer })
    }
}

impl Operator for F32Signs {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        self.0.run(inputs[0], outputs[0], pool, |x: f32, threshold| x >= threshold);
    }

    fn weight_bytes(&self) -> usize {
        self.0.weight_bytes()
    }
}

/// Bits of 8-bit elements.
#[derive(Debug)]
pub struct I8Signs {
    signs: Signs<i16>,
    /// The thresholds as vector instructions take them, where there are such.
    #[cfg(target_arch = "aarch64")]
    packed: neon::Thresholds,
    #[cfg(any(target_arch = "arm", target_arch = "x86_64"))]
    packed: Option<vectors::Thresholds>,
}

impl I8Signs {
    /// A threshold per channel in steps of the operand, and the number of pixels.
    pub fn new(cpu: &CpuFeatures, thresholds: &[i32], rows: usize) -> Self {
        // Beyond -128..=127 all thresholds are alike.
        let thresholds: Vec<i16> = thresholds.iter().map(|&t| t.clamp(-128, 128) as i16).collect();
        Self {
            #[cfg(target_arch = "aarch64")]
            packed: neon::Thresholds::new(&thresholds),
            #[cfg(any(target_arch = "arm", target_arch = "x86_64"))]
            packed: [Isa::Avx2, Isa::NeonV7]
                .iter()
                .any(|&isa| cpu.has(isa))
                .then(|| vectors::Thresholds::new(&thresholds)),
            signs: Signs { thresholds, rows, vectorizer: Vectorizer::new(cpu) },
        }
    }

    /// Calls `compare` with the elements of some pixels, and what follows them, and with their words.
    #[cfg(any(target_arch = "aarch64", target_arch = "arm", target_arch = "x86_64"))]
    fn for_pixels(
        &self,
        input: &[u8],
        output: &mut [u8],
        pool: &dyn Pool,
        compare: impl Fn(&[u8], &mut [u64]) + Sync,
    ) {
        let channels = self.signs.thresholds.len();
        let words = channels.div_ceil(64);
        let output = elements_mut::<u64>(output, self.signs.rows * words);
        for_rows(pool, output, words, LEAST, |first, output| {
            compare(&input[first * channels..], output);
        });
    }
}

impl Operator for I8Signs {
    fn run(
        &self,
        inputs: &[&[u8]],
        outputs: &mut [&mut [u8]],
        _scratch: Scratch<'_>,
        pool: &dyn Pool,
    ) {
        #[cfg(target_arch = "aarch64")]
        self.for_pixels(inputs[0], outputs[0], pool, |x, y| self.packed.compare(x, y));
        #[cfg(any(target_arch = "arm", target_arch = "x86_64"))]
        if let Some(packed) = &self.packed {
            // SAFETY: the CPU has AVX2, or NEON.
            let compare = |x: &[u8], y: &mut [u64]| unsafe { packed.compare(x, y) };
            return self.for_pixels(inputs[0], outputs[0], pool, compare);
        }
        #[cfg(not(target_arch = "aarch64"))]
        self.signs.run(inputs[0], outputs[0], pool, |q: i8, threshold| i16::from(q) >= threshold);
    }

    fn weight_bytes(&self) -> usize {
        self.signs.weight_bytes()
    }
}

#[cfg(target_arch = "aarch64")]
mod neon {
    //! Sixteen channels at a time: CMGE, AND with the bit of each byte's place, and three ADDP gather 64 bits.

    use std::arch::aarch64::{
        int8x16_t, uint8x16_t, vandq_u8, vcgeq_s8, vget_high_u8, vget_lane_u16, vget_low_u8,
        vgetq_lane_u32, vgetq_lane_u64, vld1q_s8, vld1q_u8, vpadd_u8, vpaddq_u8,
        vreinterpret_u16_u8, vreinterpretq_u32_u8, vreinterpretq_u64_u8,
    };

    pub(super) use super::BitThresholds as Thresholds;
    use super::Group;
    use crate::kernels::micro::SLACK;

    impl Thresholds {
        /// The bits of as many pixels as `output` has words for. `input` goes on for [`SLACK`] bytes after them.
        pub(super) fn compare(&self, input: &[u8], output: &mut [u64]) {
            let (channels, words) = (self.channels, self.groups.len());
            let pixels = output.len() / words;
            assert!(input.len() >= pixels * channels + SLACK);
            for (word, Group { thresholds, bits }) in self.groups.iter().enumerate() {
                let count = (channels - 64 * word).min(64);
                // SAFETY: the CPU has NEON, as all of this architecture do; a group reads up to 64 elements of its pixel, whose
                // channels and SLACK they do not exceed, and writes words of pixels that there are.
                unsafe {
                    let input = input.as_ptr().cast::<i8>().add(64 * word);
                    let output = output.as_mut_ptr().add(word);
                    let place = |at: usize| {
                        (vld1q_s8(thresholds.as_ptr().add(at)), vld1q_u8(bits.as_ptr().add(at)))
                    };
                    let [a, b, c, d] = [place(0), place(16), place(32), place(48)];
                    let extents = (pixels, channels, words);
                    match count {
                        0..=16 => each_pixel([a], input, output, extents),
                        17..=32 => each_pixel([a, b], input, output, extents),
                        _ => each_pixel([a, b, c, d], input, output, extents),
                    }
                }
            }
        }
    }

    /// Pixels side by side: their flags are each other's pairs, and each instruction waits for the one before.
    const PIXELS: usize = 4;

    /// Thresholds of sixteen channels, and the bits that elements set.
    type Place = (int8x16_t, uint8x16_t);

    /// A word of each of so many pixels, whose elements and words are so far apart.
    ///
    /// # Safety
    /// `N` registers are readable for each pixel, and its word is writable.
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn each_pixel<const N: usize>(
        places: [Place; N],
        input: *const i8,
        output: *mut u64,
        (pixels, channels, words): (usize, usize, usize),
    ) {
        let at = |pixel: usize| (input.wrapping_add(pixel * channels), pixel * words);
        // SAFETY: the caller vouches for all pixels; fewer than four are computed four times each, and the last four of others may
        // have been before.
        unsafe {
            let Some(last) = pixels.checked_sub(PIXELS) else {
                for pixel in 0..pixels {
                    let (x, y) = at(pixel);
                    gather(places, x, 0, output.add(y), 0);
                }
                return;
            };
            for pixel in (0..last).step_by(PIXELS).chain([last]) {
                let (x, y) = at(pixel);
                gather(places, x, channels, output.add(y), words);
            }
        }
    }

    /// The words of four pixels. Three additions of pairs leave a byte of eight elements.
    ///
    /// # Safety
    /// As [`each_pixel`].
    #[inline]
    #[target_feature(enable = "neon")]
    unsafe fn gather<const N: usize>(
        places: [Place; N],
        x: *const i8,
        channels: usize,
        y: *mut u64,
        words: usize,
    ) {
        let x: [[uint8x16_t; N]; PIXELS] = std::array::from_fn(|p| {
            // SAFETY: the caller vouches for the elements.
            std::array::from_fn(|i| unsafe {
                flags(places[i], vld1q_s8(x.add(p * channels + 16 * i)))
            })
        });
        // Two or four registers of a pixel become one, of one or two additions.
        let [a, b, c, d] = match N {
            1 => x.map(|x| x[0]),
            2 => x.map(|x| vpaddq_u8(x[0], x[1])),
            _ => x.map(|x| vpaddq_u8(vpaddq_u8(x[0], x[1]), vpaddq_u8(x[2], x[3]))),
        };
        let (ab, cd) = (vpaddq_u8(a, b), vpaddq_u8(c, d));
        let words_of = match N {
            1 => {
                let all = vpaddq_u8(ab, cd);
                let x = vreinterpret_u16_u8(vpadd_u8(vget_low_u8(all), vget_high_u8(all)));
                [
                    vget_lane_u16::<0>(x),
                    vget_lane_u16::<1>(x),
                    vget_lane_u16::<2>(x),
                    vget_lane_u16::<3>(x),
                ]
                .map(u64::from)
            }
            2 => {
                let x = vreinterpretq_u32_u8(vpaddq_u8(ab, cd));
                [
                    vgetq_lane_u32::<0>(x),
                    vgetq_lane_u32::<1>(x),
                    vgetq_lane_u32::<2>(x),
                    vgetq_lane_u32::<3>(x),
                ]
                .map(u64::from)
            }
            _ => {
                let [x, z] = [ab, cd].map(|pair| vreinterpretq_u64_u8(pair));
                [
                    vgetq_lane_u64::<0>(x),
                    vgetq_lane_u64::<1>(x),
                    vgetq_lane_u64::<0>(z),
                    vgetq_lane_u64::<1>(z),
                ]
            }
        };
        for (p, word) in words_of.into_iter().enumerate() {
            // SAFETY: the caller vouches for the words.
            unsafe { *y.add(p * words) = word };
        }
    }

    /// The bits of sixteen elements, one to a byte.
    #[inline]
    #[target_feature(enable = "neon")]
    fn flags((thresholds, bits): (int8x16_t, uint8x16_t), x: int8x16_t) -> uint8x16_t {
        vandq_u8(vcgeq_s8(x, thresholds), bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Serial;
    use crate::kernels::operators::Buffer;

    #[test]
    fn a_bit_is_set_at_and_above_the_threshold_of_its_channel() {
        for channels in [1, 7, 16, 24, 31, 32, 33, 64, 65, 96, 130] {
            let rows = 5;
            let threshold = |c: usize| [-300, -128, 127, 128, 500, -3, 0, 77][c * 5 % 8];
            let thresholds: Vec<i32> = (0..channels).map(threshold).collect();
            let element = |i: usize| (i * 37 % 256) as u8 as i8;
            let mut input = Buffer::new(rows * channels);
            for (i, byte) in input.bytes_mut().iter_mut().enumerate() {
                *byte = element(i) as u8;
            }
            let words = channels.div_ceil(64);
            let mut output = vec![!0_u64; rows * words];
            for cpu in [CpuFeatures::detect_assuming_neon(), CpuFeatures::portable()] {
                let signs = I8Signs::new(&cpu, &thresholds, rows);
                let bits = bytemuck::cast_slice_mut(&mut output);
                signs.run_alone(&[input.bytes()], &mut [bits], &Serial);
                for bit in 0..rows * words * 64 {
                    let (row, c) = (bit / (64 * words), bit % (64 * words));
                    let wanted = c < channels
                        && i32::from(element(row * channels + c))
                            >= thresholds[c.min(channels - 1)];
                    assert_eq!(output[bit / 64] >> (bit % 64) & 1 == 1, wanted, "{channels} {bit}");
                }
            }
        }
    }
}
