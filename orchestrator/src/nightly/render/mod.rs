//! A report for its readers: people at a terminal, pull requests, and the machines of CI.

mod annotations;
mod human;
mod junit;
mod markdown;
mod metrics;

pub use annotations::annotations;
pub use human::human;
pub use junit::junit;
pub use markdown::markdown;
pub use metrics::metrics;

use std::collections::BTreeMap;

use super::accuracy::AccuracyReport;
use super::effect::Effect;
use super::report::{BoardReport, ModelReport, Report};
use crate::metric::Unit;

/// Slow-downs from here on are told as ratios: percentages with four digits say little.
const MANIFOLD: f64 = 9.0;

/// A share as a signed percentage, as in "+5.1 %", or as "12 times".
pub fn change(share: f64) -> String {
    if share >= MANIFOLD {
        return format!("{:.0} times", 1.0 + share);
    }
    format!("{:+.1} %", 100.0 * share)
}

/// As in "+4.2 .. +6.0 %".
pub fn interval(effect: &Effect) -> String {
    if effect.low >= MANIFOLD {
        return format!("{:.0} .. {:.0} times", 1.0 + effect.low, 1.0 + effect.high);
    }
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

/// What the boards' workers did without, board by board; where models of a board differ in that, with their names.
fn precautions(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for board in &report.boards {
        let mut said: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for model in board.golden.iter().chain(&board.models) {
            if let Some(sentence) = model.missing_precautions.sentence(&report.baseline) {
                said.entry(sentence).or_default().push(&model.model);
            }
        }
        let measured = board.golden.iter().chain(&board.models).count();
        lines.extend(said.into_iter().map(|(sentence, models)| {
            if models.len() == measured {
                format!("{}: {sentence}", board.board)
            } else {
                format!("{} on {}: {sentence}", models.join(", "), board.board)
            }
        }));
    }
    lines
}

/// A difference in points, as in "-1.5"; decibels and whatever a program counts in are themselves.
fn points(unit: Unit, difference: f64) -> String {
    match unit {
        Unit::Share | Unit::Error => format!("{:+.1}", 100.0 * difference),
        Unit::Decibels | Unit::Number => format!("{difference:+.2}"),
    }
}

/// As in "-4.5 .. -1.9".
fn points_between(unit: Unit, (low, high): (f64, f64)) -> String {
    format!("{} .. {}", points(unit, low), points(unit, high))
}

/// What there is to say of an assignment's accuracy in one sentence.
fn accuracy_sentence(one: &AccuracyReport) -> String {
    let mut text = format!("accuracy of {}: {}", one.name, one.verdict);
    if let (Some(change), Some(interval), None) = (one.change, one.interval, &one.reason) {
        let interval = points_between(one.unit, interval);
        text.push_str(&format!(", {} points ({interval})", points(one.unit, change)));
    }
    if let Some(why) = &one.reason {
        text.push_str(&format!(", {why}"));
    }
    text
}

#[cfg(test)]
mod tests;
