//! fp32 matrix-product tiles.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_ooo;
#[cfg(target_arch = "aarch64")]
mod neon_row;
#[cfg(target_arch = "arm")]
mod neon_v7;
#[cfg(target_arch = "arm")]
mod neon_v7_row;
mod portable;

use super::micro::F32Gemm;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&F32Gemm] = &[
    &portable::GEMM_4X8,
    #[cfg(target_arch = "x86_64")]
    &avx2::GEMM_6X16,
    #[cfg(target_arch = "x86_64")]
    &avx2::GEMM_1X64,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_16X16,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_12X32,
    #[cfg(target_arch = "aarch64")]
    &neon::GEMM_10X8,
    #[cfg(target_arch = "aarch64")]
    &neon_row::GEMM_1X16,
    #[cfg(target_arch = "aarch64")]
    &neon_ooo::GEMM_8X8,
    #[cfg(target_arch = "aarch64")]
    &neon_ooo::GEMM_1X32,
    #[cfg(target_arch = "arm")]
    &neon_v7::GEMM_5X8,
    #[cfg(target_arch = "arm")]
    &neon_v7_row::GEMM_1X16,
];
