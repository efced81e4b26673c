//! Assignments in increasing predicted latency.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, HashSet};

use super::problem::Problem;

/// Iterates over all assignments in increasing predicted latency; ties in the order of the choices, so the order
/// is the same in every run.
///
/// The choices of each stage are sorted by latency. The pipeline's latency does not decrease when a stage gets
/// slower, so the assignments form a lattice whose order latency respects: a best-first walk from the fastest
/// choice of every stage, advancing one stage at a time, meets them in order and holds only the frontier
/// (E. Lawler, "A procedure for computing the K best solutions", Management Science 18(7), 1972).
#[derive(Debug)]
pub struct Enumerate<'a> {
    problem: &'a Problem,
    /// Per stage the allowed choices, fastest first.
    order: Vec<Vec<usize>>,
    frontier: BinaryHeap<Reverse<Entry>>,
    seen: HashSet<Vec<u16>>,
}

#[derive(Debug, PartialEq)]
struct Entry {
    latency_us: f64,
    /// Position in `order` per stage.
    ranks: Vec<u16>,
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.latency_us.total_cmp(&other.latency_us).then_with(|| self.ranks.cmp(&other.ranks))
    }
}

impl<'a> Enumerate<'a> {
    /// All assignments of a valid problem for which `allowed(stage, choice)` holds in every stage.
    pub fn new(problem: &'a Problem, allowed: impl Fn(usize, usize) -> bool) -> Self {
        let order: Vec<Vec<usize>> = problem
            .stages
            .iter()
            .enumerate()
            .map(|(index, stage)| {
                let mut picks: Vec<usize> =
                    (0..stage.choices.len()).filter(|&pick| allowed(index, pick)).collect();
                picks.sort_by(|&a, &b| {
                    stage.choices[a].latency_us.total_cmp(&stage.choices[b].latency_us)
                });
                picks
            })
            .collect();
        let mut this = Self { problem, order, frontier: BinaryHeap::new(), seen: HashSet::new() };
        if this.order.iter().all(|picks| !picks.is_empty()) {
            this.push(vec![0; this.order.len()]);
        }
        this
    }

    fn picks(&self, ranks: &[u16]) -> Vec<usize> {
        self.order.iter().zip(ranks).map(|(picks, &rank)| picks[usize::from(rank)]).collect()
    }

    fn push(&mut self, ranks: Vec<u16>) {
        if self.seen.insert(ranks.clone()) {
            let latency_us = self.problem.latency_us(&self.picks(&ranks));
            self.frontier.push(Reverse(Entry { latency_us, ranks }));
        }
    }
}

impl Iterator for Enumerate<'_> {
    /// Picks per stage, and the predicted latency in microseconds.
    type Item = (Vec<usize>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        let Reverse(Entry { latency_us, ranks }) = self.frontier.pop()?;
        for stage in 0..ranks.len() {
            if usize::from(ranks[stage]) + 1 < self.order[stage].len() {
                let mut next = ranks.clone();
                next[stage] += 1;
                self.push(next);
            }
        }
        // Every assignment is pushed before any successor of it is popped, so a popped one never returns.
        self.seen.remove(&ranks);
        Some((self.picks(&ranks), latency_us))
    }
}
