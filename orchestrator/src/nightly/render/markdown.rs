//! For a pull request.

use std::fmt::Write as _;

use super::{
    accuracy_sentence, change, interval, percent, points, points_between, precautions, sentence,
};
use crate::nightly::report::Report;
use crate::nightly::verdict::Verdict;
use crate::output::duration_us;

/// The report as Markdown: the verdict, what needs attention, and the table folded away when all is well.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(report, &mut text);
    text
}

fn write(report: &Report, out: &mut String) -> std::fmt::Result {
    let mark = match report.verdict {
        Verdict::Ok | Verdict::Improved => "✅",
        Verdict::Regression => "❌",
        Verdict::Inconclusive => "❔",
        Verdict::LabFault => "🔌",
    };
    let baseline = escaped(&report.baseline);
    writeln!(out, "### {mark} Nightly check: {}\n", report.verdict)?;
    let asked = percent(report.min_effect);
    writeln!(out, "Compared with `{baseline}`; a slow-down of {asked} was to be found.\n")?;
    let mut told = false;
    for (board, model) in report.rows().filter(|(_, model)| model.verdict != Verdict::Ok) {
        writeln!(out, "- {}", escaped(&sentence(board, model)))?;
        told = true;
    }
    for one in report.accuracy.iter().filter(|one| one.verdict != Verdict::Ok) {
        writeln!(out, "- {}", escaped(&accuracy_sentence(one)))?;
        told = true;
    }
    for board in &report.boards {
        if let Some(fault) = &board.fault {
            writeln!(out, "- {}: {}", escaped(&board.board), escaped(&fault.sentence()))?;
            told = true;
        }
    }
    for line in precautions(report) {
        writeln!(out, "- {}", escaped(&line))?;
        told = true;
    }
    if told {
        writeln!(out)?;
    }
    if !report.accuracy.is_empty() {
        accuracy(report, out)?;
    }
    if report.rows().next().is_none() {
        return Ok(());
    }
    writeln!(out, "<details><summary>All models</summary>\n")?;
    writeln!(
        out,
        "| board | model | level | baseline | now | change | 99 % interval | noise | verdict |"
    )?;
    writeln!(out, "|---|---|---|--:|--:|--:|--:|--:|---|")?;
    for (board, model) in report.rows() {
        let dash = || "-".to_owned();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            escaped(&board.board),
            escaped(&model.model),
            model.variant.level,
            model.baseline_median_us.map_or_else(dash, duration_us),
            model.median_us.map_or_else(dash, duration_us),
            model.effect.map_or_else(dash, |effect| change(effect.change)),
            model.effect.as_ref().map_or_else(dash, interval),
            model.floor.map_or_else(dash, percent),
            model.verdict
        )?;
    }
    writeln!(out, "\n</details>")
}

fn accuracy(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "| assignment | metric | images | baseline | now | points | 99 % interval | verdict |"
    )?;
    writeln!(out, "|---|---|--:|--:|--:|--:|--:|---|")?;
    for one in &report.accuracy {
        let dash = || "-".to_owned();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            escaped(&one.name),
            escaped(&one.metric),
            one.images,
            one.unit.text(one.baseline),
            one.unit.text(one.now),
            one.change.map_or_else(dash, |change| points(one.unit, change)),
            one.interval.map_or_else(dash, |interval| points_between(one.unit, interval)),
            one.verdict
        )?;
    }
    writeln!(out)
}

/// Text that neither ends a cell nor becomes markup.
fn escaped(text: &str) -> String {
    let mut safe = String::new();
    for character in text.chars() {
        match character {
            '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' => {
                safe.push('\\');
                safe.push(character);
            }
            '\n' | '\r' => safe.push(' '),
            other => safe.push(other),
        }
    }
    safe
}
