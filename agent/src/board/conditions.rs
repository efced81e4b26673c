//! What the board is doing at one moment.

use serde::Serialize;

use super::cpu::parse_cpuinfo;
use super::facts::meminfo;
use super::power::{self, Power};
use super::root::{Root, read_text};
use super::throttle::{self, Throttled, vcgencmd};

/// The board's state; what could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Throttling and under-voltage.
    pub throttled: Option<Throttled>,
    /// The ARM clock; absent on other CPUs.
    pub arm_clock: Option<ArmClock>,
    /// The hottest zone.
    pub temperature_celsius: Option<f64>,
    /// Runnable tasks, averaged over a minute.
    pub load_1m: Option<f64>,
    /// MemAvailable.
    pub available_memory_bytes: Option<u64>,
    /// Changes with every boot.
    pub boot_id: Option<String>,
    /// Of core 0, as in "performance".
    pub governor: Option<String>,
    /// Monotonic time since boot.
    pub uptime_ms: u64,
    /// What the board draws.
    pub power: Power,
}

/// A clock rate and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ArmClock {
    /// The rate.
    pub hz: u64,
    /// "vcgencmd" (actual) or "cpufreq" (as requested of the firmware).
    pub source: &'static str,
}

impl Conditions {
    /// Reads the state below `root`.
    pub fn read(root: &Root) -> Self {
        let number = |path: &str| {
            root.read(path).and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        };
        let memory = root.read("/proc/meminfo");
        let uptime_s = number("/proc/uptime").filter(|uptime| uptime.is_finite());
        Self {
            throttled: throttle::read(root),
            arm_clock: arm_clock(root),
            temperature_celsius: temperature(root),
            load_1m: number("/proc/loadavg"),
            available_memory_bytes: memory.and_then(|text| meminfo(&text, "MemAvailable")),
            boot_id: root.read("/proc/sys/kernel/random/boot_id"),
            governor: root.read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
            uptime_ms: uptime_s.map_or(0, |seconds| (seconds * 1000.0) as u64),
            power: power::read(root),
        }
    }
}

fn arm_clock(root: &Root) -> Option<ArmClock> {
    if !parse_cpuinfo(&root.read("/proc/cpuinfo")?).arm {
        return None;
    }
    let asked = vcgencmd(root, &["measure_clock", "arm"]);
    let actual = asked.and_then(|text| text.split_once('=')?.1.parse().ok());
    if let Some(hz) = actual {
        return Some(ArmClock { hz, source: "vcgencmd" });
    }
    let khz: u64 = root.read_number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")?;
    Some(ArmClock { hz: khz.checked_mul(1000)?, source: "cpufreq" })
}

/// The hottest thermal zone. Zones tell thousandths of a degree.
pub fn temperature(root: &Root) -> Option<f64> {
    let zones = root.entries("/sys/class/thermal");
    let is_zone = |path: &&std::path::PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("thermal_zone"))
    };
    let read = |zone: &std::path::PathBuf| read_text(&zone.join("temp"))?.parse::<i64>().ok();
    let hottest = zones.iter().filter(is_zone).filter_map(read).max()?;
    Some(hottest as f64 / 1000.0)
}
