//! For a terminal.

use super::{change, interval, percent, sentence};
use crate::nightly::report::Report;
use crate::nightly::verdict::Verdict;
use crate::output::{duration_us, text_table};

/// The report as a table, and a sentence for each row that needs one.
pub fn human(report: &Report) -> String {
    let several = report.boards.len() > 1;
    let mut header = vec![
        "model",
        "level",
        ">baseline",
        ">now",
        ">change",
        ">99 % interval",
        ">noise",
        ">runs",
        "verdict",
    ];
    if several {
        header.insert(0, "board");
    }
    let dash = || "-".to_owned();
    let rows = report.rows().map(|(board, model)| {
        let of_effect = |text: fn(&_) -> String| model.effect.as_ref().map_or_else(dash, text);
        let mut row = vec![
            model.model.clone(),
            model.variant.level.to_string(),
            model.baseline_median_us.map_or_else(dash, duration_us),
            model.median_us.map_or_else(dash, duration_us),
            of_effect(|effect| change(effect.change)),
            of_effect(interval),
            model.floor.map_or_else(dash, percent),
            model.runs.len().to_string(),
            model.verdict.to_string(),
        ];
        if several {
            row.insert(0, board.board.clone());
        }
        row
    });
    let rows: Vec<Vec<String>> = rows.collect();
    let mut parts = Vec::new();
    if !rows.is_empty() {
        parts.push(text_table(&header, rows));
    }
    let unclear = report.rows().filter(|(_, model)| model.why().is_some());
    let mut lines: Vec<String> = unclear.map(|(board, model)| sentence(board, model)).collect();
    for board in &report.boards {
        let fault = board.fault.as_ref();
        lines.extend(fault.map(|fault| {
            let kind = if fault.quarantined { "quarantined" } else { "lab fault" };
            format!("{}: {kind}, {}", board.board, fault.cause)
        }));
    }
    if !lines.is_empty() {
        parts.push(lines.join("\n"));
    }
    parts.push(closing(report));
    parts.join("\n\n")
}

/// What all of it comes to.
fn closing(report: &Report) -> String {
    let (baseline, asked) = (&report.baseline, percent(report.min_effect));
    match report.verdict {
        Verdict::Ok => format!("ok: nothing is {asked} slower than {baseline}"),
        Verdict::Improved => {
            format!("ok: something is faster than {baseline}, and nothing is {asked} slower")
        }
        Verdict::Regression => {
            let slower = report.rows().filter(|(_, model)| model.verdict == Verdict::Regression);
            let names: Vec<String> = slower
                .map(|(board, model)| format!("{} on {}", model.model, board.board))
                .collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            format!(
                "regression: {} {verb} slower than {baseline}, and a rerun confirms it",
                names.join(", ")
            )
        }
        Verdict::Inconclusive => "inconclusive: the evidence does not allow a verdict".to_owned(),
        Verdict::LabFault => "lab fault: not every board did its work".to_owned(),
    }
}
