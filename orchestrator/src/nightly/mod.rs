//! Nightly regression checks: is a model slower than it was, on this board?
//!
//! `effect`, `floor` and `verdict` are the statistics, `history` finds when a level changed: pure functions, proven by
//! simulation (`tests/nightly_statistics.rs`, `docs/reliability.md`). `suite` and `subject` say what is measured, `setup`,
//! `conditions` and `precautions` what makes it comparable, `night` measures, `check` puts it together, `accuracy` does for accuracy what all of these do for latency, `report` is the outcome.

pub mod accuracy;
pub mod bisect;
pub mod check;
pub mod conditions;
pub mod effect;
pub mod floor;
pub mod history;
pub mod night;
pub mod precautions;
pub mod record;
pub mod render;
pub mod report;
pub mod setup;
pub mod subject;
pub mod suite;
pub mod verdict;
