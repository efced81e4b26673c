//! A report for its readers: people at a terminal, pull requests, and the machines of CI.

mod annotations;
mod human;
mod junit;
mod markdown;

pub use annotations::annotations;
pub use human::human;
pub use junit::junit;
pub use markdown::markdown;

use super::effect::Effect;
use super::report::{BoardReport, ModelReport};

/// A share as a signed percentage, as in "+5.1 %".
fn change(share: f64) -> String {
    format!("{:+.1} %", 100.0 * share)
}

/// As in "+4.2 .. +6.0 %".
fn interval(effect: &Effect) -> String {
    format!("{:+.1} .. {:+.1} %", 100.0 * effect.low, 100.0 * effect.high)
}

/// A share as a percentage, as in "0.8 %".
fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// What there is to say of a model in one sentence.
fn sentence(board: &BoardReport, model: &ModelReport) -> String {
    let mut text = format!("{} on {}: {}", model.model, board.board, model.verdict);
    if let (Some(effect), None) = (&model.effect, model.why()) {
        text.push_str(&format!(", {} ({})", change(effect.change), interval(effect)));
    }
    if let Some(why) = model.why() {
        text.push_str(&format!(", {why}"));
    }
    text
}

#[cfg(test)]
mod tests;
