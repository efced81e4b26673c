//! Assignments in increasing predicted latency.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::problem::Problem;
use super::space::Space;

/// Iterates over all assignments that meet the stages' own thresholds and the constraints, in increasing predicted
/// latency; ties in the order of the picks, so the order is the same in every run.
///
/// A best-first branch and bound: stages are decided one after the other, and the open ones count with their fastest
/// choice and least rate. Bounds do not fall when a stage is decided, so whole assignments come out in order, whatever
/// rates depend on. Of siblings only the fastest that is left waits in the queue, so it holds at most two entries for
/// every decision taken (E. Lawler, "A procedure for computing the K best solutions", Management Science 18(7), 1972).
#[derive(Debug)]
pub struct Enumerate<'a> {
    space: Space<'a>,
    frontier: BinaryHeap<Reverse<Entry>>,
}

/// The choices for the stage after a prefix, by the bound that they give and by their order.
#[derive(Debug)]
struct Siblings {
    prefix: Vec<usize>,
    choices: Vec<(f64, usize)>,
}

#[derive(Debug)]
struct Entry {
    siblings: Rc<Siblings>,
    /// Position in their choices.
    rank: usize,
}

impl Entry {
    fn bound_us(&self) -> f64 {
        self.siblings.choices[self.rank].0
    }

    fn picks(&self) -> impl Iterator<Item = usize> + '_ {
        let last = self.siblings.choices[self.rank].1;
        self.siblings.prefix.iter().copied().chain([last])
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// A prefix comes before what begins with it.
    fn cmp(&self, other: &Self) -> Ordering {
        let bounds = self.bound_us().total_cmp(&other.bound_us());
        bounds.then_with(|| self.picks().cmp(other.picks()))
    }
}

impl<'a> Enumerate<'a> {
    /// The assignments of a valid problem.
    pub fn new(problem: &'a Problem) -> Self {
        let mut this = Self { space: Space::new(problem), frontier: BinaryHeap::new() };
        this.decide(Vec::new());
        this
    }

    /// The next assignment, leaving out all that begin with picks for which `covered(picks, bound_us)` holds.
    pub fn next_unless(
        &mut self,
        mut covered: impl FnMut(&[usize], f64) -> bool,
    ) -> Option<(Vec<usize>, f64)> {
        while let Some(Reverse(entry)) = self.frontier.pop() {
            let (picks, bound_us): (Vec<usize>, f64) = (entry.picks().collect(), entry.bound_us());
            self.push(entry.siblings, entry.rank + 1);
            if covered(&picks, bound_us) {
                continue;
            }
            if picks.len() == self.space.stages() {
                return Some((picks, bound_us));
            }
            self.decide(picks);
        }
        None
    }

    /// Queues the fastest choice for the stage after `prefix`.
    fn decide(&mut self, mut prefix: Vec<usize>) {
        let mut choices = Vec::new();
        for &pick in self.space.allowed(prefix.len()) {
            prefix.push(pick);
            if self.space.fits(&prefix) {
                choices.push((self.space.bound_us(&prefix), pick));
            }
            prefix.pop();
        }
        choices.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        self.push(Rc::new(Siblings { prefix, choices }), 0);
    }

    fn push(&mut self, siblings: Rc<Siblings>, rank: usize) {
        if rank < siblings.choices.len() {
            self.frontier.push(Reverse(Entry { siblings, rank }));
        }
    }
}

impl Iterator for Enumerate<'_> {
    /// Picks per stage, and the predicted latency in microseconds.
    type Item = (Vec<usize>, f64);

    fn next(&mut self) -> Option<Self::Item> {
        self.next_unless(|_, _| false)
    }
}
