//! What `verify` leaves in the store and prints as JSON.

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};

use super::equality::Equality;
use super::finalist::Ranked;
use super::latency::LatencyCheck;

/// A stage on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageCheck {
    /// Name of the stage.
    pub stage: String,
    /// Its level.
    pub level: Level,
    /// What equal means.
    pub equality: Equality,
    /// Inferences made.
    pub inferences: u64,
    /// Those with outputs equal to the host's.
    pub equal: u64,
    /// Latency of one inference against the prediction. Absent in records of earlier versions, and when there was no
    /// inference.
    #[serde(default)]
    pub latency: Option<LatencyCheck>,
}

/// What `verify` found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerificationRecord {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Fingerprint of the board.
    pub device: String,
    /// The stages, in order.
    pub stages: Vec<StageCheck>,
    /// Images run.
    pub samples: u64,
    /// Images for which every inference, and the class, equal the host's.
    pub equal_outputs: u64,
    /// Images whose class equals the host's.
    pub equal_labels: u64,
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Latency at the percentile of the search over the images that reach the last stage, in microseconds. That of an
    /// image is made of the durations of all its inferences, as the pipeline is composed.
    pub measured_us: f64,
    /// Its 90th percentile.
    pub measured_p90_us: f64,
    /// The latency of each of those images, in the order of the samples.
    pub per_image_us: Vec<f64>,
    /// `measured_us` against `predicted_us`. Absent in records of earlier versions.
    #[serde(default)]
    pub latency: Option<LatencyCheck>,
    /// How far latencies could be from the prediction beyond the intervals, as a share of it.
    #[serde(default)]
    pub max_latency_deviation: f64,
    /// The finalists by what was measured, the fastest first, the choice among them. Empty in records of earlier versions.
    #[serde(default)]
    pub ranking: Vec<Ranked>,
    /// Why the verification failed, each with what to do about it; empty when it passed.
    #[serde(default)]
    pub failures: Vec<Finding>,
    /// Whether everything was equal, every latency as predicted, and the latency limit, if there is one, met.
    pub passed: bool,
}

/// Why a verification failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub next: String,
}
