//! From the latency table to a search problem, and from its outcome to the record that later steps read.

mod advice;
mod problem;
mod record;
mod search;

pub use advice::{advice, guarantee};
pub use problem::{ProblemInputs, assignments, problem, uniform};
pub use record::{SearchRecord, StageLevel, stage_levels};
pub use search::{EndToEnd, Scope, search, search_table};
