//! Classes without dominated items, and the linear relaxation over their convex hulls.

use std::cmp::Ordering;

use super::Item;

/// A class without dominated items.
#[derive(Clone, Debug)]
pub(super) struct Class {
    /// Its index for the caller.
    pub(super) index: usize,
    /// Items with the caller's index, weights rising and costs falling.
    pub(super) items: Vec<(Item, usize)>,
    /// Positions in `items` of the lower convex hull.
    hull: Vec<usize>,
}

impl Class {
    /// `None` where there is no item.
    pub(super) fn new(index: usize, items: &[Item]) -> Option<Self> {
        let mut sorted: Vec<(Item, usize)> =
            items.iter().enumerate().map(|(at, &item)| (item, at)).collect();
        sorted.sort_unstable();
        let mut kept: Vec<(Item, usize)> = Vec::with_capacity(sorted.len());
        for (item, at) in sorted {
            if kept.last().is_none_or(|(last, _)| item.cost < last.cost) {
                kept.push((item, at));
            }
        }
        let mut class = Self { index, items: kept, hull: Vec::new() };
        class.make_hull();
        (!class.items.is_empty()).then_some(class)
    }

    /// Keeps the items that are `wanted`; whether there are any.
    pub(super) fn retain(&mut self, wanted: impl Fn(&Item) -> bool) -> bool {
        let before = self.items.len();
        self.items.retain(|(item, _)| wanted(item));
        if self.items.len() < before {
            self.make_hull();
        }
        !self.items.is_empty()
    }

    pub(super) fn lightest(&self) -> Item {
        self.items[0].0
    }

    fn make_hull(&mut self) {
        let items = &self.items;
        let mut hull: Vec<usize> = Vec::with_capacity(items.len());
        for at in 0..items.len() {
            while let [.., before, last] = hull[..]
                && Step::new(items, 0, before, last).cmp(&Step::new(items, 0, last, at)).is_ge()
            {
                hull.pop();
            }
            hull.push(at);
        }
        self.hull = hull;
    }

    /// The steps along the hull, of the class at `position`.
    pub(super) fn steps(&self, position: usize) -> impl Iterator<Item = Step> {
        self.hull.windows(2).map(move |pair| Step::new(&self.items, position, pair[0], pair[1]))
    }
}

/// From one item of a hull to the next: more weight, less cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) weight: u64,
    pub(super) saved: u64,
    /// Position of the class.
    pub(super) class: usize,
    /// Position in its items that the step leads to.
    pub(super) to: usize,
}

impl Step {
    fn new(items: &[(Item, usize)], class: usize, from: usize, to: usize) -> Self {
        let (from, at) = (items[from].0, items[to].0);
        Self { weight: at.weight - from.weight, saved: from.cost - at.cost, class, to }
    }

    /// What `item` costs where weight has this step's price, `saved / weight`; times `weight`, to stay whole.
    pub(super) fn price(&self, item: &Item) -> u128 {
        u128::from(item.cost) * u128::from(self.weight)
            + u128::from(item.weight) * u128::from(self.saved)
    }

    /// Most saved per weight first.
    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        let (this, that) = (
            u128::from(self.saved) * u128::from(other.weight),
            u128::from(other.saved) * u128::from(self.weight),
        );
        that.cmp(&this)
    }
}

/// The linear relaxation of some classes.
#[derive(Debug)]
pub(super) struct Relaxation {
    /// Weight and cost with the lightest item of each.
    weight: u64,
    pub(super) cost: u64,
    /// Steps, the best first, and the sums (weight, saved) before each and after the last.
    pub(super) steps: Vec<Step>,
    pub(super) sums: Vec<(u64, u64)>,
}

impl Relaxation {
    /// Of all `classes`.
    pub(super) fn of(classes: &[Class]) -> Self {
        let mut steps: Vec<Step> =
            classes.iter().enumerate().flat_map(|(at, class)| class.steps(at)).collect();
        steps.sort_by(Step::cmp);
        let lightest = || classes.iter().map(Class::lightest);
        Self::new(
            lightest().map(|item| item.weight).sum(),
            lightest().map(|item| item.cost).sum(),
            steps,
        )
    }

    /// Of the classes from each position on; the last is of none.
    pub(super) fn of_suffixes(classes: &[Class]) -> Vec<Self> {
        let mut all = vec![Self::new(0, 0, Vec::new())];
        for (at, class) in classes.iter().enumerate().rev() {
            let after = &all[all.len() - 1];
            let lightest = class.lightest();
            let steps = merged(class.steps(at), &after.steps);
            all.push(Self::new(after.weight + lightest.weight, after.cost + lightest.cost, steps));
        }
        all.reverse();
        all
    }

    fn new(weight: u64, cost: u64, steps: Vec<Step>) -> Self {
        let mut sums = Vec::with_capacity(steps.len() + 1);
        sums.push((0, 0));
        for (before, step) in steps.iter().enumerate() {
            let (weight, saved) = sums[before];
            sums.push((weight + step.weight, saved + step.saved));
        }
        Self { weight, cost, steps, sums }
    }

    /// With `room` for these classes: how many steps fit in full, and a lower bound on the cost. `None`: not even the
    /// lightest items fit.
    pub(super) fn bound(&self, room: u64) -> Option<(usize, u64)> {
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

/// `first` and `second`, both the best first, as one; of equal ones `first` comes first.
fn merged(first: impl Iterator<Item = Step>, second: &[Step]) -> Vec<Step> {
    let mut first = first.peekable();
    let mut all = Vec::with_capacity(second.len());
    for step in second {
        while let Some(own) = first.next_if(|own| own.cmp(step).is_le()) {
            all.push(own);
        }
        all.push(*step);
    }
    all.extend(first);
    all
}
