//! What is searched: the choices of each stage, the thresholds and the objective.

use serde::{Deserialize, Serialize};

use quantrack_engine::Level;

use super::compose::{Composition, CompositionError};

/// One variant of a stage, as the latency table and the sensitivities know it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The level.
    pub level: Level,
    /// The recipe that reached it.
    pub recipe: String,
    /// Digest of the variant's file.
    pub variant_sha256: String,
    /// Measured latency at the percentile that the objective asks for, in microseconds.
    pub latency_us: f64,
    /// 95 % interval of `latency_us` in microseconds, where it is a median of enough samples to have one.
    #[serde(default)]
    pub interval_us: Option<(f64, f64)>,
    /// The stage's own metric with all other stages at fp32, when it has been measured.
    pub accuracy: Option<f64>,
    /// Size of the variant's file in bytes.
    #[serde(default)]
    pub model_bytes: u64,
    /// Bytes that it holds in memory when it is loaded, where that is known.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// A stage with its choices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StageChoices {
    /// The stage's name.
    pub name: String,
    /// The choices, in the order of the table. At least one.
    pub choices: Vec<Choice>,
    /// Index of the choice that the baseline (all fp32) uses.
    pub baseline: usize,
    /// Least value of the stage's own metric.
    pub min_accuracy: Option<f64>,
}

/// End-to-end accuracy of an assignment: so many of so many samples right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accuracy {
    /// Samples with the right answer.
    pub correct: u64,
    /// Samples in all, at least 1.
    pub total: u64,
}

impl Accuracy {
    /// The share of right answers.
    pub fn value(self) -> f64 {
        self.correct as f64 / self.total as f64
    }
}

/// The end-to-end accuracy that an assignment must reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Floor {
    /// At most this many percentage points below the baseline (all fp32).
    MaxDropPoints(f64),
    /// At least this share of right answers.
    MinAccuracy(f64),
}

impl Floor {
    /// The least number of right answers that passes.
    pub fn min_correct(self, baseline: Accuracy) -> u64 {
        let share = match self {
            Self::MaxDropPoints(points) => baseline.value() - points / 100.0,
            Self::MinAccuracy(share) => share,
        };
        // A tenth of a billionth absorbs the rounding of the subtraction: 88.4 - 4.0 points is meant exactly.
        (share * baseline.total as f64 - 1e-10).ceil().max(0.0) as u64
    }
}

/// What is best.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// The fastest assignment that meets all thresholds.
    MinLatency,
    /// The most accurate assignment within the latency limit; the faster one of equals.
    MaxAccuracy,
    /// Every assignment that meets the thresholds and that no other beats in both latency and accuracy.
    ParetoFront,
    /// The least `latency / baseline latency + weight * (baseline accuracy - accuracy in points) / 100`.
    Weighted {
        /// Price of one whole (100 points) of accuracy in baseline latencies.
        accuracy_weight: f64,
    },
}

/// What an assignment must keep to besides accuracy and latency. All of it can be told from the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Constraints {
    /// Most bytes of all variants together.
    pub max_model_bytes: Option<u64>,
    /// Most memory in bytes, all stages being loaded at once: their sum.
    pub max_memory_bytes: Option<u64>,
    /// Groups of stages, by index, that must run at the same level.
    #[serde(default)]
    pub same_level: Vec<Vec<usize>>,
}

/// How far a search may go beyond what it has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// Assume that accuracy is monotone (guarantee `M`): an assignment has fewer than this many right answers more than
    /// one that runs no stage at a lower level. Absent: nothing is assumed (guarantee `A`).
    pub monotone_margin: Option<u64>,
    /// The probability with which early stopping may reject an assignment that would have been the answer; 0: it stops
    /// only where the answers that are left cannot change the outcome.
    #[serde(default)]
    pub false_rejection: f64,
}

/// A search problem over a measured table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// The stages.
    pub stages: Vec<StageChoices>,
    /// How their latencies compose.
    pub composition: Composition,
    /// What is best.
    pub objective: Objective,
    /// End-to-end accuracy that must be reached.
    pub floor: Option<Floor>,
    /// Latency that must not be exceeded, in microseconds, at the percentile of the choices' latencies.
    pub max_latency_us: Option<f64>,
    /// What else an assignment must keep to.
    #[serde(default)]
    pub constraints: Constraints,
    /// What the search may assume.
    #[serde(default)]
    pub method: Method,
    /// Most end-to-end evaluations; none: as many as it takes.
    pub max_evaluations: Option<usize>,
}

/// A problem that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// No stage, or a stage without choices.
    #[error("{0} has no measured variant; run `orchestrator profile` first")]
    NoChoices(String),
    /// A latency that is no positive number.
    #[error("stage {0} at {1} has latency {2} us; measure it again")]
    Latency(String, Level, f64),
    /// The index of the baseline is out of range.
    #[error("stage {0} has no fp32 variant to compare with; add fp32 to its levels")]
    NoBaseline(String),
    /// `MaxAccuracy` without a limit.
    #[error(
        "objective max-accuracy needs a latency limit; give one, or use min-latency or weighted"
    )]
    NoLimit,
    /// A threshold that is no number, or out of range.
    #[error("{0} is {1}, which is not {2}")]
    Threshold(&'static str, f64, &'static str),
    /// A limit on memory where some variant's memory is unknown.
    #[error(
        "memory is limited, but that of stage {0} at {1} is unknown; profile it again on a board that tells"
    )]
    UnknownMemory(String, Level),
    /// Stages that must share a level, and are none.
    #[error("stages {0:?} must share a level, but there are only {1} stages")]
    UnknownStages(Vec<usize>, usize),
    /// A table of which too many assignments would have to be looked at.
    #[error(
        "more than {0} partial assignments would have to be remembered to search this table; allow fewer levels, or loosen the \
         limits on bytes"
    )]
    TooMany(usize),
    /// By the rates no stage ever runs at the baseline, and nothing can be compared with its latency.
    #[error("the rates leave out every stage at fp32; give the first stage a rate above 0")]
    NeverRuns,
    /// The composition does not fit.
    #[error(transparent)]
    Composition(#[from] CompositionError),
}

impl Problem {
    /// Checks that the problem can be solved.
    pub fn validate(&self) -> Result<(), ProblemError> {
        if self.stages.is_empty() {
            return Err(ProblemError::NoChoices("the pipeline".to_owned()));
        }
        for stage in &self.stages {
            if stage.choices.is_empty() {
                return Err(ProblemError::NoChoices(format!("stage {}", stage.name)));
            }
            if stage.baseline >= stage.choices.len() {
                return Err(ProblemError::NoBaseline(stage.name.clone()));
            }
            for choice in &stage.choices {
                if !(choice.latency_us.is_finite() && choice.latency_us > 0.0) {
                    let name = stage.name.clone();
                    return Err(ProblemError::Latency(name, choice.level, choice.latency_us));
                }
                if self.constraints.max_memory_bytes.is_some() && choice.memory_bytes.is_none() {
                    return Err(ProblemError::UnknownMemory(stage.name.clone(), choice.level));
                }
            }
        }
        let unknown = |group: &&Vec<usize>| group.iter().any(|&stage| stage >= self.stages.len());
        if let Some(group) = self.constraints.same_level.iter().find(unknown) {
            return Err(ProblemError::UnknownStages(group.clone(), self.stages.len()));
        }
        self.validate_thresholds()?;
        self.composition.validate(self.stages.len())?;
        if self.latency_us(&self.baseline()) > 0.0 { Ok(()) } else { Err(ProblemError::NeverRuns) }
    }

    fn validate_thresholds(&self) -> Result<(), ProblemError> {
        let check = |name, value: f64, ok: bool, want| {
            if ok { Ok(()) } else { Err(ProblemError::Threshold(name, value, want)) }
        };
        match self.floor {
            Some(Floor::MaxDropPoints(points)) => check(
                "the accuracy drop",
                points,
                (0.0..=100.0).contains(&points),
                "between 0 and 100 points",
            )?,
            Some(Floor::MinAccuracy(share)) => check(
                "the least accuracy",
                share,
                (0.0..=1.0).contains(&share),
                "a share between 0 and 1",
            )?,
            None => {}
        }
        if let Some(limit) = self.max_latency_us {
            check("the latency limit", limit, limit > 0.0, "a positive number of microseconds")?;
        } else if self.objective == Objective::MaxAccuracy {
            return Err(ProblemError::NoLimit);
        }
        if let Objective::Weighted { accuracy_weight: weight } = self.objective {
            check("the weight", weight, weight.is_finite() && weight >= 0.0, "0 or more")?;
        }
        let risk = self.method.false_rejection;
        check("the false rejection", risk, (0.0..=0.5).contains(&risk), "between 0 and 0.5")?;
        Ok(())
    }

    /// Predicted latency in microseconds of the assignment that takes choice `picks[s]` of each stage `s`.
    pub fn latency_us(&self, picks: &[usize]) -> f64 {
        let choice = |stage: usize| &self.stages[stage].choices[picks[stage]];
        let stage_us: Vec<f64> =
            (0..self.stages.len()).map(|stage| choice(stage).latency_us).collect();
        self.composition.latency_us(&stage_us, &|stage| Some(choice(stage).level))
    }

    /// The picks of the baseline.
    pub fn baseline(&self) -> Vec<usize> {
        self.stages.iter().map(|stage| stage.baseline).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drop_in_points_becomes_a_count_of_samples() {
        let baseline = Accuracy { correct: 122, total: 138 };
        // 0.88406 - 0.04 = 0.84406, of 138: 116.48.
        assert_eq!(Floor::MaxDropPoints(4.0).min_correct(baseline), 117);
        assert_eq!(Floor::MaxDropPoints(0.0).min_correct(baseline), 122);
        assert_eq!(Floor::MaxDropPoints(100.0).min_correct(baseline), 0);
        assert_eq!(Floor::MinAccuracy(0.5).min_correct(baseline), 69);
    }

    #[test]
    fn a_drop_that_ends_on_a_whole_sample_is_not_rounded_up() {
        let baseline = Accuracy { correct: 98, total: 100 };
        for points in 0..=98_u32 {
            let floor = Floor::MaxDropPoints(f64::from(points));
            assert_eq!(floor.min_correct(baseline), u64::from(98 - points), "{points} points");
        }
    }
}
