//! Benchmarks of this machine: layers and models, interleaved, with the machine's own best rate beside them.
//!
//! * [`Subject`] is one thing to time: a layer or a model at a level.
//! * [`sample`] times subjects in turns (A B C A B C …), so that drift meets all alike.
//! * [`Report`] sets medians, rates and shares of the peak beside each other, and holds every sample.

mod report;
mod sample;
mod subject;
mod table;

pub use report::{Report, Row, rows as report_rows};
pub use sample::{Timed, round, sample};
pub use subject::{Subject, layers, models};
pub use table::write_tables;
