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
    /// x86-64 with AVX-512 F, BW, VL, DQ, VNNI and VPOPCNTDQ (Ice Lake and later).
    Avx512,
    /// 64-bit ARM. Its kernels are scheduled for in-order cores (Cortex-A53).
    Neon,
    /// 64-bit ARM, kernels for cores that reorder instructions (Cortex-A72). No other instructions: which kernels are faster is
    /// a matter of the core, so it is not detected but said ([`CpuFeatures::with_out_of_order_cores`]).
    NeonOoo,
    /// 64-bit ARM with SDOT (ARMv8.2; Cortex-A55, A76 and later).
    NeonDotprod,
    /// 32-bit ARM with NEON and VFPv4 (fused multiply-add).
    NeonV7,
}

/// The instruction sets that may be used: those of the running CPU or some of them, so that nobody can claim one that
/// the CPU lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// Always contains [`Isa::Portable`].
    isas: Vec<Isa>,
    /// Kernels to take wherever they can run.
    preferred: Vec<String>,
}

impl CpuFeatures {
    /// Plain Rust only.
    pub fn portable() -> Self {
        Self::of(vec![Isa::Portable])
    }

    /// What the running CPU says of itself. On 32-bit ARM stable Rust cannot ask: callers read AT_HWCAP and use
    /// [`CpuFeatures::from_armv7_hwcap`].
    pub fn detect() -> Self {
        #[allow(unused_mut, reason = "nothing to add on some architectures")]
        let mut isas = vec![Isa::Portable];
        #[cfg(target_arch = "x86_64")]
        isas.extend(detect_x86());
        #[cfg(target_arch = "aarch64")]
        {
            isas.push(Isa::Neon);
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                isas.push(Isa::NeonDotprod);
            }
        }
        Self::of(isas)
    }

    /// Kernels for out-of-order cores as well, on 64-bit ARM: for callers that know that no core of the CPU is an in-order one.
    #[must_use]
    pub fn with_out_of_order_cores(mut self) -> Self {
        if self.has(Isa::Neon) && !self.has(Isa::NeonOoo) {
            self.isas.push(Isa::NeonOoo);
            self.isas.sort_unstable();
        }
        self
    }

    /// As [`CpuFeatures::detect`], but what cannot be asked is taken for granted, for tests: NEON and VFPv4 of 32-bit ARM, as all
    /// boards that matter have them, and that cores of 64-bit ARM are out of order, whose kernels run on any.
    pub fn detect_assuming_neon() -> Self {
        match cfg!(target_arch = "arm") {
            true => Self::from_armv7_hwcap(u64::MAX),
            false => Self::detect().with_out_of_order_cores(),
        }
    }

    /// From AT_HWCAP of the auxiliary vector of a 32-bit ARM process.
    pub fn from_armv7_hwcap(hwcap: u64) -> Self {
        let mut isas = vec![Isa::Portable];
        if cfg!(target_arch = "arm") && has_neon_v7(hwcap) {
            isas.push(Isa::NeonV7);
        }
        Self::of(isas)
    }

    fn of(isas: Vec<Isa>) -> Self {
        Self { isas, preferred: Vec::new() }
    }

    /// Usable instruction sets, the slowest first.
    pub fn isas(&self) -> &[Isa] {
        &self.isas
    }

    /// Only those up to `best`, to compare them or to look for a fault.
    #[must_use]
    pub fn up_to(&self, best: Isa) -> Self {
        let isas = self.isas.iter().copied().filter(|&isa| isa <= best).collect();
        Self { isas, preferred: self.preferred.clone() }
    }

    /// `isa` alone, to test its kernels apart from others; none where it may not be used.
    #[cfg(test)]
    pub(crate) fn only(self, isa: Isa) -> Option<Self> {
        self.has(isa).then(|| Self { isas: vec![isa], preferred: self.preferred })
    }

    /// The slowest instruction set only, then one more each time, to compare them.
    #[must_use]
    pub fn prefixes(&self) -> Vec<Self> {
        self.isas.iter().map(|&isa| self.up_to(isa)).collect()
    }

    /// For experiments: kernels of these names are selected wherever they can run, whatever they are expected to cost.
    #[must_use]
    pub fn preferring(self, names: impl IntoIterator<Item = String>) -> Self {
        Self { preferred: names.into_iter().collect(), ..self }
    }

    /// Whether experiments ask for the kernel of this name.
    pub(crate) fn prefers(&self, name: &str) -> bool {
        self.preferred.iter().any(|preferred| preferred == name)
    }

    /// All instruction sets that this build has kernels for, to ask what another CPU would select.
    #[cfg(test)]
    pub(crate) fn imagined(isas: Vec<Isa>) -> Self {
        Self::of(isas)
    }

    /// Whether kernels for `isa` may run.
    pub fn has(&self, isa: Isa) -> bool {
        self.isas.contains(&isa)
    }
}

/// Whether AT_HWCAP of a 32-bit ARM process says NEON, bit 12, and VFPv4, bit 16.
pub(super) fn has_neon_v7(hwcap: u64) -> bool {
    const BOTH: u64 = 1 << 12 | 1 << 16;
    hwcap & BOTH == BOTH
}

#[cfg(target_arch = "x86_64")]
fn detect_x86() -> Vec<Isa> {
    let mut isas = Vec::new();
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    if avx2 {
        isas.push(Isa::Avx2);
        let avx512 = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx512vpopcntdq");
        if avx512 {
            isas.push(Isa::Avx512);
        }
    }
    isas
}
