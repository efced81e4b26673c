//! Accuracy on labelled images: each stage's own metric, and the pipeline's end to end.
//!
//! The engine that the board times runs here on all cores, one image per thread, so results do not depend on the number
//! of threads. What a stage found in an image is kept by the variants that led to it ([`PrefixCache`]), so evaluating
//! assignments that begin alike is cheap; and per-image results are journalled, so an evaluation resumes after a kill.

mod cache;
mod calibration;
mod chain;
mod collapse;
mod comparison;
mod decision;
mod error;
mod evaluator;
mod interval;
mod journal;
mod judge;
mod key;
mod loaded;
mod rates;
mod result;
mod scoring;
mod stored;
mod trace;

pub use cache::{PrefixCache, PrefixKey};
pub use calibration::CalibrationImages;
pub use chain::Chain;
pub use collapse::{CollapseTest, CollapseTester, test_images};
pub use comparison::{Comparison, gain};
pub use decision::{Paired, Verdict, decide, decide_share, normal_quantile};
pub use error::EvaluateError;
pub use evaluator::{Evaluator, looks};
pub use interval::{bootstrap, bootstrap_mean, interval, quantiles, wilson, wilson_of};
pub use journal::{Journal, NoJournal, StoreJournal};
pub use judge::check_countable;
pub use loaded::LoadedVariant;
pub use rates::{MeasuredRate, measured_rates};
pub use result::{Detail, EndToEnd, SampleResult, Score, details_text};
pub use stored::{EndToEndRow, SensitivityRow, StoredEvaluator};
pub use trace::{StageTrace, Trace};
