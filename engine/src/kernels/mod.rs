//! Micro-kernels, and the operators built from them. The only place with `unsafe`.
//!
//! * [`micro`] defines the families of micro-kernels: what each gets and must compute.
//! * [`isa`] says what a CPU can do; [`registry`] lists every micro-kernel with the ISA that it needs. Selection,
//!   self-test, tests, benches and table keys all read that one list.
//! * Every family has a portable implementation and one file per ISA; [`self_test`] holds each kernel against a naive
//!   reference.

mod bin_gemm;
mod bin_table;
mod f32_depthwise;
mod f32_gemm;
#[cfg(test)]
#[cfg(all(unix, not(miri)))]
pub(crate) mod fence;
mod fp16;
mod i4_gemm;
mod i8_depthwise;
mod i8_gemm;
pub mod isa;
pub mod micro;
#[cfg(target_arch = "arm")]
mod neon_v7;
pub mod operators;
mod oracle;
mod pack;
pub mod registry;
mod requant;
#[cfg(target_arch = "x86_64")]
mod requant_avx2;
#[cfg(target_arch = "x86_64")]
mod requant_avx512;
#[cfg(target_arch = "aarch64")]
mod requant_neon;
mod vector;
mod vectorize;

pub use isa::{CpuFeatures, Isa};
pub use oracle::{SelfTestResult, self_test};
pub(crate) use requant::shift_in_common;
pub use requant::{Factor, RequantParams};
