//! fp32 depthwise rows.

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

use super::micro::F32Depthwise;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&F32Depthwise] = &[
    &portable::DEPTHWISE_8,
    #[cfg(target_arch = "x86_64")]
    &avx2::DEPTHWISE_8X8,
    #[cfg(target_arch = "x86_64")]
    &avx512::DEPTHWISE_16,
    #[cfg(target_arch = "x86_64")]
    &avx512::DEPTHWISE_32,
    #[cfg(target_arch = "aarch64")]
    &neon::DEPTHWISE_4X14,
    #[cfg(target_arch = "arm")]
    &neon_v7::DEPTHWISE_4X8,
];
