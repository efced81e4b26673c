//! Times the exact search on tables: `cargo run --release --example table_search [-- SEED]`.
//!
//! Per kind of table the median and the longest time of one search over 100 stages of 8 levels, the time that the ten best
//! take, without and with a limit on bytes, and the time that the enumeration takes to the thousandth assignment.

use std::error::Error;
use std::time::{Duration, Instant};

use quantrack_engine::Level;
use quantrack_orchestrator::search::{
    Choice, Composition, Constraints, Enumerate, Item, Losses, Method, Objective, Problem,
    StageChoices, minimize, predict,
};

const STAGES: usize = 100;
const LEVELS: usize = 8;
const TABLES: usize = 200;

/// A kind of table: its name, and what makes an item of it.
type Kind = (&'static str, fn(&mut Random, usize) -> Item);

const KINDS: [Kind; 9] = [
    ("uncorrelated", |random, _| Item {
        weight: random.below(100_000),
        cost: random.below(100_000),
    }),
    ("as measured: fewer bits, faster, less accurate", |random, level| {
        let level = level as u64;
        Item {
            weight: level * (500 + random.below(1500)),
            cost: 100_000 / (1 + level) + random.below(5000),
        }
    }),
    ("weakly correlated", |random, _| {
        let weight = random.below(100_000);
        Item { weight, cost: 110_000 - weight + random.below(10_000) }
    }),
    ("strongly correlated", |random, _| {
        let weight = 10 * random.below(10_000);
        Item { weight, cost: 101_000 - weight + 1000 * (weight % 3) }
    }),
    ("almost strongly correlated", |random, _| {
        let weight = random.below(100_000);
        Item { weight, cost: 110_000 - weight + random.below(200) }
    }),
    ("inverse strongly correlated", |random, level| {
        let cost = random.below(100_000);
        Item { weight: 110_000 - cost + 1000 * (level as u64 % 2), cost }
    }),
    ("nothing or one of three sizes", |random, level| {
        let weight = if level == 0 { 0 } else { 33_333 + 10 * random.below(3) };
        Item { weight, cost: 100_000 - weight }
    }),
    ("subset sum up to ten million", |random, _| {
        let weight = random.below(10_000_000);
        Item { weight, cost: 10_000_000 - weight }
    }),
    ("subset sum", |random, _| {
        let weight = random.below(100_000);
        Item { weight, cost: 100_000 - weight }
    }),
];

#[expect(clippy::print_stdout, reason = "this is where figures go")]
fn main() -> Result<(), Box<dyn Error>> {
    let seed = std::env::args().nth(1).map_or(Ok(1), |text| text.parse())?;
    let mut random = Random(seed);
    println!("{TABLES} tables of {STAGES} stages x {LEVELS} levels each");
    for (name, item) in KINDS {
        let mut times: Vec<Duration> = (0..TABLES).map(|_| one(&mut random, item)).collect();
        times.sort();
        println!("{name}: median {:?}, longest {:?}", times[TABLES / 2], times[TABLES - 1]);
    }
    for stages in [8, 16, 100] {
        best_ten(&mut random, stages)?;
    }
    let problem = enumerated(&mut random, STAGES);
    for count in [1_000, 10_000] {
        let start = Instant::now();
        let last = Enumerate::new(&problem).nth(count - 1);
        let took = start.elapsed();
        let latency_us = last.map(|(_, latency_us)| latency_us);
        println!("enumeration to number {count}: {took:?}, {latency_us:?} us");
    }
    Ok(())
}

/// Time of one search, at a capacity halfway between the lightest and the heaviest packing.
fn one(random: &mut Random, item: fn(&mut Random, usize) -> Item) -> Duration {
    let classes: Vec<Vec<Item>> =
        (0..STAGES).map(|_| (0..LEVELS).map(|level| item(random, level)).collect()).collect();
    let lightest = classes.iter().filter_map(|items| items.iter().map(|i| i.weight).min());
    let heaviest = classes.iter().filter_map(|items| items.iter().map(|i| i.weight).max());
    let capacity = (lightest.sum::<u64>() + heaviest.sum::<u64>()) / 2;
    let start = Instant::now();
    let packing = minimize(&classes, capacity);
    let took = start.elapsed();
    assert!(packing.is_some(), "half of the way is enough");
    took
}

/// Times the ten best of tables of so many stages: of all, and of those within nine tenths of the bytes that the best has.
#[expect(clippy::print_stdout, reason = "this is where figures go")]
fn best_ten(random: &mut Random, stages: usize) -> Result<(), Box<dyn Error>> {
    let (mut all, mut limited, mut refused) = (Vec::new(), Vec::new(), 0);
    for _ in 0..TABLES / 4 {
        let mut problem = enumerated(random, stages);
        let mut losses = |_| (0..LEVELS as u64).map(|level| level * random.below(6)).collect();
        let by_choice: Vec<Vec<u64>> = (0..stages).map(&mut losses).collect();
        let losses = Losses { by_choice, most: Some(4 * stages as u64), whole: 1000 };
        let start = Instant::now();
        let best = predict(&problem, &losses, 10)?;
        all.push(start.elapsed());
        let bytes = |(stage, &pick): (&StageChoices, &usize)| stage.choices[pick].model_bytes;
        let of_best: u64 = problem.stages.iter().zip(&best[0].picks).map(bytes).sum();
        problem.constraints.max_model_bytes = Some(of_best * 9 / 10);
        let start = Instant::now();
        refused += usize::from(predict(&problem, &losses, 10).is_err());
        limited.push(start.elapsed());
    }
    for (what, times) in [("ten best", &mut all), ("within nine tenths of the bytes", &mut limited)]
    {
        times.sort();
        let (median, longest) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{stages} stages, {what}: median {median:?}, longest {longest:?}");
    }
    println!("{refused} of {} of the latter are refused: too many partial assignments", TABLES / 4);
    Ok(())
}

/// A chain with random latencies and sizes.
fn enumerated(random: &mut Random, stages: usize) -> Problem {
    let mut choice = |level| Choice {
        level,
        recipe: String::new(),
        variant_sha256: String::new(),
        latency_us: 1.0 + random.below(1_000_000) as f64 / 1e3,
        interval_us: None,
        accuracy: None,
        model_bytes: random.below(1_000_000),
        memory_bytes: None,
    };
    let mut stage = |index: usize| StageChoices {
        name: index.to_string(),
        choices: (0..LEVELS).map(|at| choice(Level::ALL[at % Level::ALL.len()])).collect(),
        baseline: 0,
        min_accuracy: None,
    };
    Problem {
        stages: (0..stages).map(&mut stage).collect(),
        composition: Composition::chain(stages),
        objective: Objective::MinLatency,
        floor: None,
        max_latency_us: None,
        constraints: Constraints::default(),
        method: Method::default(),
        max_evaluations: None,
    }
}

/// G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }
}
