//! The content of a report.

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};

use crate::metric::Unit;

/// Everything that a report shows.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Name of the pipeline.
    pub pipeline: String,
    /// When the report was made, as text with its time zone.
    pub made_at: String,
    /// Versions of orchestrator and engine build, as text.
    pub versions: String,
    /// The board that was measured.
    pub device: Device,
    /// What the board was doing meanwhile.
    pub conditions: BoardConditions,
    /// The answer.
    pub verdict: Verdict,
    /// The measured latency table.
    pub table: Vec<LatencyRow>,
    /// Each variant alone, all other stages at fp32.
    pub sensitivity: Vec<SensitivityRow>,
    /// Every assignment that was evaluated end to end.
    pub points: Vec<Point>,
    /// The search's evaluations in the order made.
    pub trace: Vec<TracePoint>,
    /// Best so far and bound, as evaluations went on.
    pub steps: Vec<SearchStep>,
    /// What proves the answer; absent where the search's record is of a version that had none.
    pub proof: Option<Proof>,
    /// Recipes that the collapse test rejected.
    pub collapsed: Vec<Collapsed>,
    /// The end-to-end floor as a share, for the plot.
    pub accuracy_floor: Option<f64>,
    /// The latency limit in microseconds, for the plot.
    pub latency_limit_us: Option<f64>,
    /// How the choice did on the board.
    pub verification: Option<Verification>,
    /// Commands that make this report again.
    pub reproduce: Vec<String>,
}

impl Report {
    /// What was chosen for a stage.
    pub(super) fn chosen(&self, stage: &str) -> Option<&StageChoice> {
        match &self.verdict {
            Verdict::Chosen(choice) => choice.stages.iter().find(|chosen| chosen.stage == stage),
            Verdict::Infeasible(_) => None,
        }
    }
}

/// A measured board.
#[derive(Clone, Debug, Serialize)]
pub struct Device {
    /// As the user addressed it.
    pub address: String,
    /// As in "Raspberry Pi 3 Model B Rev 1.2".
    pub model: String,
    /// As in "Cortex-A53".
    pub cpu: String,
    /// Number of cores.
    pub cores: u32,
    /// Installed memory in bytes.
    pub memory_bytes: u64,
    /// Operating system, kernel and userland width.
    pub system: String,
    /// Key of the board's rows in the latency table.
    pub fingerprint: String,
}

/// A summary over all sample blocks. `None`: the board did not tell.
#[derive(Clone, Debug, Serialize)]
pub struct BoardConditions {
    /// Sample blocks taken, and how many of them do not count.
    pub blocks: u64,
    /// Blocks that were voided.
    pub voided_blocks: u64,
    /// Why blocks were voided, each reason once.
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
    /// Boots during the measurement; more than one means that the board restarted.
    pub boots: usize,
}

/// What the search said.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// There is a best assignment.
    Chosen(Choice),
    /// No assignment meets the thresholds; what to relax, one advice a line.
    Infeasible(Vec<String>),
}

/// The chosen assignment.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// One entry per stage, in order.
    pub stages: Vec<StageChoice>,
    /// Predicted latency of the pipeline in microseconds.
    pub latency_us: f64,
    /// That of all stages at fp32.
    pub baseline_latency_us: f64,
    /// Right answers and samples.
    pub accuracy: (u64, u64),
    /// Those of all stages at fp32.
    pub baseline_accuracy: (u64, u64),
    /// End-to-end evaluations made, and assignments in all.
    pub evaluations: (usize, u64),
    /// What the guarantee is, in a sentence.
    pub guarantee: String,
}

/// One stage of the choice.
#[derive(Clone, Debug, Serialize)]
pub struct StageChoice {
    /// Name of the stage.
    pub stage: String,
    /// Its level.
    pub level: Level,
    /// Its recipe.
    pub recipe: String,
    /// Measured median in microseconds.
    pub latency_us: f64,
    /// That of fp32.
    pub baseline_latency_us: f64,
}

/// A row of the latency table.
#[derive(Clone, Debug, Serialize)]
pub struct LatencyRow {
    /// Name of the stage.
    pub stage: String,
    /// Level.
    pub level: Level,
    /// Recipe.
    pub recipe: String,
    /// Threads.
    pub threads: u32,
    /// Median in microseconds.
    pub median_us: f64,
    /// 90th percentile in microseconds.
    pub p90_us: Option<f64>,
    /// 95th percentile in microseconds; absent below 59 samples.
    pub p95_us: Option<f64>,
    /// 95 % interval of the median in microseconds.
    pub ci95_us: Option<(f64, f64)>,
    /// Samples that count.
    pub samples: u64,
    /// Samples that do not.
    pub voided: u64,
    /// Size of the variant's file in bytes.
    pub bytes: u64,
    /// What the variant itself holds in memory, in bytes.
    pub memory_bytes: u64,
    /// Layers that run at another level.
    pub exempt: Vec<Exempt>,
}

/// Layers that a recipe keeps at another level for one reason.
#[derive(Clone, Debug, Serialize)]
pub struct Exempt {
    /// Level at which they run.
    pub level: Level,
    /// Number of layers.
    pub layers: usize,
    /// Why.
    pub reason: String,
}

/// Accuracy of one variant with all other stages at fp32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensitivityRow {
    /// Name of the stage.
    pub stage: String,
    /// Level.
    pub level: Level,
    /// Recipe.
    pub recipe: String,
    /// Name of the stage's metric.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// What the value is.
    #[serde(default)]
    pub unit: Unit,
    /// 95 % interval.
    pub ci95: Option<(f64, f64)>,
    /// Samples behind it.
    pub samples: u64,
    /// How it compares with fp32 in the terms of its field, as in "recall 98.5 %".
    pub details: String,
}

/// An assignment that was evaluated end to end.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// As in "int8 / int8 / fp32 / fp32".
    pub label: String,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Right answers.
    pub correct: u64,
    /// Samples.
    pub total: u64,
    /// Wilson's 95 % interval of their share.
    pub ci95: (f64, f64),
    /// The level, when all stages share it.
    pub uniform: Option<Level>,
    /// Whether nothing beats it in both latency and accuracy.
    pub pareto: bool,
    /// Whether it is the choice.
    pub chosen: bool,
}

impl Point {
    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        if self.total == 0 { 0.0 } else { self.correct as f64 / self.total as f64 }
    }

    /// Whether it stands out of the crowd: the choice, a uniform level, or on the front.
    pub fn is_named(&self) -> bool {
        self.chosen || self.pareto || self.uniform.is_some()
    }
}

/// An evaluation of the search.
#[derive(Clone, Debug, Serialize)]
pub struct TracePoint {
    /// As in "int8 / int8 / fp32 / fp32".
    pub label: String,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Right answers.
    pub correct: u64,
    /// Samples looked at.
    pub total: u64,
    /// Whether it ended before the last sample, because too few could still be right.
    pub stopped: bool,
    /// Whether it reaches the end-to-end floor.
    pub passes: bool,
}

/// How far the search had come.
#[derive(Clone, Debug, Serialize)]
pub struct SearchStep {
    /// After so many evaluations.
    pub evaluations: usize,
    /// Latency in microseconds of the best assignment so far.
    pub incumbent_us: Option<f64>,
    /// Nothing faster than this, in microseconds, can still be better.
    pub bound_us: f64,
}

/// The certificate, in short.
#[derive(Clone, Debug, Serialize)]
pub struct Proof {
    /// What it proves, in a sentence.
    pub statement: String,
    /// Its digest.
    pub sha256: String,
    /// Assignments that could have been better by their latency and are not by their accuracy.
    pub witnesses: usize,
    /// Beginnings of assignments that rule out all that begins so.
    pub bounds: usize,
    /// Choices below their stage's own threshold.
    pub excluded: usize,
    /// What the independent checker says: how many partial assignments it walked, or why it rejects the proof.
    pub checked: Result<u64, String>,
}

/// A recipe that the collapse test rejected.
#[derive(Clone, Debug, Serialize)]
pub struct Collapsed {
    /// Name of the stage.
    pub stage: String,
    /// Level.
    pub level: Level,
    /// Recipe.
    pub recipe: String,
    /// Images in which it agrees with fp32, and images looked at.
    pub agreeing: (u64, u64),
    /// The layer at which the signal dies.
    pub dies_at: Option<String>,
    /// Signal to noise ratio in decibels behind every layer, in the order in which they run.
    pub layers: Vec<(String, f64)>,
    /// What was done about it, as in "the level is dropped".
    pub then: String,
}

/// The choice, end to end on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Samples run on the board.
    pub samples: u64,
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Measured median in microseconds.
    pub measured_us: f64,
    /// Samples whose outputs on the board equal the host's.
    pub equal_outputs: u64,
    /// What "equal" meant, as in "bit for bit".
    pub equality: String,
    /// The stages, in order.
    pub stages: Vec<VerifiedStage>,
    /// The choice and others that answer as well, run in turns, the fastest first.
    pub ranking: Vec<RankedRow>,
    /// What speaks against the choice; empty when it is verified.
    pub failures: Vec<String>,
}

/// An assignment among the finalists on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RankedRow {
    /// As in "int8 / int8 / fp32 / fp32".
    pub label: String,
    /// Whether it is the choice.
    pub chosen: bool,
    /// Predicted latency in microseconds.
    pub predicted_us: f64,
    /// Measured median in microseconds.
    pub measured_us: f64,
    /// How many times as long as the choice it takes, and the 95 % interval.
    pub ratio: Option<(f64, (f64, f64))>,
}

/// A stage of the choice on the board.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerifiedStage {
    /// Name of the stage.
    pub stage: String,
    /// Inferences with outputs equal to the host's, and inferences made.
    pub equal: (u64, u64),
    /// Predicted and measured latency of an inference in microseconds, and whether one is as the other lets expect;
    /// absent when the stage never ran.
    pub latency_us: Option<(f64, f64, bool)>,
}
