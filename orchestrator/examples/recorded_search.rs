//! What searches take on a real pipeline of which everything is known: `cargo run --release --example recorded_search -- STORE
//! PIPELINE DATA`.
//!
//! Takes the newest search of the store (its latencies and variants), evaluates every assignment end to end on all images,
//! and then searches for floors of 0 to 10 points below fp32 by each method, against the best by looking at all. Once with the
//! latencies as measured, and once with those of made-up boards on which fewer bits are mostly faster, as on a Cortex-A53:
//! that decides how many assignments there are to be looked at.

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::Level;
use quantrack_orchestrator::assignment::{SearchRecord, assignments};
use quantrack_orchestrator::evaluate::{EvaluateError, Evaluator, LoadedVariant, NoJournal, looks};
use quantrack_orchestrator::search::{
    Enumerate, Evaluate, Floor, Guarantee, Method, Objective, Problem, Stopping, Verdict, solve,
};
use quantrack_orchestrator::spec;
use quantrack_orchestrator::store::{Artifact, ArtifactKind, Store};

/// Boards that are made up.
const BOARDS: u64 = 20;

/// Latencies of the levels as shares of fp32's: `docs/performance.md`, palm_detection_lite on an A53.
const SHARE: [f64; Level::ALL.len()] = [1.0, 1.14, 0.75, 0.71, 0.36, 0.32];

/// Name, whether accuracy is taken to be monotone, false rejection.
const METHODS: [(&str, bool, f64); 3] = [
    ("A, certain stops", false, 0.0),
    ("A, tested stops (0.01)", false, 0.01),
    ("M, margin 2 %", true, 0.0),
];

/// First choices, and how many right answers are needed.
type Asked = (Vec<usize>, u64);

/// All assignments, evaluated.
struct Recorded<'a> {
    evaluator: &'a Evaluator,
    /// By stage and choice.
    variants: Vec<Vec<Arc<LoadedVariant>>>,
    /// Whether each image is right, in the evaluator's order.
    right: HashMap<Vec<usize>, Vec<bool>>,
    /// What the first stages leave, where that was asked.
    reached: RefCell<HashMap<Asked, Option<u64>>>,
}

impl<'a> Recorded<'a> {
    fn new(
        problem: &Problem,
        evaluator: &'a Evaluator,
        store: &Store,
    ) -> Result<Self, Box<dyn Error>> {
        let mut variants = Vec::new();
        for stage in &problem.stages {
            let load = |sha256: &String| -> Result<Arc<LoadedVariant>, Box<dyn Error>> {
                Ok(Arc::new(LoadedVariant::from_bytes(&store.variant_bytes(sha256)?)?))
            };
            let of = stage.choices.iter().map(|choice| load(&choice.variant_sha256));
            variants.push(of.collect::<Result<Vec<_>, _>>()?);
        }
        // Assignments that begin alike follow each other: what the first stages find stays in the cache.
        let mut order: Vec<Vec<usize>> = Enumerate::new(problem).map(|(picks, _)| picks).collect();
        order.sort();
        let mut recorded =
            Self { evaluator, variants, right: HashMap::new(), reached: RefCell::default() };
        for picks in order {
            let right = evaluator.right(&recorded.loaded(&picks), &NoJournal, None)?;
            recorded.right.insert(picks, right);
        }
        Ok(recorded)
    }

    fn loaded(&self, picks: &[usize]) -> Vec<Arc<LoadedVariant>> {
        self.variants.iter().zip(picks).map(|(of, &pick)| of[pick].clone()).collect()
    }

    /// Latency of the fastest assignment with `least` right answers.
    fn fastest_us(&self, problem: &Problem, least: u64) -> Option<f64> {
        let reaches = |picks: &Vec<usize>| {
            self.right[picks].iter().filter(|&&right| right).count() as u64 >= least
        };
        Enumerate::new(problem).find(|(picks, _)| reaches(picks)).map(|(_, latency_us)| latency_us)
    }
}

/// Looks into the recorded table, and counts.
struct Counted<'a> {
    table: &'a Recorded<'a>,
    looked_at: usize,
    samples: usize,
}

impl Evaluate for Counted<'_> {
    type Error = EvaluateError;

    fn answers(
        &mut self,
        picks: &[usize],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, EvaluateError> {
        let right = &self.table.right[picks];
        let mut seen = 0;
        for look in looks(right.len()) {
            seen = look.end;
            if stop.is_some_and(|stop| stop.hopeless(&right[..seen]).is_some()) {
                break;
            }
        }
        self.looked_at += 1;
        self.samples += seen;
        Ok(right[..seen].to_vec())
    }

    /// Counts as if all samples had to be run.
    fn reached(&mut self, picks: &[usize], needed: u64) -> Result<Option<u64>, EvaluateError> {
        self.samples += self.table.evaluator.dataset().samples.len();
        let asked = (picks.to_vec(), needed);
        if let Some(&known) = self.table.reached.borrow().get(&asked) {
            return Ok(known);
        }
        let loaded = self.table.loaded(picks);
        let reached = self.table.evaluator.reached(&loaded, &NoJournal, needed)?;
        self.table.reached.borrow_mut().insert(asked, reached);
        Ok(reached)
    }
}

#[expect(clippy::print_stdout, reason = "this is where figures go")]
#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [store, pipeline, data] = &arguments[..] else {
        return Err("recorded_search STORE PIPELINE DATA, after a search of that pipeline".into());
    };
    let pipeline = spec::load(pipeline)?;
    let store = Store::open(Path::new(store)).await?;
    let newest = store.newest_artifact(ArtifactKind::Search, &pipeline.name, None).await?;
    let Artifact { body, .. }: Artifact<SearchRecord> = newest.ok_or("nothing was searched yet")?;
    let mut problem = body.problem;
    (problem.objective, problem.max_latency_us) = (Objective::MinLatency, None);
    let evaluator = Evaluator::open(&pipeline, Path::new(data), 0)?;
    let table = Recorded::new(&problem, &evaluator, &store)?;
    let (count, samples) = (assignments(&problem), evaluator.dataset().samples.len());
    println!("{count} assignments, {samples} images; floors of 0 to 10 points below fp32");
    println!("Latencies as measured");
    figures(&table, &[problem.clone()])?;
    println!("Latencies of {BOARDS} made-up boards");
    let boards: Vec<Problem> = (1..=BOARDS).map(|seed| board(&problem, seed)).collect();
    figures(&table, &boards)
}

/// The same question on another board: latencies follow the bits, but for some chance.
fn board(problem: &Problem, seed: u64) -> Problem {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut problem = problem.clone();
    for stage in &mut problem.stages {
        let fp32_us = stage.choices[stage.baseline].latency_us;
        for choice in &mut stage.choices {
            // G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let chance = 0.8 + 0.4 * (state >> 11) as f64 / (1_u64 << 53) as f64;
            choice.latency_us = fp32_us * SHARE[choice.level as usize] * chance;
        }
    }
    problem
}

/// What each method takes for every floor of every problem.
#[expect(clippy::print_stdout, reason = "this is where figures go")]
fn figures(table: &Recorded<'_>, problems: &[Problem]) -> Result<(), Box<dyn Error>> {
    let samples = table.evaluator.dataset().samples.len();
    let margin = samples.div_ceil(50).max(1) as u64;
    for (name, monotone, false_rejection) in METHODS {
        let (mut best, mut fell_back, mut looked_at, mut evaluations) =
            (0, 0, Vec::new(), Vec::new());
        for (problem, points) in
            problems.iter().flat_map(|p| (0..=10).map(move |points| (p, points)))
        {
            let floor = Floor::MaxDropPoints(f64::from(points));
            let method = Method { monotone_margin: monotone.then_some(margin), false_rejection };
            let problem = Problem { floor: Some(floor), method, ..problem.clone() };
            let mut counted = Counted { table, looked_at: 0, samples: 0 };
            let outcome = solve(&problem, &mut counted)?;
            let found = match &outcome.verdict {
                Verdict::Found(found) => Some(found.latency_us),
                Verdict::Infeasible(_) => None,
            };
            let least = floor.min_correct(outcome.baseline.accuracy);
            best += usize::from(found == table.fastest_us(&problem, least));
            fell_back +=
                usize::from(monotone && outcome.certificate.guarantee == Guarantee::AssumptionFree);
            let count = assignments(&problem) as f64;
            looked_at.push(100.0 * counted.looked_at as f64 / count);
            evaluations.push(100.0 * counted.samples as f64 / samples as f64 / count);
        }
        println!(
            "{name}: best in {best} of {}; looked at {} of the assignments; whole evaluations {}; fell back to A in {fell_back}",
            looked_at.len(),
            shares(&looked_at),
            shares(&evaluations)
        );
    }
    Ok(())
}

/// Mean, least and most.
fn shares(all: &[f64]) -> String {
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    let (least, most) =
        all.iter().fold((f64::INFINITY, 0.0_f64), |(low, high), &v| (low.min(v), high.max(v)));
    format!("{mean:.2} % ({least:.2} to {most:.2} %)")
}
