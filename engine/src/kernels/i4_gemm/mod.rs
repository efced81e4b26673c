//! Matrix-product tiles of 8-bit activations and 4-bit weights.
//!
//! Weights are -7..=7 in two's complement, so sixteen bits hold the sum of 36 products. Arguments are those of the 8-bit
//! tiles; the panel is packed as [`crate::kernels::pack::i4_gemm`] says.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_row;
#[cfg(target_arch = "arm")]
mod neon_v7;
mod portable;

use super::micro::I8Gemm;

/// Every kernel of the family that this build has, the fastest last.
pub(super) static KERNELS: &[&I8Gemm] = &[
    &portable::GEMM_4X8,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_16X16,
    #[cfg(target_arch = "x86_64")]
    &avx512::GEMM_12X32,
    #[cfg(target_arch = "aarch64")]
    &neon::GEMM_4X4,
    #[cfg(target_arch = "arm")]
    &neon_v7::GEMM_4X8,
    #[cfg(target_arch = "aarch64")]
    &neon_row::GEMM_1X8,
    #[cfg(target_arch = "aarch64")]
    &neon_dot::GEMM_4X8,
];
