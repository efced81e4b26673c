//! The best assignments of a table in order, under all constraints.
//!
//! Best first over the parts of the outermost chain. What the parts that are not decided can still do is known beforehand as
//! their trade-offs between latency and loss, from the last part backwards. Without further constraints that is exact, so only
//! what leads to an answer is followed (P. Hart, N. Nilsson, B. Raphael, "A formal basis for the heuristic determination of
//! minimum cost paths", IEEE Transactions on Systems Science and Cybernetics 4(2), 1968). Limits on bytes, shared levels and
//! rates that depend on other stages only make assignments worse or rule them out, so it remains a bound.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::super::compose::Composition;
use super::super::problem::{Objective, Problem, ProblemError};
use super::super::space::bytes;
use super::parts::{Partial, allowed, outermost};
use super::{Losses, Prediction, UNLIMITED, limit_ps, picoseconds};

/// Partial assignments that may be followed, and ways to run one part: 100 MiB of them for ten parts, 500 MiB for a hundred.
const MOST: usize = 1_000_000;

/// The best first, at most `count`.
pub(super) fn ranked(
    problem: &Problem,
    losses: &Losses,
    count: usize,
) -> Result<Vec<Prediction>, ProblemError> {
    let search = Search::new(problem, losses)?;
    let mut found = Vec::new();
    let mut open = BinaryHeap::new();
    search.follow(&Node::default(), &mut open);
    while let Some(Reverse((_, node))) = open.pop() {
        if found.len() == count {
            break;
        }
        match node.options.len() == search.parts.len() {
            true => found.push(Prediction::new(problem, losses, search.picks(&node))),
            false => search.follow(&node, &mut open),
        }
        if open.len() > MOST {
            return Err(ProblemError::TooMany(MOST));
        }
    }
    Ok(found)
}

/// What is minimized, and what decides where that is equal.
type Key = (u128, u64);

/// A partial assignment.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Node {
    /// Of the first parts, which of their options.
    options: Vec<u32>,
    loss: u64,
    /// Least latency in picoseconds of these parts, whatever levels the others have.
    latency_ps: u64,
}

/// A part of the chain.
struct Part<'a> {
    composition: &'a Composition,
    /// All ways to run it. Rates that depend on other parts are the least that they can become.
    options: Vec<Partial>,
    /// What this part and those after it can do, but for further constraints: latency and loss, the fastest first.
    rest: Vec<(u64, u64)>,
    /// Least bytes of files and of memory of this part and those after it.
    lightest: (u64, u64),
}

struct Search<'a> {
    problem: &'a Problem,
    parts: Vec<Part<'a>>,
    most_loss: u64,
    limit_ps: u64,
    /// Price of a loss of one in picoseconds, for the weighted objective.
    price_ps: u128,
}

impl<'a> Search<'a> {
    fn new(problem: &'a Problem, losses: &Losses) -> Result<Self, ProblemError> {
        let price_ps = match problem.objective {
            Objective::Weighted { accuracy_weight } => {
                let baseline_ps = 1e6 * problem.latency_us(&problem.baseline());
                (accuracy_weight * baseline_ps / losses.whole.max(1) as f64).round() as u128
            }
            _ => 0,
        };
        let mut this = Self {
            problem,
            parts: Vec::new(),
            most_loss: losses.most.unwrap_or(UNLIMITED),
            limit_ps: limit_ps(problem),
            price_ps,
        };
        let (mut rest, mut lightest) = (vec![(0, 0)], (0, 0));
        for composition in outermost(&problem.composition).into_iter().rev() {
            let options = options(problem, losses, composition)?;
            rest = this.combined(&options, &rest);
            let least = |of: fn((u64, u64)) -> u64| {
                options.iter().map(|option| of(this.bytes(&option.picks))).min().unwrap_or(0)
            };
            lightest = (lightest.0 + least(|both| both.0), lightest.1 + least(|both| both.1));
            this.parts.push(Part { composition, options, rest: rest.clone(), lightest });
        }
        this.parts.reverse();
        Ok(this)
    }

    /// The trade-offs of a part and what comes after it, within the limits.
    fn combined(&self, options: &[Partial], rest: &[(u64, u64)]) -> Vec<(u64, u64)> {
        let pairs = options.iter().flat_map(|option| {
            rest.iter()
                .map(|(latency_ps, loss)| (option.latency_ps + latency_ps, option.loss + loss))
        });
        let within = |&(latency_ps, loss): &(u64, u64)| {
            latency_ps <= self.limit_ps && loss <= self.most_loss
        };
        let mut all: Vec<(u64, u64)> = pairs.filter(within).collect();
        all.sort_unstable();
        let mut least = u64::MAX;
        all.retain(|&(_, loss)| {
            let better = loss < least;
            least = least.min(loss);
            better
        });
        all
    }

    /// Bytes of files and of memory.
    fn bytes(&self, picks: &[(usize, usize)]) -> (u64, u64) {
        let of =
            picks.iter().map(|&(stage, pick)| bytes(&self.problem.stages[stage].choices[pick]));
        of.fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1))
    }

    /// Queues the ways to run the part after those of `node`.
    fn follow(&self, node: &Node, open: &mut BinaryHeap<Reverse<(Key, Node)>>) {
        let depth = node.options.len();
        let nothing_left = [(0, 0)];
        let next = self.parts.get(depth + 1);
        let rest = next.map_or(&nothing_left[..], |next| &next.rest);
        for (index, option) in (0..).zip(&self.parts[depth].options) {
            let mut options = node.options.clone();
            options.push(index);
            let mut longer = Node {
                options,
                loss: node.loss + option.loss,
                latency_ps: node.latency_ps + option.latency_ps,
            };
            if self.problem.composition.has_dependent_rates() {
                longer.latency_ps = self.latency_ps(&longer);
            }
            if let Some(key) = self.bound(&longer, rest).filter(|_| self.fits(&longer)) {
                open.push(Reverse((key, longer)));
            }
        }
    }

    /// What assignments that begin with `node` can at best be; `None`: all exceed a limit.
    fn bound(&self, node: &Node, rest: &[(u64, u64)]) -> Option<Key> {
        let loss_left = self.most_loss.checked_sub(node.loss)?;
        let latency_left = self.limit_ps.checked_sub(node.latency_ps)?;
        let first = rest.partition_point(|&(_, loss)| loss > loss_left);
        let end = rest.partition_point(|&(latency_ps, _)| latency_ps <= latency_left);
        let within = rest.get(first..end)?;
        let key = |&(latency_ps, loss): &(u64, u64)| {
            self.key(node.latency_ps + latency_ps, node.loss + loss)
        };
        match self.problem.objective {
            Objective::MinLatency | Objective::ParetoFront => within.first().map(key),
            Objective::MaxAccuracy => within.last().map(key),
            Objective::Weighted { .. } => within.iter().map(key).min(),
        }
    }

    fn key(&self, latency_ps: u64, loss: u64) -> Key {
        match self.problem.objective {
            Objective::MinLatency | Objective::ParetoFront => (latency_ps.into(), loss),
            Objective::MaxAccuracy => (loss.into(), latency_ps),
            Objective::Weighted { .. } => {
                (u128::from(latency_ps) + self.price_ps * u128::from(loss), latency_ps)
            }
        }
    }

    /// (stage, choice) of the parts that are decided.
    fn decided(&self, node: &Node) -> impl Iterator<Item = (usize, usize)> {
        let parts = node.options.iter().zip(&self.parts);
        parts.flat_map(|(&option, part)| part.options[option as usize].picks.iter().copied())
    }

    fn picks(&self, node: &Node) -> Vec<usize> {
        let mut picks = vec![0; self.problem.stages.len()];
        self.decided(node).for_each(|(stage, pick)| picks[stage] = pick);
        picks
    }

    /// As `Node::latency_ps`, with the levels of all parts that are decided.
    fn latency_ps(&self, node: &Node) -> u64 {
        let decided: Vec<(usize, usize)> = self.decided(node).collect();
        let parts = self.parts.iter().take(node.options.len());
        parts.map(|part| latency_ps(self.problem, part.composition, &decided)).sum()
    }

    /// Whether assignments that begin with `node` can keep to the constraints.
    fn fits(&self, node: &Node) -> bool {
        let constraints = &self.problem.constraints;
        let decided: Vec<(usize, usize)> = self.decided(node).collect();
        let (files, memory) = self.bytes(&decided);
        let next = self.parts.get(node.options.len());
        let (more_files, more_memory) = next.map_or((0, 0), |next| next.lightest);
        let shares = |group: &Vec<usize>| {
            let mut levels = decided
                .iter()
                .filter(|(stage, _)| group.contains(stage))
                .map(|&(stage, pick)| self.problem.stages[stage].choices[pick].level);
            let first = levels.next();
            levels.all(|level| Some(level) == first)
        };
        constraints.max_model_bytes.is_none_or(|most| files + more_files <= most)
            && constraints.max_memory_bytes.is_none_or(|most| memory + more_memory <= most)
            && constraints.same_level.iter().all(shares)
    }
}

/// All ways to run a part, by the choices of its stages.
fn options(
    problem: &Problem,
    losses: &Losses,
    part: &Composition,
) -> Result<Vec<Partial>, ProblemError> {
    let mut all = vec![Vec::new()];
    for stage in part.stages() {
        let longer = |picks: &Vec<(usize, usize)>| {
            let picks = picks.clone();
            allowed(problem, stage).map(move |(pick, _)| [&picks[..], &[(stage, pick)]].concat())
        };
        all = all.iter().flat_map(longer).collect();
        if all.len() > MOST {
            return Err(ProblemError::TooMany(MOST));
        }
    }
    let option = |picks: Vec<(usize, usize)>| Partial {
        latency_ps: latency_ps(problem, part, &picks),
        loss: picks.iter().map(|&(stage, pick)| losses.by_choice[stage][pick]).sum(),
        picks,
    };
    Ok(all.into_iter().map(option).collect())
}

/// Latency of a part whose stages are all among those `decided`; the levels of others are open.
fn latency_ps(problem: &Problem, part: &Composition, decided: &[(usize, usize)]) -> u64 {
    let mut stage_us = vec![0.0; problem.stages.len()];
    let mut levels = vec![None; problem.stages.len()];
    for &(stage, pick) in decided {
        let choice = &problem.stages[stage].choices[pick];
        (stage_us[stage], levels[stage]) = (choice.latency_us, Some(choice.level));
    }
    picoseconds(part.latency_us(&stage_us, &|stage| levels[stage]))
}
