//! The report as one HTML file: no scripts, no references to anything outside.

use maud::{DOCTYPE, Markup, PreEscaped, html as markup};
use quantrack_engine::Level;

use super::data::{
    BoardConditions, Choice, Collapsed, Device, Exempt, LatencyRow, Proof, RankedRow, Report,
    SensitivityRow, Verdict, Verification,
};
use super::format::{bytes, duration, off, percent, significant, times, with_interval};
use super::heat::{background, heat_map};
use super::plot::trade_off;
use super::signal::signal;
use super::style::CSS;
use super::trace::search_trace;

/// The whole page.
pub fn html(report: &Report) -> String {
    page(
        &format!("quantrack: {} on {}", report.pipeline, report.device.model),
        &markup! {
            h1 { (report.pipeline) " on " (report.device.model) }
            p.soft { (report.made_at) " · " (report.versions) }
            (verdict(report))
            (trade_off_section(report))
            (proof_section(report))
            (latency_section(report))
            (sensitivity_section(report))
            (collapsed_section(&report.collapsed))
            (device_section(&report.device, &report.conditions))
            (reproduce_section(report))
        },
    )
}

/// A page of that title and content.
pub(super) fn page(title: &str, content: &Markup) -> String {
    let page = markup! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(CSS)) }
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}

fn verdict(report: &Report) -> Markup {
    markup! {
        @match &report.verdict {
            Verdict::Chosen(choice) => {
                (cards(choice))
                (assignment(choice))
                p.soft { (choice.guarantee) }
                @match &report.verification {
                    Some(verification) => (verified(verification)),
                    None => p.warn { "Not verified on the board yet: run " code { "orchestrator verify" } "." },
                }
            }
            Verdict::Infeasible(advice) => {
                p.bad { "No assignment meets the thresholds. To get one:" }
                ul { @for line in advice { li { (line) } } }
            }
        }
    }
}

fn share((correct, total): (u64, u64)) -> f64 {
    if total == 0 { 0.0 } else { correct as f64 / total as f64 }
}

fn cards(choice: &Choice) -> Markup {
    let points = 100.0 * (share(choice.accuracy) - share(choice.baseline_accuracy));
    let card = |value: String, text: String| {
        markup! { div.card { b { (value) } span { (text) } } }
    };
    markup! {
        div.cards {
            (card(
                times(choice.baseline_latency_us / choice.latency_us),
                "faster than all stages at fp32".to_owned(),
            ))
            (card(
                duration(choice.latency_us),
                format!("predicted, instead of {}", duration(choice.baseline_latency_us)),
            ))
            (card(
                percent(share(choice.accuracy)),
                format!(
                    "{} of {} right, {points:+.1} points against fp32",
                    choice.accuracy.0, choice.accuracy.1
                ),
            ))
            (card(
                format!("{} of {}", choice.evaluations.0, choice.evaluations.1),
                "assignments evaluated end to end".to_owned(),
            ))
        }
    }
}

fn assignment(choice: &Choice) -> Markup {
    markup! {
        div.scroll { table {
            thead { tr { th.l { "stage" } th.l { "level" } th.l { "recipe" } th { "median" } th { "fp32" } th { "faster" } } }
            tbody { @for stage in &choice.stages { tr {
                td.l { (stage.stage) } td.l { b { (stage.level) } } td.l { (stage.recipe) }
                td { (duration(stage.latency_us)) } td { (duration(stage.baseline_latency_us)) }
                td { (times(stage.baseline_latency_us / stage.latency_us)) }
            } } }
        } }
    }
}

fn verified(verification: &Verification) -> Markup {
    let passed = verification.failures.is_empty();
    markup! {
        p class=(if passed { "good" } else { "bad" }) {
            (if passed { "Verified on the board: " } else { "NOT verified on the board: " })
            "outputs of " (verification.equal_outputs) " of " (verification.samples)
            " samples equal the host's (" (verification.equality) "); "
            (duration(verification.measured_us)) " measured end to end, "
            (duration(verification.predicted_us)) " predicted ("
            (off(verification.predicted_us, verification.measured_us)) ")."
        }
        @if !passed { ul { @for failure in &verification.failures { li { (failure) } } } }
        div.scroll { table {
            thead { tr { th.l { "stage" } th { "equal to the host" } th { "predicted" } th { "measured" } th { "off by" } th.l { "tolerance" } } }
            tbody { @for stage in &verification.stages { tr {
                td.l { (stage.stage) } td { (stage.equal.0) " of " (stage.equal.1) }
                @match stage.latency_us {
                    Some((predicted, measured, within)) => {
                        td { (duration(predicted)) } td { (duration(measured)) } td { (off(predicted, measured)) }
                        td.l { (if within { "within" } else { "outside" }) }
                    }
                    None => { td {} td {} td {} td.l { "never run" } }
                }
            } } }
        } }
        @if verification.ranking.len() > 1 { (ranking(&verification.ranking)) }
    }
}

fn ranking(ranking: &[RankedRow]) -> Markup {
    markup! {
        p.soft { "Finalists that ran on the board in turns, the fastest first. The ratio is the median over the images, with its 95 % interval." }
        div.scroll { table {
            thead { tr { th.l { "assignment" } th { "predicted" } th { "measured" } th { "times as long as the choice" } } }
            tbody { @for one in ranking { tr.chosen[one.chosen] {
                td.l { (one.label) @if one.chosen { " ★" } }
                td { (duration(one.predicted_us)) } td { (duration(one.measured_us)) }
                td { @match one.ratio {
                    Some(ratio) => { (with_interval(ratio)) }
                    None => { "–" }
                } }
            } } }
        } }
    }
}

fn trade_off_section(report: &Report) -> Markup {
    markup! {
        h2 { "Accuracy against latency" }
        @if report.points.is_empty() {
            p.soft { "Nothing was evaluated end to end." }
        } @else {
            div.scroll { (trade_off(report)) }
            div.legend {
                span { i style="color:var(--star)" { "★" } " chosen" }
                span { i style="color:var(--ink)" { "□" } " all stages at one level" }
                span { i style="color:var(--brand)" { "●" } " on the Pareto front" }
                span { i { "●" } " other evaluated assignments" }
                span { i style="color:var(--soft)" { "┬" } " 95 % interval" }
                span { i style="color:var(--bad)" { "- -" } " thresholds" }
            }
        }
    }
}

fn proof_section(report: &Report) -> Markup {
    markup! {
        @if !report.trace.is_empty() {
            h2 { "Why nothing is better" }
            @if let Some(proof) = &report.proof { (certificate(proof)) }
            div.scroll { (search_trace(report)) }
            div.legend {
                span { i style="color:var(--good)" { "●" } " meets the floor" }
                span { i style="color:var(--bad)" { "×" } " does not" }
                span { i style="color:var(--star)" { "━" } " best so far" }
                span { i style="color:var(--brand)" { "━" } " nothing faster can be better" }
            }
        }
    }
}

fn certificate(proof: &Proof) -> Markup {
    markup! {
        p { "Certificate: " (proof.statement) "." }
        dl {
            dt { "could have been better by latency" } dd { (proof.witnesses) " assignments, all evaluated, none better" }
            @if proof.bounds > 0 {
                dt { "ruled out by their first stages" } dd { (proof.bounds) " beginnings, which find too little" }
            }
            @if proof.excluded > 0 {
                dt { "below their stage's own threshold" } dd { (proof.excluded) " variants" }
            }
            dt { "checked independently" }
            @match &proof.checked {
                Ok(visited) => dd.good { "accepted after " (visited) " partial assignments" },
                Err(reason) => dd.bad { "REJECTED: " (reason) },
            }
            dt { "SHA-256" } dd { code.long { (proof.sha256) } }
        }
    }
}

fn latency_section(report: &Report) -> Markup {
    let slowest = report.table.iter().map(|row| row.median_us).fold(f64::MIN_POSITIVE, f64::max);
    markup! {
        h2 { "Latency table" }
        p.soft { "Medians of samples timed on the board, variants of a stage interleaved; the interval is that of the median at 95 %. A 95th percentile needs 59 samples. Memory is that of packed weights, activations and scratch." }
        div.scroll { table {
            thead { tr {
                th.l { "stage" } th.l { "level" } th.l { "recipe" } th { "threads" } th { "median" } th.l {} th { "interval" }
                th { "p90" } th { "p95" } th { "samples" } th { "voided" } th { "file" } th { "memory" } th.l { "layers at another level" }
            } }
            tbody { @for (index, row) in report.table.iter().enumerate() {
                (latency_row(report, index, row, slowest))
            } }
        } }
    }
}

fn latency_row(report: &Report, index: usize, row: &LatencyRow, slowest: f64) -> Markup {
    let first = index > 0 && report.table[index - 1].stage != row.stage;
    let chosen = report
        .chosen(&row.stage)
        .is_some_and(|chosen| (chosen.level, &chosen.recipe) == (row.level, &row.recipe));
    let width = (90.0 * row.median_us / slowest).max(1.0);
    let or_dash = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), duration);
    markup! {
        tr.first[first].chosen[chosen] {
            td.l { (row.stage) } td.l { (row.level) @if chosen { " ★" } } td.l { (row.recipe) } td { (row.threads) }
            td { (duration(row.median_us)) }
            td.l { span.bar style=(format!("width:{width:.0}px")) {} }
            td { @if let Some((low, high)) = row.ci95_us { (interval(low, high, row.median_us)) } @else { "–" } }
            td { (or_dash(row.p90_us)) } td { (or_dash(row.p95_us)) }
            td { (row.samples) } td { (row.voided) } td { (bytes(row.bytes)) } td { (bytes(row.memory_bytes)) }
            td.l { (exempt(&row.exempt)) }
        }
    }
}

fn interval(low: f64, high: f64, median: f64) -> String {
    format!(
        "−{} +{} %",
        significant(100.0 * (1.0 - low / median)),
        significant(100.0 * (high / median - 1.0))
    )
}

/// How many layers run at which other level; why is told where the pointer rests.
fn exempt(groups: &[Exempt]) -> Markup {
    let mut levels: Vec<Level> = groups.iter().map(|group| group.level).collect();
    levels.sort();
    levels.dedup();
    let of = |level: Level| groups.iter().filter(move |group| group.level == level);
    let layers = |level: Level| of(level).map(|group| group.layers).sum::<usize>();
    let reasons = |level: Level| {
        let lines = of(level).map(|group| format!("{}: {}", group.layers, group.reason));
        lines.collect::<Vec<_>>().join("\n")
    };
    markup! {
        @for (index, &level) in levels.iter().enumerate() {
            @if index > 0 { ", " }
            span title=(reasons(level)) { (layers(level)) " at " (level) }
        }
    }
}

fn sensitivity_section(report: &Report) -> Markup {
    markup! {
        h2 { "Sensitivity: one stage changed, all others at fp32" }
        @if report.sensitivity.is_empty() {
            p.soft { "Not measured: run " code { "orchestrator evaluate" } "." }
        } @else {
            p.soft { "The best recipe of every level, by the stage's own metric; below it the latency, and how many times faster than fp32 that is. ★ is chosen." }
            (heat_map(report))
            div.scroll { table {
                thead { tr { th.l { "stage" } th.l { "level" } th.l { "recipe" } th.l { "metric" } th { "value" } th { "95 % interval" } th { "samples" } th.l { "compared with fp32" } } }
                tbody { @for (index, row) in report.sensitivity.iter().enumerate() {
                    @let first = index > 0 && report.sensitivity[index - 1].stage != row.stage;
                    (sensitivity_row(row, first))
                } }
            } }
        }
    }
}

fn sensitivity_row(row: &SensitivityRow, first: bool) -> Markup {
    markup! {
        tr.first[first] {
            td.l { (row.stage) } td.l { (row.level) } td.l { (row.recipe) } td.l { (row.metric) }
            td.heat style=(background(row)) { (format!("{:.3}", row.value)) }
            td { @if let Some((low, high)) = row.ci95 { (format!("{low:.3} – {high:.3}")) } @else { "–" } }
            td { (row.samples) } td.l { (row.details) }
        }
    }
}

fn collapsed_section(collapsed: &[Collapsed]) -> Markup {
    markup! {
        @if !collapsed.is_empty() {
            h2 { "Collapsed variants" }
            p.soft { "Rejected on a few calibration images. Bars are the signal to noise ratio behind each layer, against fp32 on the same inputs; the marked one is the first behind which less than half of the signal is left." }
            @for one in collapsed {
                p {
                    b { (one.stage) " at " (one.level) } " by " (one.recipe) ": agrees with fp32 in " (one.agreeing.0) " of "
                    (one.agreeing.1) " images"
                    @if let Some(layer) = &one.dies_at { ", its signal dies at " code.long { (layer) } }
                    "; " (one.then) "."
                }
                @if !one.layers.is_empty() { div.scroll { (signal(one)) } }
            }
        }
    }
}

fn device_section(device: &Device, conditions: &BoardConditions) -> Markup {
    let unknown = || "unknown (the board does not tell)".to_owned();
    let temperature = conditions
        .temperature_celsius
        .map_or_else(unknown, |(low, high)| format!("{low:.1} – {high:.1} °C"));
    let clock = conditions.arm_clock_hz.map_or_else(unknown, |(low, high)| {
        format!("{:.0} – {:.0} MHz", low as f64 / 1e6, high as f64 / 1e6)
    });
    let throttled = conditions.throttled_bits.map_or_else(unknown, |bits| match bits {
        0 => "never".to_owned(),
        bits => format!("bits 0x{bits:x}"),
    });
    let load = conditions.max_load_1m.map_or_else(unknown, |load| format!("{load:.2}"));
    markup! {
        h2 { "The board" }
        dl {
            dt { "address" } dd { (device.address) }
            dt { "processor" } dd { (device.cores) " × " (device.cpu) ", " (bytes(device.memory_bytes)) }
            dt { "system" } dd { (device.system) }
            dt { "fingerprint" } dd { code { (device.fingerprint) } }
            dt { "temperature" } dd { (temperature) }
            dt { "ARM clock" } dd { (clock) }
            dt { "throttled" } dd { (throttled) }
            dt { "governor" } dd { (conditions.governor.clone().unwrap_or_else(unknown)) }
            dt { "highest load" } dd { (load) }
            dt { "sample blocks" } dd {
                (conditions.blocks) " taken, " (conditions.voided_blocks) " voided"
                @if !conditions.void_reasons.is_empty() { " (" (conditions.void_reasons.join("; ")) ")" }
            }
            @if conditions.boots > 1 { dt { "restarts" } dd.warn { (conditions.boots - 1) } }
        }
    }
}

fn reproduce_section(report: &Report) -> Markup {
    markup! {
        h2 { "How to reproduce" }
        pre { (report.reproduce.join("\n")) }
    }
}
