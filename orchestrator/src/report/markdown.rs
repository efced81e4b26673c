//! The report as Markdown.

use std::fmt::Write;

use super::data::{Report, Verdict, Verification};
use super::format::{bytes, duration, off, percent, times, with_interval};

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
    write_proof(report, out)?;
    write_table(report, out)?;
    write_sensitivity(report, out)?;
    write_collapsed(report, out)?;
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
    match &report.verification {
        Some(verification) => write_verified(verification, out),
        None => writeln!(out, "Not verified on the board yet: run `orchestrator verify`.\n"),
    }
}

fn write_verified(verification: &Verification, out: &mut String) -> std::fmt::Result {
    let passed = verification.failures.is_empty();
    writeln!(
        out,
        "{} on the board: outputs of {} of {} samples equal the host's ({}); {} measured end to end, {} predicted ({}).\n",
        if passed { "Verified" } else { "NOT verified" },
        verification.equal_outputs,
        verification.samples,
        verification.equality,
        duration(verification.measured_us),
        duration(verification.predicted_us),
        off(verification.predicted_us, verification.measured_us)
    )?;
    for failure in &verification.failures {
        writeln!(out, "- {failure}")?;
    }
    if !passed {
        writeln!(out)?;
    }
    writeln!(
        out,
        "| stage | equal to the host | predicted | measured | off by | tolerance |\n|---|--:|--:|--:|--:|---|"
    )?;
    for stage in &verification.stages {
        write!(out, "| {} | {} of {} |", stage.stage, stage.equal.0, stage.equal.1)?;
        match stage.latency_us {
            Some((predicted, measured, within)) => writeln!(
                out,
                " {} | {} | {} | {} |",
                duration(predicted),
                duration(measured),
                off(predicted, measured),
                if within { "within" } else { "**outside**" }
            )?,
            None => writeln!(out, " | | | never run |")?,
        }
    }
    writeln!(out)?;
    if verification.ranking.len() < 2 {
        return Ok(());
    }
    writeln!(
        out,
        "| finalist | predicted | measured | times as long as the choice |\n|---|--:|--:|--:|"
    )?;
    for one in &verification.ranking {
        let ratio = match one.ratio {
            Some(ratio) => with_interval(ratio),
            None if one.chosen => "**chosen**".to_owned(),
            None => "–".to_owned(),
        };
        writeln!(
            out,
            "| {} | {} | {} | {ratio} |",
            one.label,
            duration(one.predicted_us),
            duration(one.measured_us)
        )?;
    }
    writeln!(out)
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

fn write_proof(report: &Report, out: &mut String) -> std::fmt::Result {
    let Some(proof) = &report.proof else { return Ok(()) };
    writeln!(out, "## Why nothing is better\n\n{}.\n", proof.statement)?;
    writeln!(
        out,
        "{} assignments could have been better by their latency, all evaluated, none better. {} Certificate `{}`.\n",
        proof.witnesses,
        match &proof.checked {
            Ok(visited) =>
                format!("Checked independently: accepted after {visited} partial assignments."),
            Err(reason) => format!("**Rejected by the independent checker**: {reason}."),
        },
        proof.sha256
    )
}

fn write_collapsed(report: &Report, out: &mut String) -> std::fmt::Result {
    if report.collapsed.is_empty() {
        return Ok(());
    }
    writeln!(out, "## Collapsed variants\n")?;
    writeln!(
        out,
        "| stage | level | recipe | agrees with fp32 | signal dies at | |\n|---|---|---|--:|---|---|"
    )?;
    for one in &report.collapsed {
        writeln!(
            out,
            "| {} | {} | {} | {} of {} | {} | {} |",
            one.stage,
            one.level,
            one.recipe,
            one.agreeing.0,
            one.agreeing.1,
            one.dies_at.as_deref().unwrap_or("–"),
            one.then
        )?;
    }
    writeln!(out)
}

fn write_table(report: &Report, out: &mut String) -> std::fmt::Result {
    writeln!(out, "## Latency table\n")?;
    writeln!(
        out,
        "| stage | level | recipe | threads | median | p90 | p95 | samples | voided | file | memory |"
    )?;
    writeln!(out, "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|")?;
    let or_dash = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), duration);
    for row in &report.table {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            row.stage,
            row.level,
            row.recipe,
            row.threads,
            duration(row.median_us),
            or_dash(row.p90_us),
            or_dash(row.p95_us),
            row.samples,
            row.voided,
            bytes(row.bytes),
            bytes(row.memory_bytes)
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
        "| stage | level | recipe | metric | value | 95 % interval | compared with fp32 |\n|---|---|---|---|--:|---|---|"
    )?;
    for row in &report.sensitivity {
        let interval =
            row.ci95.map_or_else(|| "–".to_owned(), |(low, high)| format!("{low:.3} – {high:.3}"));
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.3} | {} | {} |",
            row.stage, row.level, row.recipe, row.metric, row.value, interval, row.details
        )?;
    }
    writeln!(out)
}
