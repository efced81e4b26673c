//! Exact on the table alone (guarantee `T`): each choice has a latency and a predicted loss of accuracy, and losses
//! add. No assignment is evaluated.
//!
//! The composition becomes a multiple-choice knapsack: the parts of its outermost chain are the classes. A part with
//! branches is first replaced by its trade-offs between latency and loss, of which it has few: its latency is that
//! of one of its branches.

use super::compose::Composition;
use super::knapsack::{Item, minimize};
use super::problem::{Constraints, Problem, ProblemError};

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

/// The fastest assignment that loses at most `max_loss` and meets the stages' own thresholds and the latency limit;
/// of equally fast ones one of least loss. `loss` has one row per stage with one value per choice, in any whole unit.
///
/// # Errors
/// A problem that makes no sense.
pub fn fastest_predicted(
    problem: &Problem,
    loss: &[Vec<u64>],
    max_loss: u64,
) -> Result<Option<Prediction>, ProblemError> {
    let parts = parts(problem, loss)?;
    let by_latency = solve(&parts, max_loss, |option| (option.loss, option.latency_ps));
    let Some((_, latency_ps)) = by_latency else { return Ok(None) };
    if limit_ps(problem).is_some_and(|limit| latency_ps > limit) {
        return Ok(None);
    }
    let least_loss = solve(&parts, latency_ps, |option| (option.latency_ps, option.loss));
    Ok(least_loss.map(|(options, _)| prediction(problem, loss, &options)))
}

/// The assignment of least loss within the latency limit that meets the stages' own thresholds; of equal ones one of
/// the fastest.
///
/// # Errors
/// A problem that makes no sense.
pub fn most_accurate_predicted(
    problem: &Problem,
    loss: &[Vec<u64>],
) -> Result<Option<Prediction>, ProblemError> {
    let parts = parts(problem, loss)?;
    let limit = limit_ps(problem).unwrap_or(u64::MAX / 2);
    let by_loss = solve(&parts, limit, |option| (option.latency_ps, option.loss));
    let Some((_, least)) = by_loss else { return Ok(None) };
    let fastest = solve(&parts, least, |option| (option.loss, option.latency_ps));
    Ok(fastest.map(|(options, _)| prediction(problem, loss, &options)))
}

/// A way to run a part of the pipeline.
#[derive(Clone, Debug)]
struct Partial {
    latency_ps: u64,
    loss: u64,
    /// (stage, choice).
    picks: Vec<(usize, usize)>,
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

fn prediction(problem: &Problem, loss: &[Vec<u64>], options: &[&Partial]) -> Prediction {
    let mut picks = vec![0; problem.stages.len()];
    for &(stage, choice) in options.iter().flat_map(|option| &option.picks) {
        picks[stage] = choice;
    }
    let latency_us = problem.latency_us(&picks);
    let loss = loss.iter().zip(&picks).map(|(of, &pick)| of[pick]).sum();
    Prediction { picks, latency_us, loss }
}

/// The options of each part of the outermost chain.
fn parts(problem: &Problem, loss: &[Vec<u64>]) -> Result<Vec<Vec<Partial>>, ProblemError> {
    problem.validate()?;
    if problem.constraints != Constraints::default() {
        return Err(ProblemError::NotInTable("what bytes and shared levels leave"));
    }
    if problem.composition.has_dependent_rates() {
        return Err(ProblemError::NotInTable("a rate that depends on another stage's level"));
    }
    for (index, stage) in problem.stages.iter().enumerate() {
        if loss.get(index).is_none_or(|row| row.len() != stage.choices.len()) {
            return Err(ProblemError::NoChoices(format!("the loss of stage {}", stage.name)));
        }
    }
    let mut all = Vec::new();
    flatten(problem, loss, &problem.composition, &mut all);
    Ok(all)
}

fn flatten(
    problem: &Problem,
    loss: &[Vec<u64>],
    composition: &Composition,
    into: &mut Vec<Vec<Partial>>,
) {
    match composition {
        Composition::Chain(inner) => {
            inner.iter().for_each(|part| flatten(problem, loss, part, into));
        }
        Composition::Stage { .. } | Composition::Parallel(_) => {
            into.push(options(problem, loss, composition));
        }
    }
}

/// The ways to run a part that no other beats in both latency and loss, fastest first.
fn options(problem: &Problem, loss: &[Vec<u64>], composition: &Composition) -> Vec<Partial> {
    let combine = |inner: &[Composition], together: fn(u64, u64) -> u64| {
        let nothing = vec![Partial { latency_ps: 0, loss: 0, picks: Vec::new() }];
        inner.iter().map(|part| options(problem, loss, part)).fold(nothing, |all, more| {
            let pair = |a: &Partial, b: &Partial| Partial {
                latency_ps: together(a.latency_ps, b.latency_ps),
                loss: a.loss + b.loss,
                picks: [&a.picks[..], &b.picks].concat(),
            };
            front(all.iter().flat_map(|a| more.iter().map(move |b| pair(a, b))).collect())
        })
    };
    match composition {
        &Composition::Stage { stage, rate, .. } => {
            let of = &problem.stages[stage];
            let allowed = of.choices.iter().enumerate().filter(|(_, choice)| {
                choice.accuracy.zip(of.min_accuracy).is_none_or(|(is, least)| is >= least)
            });
            let option = |(pick, choice): (usize, &super::Choice)| Partial {
                latency_ps: picoseconds(choice.latency_us * rate),
                loss: loss[stage][pick],
                picks: vec![(stage, pick)],
            };
            front(allowed.map(option).collect())
        }
        Composition::Chain(inner) => combine(inner, |a, b| a + b),
        Composition::Parallel(inner) => combine(inner, u64::max),
    }
}

fn front(mut options: Vec<Partial>) -> Vec<Partial> {
    options.sort_by(|a, b| (a.latency_ps, a.loss, &a.picks).cmp(&(b.latency_ps, b.loss, &b.picks)));
    let mut least = None;
    options.retain(|option| {
        let better = least.is_none_or(|least| option.loss < least);
        if better {
            least = Some(option.loss);
        }
        better
    });
    options
}

fn limit_ps(problem: &Problem) -> Option<u64> {
    problem.max_latency_us.map(picoseconds)
}

/// Whole picoseconds, so that sums do not depend on their order.
fn picoseconds(us: f64) -> u64 {
    (us * 1e6).round() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree as _;

    use super::super::instance::{Instance, instance};
    use super::*;

    fn without_dependence(part: &mut Composition) {
        match part {
            Composition::Stage { by, .. } => *by = None,
            Composition::Chain(parts) | Composition::Parallel(parts) => {
                parts.iter_mut().for_each(without_dependence);
            }
        }
    }

    #[test]
    fn what_the_table_cannot_tell_is_refused() {
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let mut problem = instance().new_tree(&mut runner).unwrap().current().problem;
        problem.constraints.max_model_bytes = Some(5);
        let refused = most_accurate_predicted(&problem, &[]);
        assert!(matches!(refused, Err(ProblemError::NotInTable(_))), "{refused:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn predictions_are_as_good_as_brute_force(
            instance in instance(),
            losses in prop::collection::vec(0..9_u64, 16),
            max_loss in 0..20_u64,
        ) {
            let mut problem = Instance { correct: vec![20; instance.correct.len()], ..instance };
            problem.problem.constraints = Constraints::default();
            without_dependence(&mut problem.problem.composition);
            let problem = &problem;
            let loss: Vec<Vec<u64>> = problem.problem.stages.iter().enumerate().map(|(index, stage)| {
                (0..stage.choices.len()).map(|pick| losses[(4 * index + pick) % 16]).collect()
            }).collect();
            let loss_of = |picks: &[usize]| -> u64 {
                loss.iter().zip(picks).map(|(row, &pick)| row[pick]).sum()
            };
            let feasible = problem.feasible();
            let all = feasible.iter().map(|e| (e.latency_us, loss_of(&e.picks)));
            let fastest = fastest_predicted(&problem.problem, &loss, max_loss).unwrap();
            let want = all.clone().filter(|(_, loss)| *loss <= max_loss);
            let want = want.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            prop_assert_eq!(fastest.map(|p| (p.latency_us, p.loss)), want);
            let best = most_accurate_predicted(&problem.problem, &loss).unwrap();
            let want = all.min_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)));
            prop_assert_eq!(best.map(|p| (p.latency_us, p.loss)), want);
        }
    }
}
