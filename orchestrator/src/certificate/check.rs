//! Checks a proof. Independent of the search: nothing of `crate::search` but its plain data is used here.

use std::collections::BTreeMap;

use quantrack_engine::Level;

use super::cover::{is_above, is_below_a_failure, keeps, walk};
use super::document::{Document, Evaluation, Excluded};
use super::wealth;
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
    /// An evaluation contradicts what is assumed.
    #[error(
        "{below:?} has too many right answers for accuracy to be monotone: {above:?} runs no stage lower"
    )]
    Contradicted {
        /// Choice per stage.
        above: Vec<usize>,
        /// Choice per stage.
        below: Vec<usize>,
    },
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
    let answers = proof.incumbent.iter().chain(&proof.front).chain([&proof.baseline]);
    for whole in answers.clone() {
        if whole.total != proof.baseline.total {
            return Err(wrong(whole, "it was not evaluated on all samples".to_owned()));
        }
    }
    let evaluations: Vec<&Evaluation> = proof.witnesses.iter().chain(answers).collect();
    evaluations.iter().try_for_each(|seen| evaluation(document, seen))?;
    let mut known: BTreeMap<&[usize], (u64, u64)> = BTreeMap::new();
    for seen in &evaluations {
        let counts = (seen.correct, seen.at_most);
        if *known.entry(&seen.picks).or_insert(counts) != counts {
            return Err(wrong(seen, "it is there with another number of right answers".to_owned()));
        }
    }
    bounds(document, &evaluations)?;
    assumption(document, &evaluations)?;
    let baseline: Vec<usize> = document.table.stages.iter().map(|s| s.baseline).collect();
    equal("the picks of the baseline", &baseline, &proof.baseline.picks)?;
    equal("the floor in right answers", &min_correct(document), &proof.min_correct)?;
    equal("the list of excluded choices", &excluded(document), &proof.excluded)?;
    covered(document)?;
    answer(document)?;
    let ordered = |a: &Evaluation, b: &Evaluation| {
        a.latency_us.total_cmp(&b.latency_us).then_with(|| a.picks.cmp(&b.picks)).is_lt()
    };
    let misplaced = proof.witnesses.windows(2).filter(|pair| !ordered(&pair[0], &pair[1])).count();
    let (found, visited) = walk(document)?;
    let unused = match proof.monotone_margin {
        None => proof.witnesses.len().saturating_sub(found),
        Some(_) => 0,
    };
    match misplaced.max(unused) {
        0 => Ok(Proven { witnesses: proof.witnesses.len(), visited }),
        superfluous => Err(Rejected::Superfluous(superfluous)),
    }
}

fn well_formed(document: &Document) -> Result<(), Rejected> {
    let (stages, question) = (&document.table.stages, &document.question);
    let table = |why: String| Err(Rejected::Table(why));
    let limits = &question.constraints;
    if limits.same_level.iter().flatten().any(|&stage| stage >= stages.len()) {
        return table("stages that must share a level are none of the table".to_owned());
    }
    let unknown = |stage: &super::Stage| stage.choices.iter().any(|c| c.memory_bytes.is_none());
    if limits.max_memory_bytes.is_some() && stages.iter().any(unknown) {
        return table("memory is limited, but not known of all variants".to_owned());
    }
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
        Objective::MinLatency | Objective::ParetoFront => true,
        Objective::MaxAccuracy => question.max_latency_us.is_some(),
        Objective::Weighted { accuracy_weight } => accuracy_weight >= 0.0,
    };
    let floor_ok = match question.floor {
        None => true,
        Some(Floor::MaxDropPoints(points)) => (0.0..=100.0).contains(&points),
        Some(Floor::MinAccuracy(share)) => (0.0..=1.0).contains(&share),
    };
    let risk_ok = (0.0..=0.5).contains(&question.false_rejection);
    match weight_ok
        && floor_ok
        && risk_ok
        && question.max_latency_us.is_none_or(|limit| limit > 0.0)
    {
        true => Ok(()),
        false => Err(Rejected::Question("a threshold or weight is out of range".to_owned())),
    }
}

fn count_leaves(composition: &Composition, leaves: &mut [usize]) -> Result<(), Rejected> {
    match composition {
        Composition::Stage { stage, rate, by } => {
            let depends = |by: &crate::search::RateByLevel| {
                by.stage != *stage
                    && by.stage < leaves.len()
                    && by.rates.values().all(|rate| (0.0..=1.0).contains(rate))
            };
            let ok = (0.0..=1.0).contains(rate) && by.as_ref().is_none_or(depends);
            match leaves.get_mut(*stage) {
                Some(times) if ok => {
                    *times += 1;
                    Ok(())
                }
                _ => Err(Rejected::Table(format!("the composition of stage {stage}, rate {rate}"))),
            }
        }
        Composition::Chain(parts) | Composition::Parallel(parts) => {
            parts.iter().try_for_each(|part| count_leaves(part, leaves))
        }
    }
}

/// Sum over chains, largest of branches, rate times latency, in the order of the file. `levels` are those of the first
/// stages; rates that depend on the level of a later one are the least that they can be.
pub(super) fn latency_us(composition: &Composition, stage_us: &[f64], levels: &[Level]) -> f64 {
    let mut total = 0.0;
    match composition {
        Composition::Stage { stage, rate, by } => {
            let mut rate = *rate;
            if let Some(by) = by {
                match levels.get(by.stage) {
                    Some(level) => rate = by.rates.get(level).copied().unwrap_or(rate),
                    None => by.rates.values().for_each(|&other| rate = rate.min(other)),
                }
            }
            total = stage_us[*stage] * rate;
        }
        Composition::Chain(parts) => {
            for part in parts {
                total += latency_us(part, stage_us, levels);
            }
        }
        Composition::Parallel(parts) => {
            for part in parts {
                total = latency_us(part, stage_us, levels).max(total);
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
    let levels: Vec<Level> =
        stages.iter().zip(&seen.picks).map(|(s, &pick)| s.choices[pick].level).collect();
    let composed = latency_us(&document.table.composition, &stage_us, &levels);
    if composed.to_bits() != seen.latency_us.to_bits() {
        return Err(wrong(seen, format!("{} us, but {composed} us by the table", seen.latency_us)));
    }
    let samples = document.proof.baseline.total;
    if seen.correct > seen.total || seen.total == 0 || seen.total > samples {
        return Err(wrong(seen, format!("{} of {} of {samples}", seen.correct, seen.total)));
    }
    at_most(document, seen)
}

/// The most right answers that an evaluation shows: all that are left may be right, or the test says so.
fn at_most(document: &Document, seen: &Evaluation) -> Result<(), Rejected> {
    let (baseline, risk) = (&document.proof.baseline, document.question.false_rejection);
    let left = baseline.total - seen.total;
    let claim = |why: &str| Err(wrong(seen, format!("at most {} right: {why}", seen.at_most)));
    let counted = |text: &str, total: u64| {
        let all = wealth::answers(text).filter(|all| all.len() as u64 == total);
        let correct = |all: &Vec<bool>| all.iter().filter(|&&right| right).count() as u64;
        all.map(|all| (correct(&all), all))
    };
    // The baseline's answers are there wherever there are tests.
    if seen.picks == baseline.picks {
        let answers = counted(&seen.answers, seen.total);
        let right = match risk > 0.0 {
            true => answers.is_some_and(|(correct, _)| correct == seen.correct),
            false => seen.answers.is_empty(),
        };
        return match right && seen.at_most == seen.correct && left == 0 {
            true => Ok(()),
            false => claim("the baseline's answers say otherwise"),
        };
    }
    if seen.answers.is_empty() {
        return match seen.at_most == seen.correct + left {
            true => Ok(()),
            false => claim("the samples that are left say otherwise"),
        };
    }
    let shown = counted(&seen.answers, seen.total).zip(counted(&baseline.answers, baseline.total));
    let Some(((correct, answers), (_, usual))) = shown else {
        return claim("its answers do not fit the samples");
    };
    let tested = correct == seen.correct
        && risk > 0.0
        && seen.at_most < seen.correct + left
        && wealth::rejects(&answers, &usual, seen.at_most + 1, risk);
    if tested { Ok(()) } else { claim("its answers do not show it") }
}

/// Bounds are of stages and choices that there are, and no evaluation is above them.
fn bounds(document: &Document, evaluations: &[&Evaluation]) -> Result<(), Rejected> {
    let (stages, bounds) = (&document.table.stages, &document.proof.bounds);
    for bound in bounds {
        let picked = bound.picks.iter().zip(stages);
        let fits = !bound.picks.is_empty()
            && bound.picks.len() < stages.len()
            && picked.into_iter().all(|(&pick, stage)| pick < stage.choices.len());
        let too_many = |seen: &&&Evaluation| {
            seen.picks.starts_with(&bound.picks) && seen.correct > bound.at_most
        };
        if let Some(seen) = evaluations.iter().find(too_many).filter(|_| fits) {
            return Err(wrong(seen, format!("its first stages leave only {}", bound.at_most)));
        }
        if !fits {
            return Err(Rejected::Table(format!("it has no stages and choices {:?}", bound.picks)));
        }
    }
    match bounds.windows(2).all(|pair| pair[0].picks < pair[1].picks) {
        true => Ok(()),
        false => Err(Rejected::Superfluous(bounds.len())),
    }
}

/// The guarantee fits what is assumed, and nothing contradicts that.
fn assumption(document: &Document, evaluations: &[&Evaluation]) -> Result<(), Rejected> {
    let proof = &document.proof;
    let should = match proof.monotone_margin {
        _ if proof.guarantee == Guarantee::Incomplete => Guarantee::Incomplete,
        Some(_) => Guarantee::Monotone,
        None => Guarantee::AssumptionFree,
    };
    equal("the guarantee", &should, &proof.guarantee)?;
    let margin = match proof.monotone_margin {
        Some(0) => return Err(Rejected::Question("a margin of 0 means nothing".to_owned())),
        Some(margin) => margin,
        None => return equal("the list of audits", &Vec::new(), &proof.audits),
    };
    for above in evaluations {
        for below in evaluations {
            let least = above.at_most.saturating_add(margin);
            if below.correct >= least
                && is_above(&document.table.stages, &above.picks, &below.picks)
            {
                let (above, below) = (above.picks.clone(), below.picks.clone());
                return Err(Rejected::Contradicted { above, below });
            }
        }
    }
    let ordered = proof.audits.windows(2).all(|pair| pair[0] < pair[1]);
    let audited = |picks: &Vec<usize>| {
        let witness = proof.witnesses.iter().find(|seen| seen.picks == *picks);
        witness.is_some_and(|seen| is_below_a_failure(document, picks, seen.latency_us))
    };
    match ordered && proof.audits.iter().all(audited) {
        true => Ok(()),
        false => Err(Rejected::Superfluous(proof.audits.len())),
    }
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
    let proof = &document.proof;
    let is_front = document.question.objective == Objective::ParetoFront;
    let fastest = if is_front { proof.front.first() } else { None };
    if is_front || !proof.front.is_empty() {
        equal("the fastest of the trade-off", &proof.incumbent.as_ref(), &fastest)?;
    }
    let rises = |pair: &[Evaluation]| {
        pair[0].latency_us < pair[1].latency_us && pair[0].correct < pair[1].correct
    };
    if let Some(pair) = proof.front.windows(2).find(|pair| !rises(pair)) {
        let why = "it does not give accuracy for latency".to_owned();
        return Err(Rejected::Answer(pair[1].picks.clone(), why));
    }
    proof.incumbent.iter().chain(&proof.front).try_for_each(|answer| meets(document, answer))
}

fn meets(document: &Document, answer: &Evaluation) -> Result<(), Rejected> {
    let refuse = |why: &str| Err(Rejected::Answer(answer.picks.clone(), why.to_owned()));
    let is_excluded = |e: &Excluded| answer.picks[e.stage] == e.choice;
    if document.proof.excluded.iter().any(is_excluded) {
        return refuse("a stage is below its own threshold");
    }
    if document.question.max_latency_us.is_some_and(|limit| answer.latency_us > limit) {
        return refuse("it is slower than the limit");
    }
    if !keeps(document, &answer.picks) {
        return refuse("it does not keep to the constraints");
    }
    match document.proof.min_correct.is_none_or(|least| answer.correct >= least) {
        true => Ok(()),
        false => refuse("it is below the floor"),
    }
}
