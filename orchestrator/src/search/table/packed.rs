//! The best assignment of a table as a multiple-choice knapsack: the parts of the outermost chain are the classes. A part
//! with branches is first replaced by its trade-offs between latency and loss, of which it has few: its latency is that of one
//! of its branches.

use super::super::knapsack::{Item, minimize};
use super::super::problem::Problem;
use super::parts::{Partial, outermost, trade_offs};
use super::{Losses, Prediction, UNLIMITED, limit_ps};

/// The fastest assignment, of equally fast ones one of least loss.
pub(super) fn fastest(problem: &Problem, losses: &Losses) -> Option<Prediction> {
    let parts = parts(problem, losses);
    let most = losses.most.unwrap_or(UNLIMITED);
    let (_, latency_ps) = solve(&parts, most, |option| (option.loss, option.latency_ps))?;
    if latency_ps > limit_ps(problem) {
        return None;
    }
    let least_loss = solve(&parts, latency_ps, |option| (option.latency_ps, option.loss))?;
    Some(prediction(problem, losses, &least_loss.0))
}

/// The assignment of least loss, of equal ones one of the fastest.
pub(super) fn most_accurate(problem: &Problem, losses: &Losses) -> Option<Prediction> {
    let parts = parts(problem, losses);
    let (_, least) = solve(&parts, limit_ps(problem), |option| (option.latency_ps, option.loss))?;
    if losses.most.is_some_and(|most| least > most) {
        return None;
    }
    let fastest = solve(&parts, least, |option| (option.loss, option.latency_ps))?;
    Some(prediction(problem, losses, &fastest.0))
}

fn parts(problem: &Problem, losses: &Losses) -> Vec<Vec<Partial>> {
    let options = |part| trade_offs(problem, losses, part);
    outermost(&problem.composition).into_iter().map(options).collect()
}

/// The best of `parts` with weights up to `capacity`: its options, and its cost.
fn solve(
    parts: &[Vec<Partial>],
    capacity: u64,
    weight_and_cost: impl Fn(&Partial) -> (u64, u64),
) -> Option<(Vec<&Partial>, u64)> {
    let item = |option: &Partial| {
        let (weight, cost) = weight_and_cost(option);
        Item { weight, cost }
    };
    let classes: Vec<Vec<Item>> =
        parts.iter().map(|options| options.iter().map(item).collect()).collect();
    let packing = minimize(&classes, capacity)?;
    let picked = parts.iter().zip(&packing.picks);
    Some((picked.map(|(options, &pick)| &options[pick]).collect(), packing.cost))
}

fn prediction(problem: &Problem, losses: &Losses, options: &[&Partial]) -> Prediction {
    let mut picks = vec![0; problem.stages.len()];
    for &(stage, choice) in options.iter().flat_map(|option| &option.picks) {
        picks[stage] = choice;
    }
    Prediction::new(problem, losses, picks)
}
