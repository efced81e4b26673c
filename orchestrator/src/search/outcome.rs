//! What a search found, and why it can be believed.

use serde::{Deserialize, Serialize};

use super::problem::{Accuracy, Problem};

/// Which assumption the answer rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Guarantee {
    /// None about accuracy: every assignment that could have been better was evaluated.
    #[serde(rename = "A")]
    AssumptionFree,
    /// Accuracy is monotone up to a margin: what was not evaluated runs no stage at a higher level than something that
    /// fails by that margin. Audited: no evaluation contradicts it.
    #[serde(rename = "M")]
    Monotone,
    /// Right answers that choices lose alone add up: the best by the table. What it proposes was evaluated.
    #[serde(rename = "T")]
    Table,
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
    /// Measured accuracy, of the samples that were looked at: all, unless the evaluation was stopped.
    pub accuracy: Accuracy,
    /// The most right answers that it has of all samples: those measured, unless the evaluation was stopped.
    pub at_most: u64,
    /// Where a sequential test stopped the evaluation, what it saw: `1` right, `0` wrong, sample by sample. For the
    /// baseline where there are such tests.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answers: String,
}

impl Evaluated {
    /// An assignment of `problem` with its answers for all samples.
    pub fn whole(problem: &Problem, picks: Vec<usize>, answers: &[bool]) -> Self {
        let correct = answers.iter().filter(|&&right| right).count() as u64;
        Self {
            latency_us: problem.latency_us(&picks),
            accuracy: Accuracy { correct, total: answers.len() as u64 },
            at_most: correct,
            answers: String::new(),
            picks,
        }
    }

    /// Whether it was evaluated on all of `total` samples.
    pub fn is_complete(&self, total: u64) -> bool {
        self.accuracy.total == total
    }
}

/// Answers as text: `1` right, `0` wrong.
pub(crate) fn answers_text(answers: &[bool]) -> String {
    answers.iter().map(|&right| if right { '1' } else { '0' }).collect()
}

/// How far a search has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Assignments evaluated.
    pub evaluations: usize,
    /// Latency in microseconds of the best assignment so far, and its right answers.
    pub incumbent: Option<(f64, Accuracy)>,
    /// Nothing faster than this, in microseconds, can still be better.
    pub bound_us: f64,
}

impl Progress {
    /// By how much of the incumbent's latency a better assignment could at most be faster.
    pub fn gap(&self) -> Option<f64> {
        self.incumbent.map(|(us, _)| ((us - self.bound_us) / us).max(0.0))
    }

    /// Whether only the bound differs.
    pub(super) fn is_same_state(&self, other: &Self) -> bool {
        (self.evaluations, self.incumbent) == (other.evaluations, other.incumbent)
    }
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
    /// The margin of monotone accuracy, where it was assumed and not contradicted.
    #[serde(default)]
    pub monotone_margin: Option<u64>,
    /// Assignments that the assumption would have left out and that were evaluated to test it.
    #[serde(default)]
    pub audits: Vec<Vec<usize>>,
    /// First picks, and the most right answers that an assignment can have which begins with them: in all other samples
    /// these stages find nothing.
    #[serde(default)]
    pub bounds: Vec<(Vec<usize>, u64)>,
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
    /// Limits on bytes: no assignment keeps to them. This is what the fastest takes.
    Bytes {
        /// Bytes of its variants' files.
        model_bytes: u64,
        /// Bytes of memory.
        memory_bytes: u64,
        /// The assignment.
        picks: Vec<usize>,
    },
    /// Stages that must share a level, and have none in common.
    SameLevel {
        /// Groups of stages, by index.
        groups: Vec<Vec<usize>>,
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
    /// The answer; of a trade-off the fastest.
    pub verdict: Verdict,
    /// Where the trade-off was asked for: all of it, the fastest first.
    pub front: Vec<Evaluated>,
    /// All stages at their baseline choice.
    pub baseline: Evaluated,
    /// Every evaluation in the order made, the baseline first.
    pub trace: Vec<Evaluated>,
    /// How far it had come, after each evaluation that changed anything.
    pub progress: Vec<Progress>,
    /// Why nothing else is better.
    pub certificate: Certificate,
}
