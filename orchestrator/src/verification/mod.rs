//! Comparing a board with the host, and with what was predicted for it.

mod equality;
mod judge;
mod latency;
mod record;

pub use equality::{Equality, TOLERANCE, relative_error};
pub use judge::{Judge, failures};
pub use latency::{DEFAULT_MAX_DEVIATION, LatencyCheck, Prediction};
pub use record::{Finding, StageCheck, VerificationRecord};
