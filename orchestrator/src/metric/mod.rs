//! Metrics: what a stage's findings, or the pipeline's answers, are judged by.
//!
//! A [`Metric`] compares what was found in one image with what should have been ([`Against`]): what fp32 finds there, which
//! needs no labels, or what the labels say. `estimate` makes one number with an interval of all images. [`External`] is a
//! program of the user's in the place of a metric.

mod builtin;
mod criterion;
mod detection;
mod estimate;
mod external;
mod process;
mod truth;

pub use builtin::{Measured, Metric};
pub use criterion::{Against, Criterion, Measure};
pub use detection::average_precision;
pub use estimate::{Estimator, Tally, Unit};
pub(crate) use external::Exchange;
pub use external::{External, ExternalError, Scope, Subject};
pub use process::ProcessError;
pub use truth::labelled;
