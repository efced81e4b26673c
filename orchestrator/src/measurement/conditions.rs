//! What a board was doing.

use std::collections::{BTreeMap, BTreeSet};

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
    /// What the board draws, in microwatts.
    pub power_uw: Option<u64>,
    /// What it has drawn since its monitor was reset, in microjoules.
    pub energy_uj: Option<u64>,
    /// After a block: cores that others than the worker kept busy during it.
    pub foreign_load: Option<f64>,
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
    /// How many samples do not count, by cause: reasons without their figures.
    #[serde(default)]
    pub voided_samples: BTreeMap<String, u64>,
    /// Lowest and highest temperature in degrees Celsius.
    pub temperature_celsius: Option<(f64, f64)>,
    /// Lowest and highest ARM clock in hertz.
    pub arm_clock_hz: Option<(u64, u64)>,
    /// All throttle bits seen, or-ed.
    pub throttled_bits: Option<u32>,
    /// Highest load average over a minute.
    pub max_load_1m: Option<f64>,
    /// Most cores that others kept busy during a block.
    #[serde(default)]
    pub max_foreign_load: Option<f64>,
    /// Lowest and highest power over a block, in watts.
    #[serde(default)]
    pub power_w: Option<(f64, f64)>,
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
        let mut voided_samples: BTreeMap<String, u64> = BTreeMap::new();
        for block in blocks {
            if let Some(reason) = &block.voided {
                *voided_samples.entry(cause(reason)).or_default() += block.duration_ns.len() as u64;
            }
        }
        let clocks = moments().filter_map(|now| now.arm_clock_hz);
        let temperatures = moments().filter_map(|now| now.temperature_celsius);
        Self {
            blocks: blocks.len() as u64,
            voided_blocks: blocks.iter().filter(|block| block.voided.is_some()).count() as u64,
            void_reasons: reasons.into_iter().cloned().collect(),
            voided_samples,
            temperature_celsius: extremes(temperatures),
            arm_clock_hz: clocks.clone().min().zip(clocks.max()),
            throttled_bits: moments().filter_map(|now| now.throttled_bits).reduce(|a, b| a | b),
            max_load_1m: moments().filter_map(|now| now.load_1m).reduce(f64::max),
            max_foreign_load: moments().filter_map(|now| now.foreign_load).reduce(f64::max),
            power_w: extremes(blocks.iter().filter_map(power_w)),
            governor: moments().find_map(|now| now.governor.clone()),
            boot_ids: boots.into_iter().cloned().collect(),
        }
    }
}

fn extremes(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |seen: Option<(f64, f64)>, value| {
        Some(seen.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
    })
}

/// A reason without the figures in it, so that it can be counted.
fn cause(reason: &str) -> String {
    let end = reason.find(": ").or_else(|| reason.find(" from ")).unwrap_or(reason.len());
    reason[..end].to_owned()
}

/// What the board drew during a block, in watts: by what its monitor counted, or else by the means of before and after.
fn power_w(block: &Block) -> Option<f64> {
    let (before, after) = (&block.before, &block.after);
    if let (Some(from), Some(to)) = (before.energy_uj, after.energy_uj) {
        let elapsed_ms = after.uptime_ms.checked_sub(before.uptime_ms).filter(|ms| *ms > 0)?;
        return Some(to.checked_sub(from)? as f64 / 1e3 / elapsed_ms as f64);
    }
    Some((before.power_uw? as f64 + after.power_uw? as f64) / 2e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(samples: usize, voided: Option<&str>) -> Block {
        Block {
            sha256: String::new(),
            round: 0,
            duration_ns: vec![1; samples],
            before: Conditions::default(),
            after: Conditions::default(),
            voided: voided.map(str::to_owned),
        }
    }

    #[test]
    fn voided_samples_are_counted_by_cause_whatever_their_figures() {
        let blocks = [
            block(10, None),
            block(10, Some("foreign load: others kept 1.0 cores busy")),
            block(7, Some("foreign load: others kept 2.3 cores busy")),
            block(3, Some("the ARM clock changed from 1200 to 600 MHz")),
            block(1, Some("throttled, under-voltage")),
        ];
        let summary = ConditionsSummary::of(&blocks);
        let counted: Vec<(&str, u64)> =
            summary.voided_samples.iter().map(|(cause, count)| (cause.as_str(), *count)).collect();
        let expected =
            [("foreign load", 17), ("the ARM clock changed", 3), ("throttled, under-voltage", 1)];
        assert_eq!(counted, expected);
        assert_eq!((summary.blocks, summary.voided_blocks), (5, 4));
        assert_eq!((summary.max_foreign_load, summary.power_w), (None, None), "nobody told");
    }

    #[test]
    fn power_is_what_was_counted_or_the_mean_of_what_was_read() {
        let mut read = block(1, None);
        (read.before.power_uw, read.after.power_uw) = (Some(2_000_000), Some(3_000_000));
        assert_eq!(power_w(&read), Some(2.5));
        (read.before.energy_uj, read.after.energy_uj) = (Some(1_000_000), Some(5_000_000));
        assert_eq!(power_w(&read), None, "no time went by");
        read.after.uptime_ms = 2000;
        assert_eq!(power_w(&read), Some(2.0));
        read.after.foreign_load = Some(0.5);
        let summary = ConditionsSummary::of(&[read]);
        assert_eq!((summary.power_w, summary.max_foreign_load), (Some((2.0, 2.0)), Some(0.5)));
    }
}
