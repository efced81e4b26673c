//! Proposes assignments in order of latency, evaluates them, and stops when nothing can be better.

use std::collections::HashMap;

use super::enumerate::Enumerate;
use super::outcome::{Certificate, Evaluated, Guarantee, Infeasible, Outcome, Relaxation, Verdict};
use super::problem::{Accuracy, Objective, Problem, ProblemError};

/// A search that could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum SolveError<E> {
    /// The problem makes no sense.
    #[error(transparent)]
    Problem(#[from] ProblemError),
    /// An evaluation failed.
    #[error("failed to evaluate an assignment")]
    Evaluate(#[source] E),
}

/// Solves `problem`. `evaluate` measures the end-to-end accuracy of an assignment given as one choice per stage;
/// it is called at most once per assignment, the baseline first.
pub fn solve<E>(
    problem: &Problem,
    evaluate: impl FnMut(&[usize]) -> Result<Accuracy, E>,
) -> Result<Outcome, SolveError<E>> {
    problem.validate()?;
    let mut log = Log { problem, evaluate, trace: Vec::new(), known: HashMap::new() };
    let baseline = log.evaluate(&problem.baseline()).map_err(SolveError::Evaluate)?;
    let min_correct = problem.floor.map(|floor| floor.min_correct(baseline.accuracy));
    let excluded = excluded(problem);
    let hopeless = hopeless_stages(problem, &excluded);
    let walk = if hopeless.is_empty() {
        Walk::run(&mut log, &baseline, min_correct, &excluded).map_err(SolveError::Evaluate)?
    } else {
        Walk { relax: hopeless, covered_to_us: f64::INFINITY, ..Walk::default() }
    };
    let mut witnesses: Vec<Evaluated> =
        log.trace.iter().filter(|seen| walk.best.as_ref() != Some(seen)).cloned().collect();
    witnesses
        .sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us).then_with(|| a.picks.cmp(&b.picks)));
    let certificate = Certificate {
        guarantee: if walk.ran_out { Guarantee::Incomplete } else { Guarantee::AssumptionFree },
        min_correct,
        max_latency_us: problem.max_latency_us,
        excluded,
        witnesses,
        covered_to_us: walk.covered_to_us,
    };
    let verdict = match walk.best {
        Some(best) => Verdict::Found(best),
        None => Verdict::Infeasible(Infeasible { relax: walk.relax }),
    };
    Ok(Outcome { verdict, baseline, trace: log.trace, certificate })
}

/// Choices below their stage's own threshold, as (stage, choice). A choice that was never measured alone stays.
fn excluded(problem: &Problem) -> Vec<(usize, usize)> {
    let below = |minimum: Option<f64>, accuracy: Option<f64>| {
        minimum.zip(accuracy).is_some_and(|(minimum, accuracy)| accuracy < minimum)
    };
    let stages = problem.stages.iter().enumerate();
    stages
        .flat_map(|(index, stage)| {
            let choices = stage.choices.iter().enumerate();
            choices
                .filter(|(_, choice)| below(stage.min_accuracy, choice.accuracy))
                .map(move |(pick, _)| (index, pick))
        })
        .collect()
}

/// Stages none of whose choices is left.
fn hopeless_stages(problem: &Problem, excluded: &[(usize, usize)]) -> Vec<Relaxation> {
    let stages = problem.stages.iter().enumerate();
    stages
        .filter(|(index, stage)| {
            (0..stage.choices.len()).all(|pick| excluded.contains(&(*index, pick)))
        })
        .map(|(index, stage)| Relaxation::Stage {
            stage: index,
            best: stage.choices.iter().filter_map(|choice| choice.accuracy).fold(0.0, f64::max),
            min_accuracy: stage.min_accuracy.unwrap_or_default(),
        })
        .collect()
}

/// Remembers every evaluation.
struct Log<'a, F> {
    problem: &'a Problem,
    evaluate: F,
    trace: Vec<Evaluated>,
    known: HashMap<Vec<usize>, usize>,
}

impl<E, F: FnMut(&[usize]) -> Result<Accuracy, E>> Log<'_, F> {
    fn evaluate(&mut self, picks: &[usize]) -> Result<Evaluated, E> {
        if let Some(&index) = self.known.get(picks) {
            return Ok(self.trace[index].clone());
        }
        let accuracy = (self.evaluate)(picks)?;
        let latency_us = self.problem.latency_us(picks);
        let evaluated = Evaluated { picks: picks.to_vec(), latency_us, accuracy };
        self.known.insert(picks.to_vec(), self.trace.len());
        self.trace.push(evaluated.clone());
        Ok(evaluated)
    }

    fn may_evaluate(&self, picks: &[usize]) -> bool {
        let spent = self.trace.len();
        self.known.contains_key(picks)
            || self.problem.max_evaluations.is_none_or(|most| spent < most)
    }
}

/// The state of one walk over the assignments in increasing latency.
#[derive(Default)]
struct Walk {
    best: Option<Evaluated>,
    relax: Vec<Relaxation>,
    covered_to_us: f64,
    ran_out: bool,
}

impl Walk {
    fn run<E, F: FnMut(&[usize]) -> Result<Accuracy, E>>(
        log: &mut Log<'_, F>,
        baseline: &Evaluated,
        min_correct: Option<u64>,
        excluded: &[(usize, usize)],
    ) -> Result<Self, E> {
        let problem = log.problem;
        let mut walk = Self::default();
        // The most accurate whatever the floor, within the limit and anywhere: they tell how much to relax.
        let mut most_accurate: Option<Evaluated> = None;
        let mut anywhere: Option<Evaluated> = None;
        let limit_us = problem.max_latency_us.unwrap_or(f64::INFINITY);
        let assignments = Enumerate::new(problem, |stage, pick| !excluded.contains(&(stage, pick)));
        for (picks, latency_us) in assignments {
            let beyond = latency_us > limit_us;
            let done = match &walk.best {
                Some(best) => beyond || cannot_improve(problem, baseline, best, latency_us),
                // Beyond the limit the walk goes on only to tell by how much to relax it.
                None => false,
            };
            if done {
                break;
            }
            if !log.may_evaluate(&picks) {
                walk.ran_out = true;
                break;
            }
            let candidate = log.evaluate(&picks)?;
            walk.covered_to_us = latency_us;
            keep_most_accurate(&mut anywhere, &candidate);
            let passes = min_correct.is_none_or(|least| candidate.accuracy.correct >= least);
            if beyond {
                if passes {
                    let needed_us = candidate.latency_us;
                    walk.relax.push(Relaxation::Latency { needed_us, limit_us, picks });
                    break;
                }
                continue;
            }
            keep_most_accurate(&mut most_accurate, &candidate);
            if passes && walk.best.as_ref().is_none_or(|b| better(problem, baseline, &candidate, b))
            {
                walk.best = Some(candidate);
            }
        }
        if walk.ran_out && walk.best.is_none() {
            walk.best = fastest_that_passes(log, min_correct, excluded);
        }
        if walk.best.is_none() {
            walk.relax.extend(match (most_accurate, anywhere, min_correct) {
                (Some(best), _, Some(min_correct)) => Some(relax_accuracy(best, min_correct)),
                (None, Some(best), Some(min_correct)) if walk.relax.is_empty() => {
                    Some(relax_both(best, min_correct, limit_us))
                }
                _ => None,
            });
        }
        Ok(walk)
    }
}

/// Of what was evaluated: when the evaluations run out early, that may be the baseline.
fn fastest_that_passes<F>(
    log: &Log<'_, F>,
    min_correct: Option<u64>,
    excluded: &[(usize, usize)],
) -> Option<Evaluated> {
    let limit_us = log.problem.max_latency_us.unwrap_or(f64::INFINITY);
    let passes = |seen: &&Evaluated| {
        seen.latency_us <= limit_us
            && min_correct.is_none_or(|least| seen.accuracy.correct >= least)
            && !seen
                .picks
                .iter()
                .enumerate()
                .any(|(stage, &pick)| excluded.contains(&(stage, pick)))
    };
    let passing = log.trace.iter().filter(passes);
    passing.min_by(|a, b| a.latency_us.total_cmp(&b.latency_us)).cloned()
}

fn keep_most_accurate(best: &mut Option<Evaluated>, candidate: &Evaluated) {
    if best.as_ref().is_none_or(|best| candidate.accuracy.correct > best.accuracy.correct) {
        *best = Some(candidate.clone());
    }
}

fn relax_accuracy(best: Evaluated, min_correct: u64) -> Relaxation {
    let Evaluated { picks, accuracy: best, .. } = best;
    let missing = min_correct.saturating_sub(best.correct);
    let points = 100.0 * missing as f64 / best.total as f64;
    Relaxation::Accuracy { best, min_correct, points, picks }
}

fn relax_both(best: Evaluated, min_correct: u64, limit_us: f64) -> Relaxation {
    let Evaluated { picks, accuracy: best, latency_us: needed_us } = best;
    Relaxation::Both { best, min_correct, needed_us, limit_us, picks }
}

/// The weighted objective: smaller is better.
fn score(weight: f64, baseline: &Evaluated, latency_us: f64, accuracy: f64) -> f64 {
    latency_us / baseline.latency_us + weight * (baseline.accuracy.value() - accuracy)
}

fn better(problem: &Problem, baseline: &Evaluated, new: &Evaluated, old: &Evaluated) -> bool {
    match problem.objective {
        // Candidates come in increasing latency: the first that passes is the fastest.
        Objective::MinLatency => false,
        Objective::MaxAccuracy => new.accuracy.correct > old.accuracy.correct,
        Objective::Weighted { accuracy_weight: weight } => {
            let of = |e: &Evaluated| score(weight, baseline, e.latency_us, e.accuracy.value());
            of(new) < of(old)
        }
    }
}

/// Whether no assignment of at least `latency_us` can be better than `best`, whatever its accuracy.
fn cannot_improve(
    problem: &Problem,
    baseline: &Evaluated,
    best: &Evaluated,
    latency_us: f64,
) -> bool {
    match problem.objective {
        Objective::MinLatency => true,
        Objective::MaxAccuracy => best.accuracy.correct == best.accuracy.total,
        Objective::Weighted { accuracy_weight: weight } => {
            let perfect = score(weight, baseline, latency_us, 1.0);
            perfect >= score(weight, baseline, best.latency_us, best.accuracy.value())
        }
    }
}
