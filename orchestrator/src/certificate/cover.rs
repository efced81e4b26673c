//! Which assignments could be better than the answer, and whether each is a witness. Part of the checker: nothing of
//! the search is used here.

use std::collections::BTreeSet;

use super::check::{Rejected, latency_us};
use super::document::{Document, Evaluation};
use crate::search::{Guarantee, Objective};

/// The weighted objective: `latency / baseline latency + weight * (baseline accuracy - accuracy)`.
fn score(document: &Document, weight: f64, latency_us: f64, correct: u64) -> f64 {
    let baseline = &document.proof.baseline;
    let share = |correct: u64| correct as f64 / baseline.total as f64;
    latency_us / baseline.latency_us + weight * (share(baseline.correct) - share(correct))
}

/// Whether an assignment that passes is better than the answer, or is one where the answer is that there is none.
pub(super) fn better(document: &Document, seen: &Evaluation) -> bool {
    let Some(answer) = &document.proof.incumbent else { return true };
    match document.question.objective {
        Objective::MinLatency => seen.latency_us < answer.latency_us,
        Objective::MaxAccuracy => {
            seen.correct > answer.correct
                || (seen.correct == answer.correct && seen.latency_us < answer.latency_us)
        }
        Objective::Weighted { accuracy_weight: weight } => {
            let of = |e: &Evaluation| score(document, weight, e.latency_us, e.correct);
            of(seen) < of(answer)
        }
    }
}

/// Whether an assignment could be better, going by its latency alone. Holds for all faster ones if it holds for one.
fn could_be_better(document: &Document, latency_us: f64) -> bool {
    let proof = &document.proof;
    let limited = document.question.max_latency_us.is_some_and(|limit| latency_us > limit);
    let incomplete = proof.guarantee == Guarantee::Incomplete;
    let beyond = incomplete && proof.covered_us.is_none_or(|covered| latency_us >= covered);
    // The best accuracy that there is.
    let perfect =
        Evaluation { correct: proof.baseline.total, latency_us, ..proof.baseline.clone() };
    !limited && !beyond && better(document, &perfect)
}

/// Walks all assignments that could be better; returns how many there are without the answer, and the steps taken.
pub(super) fn walk(document: &Document) -> Result<(usize, u64), Rejected> {
    let (table, proof) = (&document.table, &document.proof);
    let is_excluded =
        |stage, pick| proof.excluded.iter().any(|e| (e.stage, e.choice) == (stage, pick));
    let mut allowed: Vec<Vec<usize>> = Vec::new();
    for (stage, of) in table.stages.iter().enumerate() {
        let mut picks: Vec<usize> =
            (0..of.choices.len()).filter(|&pick| !is_excluded(stage, pick)).collect();
        picks.sort_by(|&a, &b| of.choices[a].latency_us.total_cmp(&of.choices[b].latency_us));
        allowed.push(picks);
    }
    if allowed.iter().any(Vec::is_empty) {
        return Ok((0, 0));
    }
    let of =
        |stage: usize, rank: usize| table.stages[stage].choices[allowed[stage][rank]].latency_us;
    let is_witness: BTreeSet<&[usize]> =
        proof.witnesses.iter().map(|witness| &witness.picks[..]).collect();
    // All stages from `depth` on are at their fastest: the latency is that of the fastest completion.
    let (mut ranks, mut depth) = (vec![0_usize; allowed.len()], 0);
    let mut stage_us: Vec<f64> = (0..allowed.len()).map(|stage| of(stage, 0)).collect();
    let (mut found, mut visited) = (0, 0);
    loop {
        visited += 1;
        let within = could_be_better(document, latency_us(&table.composition, &stage_us));
        if within && depth < ranks.len() {
            depth += 1;
            continue;
        }
        if within {
            let picks: Vec<usize> =
                ranks.iter().zip(&allowed).map(|(&rank, picks)| picks[rank]).collect();
            let is_answer = proof.incumbent.as_ref().is_some_and(|i| i.picks == picks);
            if !is_answer && !is_witness.contains(&picks[..]) {
                let latency_us = latency_us(&table.composition, &stage_us);
                return Err(Rejected::Uncovered { picks, latency_us });
            }
            found += usize::from(!is_answer);
        }
        // The next rank of the deepest stage that has one; where nothing fits, slower ranks do not either.
        let mut exhausted = !within;
        loop {
            if depth == 0 {
                return Ok((found, visited));
            }
            let stage = depth - 1;
            if !exhausted && ranks[stage] + 1 < allowed[stage].len() {
                ranks[stage] += 1;
                stage_us[stage] = of(stage, ranks[stage]);
                break;
            }
            ranks[stage] = 0;
            stage_us[stage] = of(stage, 0);
            depth -= 1;
            exhausted = false;
        }
    }
}
