//! What would have to be relaxed where no assignment meets all thresholds.

use super::enumerate::Enumerate;
use super::goal::Goal;
use super::outcome::{Evaluated, Relaxation};
use super::problem::{Constraints, Objective, Problem};
use super::solve::{Evaluate, Log, walk};
use super::space::Space;

/// What to relax where `goal` cannot be reached. Thresholds of stages first, then what the table alone excludes, then the
/// floor and the latency limit, for which more assignments are evaluated.
pub(super) fn relax<V: Evaluate>(
    log: &mut Log<'_, V>,
    goal: &Goal<'_>,
) -> Result<Vec<Relaxation>, V::Error> {
    let hopeless = hopeless_stages(log.problem, &log.space);
    if !hopeless.is_empty() {
        return Ok(hopeless);
    }
    let Some((_, fastest_us)) = Enumerate::new(log.problem).next() else {
        return Ok(vec![constraints(log.problem)]);
    };
    let mut all = Vec::new();
    let limit_us = goal.limit_us;
    let anywhere = Goal { limit_us: f64::INFINITY, ..*goal };
    if limit_us.is_finite() {
        let fastest = Goal { objective: Objective::MinLatency, ..anywhere };
        let found = walk(log, &fastest)?.best;
        all.extend(found.map(|best| Relaxation::Latency {
            needed_us: best.latency_us,
            limit_us,
            picks: best.picks,
        }));
    }
    let most_accurate = Goal { objective: Objective::MaxAccuracy, min_correct: 0, ..*goal };
    let min_correct = goal.min_correct;
    if fastest_us <= limit_us {
        let found = walk(log, &most_accurate)?.best;
        all.extend(found.map(|best| accuracy(best, min_correct)));
    } else if all.is_empty() {
        let found = walk(log, &Goal { limit_us: f64::INFINITY, ..most_accurate })?.best;
        all.extend(found.map(|best| both(best, min_correct, limit_us)));
    }
    Ok(all)
}

/// Stages none of whose choices is left.
pub(super) fn hopeless_stages(problem: &Problem, space: &Space<'_>) -> Vec<Relaxation> {
    let stages = problem.stages.iter().enumerate();
    stages
        .filter(|(index, _)| space.allowed(*index).is_empty())
        .map(|(index, stage)| Relaxation::Stage {
            stage: index,
            best: stage.choices.iter().filter_map(|choice| choice.accuracy).fold(0.0, f64::max),
            min_accuracy: stage.min_accuracy.unwrap_or_default(),
        })
        .collect()
}

/// Why the table leaves no assignment: limits on bytes, or stages that have no level in common.
pub(super) fn constraints(problem: &Problem) -> Relaxation {
    let groups = problem.constraints.same_level.clone();
    let constraints = Constraints { same_level: groups.clone(), ..Constraints::default() };
    let unlimited = Problem { constraints, ..problem.clone() };
    let Some((picks, _)) = Enumerate::new(&unlimited).next() else {
        return Relaxation::SameLevel { groups };
    };
    let choices = || problem.stages.iter().zip(&picks).map(|(stage, &pick)| &stage.choices[pick]);
    Relaxation::Bytes {
        model_bytes: choices().map(|choice| choice.model_bytes).sum(),
        memory_bytes: choices().filter_map(|choice| choice.memory_bytes).sum(),
        picks: picks.clone(),
    }
}

pub(super) fn accuracy(best: Evaluated, min_correct: u64) -> Relaxation {
    let Evaluated { picks, accuracy: best, .. } = best;
    let missing = min_correct.saturating_sub(best.correct);
    let points = 100.0 * missing as f64 / best.total as f64;
    Relaxation::Accuracy { best, min_correct, points, picks }
}

pub(super) fn both(best: Evaluated, min_correct: u64, limit_us: f64) -> Relaxation {
    let Evaluated { picks, accuracy: best, latency_us: needed_us, .. } = best;
    Relaxation::Both { best, min_correct, needed_us, limit_us, picks }
}
