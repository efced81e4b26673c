//! The report: what was measured, what was chosen and why, as one self-contained HTML file and as Markdown.
//!
//! [`Report`] is plain data; [`html`] and [`markdown`] are pure functions of it. Nothing here measures, reads a
//! store or looks at a clock.

mod axis;
mod collect;
mod data;
mod format;
mod heat;
mod history;
mod html;
mod markdown;
mod plot;
mod signal;
mod style;
mod trace;

pub use collect::{Sources, collect};
pub use data::{
    BoardConditions, Choice, Collapsed, Device, Exempt, LatencyRow, Point, Proof, RankedRow,
    Report, SearchStep, SensitivityRow, StageChoice, TracePoint, Verdict, Verification,
    VerifiedStage,
};
pub use history::{Change, History, Night, Outcome, Quarantine, Series, history_html};
pub use html::html;
pub use markdown::markdown;

#[cfg(test)]
mod tests;
