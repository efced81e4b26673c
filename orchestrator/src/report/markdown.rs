//! The report as Markdown.

use std::fmt::Write;

use super::data::{Report, Verdict};
use super::format::{bytes, duration, percent, times};

/// The whole report, for a pull request or a wiki.
pub fn markdown(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(report, &mut text);
    text
}

fn write_report(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "# {} on {}\n", report.pipeline, report.device.model)?;
    writeln!(out, "{} · {}\n", report.made_at, report.versions)?;
    write_verdict(report, out)?;
    write_points(report, out)?;
    write_table(report, out)?;
    write_sensitivity(report, out)?;
    let conditions = &report.conditions;
    writeln!(
        out,
        "## The board\n\n{} × {}, {}; {}; fingerprint `{}`.",
        report.device.cores,
        report.device.cpu,
        bytes(report.device.memory_bytes),
        report.device.system,
        report.device.fingerprint
    )?;
    writeln!(out, "{} sample blocks, {} voided.\n", conditions.blocks, conditions.voided_blocks)?;
    writeln!(out, "## How to reproduce\n\n```\n{}\n```", report.reproduce.join("\n"))
}

fn write_verdict(report: &Report, out: &mut String) -> std::fmt::Result {
    let choice = match &report.verdict {
        Verdict::Chosen(choice) => choice,
        Verdict::Infeasible(advice) => {
            writeln!(out, "**No assignment meets the thresholds.** To get one:\n")?;
            advice.iter().try_for_each(|line| writeln!(out, "- {line}"))?;
            return writeln!(out);
        }
    };
    writeln!(
        out,
        "**{} faster than fp32**: {} instead of {}, {} of {} right (fp32: {} of {}).\n",
        times(choice.baseline_latency_us / choice.latency_us),
        duration(choice.latency_us),
        duration(choice.baseline_latency_us),
        choice.accuracy.0,
        choice.accuracy.1,
        choice.baseline_accuracy.0,
        choice.baseline_accuracy.1
    )?;
    writeln!(
        out,
        "| stage | level | recipe | median | fp32 | faster |\n|---|---|---|--:|--:|--:|"
    )?;
    for stage in &choice.stages {
        writeln!(
            out,
            "| {} | **{}** | {} | {} | {} | {} |",
            stage.stage,
            stage.level,
            stage.recipe,
            duration(stage.latency_us),
            duration(stage.baseline_latency_us),
            times(stage.baseline_latency_us / stage.latency_us)
        )?;
    }
    writeln!(out, "\n{}\n", choice.guarantee)?;
    if let Some(verified) = &report.verification {
        writeln!(
            out,
            "Verified on the board: outputs of {} of {} samples equal the host's ({}); {} measured, {} predicted.\n",
            verified.equal_outputs,
            verified.samples,
            verified.equality,
            duration(verified.measured_us),
            duration(verified.predicted_us)
        )?;
    }
    Ok(())
}

fn write_points(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Accuracy against latency\n")?;
    writeln!(out, "| assignment | latency | right | accuracy | |\n|---|--:|--:|--:|---|")?;
    let mut points: Vec<_> = report.points.iter().collect();
    points.sort_by(|a, b| a.latency_us.total_cmp(&b.latency_us));
    for point in points.iter().filter(|p| p.pareto || p.chosen || p.uniform.is_some()) {
        let mut notes = Vec::new();
        if point.chosen {
            notes.push("**chosen**".to_owned());
        }
        if let Some(level) = point.uniform {
            notes.push(format!("all {level}"));
        }
        if point.pareto {
            notes.push("Pareto front".to_owned());
        }
        writeln!(
            out,
            "| {} | {} | {} of {} | {} | {} |",
            point.label,
            duration(point.latency_us),
            point.correct,
            point.total,
            percent(point.accuracy()),
            notes.join(", ")
        )?;
    }
    writeln!(out)
}

fn write_table(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Latency table\n")?;
    writeln!(
        out,
        "| stage | level | recipe | threads | median | p90 | p95 | samples | voided | file |"
    )?;
    writeln!(out, "|---|---|---|--:|--:|--:|--:|--:|--:|--:|")?;
    let or_dash = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), duration);
    for row in &report.table {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.stage,
            row.level,
            row.recipe,
            row.threads,
            duration(row.median_us),
            or_dash(row.p90_us),
            or_dash(row.p95_us),
            row.samples,
            row.voided,
            bytes(row.bytes)
        )?;
    }
    writeln!(out)
}

fn write_sensitivity(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.sensitivity.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Sensitivity: one stage changed, all others at fp32\n")?;
    writeln!(
        out,
        "| stage | level | recipe | metric | value | 95 % interval |\n|---|---|---|---|--:|---|"
    )?;
    for row in &report.sensitivity {
        let interval =
            row.ci95.map_or_else(|| "–".to_owned(), |(low, high)| format!("{low:.3} – {high:.3}"));
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.3} | {} |",
            row.stage, row.level, row.recipe, row.metric, row.value, interval
        )?;
    }
    writeln!(out)
}
