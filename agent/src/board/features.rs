//! What the engine's kernels may use on the running CPU.

use quantrack_engine::kernels::{CpuFeatures, Isa};

use super::cpu::parse_cpuinfo;

/// What the CPU of this process can do. On 32-bit ARM the kernel says so in the auxiliary vector, and only `/proc/cpuinfo` says
/// which cores there are.
pub fn detect() -> CpuFeatures {
    if cfg!(target_arch = "arm") {
        let hwcap = std::fs::read("/proc/self/auxv").ok().and_then(|bytes| hwcap(&bytes));
        return CpuFeatures::from_armv7_hwcap(hwcap.unwrap_or(0));
    }
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    match parse_cpuinfo(&cpuinfo).out_of_order {
        true => CpuFeatures::detect().with_out_of_order_cores(),
        false => CpuFeatures::detect(),
    }
}

/// AT_HWCAP of a 32-bit auxiliary vector: pairs of words in native order, ended by AT_NULL.
fn hwcap(auxv: &[u8]) -> Option<u64> {
    const AT_HWCAP: u32 = 16;
    let (pairs, _) = auxv.as_chunks::<8>();
    pairs.iter().find_map(|&[a, b, c, d, e, f, g, h]| {
        let (key, value) = (u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h]));
        (key == AT_HWCAP).then_some(u64::from(value))
    })
}

/// The name of an instruction set in capabilities.
pub fn isa_name(isa: Isa) -> &'static str {
    match isa {
        Isa::Portable => "portable",
        Isa::Avx2 => "avx2",
        Isa::Avx512 => "avx512",
        Isa::Neon => "neon",
        Isa::NeonOoo => "neon-ooo",
        Isa::NeonDotprod => "neon-dotprod",
        Isa::NeonV7 => "neon-v7",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_hwcap_among_the_entries() {
        let words = [6u32, 4096, 16, 0x1_1000, 0, 0];
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(hwcap(&bytes), Some(0x1_1000));
        assert_eq!(hwcap(&bytes[..8]), None);
        assert_eq!(hwcap(&bytes[..13]), None);
    }
}
