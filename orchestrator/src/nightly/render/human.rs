//! For a terminal.

use super::{
    accuracy_sentence, change, interval, percent, points, points_between, precautions, sentence,
};
use crate::nightly::accuracy::AccuracyReport;
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
    if !report.accuracy.is_empty() {
        parts.push(accuracy(&report.accuracy));
    }
    let unclear = report.rows().filter(|(_, model)| model.why().is_some());
    let mut lines: Vec<String> = unclear.map(|(board, model)| sentence(board, model)).collect();
    let unclear = report.accuracy.iter().filter(|one| one.reason.is_some());
    lines.extend(unclear.map(accuracy_sentence));
    for one in report.accuracy.iter().filter(|one| one.verdict == Verdict::Regression) {
        lines.push(format!("accuracy of {}: worse in {}", one.name, one.lost.join(", ")));
    }
    for board in &report.boards {
        let fault = board.fault.as_ref();
        lines.extend(fault.map(|fault| format!("{}: {}", board.board, fault.sentence())));
    }
    lines.extend(precautions(report));
    if !lines.is_empty() {
        parts.push(lines.join("\n"));
    }
    parts.push(closing(report));
    parts.join("\n\n")
}

fn accuracy(all: &[AccuracyReport]) -> String {
    let header = [
        "assignment",
        "metric",
        ">images",
        ">baseline",
        ">now",
        ">points",
        ">99 % interval",
        "verdict",
    ];
    let rows = all.iter().map(|one| {
        let dash = || "-".to_owned();
        vec![
            one.name.clone(),
            one.metric.clone(),
            one.images.to_string(),
            one.unit.text(one.baseline),
            one.unit.text(one.now),
            one.change.map_or_else(dash, |change| points(one.unit, change)),
            one.interval.map_or_else(dash, |interval| points_between(one.unit, interval)),
            one.verdict.to_string(),
        ]
    });
    text_table(&header, rows)
}

/// What all of it comes to.
fn closing(report: &Report) -> String {
    let (baseline, asked) = (&report.baseline, percent(report.min_effect));
    match report.verdict {
        Verdict::Ok => {
            let worse = if report.accuracy.is_empty() { "" } else { ", and no accuracy is lost" };
            format!("ok: nothing is {asked} slower than {baseline}{worse}")
        }
        Verdict::Improved => {
            format!("ok: something is better than {baseline}, and nothing is {asked} slower")
        }
        Verdict::Regression => {
            let slower = report.rows().filter(|(_, model)| model.verdict == Verdict::Regression);
            let names: Vec<String> = slower
                .map(|(board, model)| format!("{} on {}", model.model, board.board))
                .collect();
            let verb = if names.len() == 1 { "is" } else { "are" };
            let worse = report.accuracy.iter().filter(|one| one.verdict == Verdict::Regression);
            let worse: Vec<&str> = worse.map(|one| one.name.as_str()).collect();
            let mut found = Vec::new();
            if !names.is_empty() {
                let names = names.join(", ");
                found.push(format!(
                    "{names} {verb} slower than {baseline}, and a rerun confirms it"
                ));
            }
            if !worse.is_empty() {
                found.push(format!("{} loses accuracy against {baseline}", worse.join(", ")));
            }
            format!("regression: {}", found.join("; "))
        }
        Verdict::Inconclusive => "inconclusive: the evidence does not allow a verdict".to_owned(),
        Verdict::LabFault => "lab fault: not every board did its work".to_owned(),
    }
}
