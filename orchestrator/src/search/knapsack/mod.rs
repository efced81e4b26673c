//! The multiple-choice knapsack: one item of each class, least cost, a limit on the sum of weights. Exact.
//!
//! After D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", European Journal of Operational
//! Research 83(2), 1995. Dominated items go. The linear relaxation over the convex hulls of the classes bounds from below,
//! and rounded to a packing and improved by exchanges from above. Items that no packing between the two can have go as well,
//! which often closes the gap. Where it does not, dynamic programming keeps only the partial packings that neither another
//! dominates nor the bound rules out. Numbers are whole, so sums are exact in any order.

mod class;
mod exchange;
mod reduce;
mod states;

use class::{Class, Relaxation};
use exchange::Incumbent;
use reduce::{Reduced, reduce};
use states::better;

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
    let items = |(index, items): (usize, &Vec<Item>)| Class::new(index, items);
    let mut left: Vec<Class> = classes.iter().enumerate().map(items).collect::<Option<_>>()?;
    let mut incumbent = Incumbent::greedy(&left, &Relaxation::of(&left), capacity)?;
    incumbent.exchange_pairs(&left);
    loop {
        let Reduced::Open { bound, capacity } = reduce(&mut left, capacity, incumbent.cost) else {
            return Some(incumbent.packing());
        };
        if !incumbent.exchange(&left, bound) {
            return Some(match better(left, capacity, incumbent.cost, bound) {
                None => incumbent.packing(),
                Some(picks) => packing(classes, picks),
            });
        }
    }
}

fn packing(classes: &[Vec<Item>], picks: Vec<usize>) -> Packing {
    let items = || picks.iter().zip(classes).map(|(&pick, items)| items[pick]);
    let (cost, weight) =
        (items().map(|item| item.cost).sum(), items().map(|item| item.weight).sum());
    Packing { cost, weight, picks }
}
