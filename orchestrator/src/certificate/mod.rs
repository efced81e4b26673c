//! A search's proof as a file of its own, and a checker that needs neither the search nor trust in it.
//!
//! `search` looks at assignments in order of predicted latency and evaluates them. What it leaves is a
//! [`Document`]: the question, the latency table, and the evaluations that answer it. [`check()`] reads only that:
//! it composes latencies, derives the floor and counts the assignments that could have been better with code of its
//! own, and accepts when each of them is excluded by a stage's threshold or by the table, is among the evaluations, begins
//! with stages that find too little, or, where accuracy is taken to be monotone, is below an evaluation that fails.
//!
//! What a document cannot prove is that its facts were measured. [`compare_table`] holds its latencies against a
//! table that the reader trusts, and its SHA-256, which `search` prints, pins the evaluations.

mod build;
mod check;
mod cover;
mod document;
mod statement;
mod table;
mod wealth;

pub use build::certificate;
pub use check::{Proven, Rejected, check};
pub use document::{
    Bound, Choice, Digests, Document, DocumentError, Evaluation, Excluded, FORMAT, Proof, Question,
    Stage, Table, VERSION,
};
pub use statement::statement;
pub use table::{Difference, MeasuredRow, MeasuredTable, compare_table};

#[cfg(test)]
mod tests;
