//! Why an assignment was chosen, from the record of its search alone: nothing is measured or assumed here.

mod sentences;
#[cfg(test)]
mod tests;

use quantrack_engine::Level;
use serde::Serialize;

pub use sentences::human;

use crate::assignment::SearchRecord;
use crate::search::{Evaluated, Objective};

/// The answer, and what stood against everything else.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The assignment; absent where none meets the thresholds.
    pub chosen: Option<Assignment>,
    /// All stages at fp32.
    pub baseline: Assignment,
    /// Least right answers that were asked.
    pub min_correct: Option<u64>,
    /// Latency limit in microseconds.
    pub max_latency_us: Option<f64>,
    /// What keeps the answer from being better.
    pub binding: Binding,
    /// What every level would have meant for a stage, all others as chosen.
    pub stages: Vec<StageOptions>,
    /// What a lower threshold would buy, the smallest step first.
    pub relaxations: Vec<Step>,
    /// All stages at one level.
    pub uniform: Vec<Uniform>,
    /// What to relax, where there is no assignment.
    pub advice: Vec<String>,
}

/// An assignment that was evaluated.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Assignment {
    /// Stage and level.
    pub levels: Vec<(String, Level)>,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Right answers.
    pub correct: u64,
    /// Of so many.
    pub total: u64,
}

/// What keeps the answer from being better.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "constraint", rename_all = "kebab-case")]
pub enum Binding {
    /// The end-to-end accuracy: faster assignments miss it.
    Accuracy {
        /// How many faster ones were evaluated.
        faster: usize,
        /// That with the most right answers.
        nearest: Assignment,
    },
    /// The end-to-end accuracy: faster assignments were certain to miss it before they were evaluated in full.
    Hopeless,
    /// The latency limit: this one is more accurate and takes longer.
    Latency {
        /// The fastest of those evaluated that are more accurate.
        nearest: Assignment,
    },
    /// What choices lose alone, taken to add up: by that every faster assignment loses too much.
    Predicted,
    /// Only the thresholds of stages, which exclude faster choices.
    Stages,
    /// Nothing: of all assignments it is the best that there is.
    Nothing,
    /// There is no answer.
    NoAnswer,
}

/// What every choice of a stage would have meant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StageOptions {
    /// Name of the stage.
    pub stage: String,
    /// In the order of the table.
    pub options: Vec<ChoiceOption>,
}

/// One choice of a stage, all other stages as chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ChoiceOption {
    /// Its level.
    pub level: Level,
    /// Its recipe.
    pub recipe: String,
    /// The stage's own latency in microseconds.
    pub latency_us: f64,
    /// By how many microseconds the pipeline would be slower than as chosen; negative: faster.
    pub difference_us: f64,
    /// What is known of it.
    pub verdict: Known,
}

/// What is known of a choice.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "known", rename_all = "kebab-case")]
pub enum Known {
    /// It is the one chosen.
    Chosen,
    /// It was evaluated end to end.
    Evaluated {
        /// Right answers.
        correct: u64,
        /// Of so many.
        total: u64,
    },
    /// Its evaluation ended when it was certain, or as good as, that it has too few right answers.
    Hopeless {
        /// The most that it can have.
        at_most: u64,
        /// Of so many.
        total: u64,
    },
    /// The stage alone misses its own threshold with it.
    BelowThreshold {
        /// What it reaches, where that was measured.
        accuracy: Option<f64>,
        /// What is asked.
        min_accuracy: Option<f64>,
    },
    /// It needed no evaluation: no faster than what was chosen.
    NotFaster,
    /// It was not evaluated.
    NotEvaluated,
}

/// A lower end-to-end threshold, and what it would buy.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// By how many right answers the threshold would be lower.
    pub fewer: u64,
    /// The fastest assignment that then passes, of those evaluated.
    pub gains: Assignment,
    /// By what share of the chosen latency it is faster.
    pub saves: f64,
}

/// All stages at one level.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Uniform {
    /// The level.
    pub level: Level,
    /// What it does.
    pub assignment: Assignment,
    /// By how many right answers it misses the threshold.
    pub short_of: u64,
    /// Whether it takes longer than allowed.
    pub too_slow: bool,
    /// By what share of the chosen latency it is slower; negative: faster.
    pub slower: Option<f64>,
}

/// Explains the outcome of a search.
pub fn explain(record: &SearchRecord) -> Explanation {
    let view = View { record };
    let min_correct = record.certificate.min_correct;
    Explanation {
        pipeline: record.pipeline.clone(),
        chosen: record.found.as_ref().map(|found| view.assignment(found)),
        baseline: view.assignment(&record.baseline),
        min_correct,
        max_latency_us: record.certificate.max_latency_us,
        binding: record.found.as_ref().map_or(Binding::NoAnswer, |found| view.binding(found)),
        stages: record.found.as_ref().map_or_else(Vec::new, |found| view.stages(found)),
        relaxations: record.found.as_ref().map_or_else(Vec::new, |found| view.relaxations(found)),
        uniform: record.uniform.iter().map(|(level, all)| view.uniform(*level, all)).collect(),
        advice: record.advice.clone(),
    }
}

/// Reads a record.
struct View<'a> {
    record: &'a SearchRecord,
}

impl View<'_> {
    fn assignment(&self, evaluated: &Evaluated) -> Assignment {
        let stages = self.record.problem.stages.iter().zip(&evaluated.picks);
        let level = |(stage, &pick): (&crate::search::StageChoices, &usize)| {
            (stage.name.clone(), stage.choices[pick].level)
        };
        Assignment {
            levels: stages.map(level).collect(),
            latency_us: evaluated.latency_us,
            correct: evaluated.accuracy.correct,
            total: evaluated.accuracy.total,
        }
    }

    /// Evaluations of all samples: others were stopped early, and only fail.
    fn complete(&self) -> impl Iterator<Item = &Evaluated> {
        let total = self.record.baseline.accuracy.total;
        self.record.trace.iter().filter(move |evaluated| evaluated.is_complete(total))
    }

    fn binding(&self, found: &Evaluated) -> Binding {
        match self.binding_of_those_seen(found) {
            Binding::Hopeless | Binding::Stages | Binding::Nothing if self.record.is_by_table() => {
                Binding::Predicted
            }
            binding => binding,
        }
    }

    fn binding_of_those_seen(&self, found: &Evaluated) -> Binding {
        let more_right = |evaluated: &&Evaluated| {
            evaluated.latency_us > found.latency_us
                && evaluated.accuracy.correct > found.accuracy.correct
        };
        if self.record.problem.objective == Objective::MaxAccuracy {
            let nearest = self
                .complete()
                .filter(more_right)
                .min_by(|a, b| a.latency_us.total_cmp(&b.latency_us));
            return nearest.map_or(Binding::Nothing, |nearest| Binding::Latency {
                nearest: self.assignment(nearest),
            });
        }
        let faster = |evaluated: &&Evaluated| evaluated.latency_us < found.latency_us;
        let nearest = self.complete().filter(faster).max_by(|a, b| {
            let right = a.accuracy.correct.cmp(&b.accuracy.correct);
            right.then(b.latency_us.total_cmp(&a.latency_us))
        });
        match nearest {
            Some(nearest) => Binding::Accuracy {
                faster: self.record.trace.iter().filter(faster).count(),
                nearest: self.assignment(nearest),
            },
            None if self.record.trace.iter().any(|seen| faster(&seen))
                || !self.record.certificate.bounds.is_empty() =>
            {
                Binding::Hopeless
            }
            None if self.record.certificate.excluded.is_empty() => Binding::Nothing,
            None => Binding::Stages,
        }
    }

    fn stages(&self, found: &Evaluated) -> Vec<StageOptions> {
        let problem = &self.record.problem;
        let of_stage = |stage: usize| {
            let choices = &problem.stages[stage].choices;
            let option = |pick: usize| {
                let mut picks = found.picks.clone();
                picks[stage] = pick;
                let difference_us = problem.latency_us(&picks) - found.latency_us;
                let choice = &choices[pick];
                ChoiceOption {
                    level: choice.level,
                    recipe: choice.recipe.clone(),
                    latency_us: choice.latency_us,
                    difference_us,
                    verdict: self.known(found, stage, &picks, difference_us),
                }
            };
            StageOptions {
                stage: problem.stages[stage].name.clone(),
                options: (0..choices.len()).map(option).collect(),
            }
        };
        (0..problem.stages.len()).map(of_stage).collect()
    }

    fn known(&self, found: &Evaluated, stage: usize, picks: &[usize], difference_us: f64) -> Known {
        if picks == found.picks {
            return Known::Chosen;
        }
        if let Some(seen) = self.complete().find(|seen| seen.picks == picks) {
            return Known::Evaluated { correct: seen.accuracy.correct, total: seen.accuracy.total };
        }
        let choices = &self.record.problem.stages[stage];
        if self.record.certificate.excluded.contains(&(stage, picks[stage])) {
            let accuracy = choices.choices[picks[stage]].accuracy;
            return Known::BelowThreshold { accuracy, min_accuracy: choices.min_accuracy };
        }
        let stopped = self.record.trace.iter().find(|seen| seen.picks == picks);
        let bounds = self.record.certificate.bounds.iter();
        let bound = bounds.filter(|(first, _)| picks.starts_with(first)).map(|bound| bound.1);
        let at_most = bound.chain(stopped.map(|seen| seen.at_most)).min();
        match at_most {
            _ if difference_us >= 0.0 => Known::NotFaster,
            Some(at_most) => {
                Known::Hopeless { at_most, total: self.record.baseline.accuracy.total }
            }
            None => Known::NotEvaluated,
        }
    }

    /// Steps down from the threshold at which something faster passes.
    fn relaxations(&self, found: &Evaluated) -> Vec<Step> {
        let Some(min_correct) = self.record.certificate.min_correct else { return Vec::new() };
        let mut below: Vec<&Evaluated> = self
            .complete()
            .filter(|seen| {
                seen.latency_us < found.latency_us && seen.accuracy.correct < min_correct
            })
            .collect();
        below.sort_by(|a, b| {
            let right = b.accuracy.correct.cmp(&a.accuracy.correct);
            right.then(a.latency_us.total_cmp(&b.latency_us))
        });
        let mut best_us = found.latency_us;
        let mut steps = Vec::new();
        for seen in below {
            if seen.latency_us < best_us {
                best_us = seen.latency_us;
                steps.push(Step {
                    fewer: min_correct - seen.accuracy.correct,
                    gains: self.assignment(seen),
                    saves: 1.0 - seen.latency_us / found.latency_us,
                });
            }
        }
        steps
    }

    fn uniform(&self, level: Level, all: &Evaluated) -> Uniform {
        let certificate = &self.record.certificate;
        let asked = certificate.min_correct.unwrap_or(0);
        let limit = certificate.max_latency_us.unwrap_or(f64::INFINITY);
        let found = self.record.found.as_ref();
        Uniform {
            level,
            assignment: self.assignment(all),
            short_of: asked.saturating_sub(all.accuracy.correct),
            too_slow: all.latency_us > limit,
            slower: found.map(|found| all.latency_us / found.latency_us - 1.0),
        }
    }
}
