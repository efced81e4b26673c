//! What searches take on made-up tables of 6 stages at 6 levels: `cargo run --release --example search_figures [-- TABLES]`.
//!
//! Per method: how often the answer is the best of all 46,656 assignments, how many of them were looked at, how many whole
//! evaluations that amounts to (an evaluation that stopped counts for the samples it ran), and the longest search.

#[path = "../tests/support/tables.rs"]
mod tables;

use std::error::Error;
use std::time::{Duration, Instant};

use quantrack_orchestrator::search::{Guarantee, Method, Verdict, solve};
use tables::{ASSIGNMENTS, Counted, Recorded, SAMPLES};

/// Name, monotone margin, false rejection.
const METHODS: [(&str, Option<u64>, f64); 3] = [
    ("A, certain stops", None, 0.0),
    ("A, tested stops (0.01)", None, 0.01),
    ("M, margin 2 %", Some(SAMPLES as u64 / 50), 0.0),
];

/// What one method took, table by table.
#[derive(Default)]
struct Taken {
    best: usize,
    fell_back: usize,
    looked_at: Vec<f64>,
    evaluations: Vec<f64>,
    longest: Duration,
}

#[expect(clippy::print_stdout, reason = "this is where figures go")]
fn main() -> Result<(), Box<dyn Error>> {
    let count = std::env::args().nth(1).map_or(Ok(100), |text| text.parse::<u64>())?;
    let mut all: Vec<Taken> = METHODS.iter().map(|_| Taken::default()).collect();
    for seed in 1..=count {
        let mut table = Recorded::new(seed);
        let optimum_us = table.optimum_us();
        for (taken, (_, monotone_margin, false_rejection)) in all.iter_mut().zip(METHODS) {
            table.problem.method = Method { monotone_margin, false_rejection };
            one(&table, optimum_us, taken)?;
        }
    }
    println!("{count} tables of {ASSIGNMENTS} assignments, {SAMPLES} samples");
    for (taken, (name, ..)) in all.iter().zip(METHODS) {
        println!(
            "{name}: best in {} of {count}; looked at {} of the assignments; whole evaluations {}; \
             fell back to A in {}; longest search {:.1?}",
            taken.best,
            shares(&taken.looked_at),
            shares(&taken.evaluations),
            taken.fell_back,
            taken.longest
        );
    }
    Ok(())
}

fn one(table: &Recorded, optimum_us: f64, taken: &mut Taken) -> Result<(), Box<dyn Error>> {
    let mut counted = Counted { table, samples: 0, assignments: 0 };
    let start = Instant::now();
    let outcome = solve(&table.problem, &mut counted)?;
    taken.longest = taken.longest.max(start.elapsed());
    let found = match &outcome.verdict {
        Verdict::Found(found) => Some(found.latency_us),
        Verdict::Infeasible(_) => None,
    };
    taken.best += usize::from(found == Some(optimum_us));
    let asked = table.problem.method.monotone_margin.is_some();
    taken.fell_back +=
        usize::from(asked && outcome.certificate.guarantee == Guarantee::AssumptionFree);
    taken.looked_at.push(counted.assignments as f64 / ASSIGNMENTS as f64);
    taken.evaluations.push(counted.samples as f64 / SAMPLES as f64 / ASSIGNMENTS as f64);
    Ok(())
}

/// As in "1.20 % (median 0.80 %, most 4.10 %)".
fn shares(all: &[f64]) -> String {
    let mut sorted = all.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (mean, last) = (all.iter().sum::<f64>() / all.len() as f64, sorted.len() - 1);
    let (median, most) = (sorted[last / 2], sorted[last]);
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    format!("{} (median {}, most {})", percent(mean), percent(median), percent(most))
}
