//! From a variant to something that runs: operators prepared for a CPU, memory laid out.
//!
//! A [`Plan`] is immutable and can be shared; a [`Session`] owns the memory of one inference at a time.

mod arena;
mod error;
#[cfg(test)]
#[cfg(all(unix, not(miri)))]
mod fenced;
mod lower;
mod order;
#[allow(clippy::module_inception, reason = "the module is named after its type")]
mod plan;
mod session;

pub use error::{PlanError, RunError};
pub use plan::{Plan, Port, StepInfo};
pub use session::{Session, StepEdge};
