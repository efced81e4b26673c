//! Comparing a board's models with their baselines.

use std::collections::BTreeSet;

use anyhow::anyhow;

use super::conditions::unclean;
use super::effect::median;
use super::floor::Noise;
use super::night::{Night, Run, Taken, Task, kept, missing};
use super::precautions::MissingPrecautions;
use super::record::{Baseline, Role, Runs, Session, SessionBody};
use super::report::{Fault, ModelReport};
use super::setup::{Difference, Setup};
use super::subject::Subject;
use super::verdict::{
    Compared, Judged, Verdict, confirmed, look, needs_rerun, unconfirmed, within_noise,
};
use crate::exit::Failure;
use crate::measurement::ConditionsSummary;
use crate::rack::BoardState;
use crate::store::Store;

/// Why a model is inconclusive of which [`ModelReport::differences`] tells more.
const OTHER_SETUP: &str = "the baseline is of another setup";

/// What a check is asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The slow-down that is to be found, as a share.
    pub min_effect: f64,
    /// Runs of each model, and as many again to confirm.
    pub runs: usize,
    /// Differences of the setup, or in precautions, (by their names) in spite of which baselines are compared with.
    pub across: BTreeSet<String>,
}

/// What a model is compared with.
#[derive(Clone, Debug)]
pub enum Against {
    /// The runs of a baseline.
    Stored(Box<Baseline>),
    /// A variant that is measured in turns with the model: when the model has become another variant, the baseline's own
    /// meets the same night.
    Measured {
        /// Digest of the variant.
        sha256: String,
    },
}

/// A model, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Comparison {
    task: Task,
    against: Against,
}

impl Comparison {
    /// Compares with stored runs of the same variant, and measures another one again where the store has its file.
    pub fn with_baseline(subject: Subject, baseline: Baseline, present: bool) -> Self {
        let sha256 = baseline.body.variant.sha256.clone();
        if subject.record.sha256 != sha256 && present {
            return Self::with_variant(subject, sha256);
        }
        Self { task: Task { subject, beside: None }, against: Against::Stored(Box::new(baseline)) }
    }

    /// Compares with another variant, in turns.
    pub fn with_variant(subject: Subject, sha256: String) -> Self {
        Self {
            task: Task { subject, beside: Some(sha256.clone()) },
            against: Against::Measured { sha256 },
        }
    }

    /// Digest of the variant that it is compared with.
    fn baseline_sha256(&self) -> &str {
        match &self.against {
            Against::Stored(baseline) => &baseline.body.variant.sha256,
            Against::Measured { sha256 } => sha256,
        }
    }
}

/// Where runs were measured, for those who judge and keep them.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    /// Where their samples are.
    pub store: &'a Store,
    /// The board and what ran on it; where that differs between what is compared, as it was for what is compared with.
    pub setup: Setup,
}

/// What in the setup of a baseline forbids to compare with it.
pub fn refused(baseline: &Baseline, now: &Setup, asked: &Asked) -> Vec<Difference> {
    let mut differences = baseline.body.setup.differences(now);
    differences.retain(|difference| !asked.across.contains(difference.what));
    differences
}

/// The report of a model whose baseline is refused.
pub fn refusal(
    subject: &Subject,
    baseline: &Baseline,
    differences: Vec<Difference>,
) -> ModelReport {
    ModelReport {
        model: subject.name.clone(),
        variant: subject.record.clone(),
        baseline_sha256: baseline.body.variant.sha256.clone(),
        verdict: Verdict::Inconclusive,
        reason: Some(OTHER_SETUP.to_owned()),
        effect: None,
        floor: None,
        baseline_median_us: median(baseline.body.runs.medians_us.clone()),
        median_us: None,
        interleaved: false,
        rerun: false,
        differences,
        conditions: ConditionsSummary::default(),
        missing_precautions: MissingPrecautions::default(),
        baseline_runs: Vec::new(),
        runs: Vec::new(),
    }
}

/// Measures and judges comparisons on a board, with reruns where they are due.
///
/// # Errors
/// When board or store fail.
pub async fn compare(
    night: &Night<'_>,
    comparisons: &[Comparison],
    asked: &Asked,
) -> Result<Vec<ModelReport>, Failure> {
    let tasks: Vec<&Task> = comparisons.iter().map(|comparison| &comparison.task).collect();
    let first = night.runs(&tasks, asked.runs).await?;
    let place = night.place();
    let mut judging = Vec::new();
    for (comparison, taken) in comparisons.iter().zip(first) {
        judging.push(Judging::begin(&place, comparison, taken, asked).await?);
    }
    let due: Vec<usize> = (0..judging.len()).filter(|&index| judging[index].is_due()).collect();
    let again: Vec<&Task> = due.iter().map(|&index| tasks[index]).collect();
    for (index, rerun) in due.into_iter().zip(night.runs(&again, asked.runs).await?) {
        judging[index].confirm(rerun);
    }
    let mut reports = Vec::new();
    for judged in judging {
        judged.save(&place).await?;
        reports.push(judged.report(&place).await?);
    }
    Ok(reports)
}

/// A comparison while it is judged.
#[derive(Debug)]
pub struct Judging<'a> {
    comparison: &'a Comparison,
    taken: Taken,
    noise: Noise,
    judged: Judged,
    asked: &'a Asked,
    /// Whether a rerun is due.
    due: bool,
    /// Whether the board was in a state in which its samples count.
    clean: bool,
    /// The board's cores.
    cores: u32,
}

impl<'a> Judging<'a> {
    /// Judges what was measured first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn begin(
        place: &Place<'_>,
        comparison: &'a Comparison,
        taken: Taken,
        asked: &'a Asked,
    ) -> Result<Self, Failure> {
        let noise = noise(place, comparison, &taken).await?;
        let looked = look(&compared(comparison, &taken), &noise, asked.min_effect);
        let due = needs_rerun(&looked);
        let judged = unconfirmed(looked);
        let cores = place.setup.facts.cores;
        let mut judging = Self { comparison, taken, noise, judged, asked, due, clean: true, cores };
        judging.gate_conditions();
        judging.due &= judging.clean;
        Ok(judging)
    }

    /// Whether as many runs again have to confirm it.
    pub fn is_due(&self) -> bool {
        self.due
    }

    /// Judges anew, with those runs.
    pub fn confirm(&mut self, rerun: Taken) {
        let (before, after) =
            (compared(self.comparison, &self.taken), compared(self.comparison, &rerun));
        self.judged = confirmed(&before, &after, &self.noise, self.asked.min_effect);
        self.taken.extend(rerun);
        self.gate_conditions();
    }

    /// Gate one: what was measured under other conditions is inconclusive, whatever it looks like.
    fn gate_conditions(&mut self) {
        let other = ConditionsSummary::default();
        let baseline = match &self.comparison.against {
            Against::Stored(baseline) => &baseline.body.conditions,
            Against::Measured { .. } => &other,
        };
        let unclean = unclean(&self.taken.blocks(), baseline, self.cores);
        let other = || self.difference().map(|_| OTHER_SETUP.to_owned());
        if let Some(reason) = unclean.or_else(|| self.taken.too_short()).or_else(other) {
            self.clean = false;
            self.judged.verdict = Verdict::Inconclusive;
            self.judged.reason = Some(reason);
        }
    }

    fn missing(&self) -> MissingPrecautions {
        let baseline = match &self.comparison.against {
            Against::Stored(baseline) => baseline.body.missing_precautions.clone(),
            Against::Measured { .. } => Some(missing(&self.taken.beside)),
        };
        MissingPrecautions { baseline, now: missing(&self.taken.now) }
    }

    /// A difference in precautions that forbids to compare.
    fn difference(&self) -> Option<Difference> {
        self.missing().difference().filter(|found| !self.asked.across.contains(found.what))
    }

    /// Keeps what was measured, for the board's noise and the history.
    async fn save(&self, place: &Place<'_>) -> Result<(), Failure> {
        let Judged { verdict, effect, .. } = &self.judged;
        let subject = &self.comparison.task.subject;
        // Measured in turns, either variant is as it always is, whatever they differ by.
        let quiet =
            self.clean && (self.comparison.task.beside.is_some() || within_noise(&self.judged));
        let checked = SessionBody {
            role: Role::Check,
            runs: kept(&self.taken.now),
            verdict: Some(*verdict),
            effect: *effect,
            noise: Some(self.noise),
        };
        save(place, &subject.name, &subject.record.sha256, quiet, checked).await?;
        if let Some(beside) = &self.comparison.task.beside {
            let runs = kept(&self.taken.beside);
            let body =
                SessionBody { role: Role::Beside, runs, verdict: None, effect: None, noise: None };
            save(place, &subject.name, beside, self.clean, body).await?;
        }
        Ok(())
    }

    /// What it came to.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn report(self, place: &Place<'_>) -> Result<ModelReport, Failure> {
        let (missing_precautions, difference) = (self.missing(), self.difference());
        let Judged { verdict, reason, effect, floor, rerun } = self.judged;
        // Of several causes one is told: the difference stands for itself only where it is the one.
        let differences = difference.filter(|_| reason.as_deref() == Some(OTHER_SETUP));
        let sha256 = self.comparison.baseline_sha256().to_owned();
        let baseline = match &self.comparison.against {
            Against::Measured { .. } => self.taken.beside.clone(),
            Against::Stored(baseline) => {
                let mut runs = Vec::new();
                for &measurement in &baseline.body.runs.measurements {
                    runs.push(Run::stored(place.store, measurement, &sha256).await?);
                }
                runs
            }
        };
        let subject = self.comparison.task.subject.clone();
        let centre = |runs: &Runs| median(runs.medians_us.clone());
        Ok(ModelReport {
            model: subject.name,
            variant: subject.record,
            baseline_sha256: sha256,
            verdict,
            reason,
            effect,
            floor: Some(floor).filter(|floor| floor.is_finite()),
            baseline_median_us: centre(&kept(&baseline)),
            median_us: centre(&kept(&self.taken.now)),
            interleaved: self.comparison.task.beside.is_some(),
            rerun,
            differences: differences.into_iter().collect(),
            missing_precautions,
            conditions: ConditionsSummary::of(&self.taken.blocks()),
            baseline_runs: baseline.iter().map(Run::samples).collect(),
            runs: self.taken.now.iter().map(Run::samples).collect(),
        })
    }
}

/// Stores the runs of a variant.
///
/// # Errors
/// When the store fails.
pub async fn save(
    place: &Place<'_>,
    model: &str,
    sha256: &str,
    within_noise: bool,
    body: SessionBody,
) -> Result<(), Failure> {
    if body.runs.medians_us.is_empty() {
        return Ok(());
    }
    let session = Session {
        board: place.setup.facts.hostname.clone(),
        model: model.to_owned(),
        sha256: sha256.to_owned(),
        setup: place.setup.digest(),
        within_noise,
        body,
        measured_at: String::new(),
    };
    Ok(place.store.save_session(&session).await?)
}

/// What is compared with what.
fn compared(comparison: &Comparison, taken: &Taken) -> Compared {
    let now = kept(&taken.now).medians_us;
    match &comparison.against {
        Against::Stored(baseline) => {
            let baseline = baseline.body.runs.medians_us.clone();
            Compared { baseline, now, same_night: false }
        }
        Against::Measured { .. } => {
            Compared { baseline: kept(&taken.beside).medians_us, now, same_night: true }
        }
    }
}

/// The noise of the baseline's variant on this board, from all nights in which nothing was found.
async fn noise(
    place: &Place<'_>,
    comparison: &Comparison,
    taken: &Taken,
) -> Result<Noise, Failure> {
    let board = &place.setup.facts.hostname;
    let mut setups = vec![place.setup.digest()];
    let mut nights = Vec::new();
    match &comparison.against {
        Against::Stored(baseline) => {
            setups.push(baseline.body.setup.digest());
        }
        Against::Measured { .. } => nights.push(kept(&taken.beside).medians_us),
    }
    let sha256 = comparison.baseline_sha256();
    let sessions: Vec<Session> = place.store.sessions(Some(board), None, Some(sha256)).await?;
    let alike = sessions
        .into_iter()
        .filter(|session| session.within_noise && setups.contains(&session.setup));
    nights.extend(alike.map(|session| session.body.runs.medians_us));
    Ok(Noise::of(&nights))
}

/// Whether a board is fit for the night, by what its golden model came to.
pub fn quarantine(golden: &ModelReport) -> Option<Fault> {
    let change = golden.effect.map_or(0.0, |effect| 100.0 * effect.change);
    let how = match golden.verdict {
        Verdict::Regression => "slower",
        Verdict::Improved => "faster",
        _ => return None,
    };
    let cause = format!(
        "the board is off its own history: the golden model {} is {how} by {:.1} %",
        golden.model,
        change.abs()
    );
    Some(Fault { state: BoardState::Quarantined, cause })
}

/// The baseline of a model on a board, among those of the name that was asked for.
///
/// # Errors
/// When there is none.
pub fn baseline_of(
    all: &[Baseline],
    name: &str,
    board: &str,
    model: &str,
) -> Result<Baseline, Failure> {
    let found = all.iter().find(|one| one.board == board && one.model == model);
    found.cloned().ok_or_else(|| {
        let error = anyhow!("there is no baseline {name:?} of {model} on {board}");
        Failure::usage(error).next(format!("`orchestrator baseline set {name}` makes one"))
    })
}
