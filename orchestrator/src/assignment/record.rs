//! What a search leaves in the store and prints as JSON.

use std::collections::BTreeMap;

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};

use super::search::Scope;
use crate::search::{
    Accuracy, Certificate, Evaluated, Guarantee, Outcome, Problem, Progress, Proposal,
    StageChoices, Verdict,
};
use crate::spec::Percentile;

/// One stage of an assignment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageLevel {
    /// Name of the stage.
    pub stage: String,
    /// Its level.
    pub level: Level,
    /// Its recipe.
    pub recipe: String,
    /// Digest of its variant.
    pub variant_sha256: String,
    /// Its latency in microseconds, at the percentile of the search.
    pub latency_us: f64,
    /// Its 95 % interval in microseconds, where it is a median of enough samples to have one.
    #[serde(default)]
    pub interval_us: Option<(f64, f64)>,
}

/// A search and its outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchRecord {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Fingerprint of the board whose latencies were used.
    pub device: String,
    /// Threads of the engine.
    pub threads: u32,
    /// The engine build that was timed.
    pub engine_build: String,
    /// Which percentile latencies are.
    pub percentile: Percentile,
    /// Level per stage; absent when no assignment meets the thresholds.
    pub assignment: Option<BTreeMap<String, Level>>,
    /// The same with recipes and variants, in the order of the pipeline.
    pub stages: Vec<StageLevel>,
    /// Predicted latency of the assignment in microseconds.
    pub predicted_latency_us: Option<f64>,
    /// Predicted latency in microseconds of all stages at fp32.
    pub baseline_latency_us: f64,
    /// How many times faster than the baseline.
    pub speedup: Option<f64>,
    /// End-to-end accuracy of the assignment as a share.
    pub accuracy: Option<f64>,
    /// That of all stages at fp32.
    pub baseline_accuracy: f64,
    /// Assignments evaluated end to end.
    pub evaluations: usize,
    /// Why nothing is better.
    pub certificate: Certificate,
    /// What to relax, when there is no assignment.
    pub advice: Vec<String>,
    /// All stages at one level, evaluated for comparison.
    pub uniform: Vec<(Level, Evaluated)>,
    /// The problem that was solved.
    pub problem: Problem,
    /// Every evaluation, in the order made.
    pub trace: Vec<Evaluated>,
    /// Best so far and bound, as evaluations went on.
    #[serde(default)]
    pub progress: Vec<Progress>,
    /// The assignment's picks and right answers.
    pub found: Option<Evaluated>,
    /// Where the trade-off was asked for, all of it: the fastest first, which is the assignment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub front: Vec<Evaluated>,
    /// Where the search went by the table: what that proposes, the best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proposals: Vec<Proposal>,
    /// The baseline's.
    pub baseline: Evaluated,
}

impl SearchRecord {
    /// Puts the outcome of `problem` into words and numbers.
    pub fn new(
        scope: &Scope,
        problem: Problem,
        outcome: Outcome,
        uniform: Vec<(Level, Evaluated)>,
    ) -> Self {
        let advice = super::advice(&problem, &outcome.verdict);
        let found = match outcome.verdict {
            Verdict::Found(found) => Some(found),
            Verdict::Infeasible(_) => None,
        };
        let stages: Vec<StageLevel> =
            found.as_ref().map(|found| stage_levels(&problem, &found.picks)).unwrap_or_default();
        let by_name = stages.iter().map(|stage| (stage.stage.clone(), stage.level)).collect();
        let baseline = outcome.baseline;
        Self {
            pipeline: scope.pipeline.clone(),
            device: scope.device.clone(),
            threads: scope.threads,
            engine_build: scope.engine_build.clone(),
            percentile: scope.percentile,
            assignment: found.is_some().then_some(by_name),
            stages,
            predicted_latency_us: found.as_ref().map(|found| found.latency_us),
            baseline_latency_us: baseline.latency_us,
            speedup: found.as_ref().map(|found| baseline.latency_us / found.latency_us),
            accuracy: found.as_ref().map(|found| found.accuracy.value()),
            baseline_accuracy: baseline.accuracy.value(),
            evaluations: outcome.trace.len(),
            certificate: outcome.certificate,
            advice,
            uniform,
            problem,
            trace: outcome.trace,
            progress: outcome.progress,
            found,
            front: outcome.front,
            proposals: Vec::new(),
            baseline,
        }
    }

    /// As in "int8 / int8 / fp32 / fp32", with the recipe where a stage has several at the level.
    pub fn label(&self, picks: &[usize]) -> String {
        let name = |(stage, &pick): (&StageChoices, &usize)| {
            let choice = &stage.choices[pick];
            let alike = stage.choices.iter().filter(|other| other.level == choice.level).count();
            match alike {
                1 => choice.level.name().to_owned(),
                _ => format!("{} {}", choice.level, choice.recipe),
            }
        };
        let levels: Vec<String> = self.problem.stages.iter().zip(picks).map(name).collect();
        levels.join(" / ")
    }

    /// Whether it went by the table, so that no certificate states what it found.
    pub fn is_by_table(&self) -> bool {
        self.certificate.guarantee == Guarantee::Table
    }

    /// Right answers of the assignment.
    pub fn found_accuracy(&self) -> Option<Accuracy> {
        self.found.as_ref().map(|found| found.accuracy)
    }
}

/// The stages of an assignment, with what the table says of them.
pub fn stage_levels(problem: &Problem, picks: &[usize]) -> Vec<StageLevel> {
    let stages = problem.stages.iter().zip(picks);
    stages
        .map(|(stage, &pick)| {
            let choice = &stage.choices[pick];
            StageLevel {
                stage: stage.name.clone(),
                level: choice.level,
                recipe: choice.recipe.clone(),
                variant_sha256: choice.variant_sha256.clone(),
                latency_us: choice.latency_us,
                interval_us: choice.interval_us,
            }
        })
        .collect()
}
