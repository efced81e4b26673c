//! What a CPU can do.

use serde::{Deserialize, Serialize};

/// An instruction set that a micro-kernel is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isa {
    /// Plain Rust.
    Portable,
    /// x86-64 with AVX2, FMA and F16C.
    Avx2,
    /// x86-64 with AVX-512 F, BW, VL, DQ and VNNI.
    Avx512Vnni,
    /// 64-bit ARM.
    Neon,
    /// 32-bit ARM with NEON and VFPv4 (fused multiply-add).
    NeonV7,
}

/// The instruction sets that may be used, found out by the caller or chosen for a test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuFeatures {
    /// Usable instruction sets; always contains [`Isa::Portable`].
    pub isas: Vec<Isa>,
}

impl CpuFeatures {
    /// Plain Rust only.
    pub fn portable() -> Self {
        Self { isas: vec![Isa::Portable] }
    }

    /// Whether kernels for `isa` may run.
    pub fn has(&self, isa: Isa) -> bool {
        self.isas.contains(&isa)
    }
}
