//! The parts of a composition's outermost chain, and the ways to run them.

use super::super::compose::Composition;
use super::super::problem::{Choice, Problem};
use super::super::space::meets;
use super::{Losses, picoseconds};

/// A way to run a part of the pipeline.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) latency_ps: u64,
    pub(super) loss: u64,
    /// (stage, choice).
    pub(super) picks: Vec<(usize, usize)>,
}

/// What runs one after the other.
pub(super) fn outermost(composition: &Composition) -> Vec<&Composition> {
    match composition {
        Composition::Chain(inner) => inner.iter().flat_map(outermost).collect(),
        Composition::Stage { .. } | Composition::Parallel(_) => vec![composition],
    }
}

/// The ways to run a part that no other beats in both latency and loss, fastest first.
pub(super) fn trade_offs(problem: &Problem, losses: &Losses, part: &Composition) -> Vec<Partial> {
    let combine = |inner: &[Composition], together: fn(u64, u64) -> u64| {
        let nothing = vec![Partial { latency_ps: 0, loss: 0, picks: Vec::new() }];
        inner.iter().map(|part| trade_offs(problem, losses, part)).fold(nothing, |all, more| {
            let pair = |a: &Partial, b: &Partial| Partial {
                latency_ps: together(a.latency_ps, b.latency_ps),
                loss: a.loss + b.loss,
                picks: [&a.picks[..], &b.picks].concat(),
            };
            front(all.iter().flat_map(|a| more.iter().map(move |b| pair(a, b))).collect())
        })
    };
    match part {
        &Composition::Stage { stage, rate, .. } => {
            let option = |(pick, choice): (usize, &Choice)| Partial {
                latency_ps: picoseconds(choice.latency_us * rate),
                loss: losses.by_choice[stage][pick],
                picks: vec![(stage, pick)],
            };
            front(allowed(problem, stage).map(option).collect())
        }
        Composition::Chain(inner) => combine(inner, |a, b| a + b),
        Composition::Parallel(inner) => combine(inner, u64::max),
    }
}

/// The choices of a stage that meet its own threshold.
pub(super) fn allowed(problem: &Problem, stage: usize) -> impl Iterator<Item = (usize, &Choice)> {
    let of = &problem.stages[stage];
    of.choices.iter().enumerate().filter(|(_, choice)| meets(of.min_accuracy, choice))
}

/// Those that no other beats in both latency and loss, fastest first.
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
