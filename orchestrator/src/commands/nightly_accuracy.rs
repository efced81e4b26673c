//! The accuracy of a suite's assignments, on this machine.

use anyhow::anyhow;

use crate::context::Context;
use crate::evaluate::{Evaluator, StoredEvaluator};
use crate::exit::Failure;
use crate::metric::Criterion;
use crate::nightly::accuracy::{AccuracyBody, AccuracyReport, judge};
use crate::nightly::subject::Resolver;
use crate::nightly::suite::Suite;
use crate::store::Store;

/// Compares the accuracy of the suite's assignments with that of a baseline.
///
/// # Errors
/// When something cannot be evaluated, or there is no such baseline.
pub(super) async fn check(
    baseline: &str,
    suite: &Suite,
    resolver: &Resolver<'_>,
    context: &Context,
) -> Result<Vec<AccuracyReport>, Failure> {
    // Told before anything takes long.
    let mut stored: Vec<AccuracyBody> = Vec::new();
    for asked in &suite.accuracy {
        let found = resolver.store.accuracy(baseline, &asked.name).await?;
        stored.push(found.ok_or_else(|| {
            let error =
                anyhow!("there is no baseline {baseline:?} of the accuracy of {}", asked.name);
            Failure::usage(error).next(format!("`orchestrator baseline set {baseline}` makes one"))
        })?);
    }
    let Some((criterion, bodies)) = evaluate(suite, resolver, context).await? else {
        return Ok(Vec::new());
    };
    let pairs = stored.iter().zip(&bodies);
    let reports = suite.accuracy.iter().zip(pairs).map(|(asked, (before, now))| {
        judge(&asked.name, asked.max_drop_points, &criterion, before, now)
    });
    Ok(reports.collect())
}

/// Keeps the accuracy of the suite's assignments as a baseline.
///
/// # Errors
/// When something cannot be evaluated, or the store fails.
pub(super) async fn set(
    baseline: &str,
    suite: &Suite,
    resolver: &Resolver<'_>,
    context: &Context,
) -> Result<(), Failure> {
    let Some((_, bodies)) = evaluate(suite, resolver, context).await? else { return Ok(()) };
    for (asked, body) in suite.accuracy.iter().zip(&bodies) {
        resolver.store.save_accuracy(baseline, &asked.name, body).await?;
    }
    Ok(())
}

/// What the assignments answer, in the order of the suite, and what they are judged by; `None` where there are none.
async fn evaluate(
    suite: &Suite,
    resolver: &Resolver<'_>,
    context: &Context,
) -> Result<Option<(Criterion, Vec<AccuracyBody>)>, Failure> {
    let (Some(pipeline), false) = (&resolver.pipeline, suite.accuracy.is_empty()) else {
        return Ok(None);
    };
    let mut assignments = Vec::new();
    for asked in &suite.accuracy {
        assignments.push(resolver.levels(asked).await?);
    }
    let store: &Store = resolver.store;
    tokio::task::block_in_place(|| {
        let evaluator = Evaluator::open(pipeline, &resolver.data, 0)?;
        let mut stored = StoredEvaluator::new(&evaluator, store, &pipeline.name, &[]);
        let dataset = evaluator.dataset();
        let samples_sha256 = dataset.digest().map_err(Failure::usage)?;
        let bar = context.progress.bar("accuracy", assignments.len() as u64);
        let mut bodies = Vec::new();
        for variants in assignments {
            let digests: Vec<&str> = variants.iter().map(String::as_str).collect();
            let results = stored.results(&digests)?;
            bodies.push(AccuracyBody {
                variants,
                metric: evaluator.criterion().name(),
                samples_sha256: samples_sha256.clone(),
                images: dataset.samples.iter().map(|sample| sample.row.file.clone()).collect(),
                results,
            });
            bar.step();
        }
        bar.done(&format!("{} images", dataset.samples.len()));
        Ok(Some((evaluator.criterion().clone(), bodies)))
    })
}
