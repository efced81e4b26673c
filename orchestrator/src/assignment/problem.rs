//! The search problem that a pipeline and its measurements pose.

use std::collections::HashMap;

use quantrack_engine::Level;

use crate::evaluate::MeasuredRate;
use crate::exit::Failure;
use crate::search::{Choice, Method, Problem, StageChoices};
use crate::spec::{Percentile, Pipeline};
use crate::store::TableRow;

/// What a problem is made of.
#[derive(Debug)]
pub struct ProblemInputs<'a> {
    /// Stages, thresholds, objective.
    pub pipeline: &'a Pipeline,
    /// Rows of one board, one number of threads and one engine build.
    pub rows: &'a [TableRow],
    /// Each stage's own metric by (stage, variant), all other stages at fp32.
    pub sensitivity: &'a HashMap<(String, String), f64>,
    /// The rates that were measured.
    pub rates: &'a [MeasuredRate],
}

/// Poses the problem.
///
/// # Errors
/// When a stage has no row, no fp32 row, or too few samples for the percentile that is asked.
pub fn problem(inputs: &ProblemInputs<'_>) -> Result<Problem, Failure> {
    let ProblemInputs { pipeline, rows, sensitivity, rates } = inputs;
    let mut stages = Vec::with_capacity(pipeline.stages.len());
    for stage in &pipeline.stages {
        let mut choices = Vec::new();
        for row in rows.iter().filter(|row| row.stage == stage.name) {
            let key = (stage.name.clone(), row.sha256.clone());
            choices.push(Choice {
                level: row.level,
                recipe: row.recipe.clone(),
                variant_sha256: row.sha256.clone(),
                latency_us: latency_us(row, pipeline.percentile)?,
                interval_us: match pipeline.percentile {
                    Percentile::Median => row.summary.ci95_us,
                    Percentile::P90 | Percentile::P95 => None,
                },
                accuracy: sensitivity.get(&key).copied(),
                model_bytes: row.bytes,
                memory_bytes: Some(row.resources.variant_bytes()),
            });
        }
        let missing = |what: &str| {
            Failure::usage(anyhow::anyhow!("stage {} has no {what} in the latency table", stage.name))
                .next("`orchestrator profile` with the same --pipeline, --device and --threads measures it")
        };
        if choices.is_empty() {
            return Err(missing("row"));
        }
        let baseline = choices.iter().position(|choice| choice.level == Level::Fp32);
        stages.push(StageChoices {
            name: stage.name.clone(),
            baseline: baseline.ok_or_else(|| missing("fp32 row"))?,
            choices,
            min_accuracy: stage.min_accuracy,
        });
    }
    let mut composition = pipeline.composition.clone();
    for measured in *rates {
        composition.set_rate(measured.stage, measured.rate, Some(measured.by.clone()));
    }
    Ok(Problem {
        stages,
        composition,
        objective: pipeline.objective,
        floor: Some(pipeline.floor),
        max_latency_us: pipeline.max_latency_us,
        constraints: pipeline.constraints.clone(),
        method: Method::default(),
        max_evaluations: None,
    })
}

fn latency_us(row: &TableRow, percentile: Percentile) -> Result<f64, Failure> {
    let summary = &row.summary;
    match percentile {
        Percentile::Median => Ok(summary.median_us),
        Percentile::P90 => Ok(summary.p90_us),
        Percentile::P95 => summary.p95_us.ok_or_else(|| {
            let error = anyhow::anyhow!(
                "{} at {} has only {} samples, too few for a bound on p95",
                row.stage,
                row.level,
                summary.samples
            );
            Failure::new(crate::exit::Exit::Inconclusive, error)
                .next("set min-samples to 59 or more and profile again with --remeasure")
        }),
    }
}

/// The picks that give every stage `level`, if every stage has it; of several recipes the first.
pub fn uniform(problem: &Problem, level: Level) -> Option<Vec<usize>> {
    let pick = |stage: &StageChoices| stage.choices.iter().position(|c| c.level == level);
    problem.stages.iter().map(pick).collect()
}

/// How many assignments there are.
pub fn assignments(problem: &Problem) -> u64 {
    problem.stages.iter().map(|stage| stage.choices.len() as u64).product()
}
