//! Comparing a board with the host, and with what was predicted for it.

mod equality;
mod finalist;
mod judge;
mod latency;
mod record;
mod run;

pub use equality::{Equality, TOLERANCE, relative_error};
pub use finalist::{Finalist, Ranked, finalists, rank};
pub use judge::{Judge, failures};
pub use latency::{DEFAULT_MAX_DEVIATION, LatencyCheck, Prediction};
pub use record::{Finding, StageCheck, VerificationRecord};
pub use run::{Board, Image, Run, StageRun};
