//! Exact on the table alone (guarantee `T`): each choice has a latency and a predicted loss of right answers, and losses
//! add up. No assignment is evaluated.
//!
//! The best assignment of a table without further constraints is a multiple-choice knapsack (`packed`). All else is found
//! best first (`ranked`): the next best ones, what constraints leave, rates that depend on other stages' levels.

mod packed;
mod parts;
mod ranked;
#[cfg(test)]
mod tests;

use super::problem::{Constraints, Objective, Problem, ProblemError};

/// An assignment, going by the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Prediction {
    /// Choice per stage.
    pub picks: Vec<usize>,
    /// Predicted latency in microseconds.
    pub latency_us: f64,
    /// Sum of the losses.
    pub loss: u64,
}

impl Prediction {
    fn new(problem: &Problem, losses: &Losses, picks: Vec<usize>) -> Self {
        let latency_us = problem.latency_us(&picks);
        let loss = losses.by_choice.iter().zip(&picks).map(|(of, &pick)| of[pick]).sum();
        Self { picks, latency_us, loss }
    }
}

/// What choices lose, in right answers or any other whole unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Losses {
    /// One row for each stage with a value for each choice.
    pub by_choice: Vec<Vec<u64>>,
    /// The most that an assignment may lose; `None`: anything.
    pub most: Option<u64>,
    /// What the weighted objective takes as all of the accuracy: the number of samples.
    pub whole: u64,
}

/// The best assignments by the objective of `problem`, at most `count`, the best first: those that lose no more than they may,
/// and meet the stages' own thresholds, the latency limit and the constraints. The problem's floor is not looked at. Of
/// equally fast ones those that lose least come first, and of those that lose as much the fastest. Of the trade-off all of
/// it, the fastest first, whatever `count` says.
///
/// # Errors
/// A problem that makes no sense, or one of which too many assignments would have to be looked at.
pub fn predict(
    problem: &Problem,
    losses: &Losses,
    count: usize,
) -> Result<Vec<Prediction>, ProblemError> {
    problem.validate()?;
    for (index, stage) in problem.stages.iter().enumerate() {
        if losses.by_choice.get(index).is_none_or(|row| row.len() != stage.choices.len()) {
            return Err(ProblemError::NoChoices(format!("the loss of stage {}", stage.name)));
        }
    }
    if problem.objective != Objective::ParetoFront {
        return best(problem, losses, count);
    }
    let fastest = Problem { objective: Objective::MinLatency, ..problem.clone() };
    let mut left = losses.clone();
    let mut front: Vec<Prediction> = Vec::new();
    while let Some(next) = best(&fastest, &left, 1)?.pop() {
        left.most = next.loss.checked_sub(1);
        front.push(next);
        if left.most.is_none() {
            break;
        }
    }
    Ok(front)
}

fn best(problem: &Problem, losses: &Losses, count: usize) -> Result<Vec<Prediction>, ProblemError> {
    let is_plain =
        problem.constraints == Constraints::default() && !problem.composition.has_dependent_rates();
    match problem.objective {
        Objective::MinLatency if is_plain && count == 1 => {
            Ok(packed::fastest(problem, losses).into_iter().collect())
        }
        Objective::MaxAccuracy if is_plain && count == 1 => {
            Ok(packed::most_accurate(problem, losses).into_iter().collect())
        }
        _ => ranked::ranked(problem, losses, count),
    }
}

/// More than any sum of latencies or losses.
const UNLIMITED: u64 = u64::MAX / 2;

fn limit_ps(problem: &Problem) -> u64 {
    problem.max_latency_us.map_or(UNLIMITED, |limit| picoseconds(limit).min(UNLIMITED))
}

/// Whole picoseconds, so that sums do not depend on their order.
fn picoseconds(us: f64) -> u64 {
    (us * 1e6).round() as u64
}
