//! The best packing known, and better ones near it: up to four classes exchange their items.

use super::class::{Class, Relaxation};
use super::{Item, Packing};

/// Rounds of exchanges of three and four classes, each of which looks at all pairs of exchanges.
const ROUNDS: usize = 8;

/// The best packing known.
#[derive(Clone, Debug)]
pub(super) struct Incumbent {
    /// Item and the caller's index of it, by the caller's index of the class.
    picked: Vec<(Item, usize)>,
    capacity: u64,
    weight: u64,
    pub(super) cost: u64,
}

impl Incumbent {
    /// The relaxation rounded: steps are taken in its order, as far as they fit. `None` where the lightest items do not.
    pub(super) fn greedy(
        classes: &[Class],
        relaxation: &Relaxation,
        capacity: u64,
    ) -> Option<Self> {
        relaxation.bound(capacity)?;
        let mut at = vec![0; classes.len()];
        let mut weight: u64 = classes.iter().map(|class| class.lightest().weight).sum();
        let mut left_out = vec![false; classes.len()];
        for step in &relaxation.steps {
            // Steps of a class build on each other.
            if !left_out[step.class] && weight + step.weight <= capacity {
                weight += step.weight;
                at[step.class] = step.to;
            } else {
                left_out[step.class] = true;
            }
        }
        let mut picked = vec![(Item { weight: 0, cost: 0 }, 0); classes.len()];
        for (class, at) in classes.iter().zip(at) {
            picked[class.index] = class.items[at];
        }
        let cost = picked.iter().map(|(item, _)| item.cost).sum();
        Some(Self { picked, capacity, weight, cost })
    }

    pub(super) fn packing(&self) -> Packing {
        let picks = self.picked.iter().map(|&(_, pick)| pick).collect();
        Packing { cost: self.cost, weight: self.weight, picks }
    }

    /// Exchanges in one or two classes, until none is better.
    pub(super) fn exchange_pairs(&mut self, classes: &[Class]) {
        loop {
            let moves = Moves::new(self, classes);
            let mut best = Exchange::default();
            best.offer(&moves, &[], moves.least(self.slack(), &[]));
            for (at, first) in moves.all.iter().enumerate() {
                let last = moves.least(self.slack() - first.weight, &[first.class]);
                best.offer(&moves, &[at], last);
            }
            if !self.apply(&moves, &best) {
                return;
            }
        }
    }

    /// Exchanges in up to four classes for the items of `classes`, until none is found or the cost is `bound`; whether any was.
    pub(super) fn exchange(&mut self, classes: &[Class], bound: u64) -> bool {
        let before = self.cost;
        for _ in 0..ROUNDS {
            self.exchange_pairs(classes);
            if self.cost <= bound {
                break;
            }
            let moves = Moves::new(self, classes);
            let best = self.best_triple(&moves, bound);
            if !self.apply(&moves, &best)
                && !self.apply(&moves, &self.good_quadruple(&moves, bound))
            {
                break;
            }
        }
        self.cost < before
    }

    fn best_triple(&self, moves: &Moves, bound: u64) -> Exchange {
        let mut best = Exchange::default();
        let enough = bound as i64 - self.cost as i64;
        for (a, first) in moves.all.iter().enumerate() {
            for (b, second) in moves.all.iter().enumerate().skip(a + 1) {
                if first.class == second.class {
                    continue;
                }
                let room = self.slack() - first.weight - second.weight;
                best.offer(moves, &[a, b], moves.least(room, &[first.class, second.class]));
            }
            if best.cost <= enough {
                break;
            }
        }
        best
    }

    /// Of each pair of moves with the cheapest other pair that fits beside it, the best: not all quadruples, because pairs that
    /// share a class are passed over.
    fn good_quadruple(&self, moves: &Moves, bound: u64) -> Exchange {
        let pairs = Pairs::new(moves);
        let mut best = Exchange::default();
        let enough = bound as i64 - self.cost as i64;
        for first in &pairs.all {
            let Some(second) = pairs.least(moves, self.slack() - first.weight, first) else {
                continue;
            };
            if first.cost + second.cost < best.cost {
                let [a, b] = first.moves;
                let [c, d] = second.moves;
                best = Exchange { cost: first.cost + second.cost, moves: [a, b, c, d].map(Some) };
            }
            if best.cost <= enough {
                break;
            }
        }
        best
    }

    fn slack(&self) -> i64 {
        (self.capacity - self.weight) as i64
    }

    fn apply(&mut self, moves: &Moves, exchange: &Exchange) -> bool {
        for &at in exchange.moves.iter().flatten() {
            let Move { class, to, .. } = moves.all[at];
            self.picked[class] = to;
        }
        self.weight = self.picked.iter().map(|(item, _)| item.weight).sum();
        self.cost = self.picked.iter().map(|(item, _)| item.cost).sum();
        exchange.cost < 0
    }
}

/// Another item of one class.
#[derive(Clone, Copy, Debug)]
struct Move {
    weight: i64,
    cost: i64,
    /// The caller's index of the class.
    class: usize,
    to: (Item, usize),
}

/// All single moves from a packing, the lightest first.
#[derive(Debug)]
struct Moves {
    all: Vec<Move>,
    /// By position: of the moves up to it the cheapest, in three classes.
    cheapest: Vec<[Option<usize>; 3]>,
}

impl Moves {
    fn new(from: &Incumbent, classes: &[Class]) -> Self {
        let mut all: Vec<Move> = Vec::new();
        for class in classes {
            let (now, pick) = from.picked[class.index];
            all.extend(class.items.iter().filter(|(_, other)| *other != pick).map(|&to| Move {
                weight: to.0.weight as i64 - now.weight as i64,
                cost: to.0.cost as i64 - now.cost as i64,
                class: class.index,
                to,
            }));
        }
        all.sort_by_key(|one| (one.weight, one.cost, one.class));
        let mut cheapest = Vec::with_capacity(all.len());
        let mut three: [Option<usize>; 3] = [None; 3];
        for at in 0..all.len() {
            insert(&mut three, at, &all);
            cheapest.push(three);
        }
        Self { all, cheapest }
    }

    /// The cheapest move of at most `room` weight in a class that is not among (at most two) `taken`.
    fn least(&self, room: i64, taken: &[usize]) -> Option<usize> {
        let fitting = self.all.partition_point(|one| one.weight <= room);
        let three = self.cheapest.get(fitting.checked_sub(1)?)?;
        three.iter().flatten().copied().find(|&at| !taken.contains(&self.all[at].class))
    }
}

/// Keeps the cheapest moves of three classes, the cheapest first.
fn insert(three: &mut [Option<usize>; 3], at: usize, all: &[Move]) {
    let same =
        three.iter().position(|kept| kept.is_some_and(|kept| all[kept].class == all[at].class));
    let last = same.unwrap_or(2);
    if three[last].is_some_and(|kept| all[kept].cost <= all[at].cost) {
        return;
    }
    three[last] = Some(at);
    for place in (1..=last).rev() {
        let cheaper = |a: Option<usize>, b: Option<usize>| match (a, b) {
            (Some(a), Some(b)) => all[a].cost < all[b].cost,
            (a, _) => a.is_some(),
        };
        if cheaper(three[place], three[place - 1]) {
            three.swap(place, place - 1);
        }
    }
}

/// Two moves of different classes.
#[derive(Clone, Copy, Debug)]
struct Pair {
    weight: i64,
    cost: i64,
    moves: [usize; 2],
}

/// All pairs of moves, the lightest first.
#[derive(Debug)]
struct Pairs {
    all: Vec<Pair>,
    /// By position: of the pairs up to it the cheapest.
    cheapest: Vec<usize>,
}

impl Pairs {
    fn new(moves: &Moves) -> Self {
        let mut all = Vec::new();
        for (a, first) in moves.all.iter().enumerate() {
            let others = moves.all.iter().enumerate().skip(a + 1);
            let others = others.filter(|(_, second)| second.class != first.class);
            all.extend(others.map(|(b, second)| Pair {
                weight: first.weight + second.weight,
                cost: first.cost + second.cost,
                moves: [a, b],
            }));
        }
        all.sort_unstable_by_key(|pair| (pair.weight, pair.cost, pair.moves));
        let mut cheapest = Vec::with_capacity(all.len());
        let mut least = 0;
        for (at, pair) in all.iter().enumerate() {
            if pair.cost < all[least].cost {
                least = at;
            }
            cheapest.push(least);
        }
        Self { all, cheapest }
    }

    /// A cheap pair of at most `room` weight without a class of `beside`: the cheapest, unless that has one.
    fn least(&self, moves: &Moves, room: i64, beside: &Pair) -> Option<&Pair> {
        let mut end = self.all.partition_point(|pair| pair.weight <= room);
        let classes = beside.moves.map(|at| moves.all[at].class);
        for _ in 0..4 {
            let at = self.cheapest[end.checked_sub(1)?];
            let pair = &self.all[at];
            if pair.moves.iter().all(|&one| !classes.contains(&moves.all[one].class)) {
                return Some(pair);
            }
            end = at;
        }
        None
    }
}

/// Moves of different classes together.
#[derive(Debug, Default)]
struct Exchange {
    cost: i64,
    moves: [Option<usize>; 4],
}

impl Exchange {
    /// Takes `first` and `last` if they are better.
    fn offer(&mut self, moves: &Moves, first: &[usize], last: Option<usize>) {
        let Some(last) = last else { return };
        let cost = moves.all[last].cost + first.iter().map(|&at| moves.all[at].cost).sum::<i64>();
        if cost < self.cost {
            let mut all = [None; 4];
            let together = first.iter().copied().chain([last]);
            all.iter_mut().zip(together).for_each(|(slot, at)| *slot = Some(at));
            *self = Self { cost, moves: all };
        }
    }
}
