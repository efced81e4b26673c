//! Which assignments could be better than the answer, and what shows of each that it is not. Part of the checker:
//! nothing of the search is used here.

use std::collections::BTreeMap;

use super::check::{Rejected, latency_us};
use super::document::{Document, Evaluation, Stage};
use crate::search::{Guarantee, Objective};

/// The weighted objective: `latency / baseline latency + weight * (baseline accuracy - accuracy)`.
fn score(document: &Document, weight: f64, latency_us: f64, correct: u64) -> f64 {
    let baseline = &document.proof.baseline;
    let share = |correct: u64| correct as f64 / baseline.total as f64;
    latency_us / baseline.latency_us + weight * (share(baseline.correct) - share(correct))
}

/// Whether an assignment of that latency with so many right answers reaches the floor and is better than the answer, or
/// is one where the answer is that there is none.
pub(super) fn better(document: &Document, latency_us: f64, correct: u64) -> bool {
    if document.proof.min_correct.is_some_and(|least| correct < least) {
        return false;
    }
    let Some(answer) = &document.proof.incumbent else { return true };
    match document.question.objective {
        Objective::MinLatency => latency_us < answer.latency_us,
        Objective::MaxAccuracy => {
            correct > answer.correct
                || (correct == answer.correct && latency_us < answer.latency_us)
        }
        Objective::ParetoFront => {
            let beats = |on: &Evaluation| on.latency_us <= latency_us && on.correct >= correct;
            !document.proof.front.iter().any(beats)
        }
        Objective::Weighted { accuracy_weight: weight } => {
            let of = |latency_us, correct| score(document, weight, latency_us, correct);
            of(latency_us, correct) < of(answer.latency_us, answer.correct)
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
    !limited && !beyond && better(document, latency_us, proof.baseline.total)
}

/// Whether assignments that begin with `picks` can keep to the constraints, given the least that each stage takes.
pub(super) fn keeps(document: &Document, picks: &[usize]) -> bool {
    let (stages, limits) = (&document.table.stages, &document.question.constraints);
    let choice = |stage: usize| &stages[stage].choices[picks[stage]];
    let (mut files, mut memory) = (0_u64, 0_u64);
    for (index, stage) in stages.iter().enumerate() {
        let (of_files, of_memory) = match index < picks.len() {
            true => (choice(index).model_bytes, choice(index).memory_bytes),
            false => (
                stage.choices.iter().map(|c| c.model_bytes).min().unwrap_or_default(),
                stage.choices.iter().map(|c| c.memory_bytes.unwrap_or_default()).min(),
            ),
        };
        files = files.saturating_add(of_files);
        memory = memory.saturating_add(of_memory.unwrap_or_default());
    }
    let same = limits.same_level.iter().all(|group| {
        let mut levels = group.iter().filter(|&&s| s < picks.len()).map(|&s| choice(s).level);
        levels.next().is_none_or(|first| levels.all(|level| level == first))
    });
    same && limits.max_model_bytes.is_none_or(|most| files <= most)
        && limits.max_memory_bytes.is_none_or(|most| memory <= most)
}

/// Whether no stage of an assignment that begins with `below` can run at a higher level than in `above`.
pub(super) fn is_above(stages: &[Stage], above: &[usize], below: &[usize]) -> bool {
    stages.iter().zip(above).enumerate().all(|(index, (stage, &high))| {
        let lower =
            |low: usize| low == high || stage.choices[high].level < stage.choices[low].level;
        match below.get(index) {
            Some(&low) => lower(low),
            None => (0..stage.choices.len()).all(lower),
        }
    })
}

/// Whether another evaluation shows, accuracy being monotone, that no assignment that begins with `picks` and takes
/// `latency_us` or longer is better.
pub(super) fn is_below_a_failure(document: &Document, picks: &[usize], latency_us: f64) -> bool {
    let proof = &document.proof;
    let Some(margin) = proof.monotone_margin else { return false };
    let evaluations = proof.witnesses.iter().chain(&proof.incumbent).chain([&proof.baseline]);
    evaluations.chain(&proof.front).any(|above| {
        above.picks != picks
            && !better(document, latency_us, above.at_most.saturating_add(margin - 1))
            && is_above(&document.table.stages, &above.picks, picks)
    })
}

/// Walks all assignments that could be better; returns how many witnesses that took, and the steps taken.
pub(super) fn walk(document: &Document) -> Result<(usize, u64), Rejected> {
    let is_allowed = |stage: usize, pick: &usize| {
        let excluded = document.proof.excluded.iter();
        !excluded.into_iter().any(|e| (e.stage, e.choice) == (stage, *pick))
    };
    let stages = document.table.stages.iter().enumerate();
    let allowed: Vec<Vec<usize>> = stages
        .map(|(stage, of)| (0..of.choices.len()).filter(|pick| is_allowed(stage, pick)).collect())
        .collect();
    let witnesses = document.proof.witnesses.iter().map(|seen| (&seen.picks[..], seen)).collect();
    let mut walk = Walk { document, allowed, witnesses, found: 0, visited: 0 };
    if walk.allowed.iter().all(|picks| !picks.is_empty()) {
        walk.visit(&mut Vec::new())?;
    }
    Ok((walk.found, walk.visited))
}

struct Walk<'a> {
    document: &'a Document,
    /// Per stage the choices that meet its own threshold.
    allowed: Vec<Vec<usize>>,
    witnesses: BTreeMap<&'a [usize], &'a Evaluation>,
    found: usize,
    visited: u64,
}

impl Walk<'_> {
    /// Everything that begins with `picks`.
    fn visit(&mut self, picks: &mut Vec<usize>) -> Result<(), Rejected> {
        self.visited += 1;
        let document = self.document;
        let latency_us = self.fastest_us(picks);
        if !could_be_better(document, latency_us) || !keeps(document, picks) {
            return Ok(());
        }
        if picks.len() == self.allowed.len() {
            return self.leaf(picks, latency_us);
        }
        if is_below_a_failure(document, picks, latency_us) {
            return Ok(());
        }
        for at in 0..self.allowed[picks.len()].len() {
            picks.push(self.allowed[picks.len()][at]);
            let result = self.visit(picks);
            picks.pop();
            result?;
        }
        Ok(())
    }

    fn leaf(&mut self, picks: &[usize], latency_us: f64) -> Result<(), Rejected> {
        let proof = &self.document.proof;
        if proof.incumbent.iter().chain(&proof.front).any(|answer| answer.picks == picks) {
            return Ok(());
        }
        match self.witnesses.get(picks) {
            Some(seen) if !better(self.document, latency_us, seen.at_most) => {
                self.found += 1;
                Ok(())
            }
            // Stopped where it could no longer beat an earlier answer, before a bound showed that it cannot beat this one.
            seen if self.begins_with_too_little(picks, latency_us) => {
                self.found += usize::from(seen.is_some());
                Ok(())
            }
            _ if is_below_a_failure(self.document, picks, latency_us) => Ok(()),
            Some(_) => Err(Rejected::Better(picks.to_vec())),
            None => Err(Rejected::Uncovered { picks: picks.to_vec(), latency_us }),
        }
    }

    /// Whether its first stages find something in too few samples.
    fn begins_with_too_little(&self, picks: &[usize], latency_us: f64) -> bool {
        self.document.proof.bounds.iter().any(|bound| {
            picks.starts_with(&bound.picks) && !better(self.document, latency_us, bound.at_most)
        })
    }

    /// The least latency of an assignment that begins with `picks`.
    fn fastest_us(&self, picks: &[usize]) -> f64 {
        let table = &self.document.table;
        let of = |(index, stage): (usize, &Stage)| match picks.get(index) {
            Some(&pick) => stage.choices[pick].latency_us,
            None => {
                let allowed =
                    self.allowed[index].iter().map(|&pick| stage.choices[pick].latency_us);
                allowed.fold(f64::INFINITY, f64::min)
            }
        };
        let stage_us: Vec<f64> = table.stages.iter().enumerate().map(of).collect();
        let levels: Vec<_> = table
            .stages
            .iter()
            .zip(picks)
            .map(|(stage, &pick)| stage.choices[pick].level)
            .collect();
        latency_us(&table.composition, &stage_us, &levels)
    }
}
