//! Nightly regression checks: is a model slower than it was, on this board?
//!
//! `effect`, `floor` and `verdict` are the statistics, `history` finds when a level changed: pure functions, proven by
//! simulation (`tests/nightly_statistics.rs`, `docs/reliability.md`). `suite` says what is measured.

pub mod effect;
pub mod floor;
pub mod history;
pub mod suite;
pub mod verdict;
