//! What a search found, and why it can be believed.

use serde::{Deserialize, Serialize};

use super::problem::Accuracy;

/// Which assumption the answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guarantee {
    /// None about accuracy: every assignment that could have been better was evaluated.
    #[serde(rename = "A")]
    AssumptionFree,
    /// The evaluations ran out first: the best of those evaluated, with a bound on what is better.
    #[serde(rename = "incomplete")]
    Incomplete,
}

/// An assignment that was evaluated end to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// Choice per stage.
    pub picks: Vec<usize>,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Measured accuracy.
    pub accuracy: Accuracy,
}

/// Why nothing else can be better: reading it needs only the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// What is assumed.
    pub guarantee: Guarantee,
    /// The least number of right answers that was asked.
    pub min_correct: Option<u64>,
    /// The latency limit, in microseconds.
    pub max_latency_us: Option<f64>,
    /// Choices excluded beforehand by their stage's own threshold, as (stage, choice).
    pub excluded: Vec<(usize, usize)>,
    /// Every other assignment that was evaluated, in increasing predicted latency.
    pub witnesses: Vec<Evaluated>,
    /// No assignment slower than this (in microseconds) can be better; below it all were evaluated.
    pub covered_to_us: f64,
}

/// A threshold and what it would have to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "threshold")]
pub enum Relaxation {
    /// The end-to-end floor: the most accurate assignment within the latency limit.
    Accuracy {
        /// Right answers of the best.
        best: Accuracy,
        /// Right answers asked.
        min_correct: u64,
        /// Relax by so many percentage points.
        points: f64,
        /// The assignment that then passes.
        picks: Vec<usize>,
    },
    /// The latency limit: the fastest assignment that reaches the floor.
    Latency {
        /// Its predicted latency in microseconds.
        needed_us: f64,
        /// The limit in microseconds.
        limit_us: f64,
        /// The assignment that then passes.
        picks: Vec<usize>,
    },
    /// Both the floor and the limit: no assignment is within the limit, and none reaches the floor.
    Both {
        /// Right answers of the most accurate assignment.
        best: Accuracy,
        /// Right answers asked.
        min_correct: u64,
        /// Its predicted latency in microseconds.
        needed_us: f64,
        /// The limit in microseconds.
        limit_us: f64,
        /// The assignment that then passes.
        picks: Vec<usize>,
    },
    /// A stage's own threshold: no choice of the stage reaches it.
    Stage {
        /// Index of the stage.
        stage: usize,
        /// The best that the stage has.
        best: f64,
        /// The least that was asked.
        min_accuracy: f64,
    },
}

/// No assignment meets all thresholds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Infeasible {
    /// Each alone would make it feasible (for stages: is needed).
    pub relax: Vec<Relaxation>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The best assignment.
    Found(Evaluated),
    /// There is none.
    Infeasible(Infeasible),
}

/// All that a search found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The answer.
    pub verdict: Verdict,
    /// All stages at their baseline choice.
    pub baseline: Evaluated,
    /// Every evaluation in the order made, the baseline first.
    pub trace: Vec<Evaluated>,
    /// Why nothing else is better.
    pub certificate: Certificate,
}
