//! The exact search on tables against brute force, a table of all capacities, and an integer program's solver.

use good_lp::{Expression, Solution as _, SolverModel as _, constraint, variable, variables};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use quantrack_orchestrator::search::{Item, minimize};

/// Least cost of a packing for every capacity up to `capacity`, class by class: exact, and slow where capacities are
/// large. The last is that of `capacity`.
fn by_all_capacities(classes: &[Vec<Item>], capacity: usize) -> Option<u64> {
    let mut least = vec![Some(0_u64); capacity + 1];
    for items in classes {
        let of = |room: usize| {
            let fitting = items.iter().filter_map(|item| {
                let left = room.checked_sub(usize::try_from(item.weight).ok()?)?;
                Some(least[left]? + item.cost)
            });
            fitting.min()
        };
        least = (0..=capacity).map(of).collect();
    }
    least[capacity]
}

/// Least cost by trying all packings.
fn brute_force(classes: &[Vec<Item>], capacity: u64) -> Option<u64> {
    let Some((items, rest)) = classes.split_first() else { return Some(0) };
    let fitting = items.iter().filter_map(|item| {
        let room = capacity.checked_sub(item.weight)?;
        Some(brute_force(rest, room)? + item.cost)
    });
    fitting.min()
}

/// Least cost by an integer program.
fn by_integer_program(classes: &[Vec<Item>], capacity: u64) -> Option<u64> {
    let mut all = variables!();
    let picked: Vec<Vec<_>> = classes
        .iter()
        .map(|items| items.iter().map(|_| all.add(variable().binary())).collect())
        .collect();
    let sum = |of: fn(&Item) -> u64| -> Expression {
        let terms =
            classes.iter().zip(&picked).flat_map(|(items, picked)| items.iter().zip(picked));
        terms.map(|(item, &picked)| of(item) as f64 * picked).sum()
    };
    let (cost, weight) = (sum(|item| item.cost), sum(|item| item.weight));
    let mut model = all.minimise(cost.clone()).using(good_lp::microlp);
    model = model.with(constraint!(weight <= capacity as f64));
    for class in &picked {
        model = model.with(constraint!(class.iter().copied().sum::<Expression>() == 1.0));
    }
    let solution = model.solve().ok()?;
    Some(solution.eval(cost).round() as u64)
}

/// Checks that the packing is one, and returns its cost.
fn cost(classes: &[Vec<Item>], capacity: u64) -> Option<u64> {
    let packing = minimize(classes, capacity)?;
    let items = || classes.iter().zip(&packing.picks).map(|(items, &pick)| items[pick]);
    assert_eq!(packing.picks.len(), classes.len());
    assert_eq!(items().map(|item| item.cost).sum::<u64>(), packing.cost);
    assert_eq!(items().map(|item| item.weight).sum::<u64>(), packing.weight);
    assert!(packing.weight <= capacity);
    Some(packing.cost)
}

/// Up to `stages` classes of up to `levels` items. Small numbers make ties; `related` makes cost fall with weight
/// as it does in a table, so that hardly any item is dominated.
fn instance(stages: usize, levels: usize) -> impl Strategy<Value = (Vec<Vec<Item>>, u64)> {
    let sizes = prop_oneof![Just(4_u64), Just(30), Just(200)];
    (1..=stages, sizes, any::<bool>()).prop_flat_map(move |(stages, most, related)| {
        let item = (0..=most, 0..=most).prop_map(move |(weight, noise)| {
            let cost = if related { 2 * (most - weight) + noise % 3 } else { noise };
            Item { weight, cost }
        });
        let class = prop::collection::vec(item, 1..=levels);
        (prop::collection::vec(class, stages), 0..=most * stages as u64)
    })
}

#[test]
fn ten_thousand_tables_of_up_to_eight_stages_and_levels() {
    let mut runner = TestRunner::deterministic();
    let strategy = instance(8, 8);
    let (mut infeasible, mut tried) = (0, 0);
    for _ in 0..10_000 {
        let (classes, capacity) = strategy.new_tree(&mut runner).unwrap().current();
        let want = by_all_capacities(&classes, usize::try_from(capacity).unwrap());
        assert_eq!(cost(&classes, capacity), want, "{classes:?} within {capacity}");
        infeasible += usize::from(want.is_none());
        if classes.iter().map(Vec::len).product::<usize>() <= 3000 {
            assert_eq!(brute_force(&classes, capacity), want, "the oracles disagree");
            tried += 1;
        }
    }
    assert!((500..5000).contains(&infeasible), "{infeasible} have no packing");
    assert!(tried > 2000, "only {tried} were small enough to try all packings");
}

#[test]
fn an_integer_program_has_the_same_optimum() {
    let mut runner = TestRunner::deterministic();
    for (strategy, cases) in [(instance(8, 8).boxed(), 300), (instance(25, 6).boxed(), 30)] {
        for _ in 0..cases {
            let (classes, capacity) = strategy.new_tree(&mut runner).unwrap().current();
            let want = by_integer_program(&classes, capacity);
            assert_eq!(cost(&classes, capacity), want, "{classes:?} within {capacity}");
        }
    }
}

/// As measured tables are: fewer bits are faster and less accurate, more or less.
fn measured(stages: usize, levels: u64) -> impl Strategy<Value = (Vec<Vec<Item>>, u64)> {
    let noise = prop::collection::vec((0..1500_u64, 0..5000_u64), levels as usize);
    prop::collection::vec(noise, stages).prop_map(move |stages| {
        let item = |(level, (weight, cost)): (usize, (u64, u64))| {
            let level = level as u64;
            Item { weight: level * (500 + weight), cost: 100_000 / (1 + level) + cost }
        };
        let class = |noise: Vec<(u64, u64)>| noise.into_iter().enumerate().map(item).collect();
        let classes: Vec<Vec<Item>> = stages.into_iter().map(class).collect();
        let heaviest =
            classes.iter().filter_map(|items| items.iter().map(|item| item.weight).max());
        let capacity = heaviest.sum::<u64>() / 2;
        (classes, capacity)
    })
}

#[test]
fn an_integer_program_has_the_same_optimum_of_a_hundred_stages() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..5 {
        let (classes, capacity) = measured(100, 8).new_tree(&mut runner).unwrap().current();
        assert_eq!(cost(&classes, capacity), by_integer_program(&classes, capacity));
    }
}

#[test]
fn nothing_to_choose_and_nothing_to_choose_from() {
    assert_eq!(cost(&[], 0), Some(0));
    assert_eq!(cost(&[vec![]], 5), None);
    assert_eq!(cost(&[vec![Item { weight: 6, cost: 0 }]], 5), None);
}
