//! Who the board is.

use quantrack_proto::{NAMELESS, UNNAMED};
use serde::Serialize;

use super::cpu::parse_cpuinfo;
use super::dmi;
use super::features::{detect, isa_name};
use super::root::Root;
use crate::blobs::Digest;

/// What does not change while the board is up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BoardFacts {
    /// As in "Raspberry Pi 3 Model B Rev 1.2" or "Dell Inc. PowerEdge R6525"; "unknown" when nothing says.
    pub model: String,
    /// Device-tree names, most specific first, as in "raspberrypi,3-model-b".
    pub compatible: Vec<String>,
    /// Revision code of a Raspberry Pi, as in "a02082".
    pub revision: Option<String>,
    /// As in "Cortex-A53"; "unknown" when nothing says.
    pub cpu: String,
    /// MIDR of core 0 (ARM), or family-model-stepping (x86); empty when nothing says.
    pub cpu_id: String,
    /// Instruction sets that kernels may use.
    pub features: Vec<String>,
    /// Logical processors.
    pub cores: u32,
    /// MemTotal.
    pub memory_bytes: u64,
    /// As in "6.1.21-v8+".
    pub kernel_release: String,
    /// As in "Debian GNU/Linux 12 (bookworm)"; "unknown" when nothing says.
    pub os: String,
    /// Width of this program's pointers.
    pub userland_bits: u32,
    /// Architecture and C library that the agent was built for, as in "aarch64-linux-musl".
    pub target: String,
    /// The name that the board has given itself, or one of ours where it has none.
    pub hostname: String,
}

impl BoardFacts {
    /// Reads the facts below `root`. Never fails: what is missing says "unknown", is empty or zero.
    pub fn read(root: &Root) -> Self {
        let unknown = || "unknown".to_owned();
        let cpu = parse_cpuinfo(&root.read("/proc/cpuinfo").unwrap_or_default());
        let tree = |name: &str| root.read(&format!("/proc/device-tree/{name}"));
        let compatible = tree("compatible").unwrap_or_default();
        let midr = root.read("/sys/devices/system/cpu/cpu0/regs/identification/midr_el1");
        let kernel = |name: &str| root.read(&format!("/proc/sys/kernel/{name}"));
        let memory = root.read("/proc/meminfo").and_then(|text| meminfo(&text, "MemTotal"));
        let os = root.read("/etc/os-release").and_then(|text| pretty_name(&text));
        Self {
            model: tree("model")
                .or(cpu.model)
                .or_else(|| dmi::product(root))
                .unwrap_or_else(unknown),
            compatible: compatible
                .split('\0')
                .map(str::to_owned)
                .filter(|s| !s.is_empty())
                .collect(),
            revision: cpu.revision.or_else(|| revision_of_tree(root)),
            cpu: cpu.name.unwrap_or_else(unknown),
            cpu_id: midr.and_then(|midr| short_midr(&midr)).or(cpu.id).unwrap_or_default(),
            features: detect().isas().iter().map(|&isa| isa_name(isa).to_owned()).collect(),
            cores: cpu.cores,
            memory_bytes: memory.unwrap_or(0),
            kernel_release: kernel("osrelease").unwrap_or_else(unknown),
            os: os.unwrap_or_else(unknown),
            userland_bits: usize::BITS,
            target: target(),
            hostname: hostname(root),
        }
    }
}

/// The board's name. What systems without one call themselves is the same everywhere, and histories are kept by it, so such a
/// board is called after what no other has.
fn hostname(root: &Root) -> String {
    let given = root.read("/proc/sys/kernel/hostname");
    if let Some(name) =
        given.filter(|name| !NAMELESS.contains(&name.split('.').next().unwrap_or_default()))
    {
        return name;
    }
    // A serial number outlives the card that the system is on.
    let own = root.read("/proc/device-tree/serial-number");
    let own = own.or_else(|| root.read("/etc/machine-id").filter(|id| id != "uninitialized"));
    match own {
        // machine-id(5) is not to be shown as it is.
        Some(own) => format!("{UNNAMED}-{}", &Digest::of(own.as_bytes()).as_str()[..8]),
        None => UNNAMED.to_owned(),
    }
}

/// A line of `/proc/meminfo` or `/proc/self/status`, in bytes.
pub(crate) fn meminfo(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// PRETTY_NAME of os-release(5).
fn pretty_name(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim().trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_owned())
}

/// MIDR_EL1 as sysfs writes it, 16 digits, in the 8 that matter.
fn short_midr(text: &str) -> Option<String> {
    let value = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    Some(format!("{:#010x}", value & 0xffff_ffff))
}

/// The revision code that the firmware leaves in the device tree: four bytes, big-endian.
fn revision_of_tree(root: &Root) -> Option<String> {
    let bytes = std::fs::read(root.path("/proc/device-tree/system/linux,revision")).ok()?;
    let code = u32::from_be_bytes(bytes.try_into().ok()?);
    Some(format!("{code:x}"))
}

fn target() -> String {
    let library = if cfg!(target_env = "musl") { "musl" } else { "gnu" };
    let hard_float = if cfg!(target_arch = "arm") { "eabihf" } else { "" };
    format!("{}-{}-{library}{hard_float}", std::env::consts::ARCH, std::env::consts::OS)
}
