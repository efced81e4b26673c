//! 8-bit matrix-product tiles.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
pub(super) mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_lane;
#[cfg(target_arch = "aarch64")]
mod neon_ooo;
#[cfg(target_arch = "aarch64")]
mod neon_row;
#[cfg(target_arch = "arm")]
mod neon_v7;
#[cfg(target_arch = "arm")]
mod neon_v7_row;
mod portable;

use super::micro::I8Gemm;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&I8Gemm] = &[
    &portable::GEMM_4X8,
    #[cfg(target_arch = "x86_64")]
    &avx2::GEMM_6X16,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_16X16,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_12X32,
    #[cfg(target_arch = "aarch64")]
    &neon_lane::GEMM_8X8,
    #[cfg(target_arch = "aarch64")]
    &neon_row::GEMM_1X8,
    #[cfg(target_arch = "aarch64")]
    &neon_ooo::GEMM_4X4,
    #[cfg(target_arch = "aarch64")]
    &neon_dot::GEMM_8X8,
    #[cfg(target_arch = "arm")]
    &neon_v7::GEMM_4X8,
    #[cfg(target_arch = "arm")]
    &neon_v7_row::GEMM_1X8,
];
