//! The multiple-choice knapsack: one item of each class, least cost, a limit on the sum of weights. Exact.
//!
//! After D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of Operational
//! Research 83(2), 1995: dominated items go, the linear relaxation over the convex hulls of the classes bounds every
//! partial solution from below and rounds it to a solution, and dynamic programming keeps only the partial solutions
//! that neither another dominates nor the bound rules out. Numbers are whole, so sums are exact in any order.

/// An item of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// Counts against the capacity.
    pub weight: u64,
    /// Is minimized.
    pub cost: u64,
}

/// One item of each class.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Sum of the costs.
    pub cost: u64,
    /// Sum of the weights.
    pub weight: u64,
    /// Index of the item per class.
    pub picks: Vec<usize>,
}

/// A packing of least cost with at most `capacity` of weight; `None` where there is none. Sums must be below 2⁶³.
pub fn minimize(classes: &[Vec<Item>], capacity: u64) -> Option<Packing> {
    let mut all: Vec<Class> = Vec::with_capacity(classes.len());
    for (index, items) in classes.iter().enumerate() {
        all.push(Class::new(index, items)?);
    }
    let fits = all.iter().map(|class| class.items[0].0.weight).sum::<u64>() <= capacity;
    if !fits {
        return None;
    }
    order(&mut all, capacity);
    let search = Search { suffixes: suffixes(&all), classes: all, capacity };
    let (levels, best) = search.run();
    Some(search.packing(classes, &levels, &best))
}

/// A class without dominated items.
#[derive(Debug)]
struct Class {
    /// Its index for the caller.
    index: usize,
    /// Items with the caller's index, weights rising and costs falling.
    items: Vec<(Item, usize)>,
    /// Positions in `items` of the lower convex hull.
    hull: Vec<usize>,
}

impl Class {
    fn new(index: usize, items: &[Item]) -> Option<Self> {
        let mut sorted: Vec<(Item, usize)> =
            items.iter().enumerate().map(|(at, &item)| (item, at)).collect();
        sorted.sort_unstable();
        let mut kept: Vec<(Item, usize)> = Vec::with_capacity(sorted.len());
        for (item, at) in sorted {
            if kept.last().is_none_or(|(last, _)| item.cost < last.cost) {
                kept.push((item, at));
            }
        }
        let mut hull: Vec<usize> = Vec::with_capacity(kept.len());
        for at in 0..kept.len() {
            while let [.., before, last] = hull[..]
                && Step::new(&kept, 0, before, last).cmp(&Step::new(&kept, 0, last, at)).is_ge()
            {
                hull.pop();
            }
            hull.push(at);
        }
        (!kept.is_empty()).then_some(Self { index, items: kept, hull })
    }
}

/// From one item of a hull to the next: more weight, less cost.
#[derive(Clone, Copy, Debug)]
struct Step {
    weight: u64,
    saved: u64,
    /// Position of the class in the order of the search.
    class: usize,
    /// Position in its items that the step leads to.
    to: usize,
}

impl Step {
    fn new(items: &[(Item, usize)], class: usize, from: usize, to: usize) -> Self {
        let (from, at) = (items[from].0, items[to].0);
        Self { weight: at.weight - from.weight, saved: from.cost - at.cost, class, to }
    }

    /// Most saved per weight first.
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let (this, that) = (
            u128::from(self.saved) * u128::from(other.weight),
            u128::from(other.saved) * u128::from(self.weight),
        );
        that.cmp(&this)
    }
}

/// What the linear relaxation knows of the classes from one on.
#[derive(Debug, Default)]
struct Suffix {
    /// Weight and cost with the lightest item of each.
    weight: u64,
    cost: u64,
    /// Steps, the best first, and the sums (weight, saved) before each and after the last.
    steps: Vec<Step>,
    sums: Vec<(u64, u64)>,
}

impl Suffix {
    /// With `room` for these classes: how many steps fit in full, and a lower bound on the cost.
    fn bound(&self, room: u64) -> Option<(usize, u64)> {
        let slack = room.checked_sub(self.weight)?;
        let full = self.sums.partition_point(|&(weight, _)| weight <= slack) - 1;
        let (weight, saved) = self.sums[full];
        let part = self.steps.get(full).map_or(0, |step| {
            let part = u128::from(step.saved) * u128::from(slack - weight);
            (part / u128::from(step.weight)) as u64
        });
        Some((full, self.cost - saved - part))
    }
}

fn suffixes(classes: &[Class]) -> Vec<Suffix> {
    let mut all = vec![Suffix { sums: vec![(0, 0)], ..Suffix::default() }];
    for (at, class) in classes.iter().enumerate().rev() {
        let after = &all[all.len() - 1];
        let own: Vec<Step> = class
            .hull
            .windows(2)
            .map(|pair| Step::new(&class.items, at, pair[0], pair[1]))
            .collect();
        let mut steps = Vec::with_capacity(after.steps.len() + own.len());
        let mut own = own.into_iter().peekable();
        for &step in &after.steps {
            while let Some(first) = own.next_if(|first| first.cmp(&step).is_le()) {
                steps.push(first);
            }
            steps.push(step);
        }
        steps.extend(own);
        let mut sums = Vec::with_capacity(steps.len() + 1);
        sums.push((0, 0));
        for (before, step) in steps.iter().enumerate() {
            let (weight, saved) = sums[before];
            sums.push((weight + step.weight, saved + step.saved));
        }
        let lightest = class.items[0].0;
        let (weight, cost) = (after.weight + lightest.weight, after.cost + lightest.cost);
        all.push(Suffix { weight, cost, steps, sums });
    }
    all.reverse();
    all
}

/// Classes first whose second best item costs most at the price of weight that the relaxation of the whole finds:
/// their choice is all but settled, so partial solutions stay few.
fn order(classes: &mut [Class], capacity: u64) {
    let whole = &suffixes(classes)[0];
    let step = whole.bound(capacity).and_then(|(full, _)| whole.steps.get(full));
    let Some(&Step { weight, saved, .. }) = step else { return };
    classes.sort_by_cached_key(|class| {
        let mut reduced: Vec<u128> = class
            .items
            .iter()
            .map(|(item, _)| {
                u128::from(item.cost) * u128::from(weight)
                    + u128::from(item.weight) * u128::from(saved)
            })
            .collect();
        reduced.sort_unstable();
        let gap = reduced.get(1).map_or(u128::MAX, |second| second - reduced[0]);
        (std::cmp::Reverse(gap), class.index)
    });
}

/// A choice for the first classes.
#[derive(Clone, Copy, Debug)]
struct State {
    weight: u64,
    cost: u64,
    /// Position in the level before.
    parent: u32,
    /// Position in the class's items.
    item: u32,
}

/// The best solution known: a state of a level, completed by the first steps of the suffix.
#[derive(Clone, Copy, Debug)]
struct Best {
    cost: u64,
    level: usize,
    state: usize,
    steps: usize,
}

struct Search {
    classes: Vec<Class>,
    suffixes: Vec<Suffix>,
    capacity: u64,
}

impl Search {
    /// The levels of states (level `k` has chosen for `k` classes), and the best solution.
    fn run(&self) -> (Vec<Vec<State>>, Best) {
        let root = State { weight: 0, cost: 0, parent: 0, item: 0 };
        let mut levels = vec![vec![root]];
        let mut best = Best { cost: u64::MAX, level: 0, state: 0, steps: 0 };
        for level in 0..=self.classes.len() {
            let suffix = &self.suffixes[level];
            let states = &mut levels[level];
            // Solutions first: the best of them is what states are held against.
            let bounds: Vec<Option<(usize, u64)>> =
                states.iter().map(|state| suffix.bound(self.capacity - state.weight)).collect();
            for (at, (state, bound)) in states.iter().zip(&bounds).enumerate() {
                let Some((steps, _)) = *bound else { continue };
                let cost = state.cost + suffix.cost - suffix.sums[steps].1;
                if cost < best.cost {
                    best = Best { cost, level, state: at, steps };
                }
            }
            let alive: Vec<usize> = (0..states.len())
                .filter(|&at| {
                    bounds[at].is_some_and(|(_, rest)| states[at].cost + rest < best.cost)
                })
                .collect();
            let Some(class) = self.classes.get(level).filter(|_| !alive.is_empty()) else { break };
            let mut next = Vec::with_capacity(alive.len() * class.items.len());
            for at in alive {
                let state = states[at];
                for (item, (of, _)) in class.items.iter().enumerate() {
                    let (weight, cost) = (state.weight + of.weight, state.cost + of.cost);
                    if weight <= self.capacity {
                        next.push(State { weight, cost, parent: at as u32, item: item as u32 });
                    }
                }
            }
            next.sort_unstable_by_key(|s| (s.weight, s.cost, s.parent, s.item));
            let mut least = u64::MAX;
            next.retain(|state| {
                let better = state.cost < least;
                least = least.min(state.cost);
                better
            });
            levels.push(next);
        }
        (levels, best)
    }

    fn packing(&self, classes: &[Vec<Item>], levels: &[Vec<State>], best: &Best) -> Packing {
        let mut at = vec![0_usize; self.classes.len()];
        let mut state = best.state;
        for level in (0..best.level).rev() {
            let of = levels[level + 1][state];
            at[level] = of.item as usize;
            state = of.parent as usize;
        }
        for step in &self.suffixes[best.level].steps[..best.steps] {
            at[step.class] = step.to;
        }
        let mut picks = vec![0; classes.len()];
        for (class, &at) in self.classes.iter().zip(&at) {
            picks[class.index] = class.items[at].1;
        }
        let weight = picks.iter().zip(classes).map(|(&pick, items)| items[pick].weight).sum();
        Packing { cost: best.cost, weight, picks }
    }
}
