//! What the table proposes (guarantee `T`), checked end to end.
//!
//! A choice loses as many right answers as the pipeline has fewer with it, all other stages at their baseline; more right
//! answers count as no loss, so chance in one stage pays for nothing in another. Losses are taken to add up. That takes one
//! evaluation for each choice, and one for each assignment that is proposed.

use super::advice;
use super::enumerate::Enumerate;
use super::outcome::{Certificate, Evaluated, Guarantee, Infeasible, Outcome, Relaxation, Verdict};
use super::problem::{Accuracy, Objective, Problem, ProblemError};
use super::solve::{Evaluate, SolveError};
use super::space::Space;
use super::table::{Losses, Prediction, predict};
use serde::{Deserialize, Serialize};

/// An assignment that the table proposes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Right answers that it has if losses add up.
    pub predicted: u64,
    /// What it really has.
    pub evaluated: Evaluated,
}

/// What the table proposes, and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposals {
    /// The best first; of the trade-off the fastest.
    pub proposals: Vec<Proposal>,
    /// The answer: the first of them that meets the floor end to end.
    pub outcome: Outcome,
}

/// Proposes the `count` best assignments by the table, or the whole trade-off where that is asked for, and evaluates them.
///
/// # Errors
/// A problem that makes no sense, or an evaluation that failed.
pub fn solve_table<V: Evaluate>(
    problem: &Problem,
    evaluator: &mut V,
    count: usize,
) -> Result<Proposals, SolveError<V::Error>> {
    problem.validate()?;
    let space = Space::new(problem);
    let mut measured = Measured { problem, evaluator, trace: Vec::new() };
    let baseline = measured.evaluate(problem.baseline()).map_err(SolveError::Evaluate)?;
    let min_correct = problem.floor.map(|floor| floor.min_correct(baseline.accuracy));
    let spare = min_correct
        .map_or(Some(None), |least| baseline.accuracy.correct.checked_sub(least).map(Some));
    let mut losses = measured.losses(&space, &baseline).map_err(SolveError::Evaluate)?;
    let mut proposals = Vec::new();
    // A floor above the baseline is out of reach where nothing gains.
    if let Some(most) = spare {
        losses.most = most;
        for prediction in predict(problem, &losses, count)? {
            let predicted = baseline.accuracy.correct.saturating_sub(prediction.loss);
            let evaluated = measured.evaluate(prediction.picks).map_err(SolveError::Evaluate)?;
            proposals.push(Proposal { predicted, evaluated });
        }
    }
    let passes = |proposal: &&Proposal| {
        min_correct.is_none_or(|least| proposal.evaluated.accuracy.correct >= least)
    };
    let verdict = match proposals.iter().find(passes) {
        Some(first) => Verdict::Found(first.evaluated.clone()),
        None if proposals.is_empty() => {
            let least = min_correct.unwrap_or_default();
            let table =
                Table { problem, losses: Losses { most: None, ..losses }, baseline: &baseline };
            Verdict::Infeasible(Infeasible { relax: table.relax(&space, least)? })
        }
        None => Verdict::Infeasible(Infeasible { relax: Vec::new() }),
    };
    let certificate = Certificate {
        guarantee: Guarantee::Table,
        min_correct,
        max_latency_us: problem.max_latency_us,
        excluded: space.excluded(),
        witnesses: Vec::new(),
        covered_to_us: 0.0,
        monotone_margin: None,
        audits: Vec::new(),
        bounds: Vec::new(),
    };
    let (trace, progress, front) = (measured.trace, Vec::new(), Vec::new());
    let outcome = Outcome { verdict, front, baseline, trace, progress, certificate };
    Ok(Proposals { proposals, outcome })
}

/// Evaluates assignments on all samples, nothing twice.
struct Measured<'a, V> {
    problem: &'a Problem,
    evaluator: &'a mut V,
    trace: Vec<Evaluated>,
}

impl<V: Evaluate> Measured<'_, V> {
    fn evaluate(&mut self, picks: Vec<usize>) -> Result<Evaluated, V::Error> {
        if let Some(known) = self.trace.iter().find(|seen| seen.picks == picks) {
            return Ok(known.clone());
        }
        let answers = self.evaluator.answers(&picks, None)?;
        let evaluated = Evaluated::whole(self.problem, picks, &answers);
        self.trace.push(evaluated.clone());
        Ok(evaluated)
    }

    /// What each choice loses alone. Those that their stage's own threshold excludes are not evaluated.
    fn losses(&mut self, space: &Space<'_>, baseline: &Evaluated) -> Result<Losses, V::Error> {
        let Accuracy { correct, total: whole } = baseline.accuracy;
        let mut by_choice = Vec::new();
        for (stage, choices) in self.problem.stages.iter().enumerate() {
            let mut row = vec![whole; choices.choices.len()];
            for &pick in space.allowed(stage) {
                let mut alone = baseline.picks.clone();
                alone[stage] = pick;
                row[pick] = correct.saturating_sub(self.evaluate(alone)?.accuracy.correct);
            }
            by_choice.push(row);
        }
        Ok(Losses { by_choice, most: None, whole })
    }
}

/// The table with what choices lose.
struct Table<'a> {
    problem: &'a Problem,
    losses: Losses,
    baseline: &'a Evaluated,
}

impl Table<'_> {
    /// What to relax, going by the table, where `min_correct` right answers cannot be reached.
    fn relax(&self, space: &Space<'_>, min_correct: u64) -> Result<Vec<Relaxation>, ProblemError> {
        let hopeless = advice::hopeless_stages(self.problem, space);
        if !hopeless.is_empty() {
            return Ok(hopeless);
        }
        let Some((_, fastest_us)) = Enumerate::new(self.problem).next() else {
            return Ok(vec![advice::constraints(self.problem)]);
        };
        let most = self.baseline.accuracy.correct.checked_sub(min_correct);
        let limit_us = self.problem.max_latency_us;
        let fastest = match (most, limit_us) {
            (Some(_), Some(_)) => self.best(Objective::MinLatency, most, f64::INFINITY)?,
            _ => None,
        };
        let mut all = Vec::new();
        if let (Some(fastest), Some(limit_us)) = (fastest, limit_us) {
            let (needed_us, picks) = (fastest.latency_us, fastest.picks);
            all.push(Relaxation::Latency { needed_us, limit_us, picks });
        }
        let limit_us = limit_us.unwrap_or(f64::INFINITY);
        if fastest_us <= limit_us {
            let best = self.best(Objective::MaxAccuracy, None, limit_us)?;
            all.extend(best.map(|best| advice::accuracy(best, min_correct)));
        } else if all.is_empty() {
            let best = self.best(Objective::MaxAccuracy, None, f64::INFINITY)?;
            all.extend(best.map(|best| advice::both(best, min_correct, limit_us)));
        }
        Ok(all)
    }

    /// The best assignment by another question, with the accuracy that the table predicts.
    fn best(
        &self,
        objective: Objective,
        most: Option<u64>,
        limit_us: f64,
    ) -> Result<Option<Evaluated>, ProblemError> {
        let problem = Problem { objective, max_latency_us: Some(limit_us), ..self.problem.clone() };
        let losses = Losses { most, ..self.losses.clone() };
        let best = predict(&problem, &losses, 1)?.pop();
        Ok(best.map(|Prediction { picks, latency_us, loss }| {
            let Accuracy { correct, total } = self.baseline.accuracy;
            let correct = correct.saturating_sub(loss);
            let accuracy = Accuracy { correct, total };
            Evaluated { picks, latency_us, accuracy, at_most: correct, answers: String::new() }
        }))
    }
}
