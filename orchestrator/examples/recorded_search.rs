//! What searches take on a real pipeline of which everything is known: `cargo run --release --example recorded_search -- STORE
//! PIPELINE DATA`.
//!
//! Takes the newest search of the store (its latencies and variants), evaluates every assignment end to end on all images,
//! and then searches for floors of 0 to 10 points below fp32 by each method, against the best by looking at all.

use std::collections::HashMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use quantrack_orchestrator::assignment::{SearchRecord, assignments};
use quantrack_orchestrator::evaluate::{EvaluateError, Evaluator, LoadedVariant, NoJournal, looks};
use quantrack_orchestrator::search::{
    Accuracy, Enumerate, Evaluate, Floor, Guarantee, Method, Objective, Problem, Stopping, Verdict,
    solve,
};
use quantrack_orchestrator::spec;
use quantrack_orchestrator::store::{Artifact, ArtifactKind, Store};

/// All assignments, evaluated.
struct Recorded<'a> {
    evaluator: &'a Evaluator,
    /// By stage and choice.
    variants: Vec<Vec<Arc<LoadedVariant>>>,
    /// Picks, latency in microseconds, the fastest first.
    all: Vec<(Vec<usize>, f64)>,
    /// Whether each image is right, in the evaluator's order.
    right: HashMap<Vec<usize>, Vec<bool>>,
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
        let all = Enumerate::new(problem).collect();
        let mut recorded = Self { evaluator, variants, all, right: HashMap::new() };
        // Assignments that begin alike follow each other: what the first stages find stays in the cache.
        let mut order: Vec<Vec<usize>> =
            recorded.all.iter().map(|(picks, _)| picks.clone()).collect();
        order.sort();
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
    fn fastest_us(&self, least: u64) -> Option<f64> {
        let reaches = |picks: &Vec<usize>| {
            self.right[picks].iter().filter(|&&right| right).count() as u64 >= least
        };
        self.all.iter().find(|(picks, _)| reaches(picks)).map(|(_, latency_us)| *latency_us)
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
        self.table.evaluator.reached(&self.table.loaded(picks), &NoJournal, needed)
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
    let margin = samples.div_ceil(50).max(1) as u64;
    let methods = [
        ("A, certain stops", None, 0.0),
        ("A, tested stops (0.01)", None, 0.01),
        ("M, margin 2 %", Some(margin), 0.0),
    ];
    for (name, monotone_margin, false_rejection) in methods {
        problem.method = Method { monotone_margin, false_rejection };
        let (mut best, mut fell_back, mut looked_at, mut evaluations) =
            (0, 0, Vec::new(), Vec::new());
        for points in 0..=10 {
            let floor = Floor::MaxDropPoints(f64::from(points));
            problem.floor = Some(floor);
            let mut counted = Counted { table: &table, looked_at: 0, samples: 0 };
            let outcome = solve(&problem, &mut counted)?;
            let found = match &outcome.verdict {
                Verdict::Found(found) => Some(found.latency_us),
                Verdict::Infeasible(_) => None,
            };
            let Accuracy { correct, total } = outcome.baseline.accuracy;
            let optimum = table.fastest_us(floor.min_correct(Accuracy { correct, total }));
            best += usize::from(found == optimum);
            fell_back += usize::from(
                monotone_margin.is_some()
                    && outcome.certificate.guarantee == Guarantee::AssumptionFree,
            );
            looked_at.push(100.0 * counted.looked_at as f64 / count as f64);
            evaluations.push(100.0 * counted.samples as f64 / samples as f64 / count as f64);
        }
        println!(
            "{name}: best in {best} of 11; looked at {} of the assignments; whole evaluations {}; fell back to A in {fell_back}",
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
