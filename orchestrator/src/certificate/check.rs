//! Checks a proof. Independent of the search: nothing of `crate::search` but its plain data is used here.

use std::collections::BTreeMap;

use super::cover::{better, walk};
use super::document::{Document, Evaluation, Excluded};
use crate::search::{Composition, Floor, Guarantee, Objective};

/// What a certificate that was accepted proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    /// Evaluations that were shown to be no better.
    pub witnesses: usize,
    /// Partial assignments that were looked at to know that no other could be better.
    pub visited: u64,
}

/// Why a proof is not accepted.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Rejected {
    /// The table cannot be read as one.
    #[error("the table is malformed: {0}")]
    Table(String),
    /// A threshold, weight or limit that means nothing.
    #[error("the question is malformed: {0}")]
    Question(String),
    /// An evaluation that contradicts the table or itself.
    #[error("the evaluation of {picks:?} is wrong: {why}")]
    Evaluation {
        /// Choice per stage.
        picks: Vec<usize>,
        /// What is wrong with it.
        why: String,
    },
    /// Something that follows from the rest says otherwise.
    #[error("{what} should be {should}, and is {is}")]
    Derived {
        /// The field.
        what: &'static str,
        /// What follows from the other fields.
        should: String,
        /// What the file says.
        is: String,
    },
    /// A witness passes.
    #[error("the witness {0:?} meets every threshold and is better than the answer")]
    Better(Vec<usize>),
    /// The answer breaks a threshold.
    #[error("the answer {0:?} does not meet the thresholds: {1}")]
    Answer(Vec<usize>, String),
    /// An assignment that could be better was not evaluated.
    #[error("{picks:?} would take {latency_us} us and could be better, but is no witness")]
    Uncovered {
        /// Choice per stage.
        picks: Vec<usize>,
        /// Its latency in microseconds.
        latency_us: f64,
    },
    /// Witnesses out of order, twice, or of assignments that could not be better anyway.
    #[error(
        "{0} witnesses prove nothing: they could not be better, are excluded, or are twice there"
    )]
    Superfluous(usize),
}

/// Accepts a document whose evaluations prove its answer.
///
/// Latencies are monotone in each stage, so the assignments that could be better form a down-set: they are walked
/// depth first, a partial assignment being left as soon as its fastest completion cannot be better. Each step
/// thus leads to a witness, and the effort is at most witnesses × stages × choices latencies.
///
/// # Errors
/// The first reason to reject it.
pub fn check(document: &Document) -> Result<Proven, Rejected> {
    well_formed(document)?;
    let proof = &document.proof;
    let evaluations = proof.witnesses.iter().chain(&proof.incumbent).chain([&proof.baseline]);
    evaluations.clone().try_for_each(|seen| evaluation(document, seen))?;
    let mut known: BTreeMap<&[usize], u64> = BTreeMap::new();
    for seen in evaluations {
        if *known.entry(&seen.picks).or_insert(seen.correct) != seen.correct {
            return Err(wrong(seen, "it is there with another number of right answers".to_owned()));
        }
    }
    let baseline: Vec<usize> = document.table.stages.iter().map(|s| s.baseline).collect();
    equal("the picks of the baseline", &baseline, &proof.baseline.picks)?;
    equal("the floor in right answers", &min_correct(document), &proof.min_correct)?;
    equal("the list of excluded choices", &excluded(document), &proof.excluded)?;
    covered(document)?;
    answer(document)?;
    for witness in &proof.witnesses {
        if passes(document, witness) && better(document, witness) {
            return Err(Rejected::Better(witness.picks.clone()));
        }
    }
    let ordered = |a: &Evaluation, b: &Evaluation| {
        a.latency_us.total_cmp(&b.latency_us).then_with(|| a.picks.cmp(&b.picks)).is_lt()
    };
    let misplaced = proof.witnesses.windows(2).filter(|pair| !ordered(&pair[0], &pair[1])).count();
    let (found, visited) = walk(document)?;
    match misplaced.max(proof.witnesses.len().saturating_sub(found)) {
        0 => Ok(Proven { witnesses: found, visited }),
        superfluous => Err(Rejected::Superfluous(superfluous)),
    }
}

fn well_formed(document: &Document) -> Result<(), Rejected> {
    let (stages, question) = (&document.table.stages, &document.question);
    let table = |why: String| Err(Rejected::Table(why));
    let mut leaves = vec![0_usize; stages.len()];
    count_leaves(&document.table.composition, &mut leaves)?;
    if stages.is_empty() || leaves.iter().any(|&times| times != 1) {
        return table("every stage must be in the composition once".to_owned());
    }
    for stage in stages {
        if stage.baseline >= stage.choices.len() {
            return table(format!("stage {} has no baseline", stage.name));
        }
        if stage.choices.iter().any(|c| !(c.latency_us.is_finite() && c.latency_us > 0.0)) {
            return table(format!("a latency of stage {} is no positive number", stage.name));
        }
        if stages.iter().filter(|other| other.name == stage.name).count() > 1 {
            return table(format!("two stages are called {}", stage.name));
        }
    }
    let weight_ok = match question.objective {
        Objective::MinLatency => true,
        Objective::MaxAccuracy => question.max_latency_us.is_some(),
        Objective::Weighted { accuracy_weight } => accuracy_weight >= 0.0,
    };
    let floor_ok = match question.floor {
        None => true,
        Some(Floor::MaxDropPoints(points)) => (0.0..=100.0).contains(&points),
        Some(Floor::MinAccuracy(share)) => (0.0..=1.0).contains(&share),
    };
    match weight_ok && floor_ok && question.max_latency_us.is_none_or(|limit| limit > 0.0) {
        true => Ok(()),
        false => Err(Rejected::Question("a threshold or weight is out of range".to_owned())),
    }
}

fn count_leaves(composition: &Composition, leaves: &mut [usize]) -> Result<(), Rejected> {
    match composition {
        Composition::Stage { stage, rate } => match leaves.get_mut(*stage) {
            Some(times) if (0.0..=1.0).contains(rate) => {
                *times += 1;
                Ok(())
            }
            _ => Err(Rejected::Table(format!("the composition names stage {stage}, rate {rate}"))),
        },
        Composition::Chain(parts) | Composition::Parallel(parts) => {
            parts.iter().try_for_each(|part| count_leaves(part, leaves))
        }
    }
}

/// Sum over chains, largest of branches, rate times latency, in the order of the file.
pub(super) fn latency_us(composition: &Composition, stage_us: &[f64]) -> f64 {
    let mut total = 0.0;
    match composition {
        Composition::Stage { stage, rate } => total = stage_us[*stage] * rate,
        Composition::Chain(parts) => {
            for part in parts {
                total += latency_us(part, stage_us);
            }
        }
        Composition::Parallel(parts) => {
            for part in parts {
                total = latency_us(part, stage_us).max(total);
            }
        }
    }
    total
}

fn wrong(seen: &Evaluation, why: String) -> Rejected {
    Rejected::Evaluation { picks: seen.picks.clone(), why }
}

fn evaluation(document: &Document, seen: &Evaluation) -> Result<(), Rejected> {
    let stages = &document.table.stages;
    let fits = seen.picks.len() == stages.len()
        && stages.iter().zip(&seen.picks).all(|(stage, &pick)| pick < stage.choices.len());
    if !fits {
        return Err(wrong(seen, "the table has no such choices".to_owned()));
    }
    let picked = stages.iter().zip(&seen.picks);
    let stage_us: Vec<f64> = picked.map(|(s, &pick)| s.choices[pick].latency_us).collect();
    let composed = latency_us(&document.table.composition, &stage_us);
    if composed.to_bits() != seen.latency_us.to_bits() {
        return Err(wrong(seen, format!("{} us, but {composed} us by the table", seen.latency_us)));
    }
    let samples = document.proof.baseline.total;
    if seen.correct > seen.total || seen.total == 0 || seen.total != samples {
        return Err(wrong(seen, format!("{} of {} of {samples}", seen.correct, seen.total)));
    }
    Ok(())
}

fn equal<T: PartialEq + std::fmt::Debug>(
    what: &'static str,
    should: &T,
    is: &T,
) -> Result<(), Rejected> {
    match should == is {
        true => Ok(()),
        false => {
            Err(Rejected::Derived { what, should: format!("{should:?}"), is: format!("{is:?}") })
        }
    }
}

/// The least whole number of right answers that reaches the floor, but for a tenth of a billionth of a sample: 88.4
/// less 4.0 points is meant exactly.
fn min_correct(document: &Document) -> Option<u64> {
    let baseline = &document.proof.baseline;
    let total = baseline.total as f64;
    let share = match document.question.floor? {
        Floor::MaxDropPoints(points) => baseline.correct as f64 / total - points / 100.0,
        Floor::MinAccuracy(share) => share,
    };
    Some((share * total - 1e-10).ceil().max(0.0) as u64)
}

fn excluded(document: &Document) -> Vec<Excluded> {
    let mut all = Vec::new();
    for (stage, of) in document.table.stages.iter().enumerate() {
        for (choice, measured) in of.choices.iter().enumerate() {
            if let (Some(accuracy), Some(min_accuracy)) = (measured.accuracy, of.min_accuracy)
                && accuracy < min_accuracy
            {
                all.push(Excluded { stage, choice, accuracy, min_accuracy });
            }
        }
    }
    all
}

fn covered(document: &Document) -> Result<(), Rejected> {
    let (question, proof) = (&document.question, &document.proof);
    let should = match (proof.guarantee, &proof.incumbent, question.objective) {
        (Guarantee::Incomplete, ..) => match proof.covered_us {
            Some(covered) if covered >= 0.0 => proof.covered_us,
            _ => Some(0.0),
        },
        (_, Some(incumbent), Objective::MinLatency) => Some(incumbent.latency_us),
        _ => question.max_latency_us,
    };
    equal("the latency that the proof covers", &should, &proof.covered_us)
}

fn answer(document: &Document) -> Result<(), Rejected> {
    let Some(answer) = &document.proof.incumbent else { return Ok(()) };
    let refuse = |why: &str| Err(Rejected::Answer(answer.picks.clone(), why.to_owned()));
    let is_excluded = |e: &Excluded| answer.picks[e.stage] == e.choice;
    if document.proof.excluded.iter().any(is_excluded) {
        return refuse("a stage is below its own threshold");
    }
    if document.question.max_latency_us.is_some_and(|limit| answer.latency_us > limit) {
        return refuse("it is slower than the limit");
    }
    match passes(document, answer) {
        true => Ok(()),
        false => refuse("it is below the floor"),
    }
}

fn passes(document: &Document, seen: &Evaluation) -> bool {
    document.proof.min_correct.is_none_or(|least| seen.correct >= least)
}
