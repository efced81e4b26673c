//! What a check found, as plain data: everything that is printed is made of it.

use serde::Serialize;

use super::accuracy::AccuracyReport;
use super::effect::Effect;
use super::precautions::MissingPrecautions;
use super::setup::Difference;
use super::verdict::Verdict;
use crate::exit::Exit;
use crate::measurement::{Block, Conditions, ConditionsSummary};
use crate::rack::BoardState;
use crate::store::VariantRecord;

/// A check or a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The number of the run, as agents call it in their logs.
    pub run_id: String,
    /// What was compared with: the name of a baseline, or of a model.
    pub baseline: String,
    /// The slow-down that was to be found, as a share.
    pub min_effect: f64,
    /// Confidence of the intervals.
    pub confidence: f64,
    /// What all of it comes to.
    pub verdict: Verdict,
    /// Board by board, in the order asked for.
    pub boards: Vec<BoardReport>,
    /// Accuracy, assignment by assignment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accuracy: Vec<AccuracyReport>,
}

/// One board.
#[derive(Clone, Debug, Serialize)]
pub struct BoardReport {
    /// The name that the board has given itself, or its address where it could not be asked.
    pub board: String,
    /// Where it is.
    pub address: String,
    /// Its model; absent where it could not be asked.
    pub device: Option<String>,
    /// Key of its measurements.
    pub fingerprint: Option<String>,
    /// The engine build that was timed.
    pub engine_build: Option<String>,
    /// Why it did not do its work.
    pub fault: Option<Fault>,
    /// What its golden model came to.
    pub golden: Option<ModelReport>,
    /// The models that it measured.
    pub models: Vec<ModelReport>,
}

/// Why a board did not do its work.
#[derive(Clone, Debug, Serialize)]
pub struct Fault {
    /// The state that it was found in. Without one that is quarantined or draining, the others' verdict stands.
    pub state: BoardState,
    /// The cause.
    pub cause: String,
}

/// One model on one board.
#[derive(Clone, Debug, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub model: String,
    /// The variant that was measured.
    pub variant: VariantRecord,
    /// Digest of the variant that it was compared with.
    pub baseline_sha256: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive.
    pub reason: Option<String>,
    /// How much slower.
    pub effect: Option<Effect>,
    /// What the board differs by when nothing has changed, as a share; absent when nothing was measured.
    pub floor: Option<f64>,
    /// Median of the baseline's runs in microseconds.
    pub baseline_median_us: Option<f64>,
    /// Median of tonight's runs in microseconds.
    pub median_us: Option<f64>,
    /// Whether the baseline's variant was measured in turns with this one, rather than its stored runs taken.
    pub interleaved: bool,
    /// Whether there was a confirming rerun.
    pub rerun: bool,
    /// Why the baseline was refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What the board was doing.
    pub conditions: ConditionsSummary,
    /// Precautions that it did not allow.
    pub missing_precautions: MissingPrecautions,
    /// Raw samples of the baseline's runs.
    pub baseline_runs: Vec<RunSamples>,
    /// Raw samples of tonight's runs.
    pub runs: Vec<RunSamples>,
}

/// Raw samples of a run.
#[derive(Clone, Debug, Serialize)]
pub struct RunSamples {
    /// Number of the measurement in the store.
    pub measurement: i64,
    /// Median of the blocks' medians in microseconds; absent when too few samples count.
    pub median_us: Option<f64>,
    /// The blocks, in the order taken.
    pub blocks: Vec<BlockSamples>,
}

/// Raw samples of a block.
#[derive(Clone, Debug, Serialize)]
pub struct BlockSamples {
    /// Durations in nanoseconds.
    pub duration_ns: Vec<u64>,
    /// Why they do not count; absent when they do.
    pub voided: Option<String>,
    /// Conditions before the first sample.
    pub before: Conditions,
    /// Conditions after the last one.
    pub after: Conditions,
}

impl Fault {
    /// Whether somebody knows already that the board does no work.
    fn excused(&self) -> bool {
        matches!(self.state, BoardState::Quarantined | BoardState::Draining)
    }

    /// The state and the cause, as in "quarantined, the board is off its own history".
    pub fn sentence(&self) -> String {
        format!("{}, {}", self.state, self.cause)
    }
}

impl RunSamples {
    /// Those of a measurement.
    pub fn new(measurement: i64, median_us: Option<f64>, blocks: &[Block]) -> Self {
        let block = |block: &Block| BlockSamples {
            duration_ns: block.duration_ns.clone(),
            voided: block.voided.clone(),
            before: block.before.clone(),
            after: block.after.clone(),
        };
        Self { measurement, median_us, blocks: blocks.iter().map(block).collect() }
    }
}

impl Report {
    /// The verdict over all boards. A regression that one board confirmed is one, whatever befell the others. Then a
    /// board that did not do its work counts, unless it is quarantined or draining and others have answered.
    pub fn overall(boards: &[BoardReport], accuracy: &[AccuracyReport]) -> Verdict {
        let measured: Vec<Verdict> =
            boards.iter().flat_map(|board| &board.models).map(|model| model.verdict).collect();
        let verdicts: Vec<Verdict> =
            measured.iter().copied().chain(accuracy.iter().map(|one| one.verdict)).collect();
        let any = |verdict: Verdict| verdicts.contains(&verdict);
        let fault = |board: &BoardReport| {
            board.fault.as_ref().is_some_and(|fault| !fault.excused() || measured.is_empty())
        };
        if any(Verdict::Regression) {
            Verdict::Regression
        } else if boards.iter().any(fault) {
            Verdict::LabFault
        } else if any(Verdict::Inconclusive) {
            Verdict::Inconclusive
        } else if any(Verdict::Improved) {
            Verdict::Improved
        } else {
            Verdict::Ok
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Ok | Verdict::Improved => Exit::Ok,
            Verdict::Regression => Exit::TargetMissed,
            Verdict::Inconclusive => Exit::Inconclusive,
            Verdict::LabFault => Exit::Lab,
        }
    }

    /// Every model on every board.
    pub fn rows(&self) -> impl Iterator<Item = (&BoardReport, &ModelReport)> {
        self.boards.iter().flat_map(|board| board.models.iter().map(move |model| (board, model)))
    }
}

impl ModelReport {
    /// Why there is no plain answer, in one sentence; absent when there is one.
    pub fn why(&self) -> Option<String> {
        if self.differences.is_empty() {
            return self.reason.clone();
        }
        let one = |difference: &Difference| {
            let Difference { what, baseline, now } = difference;
            format!("{what} {baseline}, now {now}")
        };
        let all: Vec<String> = self.differences.iter().map(one).collect();
        Some(format!("the baseline is of another setup: {}", all.join("; ")))
    }
}
