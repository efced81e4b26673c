//! 8-bit depthwise rows.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_rows;
#[cfg(target_arch = "arm")]
mod neon_v7;
mod portable;

use super::micro::{I8Depthwise, I8DepthwiseSigns};

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&I8Depthwise] = &[
    &portable::DEPTHWISE_8,
    #[cfg(target_arch = "x86_64")]
    &avx2::DEPTHWISE_8X8,
    #[cfg(target_arch = "x86_64")]
    &avx512::DEPTHWISE_32,
    #[cfg(target_arch = "aarch64")]
    &neon::DEPTHWISE_8X7,
    #[cfg(target_arch = "arm")]
    &neon_v7::DEPTHWISE_8X4,
];

/// Thresholds of the channels of a layer, as [`I8DepthwiseSignsArgs`](super::micro::I8DepthwiseSignsArgs) has them.
pub(super) fn threshold_blocks(thresholds: &[i16]) -> Vec<[i16; 16]> {
    let block = |thresholds: &[i16]| {
        std::array::from_fn(|i| match i.checked_sub(8) {
            None => thresholds.get(i).copied().unwrap_or(i16::MAX),
            Some(channel) => 1 << channel,
        })
    };
    thresholds.chunks(8).map(block).collect()
}

/// As [`KERNELS`], for results that are bits.
pub(super) static SIGNS: &[&I8DepthwiseSigns] = &[
    &portable::SIGNS_8,
    #[cfg(target_arch = "aarch64")]
    &neon::SIGNS_8X7,
];
