//! What no packing that is better than the best known can have.

use super::Item;
use super::class::{Class, Relaxation, Step};

/// What is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reduced {
    /// Nothing: the best known is the best.
    Closed,
    /// A packing may be better.
    Open {
        /// No packing of the items that are left costs less.
        bound: u64,
        /// What of the capacity their weights can fill.
        capacity: u64,
    },
}

/// Takes away the items of `classes` with which no packing costs less than `best`, and from the capacity what the weights of the
/// others, all multiples of something beside the lightest, cannot fill.
pub(super) fn reduce(classes: &mut [Class], capacity: u64, best: u64) -> Reduced {
    let mut capacity = capacity;
    loop {
        let count =
            |classes: &[Class]| classes.iter().map(|class| class.items.len()).sum::<usize>();
        let before = (count(classes), capacity);
        capacity = fillable(classes, capacity);
        let relaxation = Relaxation::of(classes);
        let bound = relaxation.bound(capacity).filter(|&(_, bound)| bound < best);
        let Some((full, bound)) = bound else { return Reduced::Closed };
        // Every step fits: each class has its cheapest item, which costs the bound.
        let Some(step) = relaxation.steps.get(full) else {
            return Reduced::Open { bound, capacity };
        };
        if !drop_hopeless(classes, step, capacity, best) {
            return Reduced::Closed;
        }
        if (count(classes), capacity) == before {
            return Reduced::Open { bound, capacity };
        }
    }
}

/// Lagrange's relaxation with the price of the step `at`: weight beyond the capacity costs that much. An item is
/// hopeless when a packing with it costs `best` or more there. `false` when a class has no other.
fn drop_hopeless(classes: &mut [Class], at: &Step, capacity: u64, best: u64) -> bool {
    let least: Vec<u128> = classes
        .iter()
        .map(|class| class.items.iter().map(|(item, _)| at.price(item)).min().unwrap_or_default())
        .collect();
    let limit = at.price(&Item { cost: best, weight: capacity });
    let all: u128 = least.iter().sum();
    classes
        .iter_mut()
        .zip(&least)
        .all(|(class, own)| class.retain(|item| all - own + at.price(item) < limit))
}

/// The most of `capacity` that is the weight of a packing, as far as a common divisor tells.
fn fillable(classes: &[Class], capacity: u64) -> u64 {
    let lightest: u64 = classes.iter().map(|class| class.lightest().weight).sum();
    let beyond = |class: &Class| {
        let lightest = class.lightest().weight;
        class.items.iter().map(|(item, _)| item.weight - lightest).fold(0, gcd)
    };
    let divisor = classes.iter().map(beyond).fold(0, gcd);
    match (capacity.checked_sub(lightest), divisor) {
        (Some(slack), 1..) => capacity - slack % divisor,
        _ => capacity,
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
