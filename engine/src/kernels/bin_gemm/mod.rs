//! One-bit matrix-product tiles.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_bytes;
#[cfg(target_arch = "aarch64")]
mod neon_output;
#[cfg(target_arch = "arm")]
mod neon_v7;
mod portable;

use super::micro::BinGemm;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&BinGemm] = &[
    &portable::GEMM_2X4,
    #[cfg(target_arch = "x86_64")]
    &avx2::GEMM_8X32,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_8X16,
    #[cfg(target_arch = "aarch64")]
    &neon_bytes::GEMM_4X32,
    #[cfg(target_arch = "aarch64")]
    &neon::GEMM_8X64,
    #[cfg(target_arch = "arm")]
    &neon_v7::GEMM_4X32,
];

/// As [`KERNELS`], for weights of -1, 0 and 1.
pub(super) static TERNARY: &[&BinGemm] = &[
    &portable::TERNARY_2X4,
    #[cfg(target_arch = "aarch64")]
    &neon_bytes::TERNARY_4X32,
];
