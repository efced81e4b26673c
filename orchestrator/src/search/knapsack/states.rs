//! Dynamic programming over partial packings.

use super::class::{Class, Relaxation};

/// A choice for the first classes.
#[derive(Clone, Copy, Debug)]
struct State {
    weight: u64,
    cost: u64,
    from: From,
}

/// How a state came about.
#[derive(Clone, Copy, Debug)]
struct From {
    /// Position in the level before.
    parent: u32,
    /// Position in the class's items.
    item: u32,
}

/// A solution: a state of a level, completed by the first steps of the suffix.
#[derive(Clone, Copy, Debug)]
struct Completed {
    level: usize,
    state: usize,
    steps: usize,
}

/// The picks, by the caller's indices, of the best packing that costs less than `best`; `None` where there is none. Whatever
/// costs `bound` is the best.
pub(super) fn better(
    mut classes: Vec<Class>,
    capacity: u64,
    best: u64,
    bound: u64,
) -> Option<Vec<usize>> {
    order(&mut classes, capacity);
    let suffixes = Relaxation::of_suffixes(&classes);
    let root = State { weight: 0, cost: 0, from: From { parent: 0, item: 0 } };
    let mut states = vec![root];
    let mut history: Vec<Vec<From>> = Vec::with_capacity(classes.len());
    let (mut best, mut completed) = (best, None);
    for (level, suffix) in suffixes.iter().enumerate() {
        history.push(states.iter().map(|state| state.from).collect());
        // Solutions first: the best of them is what states are held against.
        let bounds: Vec<Option<(usize, u64)>> =
            states.iter().map(|state| suffix.bound(capacity - state.weight)).collect();
        for (at, (state, bound)) in states.iter().zip(&bounds).enumerate() {
            let Some((steps, _)) = *bound else { continue };
            let cost = state.cost + suffix.cost - suffix.sums[steps].1;
            if cost < best {
                best = cost;
                completed = Some(Completed { level, state: at, steps });
            }
        }
        let Some(class) = classes.get(level).filter(|_| best > bound) else { break };
        let is_alive = |(state, bound): (&State, &Option<(usize, u64)>)| {
            bound.is_some_and(|(_, rest)| state.cost + rest < best)
        };
        let alive: Vec<bool> = states.iter().zip(&bounds).map(is_alive).collect();
        states = next(&states, &alive, class, capacity);
        if states.is_empty() {
            break;
        }
    }
    completed.map(|completed| picks(&classes, &suffixes, &history, completed))
}

/// The states that are alive with each item of `class`, without those that another dominates. States are in order of
/// weight, and are merged in it, which is faster than sorting them.
fn next(states: &[State], alive: &[bool], class: &Class, capacity: u64) -> Vec<State> {
    let mut all: Vec<State> = Vec::new();
    for (position, (item, _)) in class.items.iter().enumerate() {
        let with_item = states.iter().zip(alive).enumerate().filter(|(_, (_, alive))| **alive).map(
            |(at, (state, _))| State {
                weight: state.weight + item.weight,
                cost: state.cost + item.cost,
                from: From { parent: at as u32, item: position as u32 },
            },
        );
        let fitting = with_item.take_while(|state| state.weight <= capacity);
        all = merge(&all, fitting);
    }
    all
}

fn merge(first: &[State], second: impl Iterator<Item = State>) -> Vec<State> {
    let mut all = Vec::with_capacity(first.len() + second.size_hint().0);
    let mut least = u64::MAX;
    let mut push = |state: State| {
        if state.cost < least {
            least = state.cost;
            all.push(state);
        }
    };
    let mut first = first.iter().copied().peekable();
    for state in second {
        let key = (state.weight, state.cost);
        while let Some(before) = first.next_if(|other| (other.weight, other.cost) <= key) {
            push(before);
        }
        push(state);
    }
    first.for_each(push);
    all
}

/// Classes first whose second best item costs most at the price of weight that the relaxation of the whole finds:
/// their choice is all but settled, so partial solutions stay few.
fn order(classes: &mut [Class], capacity: u64) {
    let whole = Relaxation::of(classes);
    let step = whole.bound(capacity).and_then(|(full, _)| whole.steps.get(full));
    let Some(step) = step else { return };
    classes.sort_by_cached_key(|class| {
        let mut reduced: Vec<u128> = class.items.iter().map(|(item, _)| step.price(item)).collect();
        reduced.sort_unstable();
        let gap = reduced.get(1).map_or(u128::MAX, |second| second - reduced[0]);
        (std::cmp::Reverse(gap), class.index)
    });
}

fn picks(
    classes: &[Class],
    suffixes: &[Relaxation],
    history: &[Vec<From>],
    completed: Completed,
) -> Vec<usize> {
    let mut at = vec![0_usize; classes.len()];
    let mut state = completed.state;
    for level in (0..completed.level).rev() {
        let of = history[level + 1][state];
        at[level] = of.item as usize;
        state = of.parent as usize;
    }
    for step in &suffixes[completed.level].steps[..completed.steps] {
        at[step.class] = step.to;
    }
    let mut picks = vec![0; classes.len()];
    for (class, &at) in classes.iter().zip(&at) {
        picks[class.index] = class.items[at].1;
    }
    picks
}
