//! The certificate of a finished search.

use super::document::{
    Bound, Choice, Document, DocumentError, Evaluation, Excluded, Proof, Question, Stage, Table,
};
use crate::assignment::SearchRecord;
use crate::search::{Evaluated, Guarantee, Objective, Problem, Space};

/// The certificate of a search: of all evaluations, those that the proof needs.
///
/// # Errors
/// When the search went by the table, or it cannot be written as JSON.
pub fn certificate(record: &SearchRecord) -> Result<Document, DocumentError> {
    if record.is_by_table() {
        return Err(DocumentError::ByTable);
    }
    let problem = &record.problem;
    let question = Question {
        pipeline: record.pipeline.clone(),
        device: record.device.clone(),
        engine_build: record.engine_build.clone(),
        threads: record.threads,
        percentile: record.percentile,
        objective: problem.objective,
        floor: problem.floor,
        max_latency_us: problem.max_latency_us,
        constraints: problem.constraints.clone(),
        false_rejection: problem.method.false_rejection,
    };
    Document::seal(question, table(problem), proof(record))
}

fn table(problem: &Problem) -> Table {
    let stage = |stage: &crate::search::StageChoices| Stage {
        name: stage.name.clone(),
        baseline: stage.baseline,
        min_accuracy: stage.min_accuracy,
        choices: stage
            .choices
            .iter()
            .map(|choice| Choice {
                level: choice.level,
                recipe: choice.recipe.clone(),
                variant_sha256: choice.variant_sha256.clone(),
                latency_us: choice.latency_us,
                accuracy: choice.accuracy,
                model_bytes: choice.model_bytes,
                memory_bytes: choice.memory_bytes,
            })
            .collect(),
    };
    Table {
        stages: problem.stages.iter().map(stage).collect(),
        composition: problem.composition.clone(),
    }
}

fn proof(record: &SearchRecord) -> Proof {
    let (problem, certificate) = (&record.problem, &record.certificate);
    let excluded: Vec<Excluded> = certificate
        .excluded
        .iter()
        .filter_map(|&(stage, choice)| {
            let of = &problem.stages[stage];
            let (accuracy, min_accuracy) = (of.choices[choice].accuracy?, of.min_accuracy?);
            Some(Excluded { stage, choice, accuracy, min_accuracy })
        })
        .collect();
    let covered_us = match (certificate.guarantee, &record.found, problem.objective) {
        (Guarantee::Incomplete, ..) => Some(certificate.covered_to_us),
        (_, Some(found), Objective::MinLatency) => Some(found.latency_us),
        _ => problem.max_latency_us,
    };
    let monotone_margin = certificate.monotone_margin;
    let could_be_better =
        |seen: &&Evaluated| monotone_margin.is_some() || needed(record, seen, covered_us);
    Proof {
        guarantee: certificate.guarantee,
        baseline: evaluation(&record.baseline),
        min_correct: certificate.min_correct,
        incumbent: record.found.as_ref().map(evaluation),
        front: record.front.iter().map(evaluation).collect(),
        monotone_margin,
        audits: certificate.audits.clone(),
        excluded,
        witnesses: certificate.witnesses.iter().filter(could_be_better).map(evaluation).collect(),
        bounds: certificate
            .bounds
            .iter()
            .map(|(picks, at_most)| Bound { picks: picks.clone(), at_most: *at_most })
            .collect(),
        covered_us,
    }
}

/// Whether the proof must show that `seen` is no better: by its latency alone it could have been.
fn needed(record: &SearchRecord, seen: &Evaluated, covered_us: Option<f64>) -> bool {
    let (problem, certificate) = (&record.problem, &record.certificate);
    if !Space::new(problem).contains(&seen.picks) {
        return false;
    }
    let latency_us = seen.latency_us;
    let covered = certificate.guarantee != Guarantee::Incomplete
        || covered_us.is_none_or(|covered| latency_us < covered);
    let allowed = problem.max_latency_us.is_none_or(|limit| latency_us <= limit);
    let promising = match (&record.found, problem.objective) {
        (None, _) => true,
        (Some(found), Objective::MinLatency) => latency_us < found.latency_us,
        (Some(_), Objective::ParetoFront) => {
            let perfect = record.front.iter().find(|seen| seen.at_most == seen.accuracy.total);
            perfect.is_none_or(|perfect| latency_us < perfect.latency_us)
        }
        (Some(found), Objective::MaxAccuracy) => {
            found.accuracy.correct < found.accuracy.total || latency_us < found.latency_us
        }
        (Some(found), Objective::Weighted { accuracy_weight }) => {
            let baseline = &record.baseline;
            let score = |latency_us: f64, accuracy: f64| {
                latency_us / baseline.latency_us
                    + accuracy_weight * (baseline.accuracy.value() - accuracy)
            };
            score(latency_us, 1.0) < score(found.latency_us, found.accuracy.value())
        }
    };
    covered && allowed && promising
}

fn evaluation(seen: &Evaluated) -> Evaluation {
    Evaluation {
        picks: seen.picks.clone(),
        latency_us: seen.latency_us,
        correct: seen.accuracy.correct,
        total: seen.accuracy.total,
        at_most: seen.at_most,
        answers: seen.answers.clone(),
    }
}
