//! Matrix-product tiles of 8-bit activations and 4-bit weights.
//!
//! Weights are -7..=7 in two's complement, so sixteen bits hold the sum of 36 products. Arguments are those of the 8-bit
//! tiles; the panel is packed as [`crate::kernels::pack::i4_gemm`] says.
//!
//! Where groups of weights have multipliers ([`crate::kernels::pack::i4_group_gemm`]), `acc[r][j] = bias[j] + sum over groups of
//! m[group][j] * sum of a * w` (S. Dai et al., "VS-Quant", MLSys 2021): the sum of a group's products fits 16 bits, even over all
//! 32 channels, so the multiplication takes the place of the widening. Weights times multipliers fit 8 bits, and all sums are
//! exact or wrap alike, so kernels for 8-bit weights give the same results.

#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
#[cfg(target_arch = "aarch64")]
mod neon_dot;
#[cfg(target_arch = "aarch64")]
mod neon_group;
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

/// Those for weights whose groups have multipliers.
pub(super) static GROUPED: &[&I8Gemm] = &[
    &portable::GROUP_GEMM_4X8,
    #[cfg(target_arch = "aarch64")]
    &neon_group::GEMM_4X4,
];
