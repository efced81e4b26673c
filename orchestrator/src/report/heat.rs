//! The heat map: every stage at every level, by accuracy and latency.

use maud::{Markup, html};
use quantrack_engine::Level;

use super::data::{LatencyRow, Report, SensitivityRow};
use super::format::{duration, times};
use crate::metric::Unit;

/// A stage at a level: the recipe that keeps most of its metric.
struct Cell<'a> {
    best: &'a SensitivityRow,
    /// All recipes of the level, one a line.
    recipes: String,
    row: Option<&'a LatencyRow>,
    chosen: bool,
}

/// The map; empty when no stage was evaluated alone.
pub(super) fn heat_map(report: &Report) -> Markup {
    let levels: Vec<Level> = Level::ALL
        .into_iter()
        .filter(|level| report.sensitivity.iter().any(|row| row.level == *level))
        .collect();
    let mut stages: Vec<&SensitivityRow> = report.sensitivity.iter().collect();
    stages.dedup_by(|a, b| a.stage == b.stage);
    html! {
        div.scroll { table.map {
            thead { tr { th.l { "stage" } th.l { "metric" } @for level in &levels { th { (level) } } } }
            tbody { @for first in stages {
                tr {
                    td.l { (first.stage) } td.l { (first.metric) }
                    @for &level in &levels { (square(report, cell(report, &first.stage, level))) }
                }
            } }
        } }
    }
}

fn cell<'a>(report: &'a Report, stage: &str, level: Level) -> Option<Cell<'a>> {
    let rows: Vec<&SensitivityRow> =
        report.sensitivity.iter().filter(|row| row.stage == stage && row.level == level).collect();
    let quality = |row: &SensitivityRow| row.unit.quality(row.value);
    let best = *rows.iter().max_by(|a, b| quality(a).total_cmp(&quality(b)))?;
    let line = |row: &&SensitivityRow| format!("{}: {:.3}, {}", row.recipe, row.value, row.details);
    let chosen = report.chosen(stage).is_some_and(|chosen| chosen.level == level);
    Some(Cell {
        best,
        recipes: rows.iter().map(line).collect::<Vec<_>>().join("\n"),
        row: latency(report, stage, level, &best.recipe),
        chosen,
    })
}

fn latency<'a>(
    report: &'a Report,
    stage: &str,
    level: Level,
    recipe: &str,
) -> Option<&'a LatencyRow> {
    report.table.iter().find(|row| row.stage == stage && row.level == level && row.recipe == recipe)
}

fn square(report: &Report, cell: Option<Cell<'_>>) -> Markup {
    let Some(Cell { best, recipes, row, chosen }) = cell else { return html! { td { "–" } } };
    let fp32 = report.table.iter().find(|row| row.stage == best.stage && row.level == Level::Fp32);
    html! {
        td.heat style=(background(best)) title=(recipes) {
            b { (format!("{:.3}", best.value)) @if chosen { " ★" } }
            @if let Some(row) = row {
                br;
                (duration(row.median_us))
                @if let Some(fp32) = fp32 { ", " (times(fp32.median_us / row.median_us)) }
            }
        }
    }
}

/// From red (0) over amber to green (1), pale enough to read black or white text on; none for what has no best value.
pub(super) fn background(row: &SensitivityRow) -> String {
    match row.unit {
        Unit::Share | Unit::Error => {
            let quality = row.unit.quality(row.value).clamp(0.0, 1.0);
            format!("background:hsl({:.0} 70% 50%/.22)", 120.0 * quality.powi(3))
        }
        Unit::Decibels | Unit::Number => String::new(),
    }
}
