//! What follows if accuracy is monotone (guarantee `M`).
//!
//! The assumption, with a margin: an assignment has fewer than `margin` right answers more than one that runs no stage
//! at a lower level. Then one that fails by the margin rules out all that run no stage at a higher level, and what is
//! evaluated to rule out a fast assignment is better not that one: one with as many stages as possible at fp32 that
//! still fails rules out far more. Which stages make an assignment fail is guessed from each choice alone, the other
//! stages at fp32, losses adding up. Guesses decide only what is evaluated first.

use super::enumerate::Enumerate;
use super::goal::Goal;
use super::outcome::Evaluated;
use super::problem::Problem;
use super::solve::{Evaluate, Log, Walk};
use super::space::Space;
use quantrack_engine::Level;

/// Evaluations that only test the assumption: half those that were most likely to pass, half anywhere.
const AUDITS: usize = 16;

/// Most assignments that are looked at to find some for audits.
const AUDITED_FROM: usize = 200_000;

/// What evaluations rule out.
#[derive(Debug)]
pub(super) struct Cuts<'a> {
    problem: &'a Problem,
    margin: u64,
    /// Per stage the choices that are allowed.
    allowed: Vec<Vec<usize>>,
    /// Evaluated assignments with the most right answers that they have; those that others make useless are dropped.
    failed: Vec<(Vec<usize>, u64)>,
}

/// What came of ruling out an assignment by another.
pub(super) enum Climbed {
    /// It is ruled out.
    Covered,
    /// It must be evaluated itself. These were evaluated on the way.
    Open(Vec<Evaluated>),
    /// There are to be no more evaluations.
    RanOut,
}

impl<'a> Cuts<'a> {
    pub(super) fn new(problem: &'a Problem, space: &Space<'_>, margin: u64) -> Self {
        let allowed = (0..space.stages()).map(|stage| space.allowed(stage).to_vec()).collect();
        Self { problem, margin: margin.max(1), allowed, failed: Vec::new() }
    }

    pub(super) fn margin(&self) -> u64 {
        self.margin
    }

    /// With fewer right answers than this an assignment rules out all below it that need `needed`.
    pub(super) fn target(&self, needed: u64) -> u64 {
        needed.saturating_sub(self.margin - 1)
    }

    pub(super) fn learn(&mut self, seen: &Evaluated) {
        let useless = |(picks, at_most): &(Vec<usize>, u64)| {
            seen.at_most <= *at_most && self.is_above(&seen.picks, picks)
        };
        let kept: Vec<_> = self.failed.iter().filter(|cut| !useless(cut)).cloned().collect();
        self.failed = kept;
        self.failed.push((seen.picks.clone(), seen.at_most));
    }

    fn level(&self, stage: usize, pick: usize) -> Level {
        self.problem.stages[stage].choices[pick].level
    }

    /// Whether no stage of `below` runs at a higher level than in `above`; another recipe at the same level is neither
    /// higher nor lower. Stages that `below` leaves open may run anything that is allowed.
    fn is_above(&self, above: &[usize], below: &[usize]) -> bool {
        above.iter().enumerate().all(|(stage, &pick)| {
            let is_above =
                |other: usize| pick == other || self.level(stage, pick) < self.level(stage, other);
            match below.get(stage) {
                Some(&other) => is_above(other),
                None => self.allowed[stage].iter().all(|&other| is_above(other)),
            }
        })
    }

    /// Whether all assignments that begin with `picks` have fewer than `needed` right answers.
    pub(super) fn cover(&self, picks: &[usize], needed: u64) -> bool {
        let target = self.target(needed);
        self.failed.iter().any(|(above, at_most)| *at_most < target && self.is_above(above, picks))
    }
}

impl<V: Evaluate> Log<'_, V> {
    /// Tries to rule out `picks`, which must have `needed` right answers, by evaluating assignments above it.
    pub(super) fn climb(&mut self, picks: &[usize], needed: u64) -> Result<Climbed, V::Error> {
        let Some(cuts) = &self.cuts else { return Ok(Climbed::Open(Vec::new())) };
        let target = cuts.target(needed);
        let baseline = self.problem.baseline();
        let mut lowered: Vec<usize> =
            (0..picks.len()).filter(|&stage| picks[stage] != baseline[stage]).collect();
        // The lowest level first: it is the most likely to fail alone.
        lowered.sort_by_key(|&stage| std::cmp::Reverse(cuts.level(stage, picks[stage])));
        let at_baseline_but = |stages: &[usize]| {
            let mut mixed = baseline.clone();
            stages.iter().for_each(|&stage| mixed[stage] = picks[stage]);
            mixed
        };
        let mut seen = Vec::new();
        let mut losses: Vec<(u64, usize)> = Vec::new();
        for &stage in &lowered {
            let Some(alone) = self.judge(&at_baseline_but(&[stage]), target)? else {
                return Ok(Climbed::RanOut);
            };
            if self.rules_out(picks, needed) {
                return Ok(Climbed::Covered);
            }
            let loss = self.trace[0].accuracy.correct.saturating_sub(alone.accuracy.correct);
            losses.push((loss, stage));
            seen.push(alone);
        }
        losses.sort_unstable();
        let expected = |losses: &[(u64, usize)]| {
            let lost: u64 = losses.iter().map(|(loss, _)| loss).sum();
            self.trace[0].accuracy.correct.saturating_sub(lost)
        };
        // As many stages back at fp32 as still leave it failing by the guess, and half as many.
        let most = (0..losses.len()).rev().find(|&back| expected(&losses[back..]) < target);
        let Some(most) = most else { return Ok(Climbed::Open(seen)) };
        for back in [most, most / 2] {
            let stages: Vec<usize> = losses[back..].iter().map(|&(_, stage)| stage).collect();
            let above = at_baseline_but(&stages);
            if above == picks {
                break;
            }
            let Some(tried) = self.judge(&above, target)? else { return Ok(Climbed::RanOut) };
            if self.rules_out(picks, needed) {
                return Ok(Climbed::Covered);
            }
            seen.push(tried);
        }
        Ok(Climbed::Open(seen))
    }

    /// Evaluates some assignments that were ruled out, to test the assumption where there is one.
    pub(super) fn audit(
        &mut self,
        goal: &Goal<'_>,
        walk: &Walk,
    ) -> Result<Vec<Vec<usize>>, V::Error> {
        let mut audits = Vec::new();
        if self.cuts.is_none() {
            return Ok(audits);
        }
        for (picks, needed) in self.candidates(goal, walk) {
            if self.judge(&picks, needed)?.is_none() {
                break;
            }
            audits.push(picks);
        }
        audits.sort();
        Ok(audits)
    }

    /// What to audit, and the right answers that each must not have.
    fn candidates(&self, goal: &Goal<'_>, walk: &Walk) -> Vec<(Vec<usize>, u64)> {
        let mut ruled_out: Vec<(u64, u64, Vec<usize>, u64)> = Vec::new();
        for (picks, latency_us) in Enumerate::new(self.problem).take(AUDITED_FROM) {
            let Some(needed) = goal.needed(latency_us, walk.rival(latency_us)) else { break };
            let is_ruled_out = self.cuts.as_ref().is_some_and(|cuts| cuts.cover(&picks, needed));
            if is_ruled_out && self.known(&picks).is_none() {
                ruled_out.push((self.expected(&picks), scrambled(&picks), picks, needed));
            }
        }
        ruled_out.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        let mut anywhere = ruled_out.split_off(ruled_out.len().min(AUDITS / 2));
        anywhere.sort_by_key(|(_, scrambled, ..)| *scrambled);
        anywhere.truncate(AUDITS - AUDITS / 2);
        ruled_out.into_iter().chain(anywhere).map(|(_, _, picks, needed)| (picks, needed)).collect()
    }

    /// Right answers that are to be expected, going by each choice alone; the most that it can have where it is not known.
    fn expected(&self, picks: &[usize]) -> u64 {
        let baseline = &self.trace[0];
        let mut lost = 0;
        for (stage, &pick) in picks.iter().enumerate() {
            let mut alone = baseline.picks.clone();
            alone[stage] = pick;
            let known = self.known(&alone).map_or(0, |seen| seen.at_most);
            lost += baseline.accuracy.correct.saturating_sub(known);
        }
        baseline.accuracy.correct.saturating_sub(lost)
    }

    /// Whether some evaluation has more right answers than one above it allows.
    pub(super) fn is_contradicted(&self) -> bool {
        let Some(cuts) = &self.cuts else { return false };
        self.trace.iter().any(|above| {
            self.trace.iter().any(|below| {
                below.accuracy.correct >= above.at_most + cuts.margin
                    && cuts.is_above(&above.picks, &below.picks)
            })
        })
    }
}

/// A number that has nothing to do with what the picks mean: FNV-1a.
fn scrambled(picks: &[usize]) -> u64 {
    let mix = |hash: u64, &pick: &usize| (hash ^ (pick as u64 + 1)).wrapping_mul(0x100_0000_01b3);
    let mixed = picks.iter().fold(0xcbf2_9ce4_8422_2325, mix);
    mixed ^ (mixed >> 31)
}
