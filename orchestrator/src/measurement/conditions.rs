//! What a board was doing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::samples::Block;

/// What the board was doing at one moment. `None`: it did not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Throttle bits as vcgencmd numbers them.
    pub throttled_bits: Option<u32>,
    /// Where they come from.
    pub throttled_source: Option<String>,
    /// The ARM clock in hertz.
    pub arm_clock_hz: Option<u64>,
    /// `vcgencmd` (actual) or `cpufreq` (requested).
    pub arm_clock_source: Option<String>,
    /// Degrees Celsius.
    pub temperature_celsius: Option<f64>,
    /// Runnable tasks, averaged over a minute.
    pub load_1m: Option<f64>,
    /// Available memory in bytes.
    pub available_memory_bytes: Option<u64>,
    /// Which boot.
    pub boot_id: Option<String>,
    /// The governor.
    pub governor: Option<String>,
    /// Time since boot in milliseconds.
    pub uptime_ms: u64,
}

/// A summary over sample blocks. `None`: the board did not tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ConditionsSummary {
    /// Sample blocks taken.
    pub blocks: u64,
    /// How many of them do not count.
    pub voided_blocks: u64,
    /// Why, each reason once.
    pub void_reasons: Vec<String>,
    /// Lowest and highest temperature in degrees Celsius.
    pub temperature_celsius: Option<(f64, f64)>,
    /// Lowest and highest ARM clock in hertz.
    pub arm_clock_hz: Option<(u64, u64)>,
    /// All throttle bits seen, or-ed.
    pub throttled_bits: Option<u32>,
    /// Highest load average over a minute.
    pub max_load_1m: Option<f64>,
    /// The governor.
    pub governor: Option<String>,
    /// Identities of the boots, each once.
    pub boot_ids: Vec<String>,
}

impl ConditionsSummary {
    /// Summarizes `blocks`.
    pub fn of(blocks: &[Block]) -> Self {
        let moments = || blocks.iter().flat_map(|block| [&block.before, &block.after]);
        let reasons: BTreeSet<&String> = blocks.iter().filter_map(|b| b.voided.as_ref()).collect();
        let boots: BTreeSet<&String> = moments().filter_map(|now| now.boot_id.as_ref()).collect();
        let clocks = moments().filter_map(|now| now.arm_clock_hz);
        let temperatures = moments().filter_map(|now| now.temperature_celsius);
        Self {
            blocks: blocks.len() as u64,
            voided_blocks: blocks.iter().filter(|block| block.voided.is_some()).count() as u64,
            void_reasons: reasons.into_iter().cloned().collect(),
            temperature_celsius: temperatures.fold(None, |seen: Option<(f64, f64)>, t| {
                Some(seen.map_or((t, t), |(low, high)| (low.min(t), high.max(t))))
            }),
            arm_clock_hz: clocks.clone().min().zip(clocks.max()),
            throttled_bits: moments().filter_map(|now| now.throttled_bits).reduce(|a, b| a | b),
            max_load_1m: moments().filter_map(|now| now.load_1m).reduce(f64::max),
            governor: moments().find_map(|now| now.governor.clone()),
            boot_ids: boots.into_iter().cloned().collect(),
        }
    }
}
