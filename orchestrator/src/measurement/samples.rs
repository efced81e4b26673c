//! Samples of variants and what running them takes.

use serde::{Deserialize, Serialize};

use super::conditions::Conditions;

/// Consecutive samples of one variant.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The variant.
    pub sha256: String,
    /// Counts the blocks of the measurement.
    pub round: u32,
    /// Durations in nanoseconds, in the order taken.
    pub duration_ns: Vec<u64>,
    /// Conditions before the first sample.
    pub before: Conditions,
    /// Conditions after the last one.
    pub after: Conditions,
    /// Why the samples do not count; `None` when they do.
    pub voided: Option<String>,
}

/// What running a variant takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Largest resident memory of the process so far, in bytes.
    pub peak_memory_bytes: Option<u64>,
    /// Bytes of activations and scratch.
    pub arena_bytes: u64,
    /// Bytes of packed weights.
    pub weight_bytes: u64,
    /// Micro-kernels in use.
    pub kernels: Vec<String>,
}

impl Resources {
    /// What the variant itself holds in memory: packed weights, activations and scratch, in bytes.
    pub fn variant_bytes(&self) -> u64 {
        self.weight_bytes + self.arena_bytes
    }
}

/// Times of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerRow {
    /// Name of the layer.
    pub name: String,
    /// Its operator.
    pub op: String,
    /// The level at which it computes.
    pub level: String,
    /// Its micro-kernel; empty when it has none.
    pub kernel: String,
    /// Multiply-accumulates.
    pub macs: u64,
    /// Durations in nanoseconds.
    pub duration_ns: Vec<u64>,
}
