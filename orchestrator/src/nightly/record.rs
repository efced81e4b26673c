//! What checks keep in the store.

use serde::{Deserialize, Serialize};

use super::effect::Effect;
use super::floor::Noise;
use super::precautions::Missing;
use super::setup::Setup;
use super::verdict::Verdict;
use crate::measurement::ConditionsSummary;
use crate::spec::Measure;
use crate::store::{StoredBaseline, StoredSession, VariantRecord};

/// Runs of a variant: what statistics look at, and where the samples are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Runs {
    /// The measurement of each run.
    pub measurements: Vec<i64>,
    /// The median of each run, in microseconds.
    pub medians_us: Vec<f64>,
}

/// What is compared with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BaselineBody {
    /// The variant that was measured.
    pub variant: VariantRecord,
    /// The board and what ran on it.
    pub setup: Setup,
    /// How the runs sampled.
    pub settings: Measure,
    /// The runs.
    pub runs: Runs,
    /// What the board was doing.
    pub conditions: ConditionsSummary,
    /// Precautions that it did not allow; absent in baselines of releases that did not keep them.
    #[serde(default)]
    pub missing_precautions: Option<Missing>,
}

/// Why a variant was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// To be a baseline.
    Baseline,
    /// To be compared with one.
    Check,
    /// In turns with another variant, which was compared with it.
    Beside,
}

/// What a night measured of a variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SessionBody {
    /// Why it was measured.
    pub role: Role,
    /// The runs.
    pub runs: Runs,
    /// What the check came to; absent for what was not checked.
    pub verdict: Option<Verdict>,
    /// The change that it saw.
    pub effect: Option<Effect>,
    /// The noise of the model on the board, as it was known when the check was judged by it.
    #[serde(default)]
    pub noise: Option<Noise>,
}

/// A baseline of one model on one board.
pub type Baseline = StoredBaseline<BaselineBody>;
/// A night of one variant on a board.
pub type Session = StoredSession<SessionBody>;
