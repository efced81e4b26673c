//! The report of a small made-up run.

use quantrack_engine::Level;

use super::*;
use crate::metric::Unit;

fn table() -> Vec<LatencyRow> {
    let levels = [(Level::Fp32, 1.0), (Level::Fp16, 1.1), (Level::Int8, 0.45), (Level::Bin1, 0.12)];
    let row = |stage: &str, level, us: f64| LatencyRow {
        stage: stage.to_owned(),
        level,
        recipe: "minmax".to_owned(),
        threads: 1,
        median_us: us,
        p90_us: Some(us * 1.04),
        p95_us: (level != Level::Bin1).then_some(us * 1.06),
        ci95_us: Some((us * 0.995, us * 1.004)),
        samples: 120,
        voided: 8,
        bytes: 1_200_000,
        memory_bytes: 1_400_000,
        exempt: vec![Exempt { level: Level::Int8, layers: 2, reason: "stem".to_owned() }],
    };
    [("finder", 5200.0), ("landmarks", 21_000.0), ("gesture", 90.0)]
        .into_iter()
        .flat_map(|(stage, us)| levels.map(|(level, factor)| row(stage, level, us * factor)))
        .collect()
}

fn choice() -> Choice {
    let stage = |stage: &str, level, latency_us, baseline_latency_us| StageChoice {
        stage: stage.to_owned(),
        level,
        recipe: "minmax".to_owned(),
        latency_us,
        baseline_latency_us,
    };
    Choice {
        stages: vec![
            stage("finder", Level::Int8, 2340.0, 5200.0),
            stage("landmarks", Level::Bin1, 2520.0, 21_000.0),
            stage("gesture", Level::Fp32, 90.0, 90.0),
        ],
        latency_us: 4950.0,
        baseline_latency_us: 26_290.0,
        accuracy: (188, 200),
        baseline_accuracy: (192, 200),
        evaluations: (9, 64),
        guarantee: "Every faster assignment was evaluated and missed the floor.".to_owned(),
    }
}

fn sensitivity() -> Vec<SensitivityRow> {
    let row = |level, recipe: &str, value, ci95| SensitivityRow {
        stage: "finder".to_owned(),
        level,
        recipe: recipe.to_owned(),
        metric: "box-iou".to_owned(),
        value,
        unit: Unit::Share,
        ci95,
        samples: 200,
        details: "recall 98.5 %".to_owned(),
    };
    vec![
        row(Level::Int8, "minmax", 0.985, Some((0.957, 0.995))),
        row(Level::Bin1, "sign-center", 0.12, None),
    ]
}

fn points() -> Vec<Point> {
    let point = |label: &str, latency_us, correct, uniform, pareto| Point {
        label: label.to_owned(),
        latency_us,
        correct,
        total: 200,
        ci95: (correct as f64 / 200.0 - 0.04, (correct as f64 / 200.0 + 0.03).min(1.0)),
        uniform,
        pareto,
        chosen: label == "int8 / bin1 / fp32",
    };
    vec![
        point("fp32 / fp32 / fp32", 26_290.0, 192, Some(Level::Fp32), true),
        point("fp16 / fp16 / fp16", 28_900.0, 192, Some(Level::Fp16), false),
        point("int8 / int8 / int8", 11_830.0, 190, Some(Level::Int8), true),
        point("bin1 / bin1 / bin1", 3155.0, 31, Some(Level::Bin1), true),
        point("int8 / bin1 / fp32", 4950.0, 188, None, true),
        point("bin1 / bin1 / int8", 3185.0, 30, None, false),
    ]
}

fn trace() -> (Vec<TracePoint>, Vec<SearchStep>) {
    let point = |label: &str, latency_us, correct, total, passes| TracePoint {
        label: label.to_owned(),
        latency_us,
        correct,
        total,
        stopped: total < 200,
        passes,
    };
    let step =
        |evaluations, incumbent_us, bound_us| SearchStep { evaluations, incumbent_us, bound_us };
    let points = vec![
        point("fp32 / fp32 / fp32", 26_290.0, 192, 200, true),
        point("bin1 / bin1 / bin1", 3155.0, 4, 20, false),
        point("bin1 / bin1 / int8", 3185.0, 30, 200, false),
        point("int8 / bin1 / fp32", 4950.0, 188, 200, true),
    ];
    let steps = vec![
        step(2, Some(26_290.0), 3155.0),
        step(3, Some(26_290.0), 3185.0),
        step(4, Some(4950.0), 4950.0),
    ];
    (points, steps)
}

fn proof() -> Proof {
    Proof {
        statement: "finder=int8, landmarks=bin1, gesture=fp32 takes 4.95 ms".to_owned(),
        sha256: "0".repeat(64),
        witnesses: 2,
        bounds: 1,
        excluded: 0,
        checked: Ok(12),
    }
}

fn collapsed() -> Collapsed {
    Collapsed {
        stage: "landmarks".to_owned(),
        level: Level::Int2,
        recipe: "sign-center".to_owned(),
        agreeing: (0, 8),
        dies_at: Some("block 2/conv".to_owned()),
        layers: vec![
            ("stem".to_owned(), 31.0),
            ("block 1/conv".to_owned(), 8.5),
            ("block 2/conv".to_owned(), 1.1),
        ],
        then: "the level is dropped".to_owned(),
    }
}

fn ranked(
    label: &str,
    chosen: bool,
    measured_us: f64,
    ratio: Option<(f64, (f64, f64))>,
) -> RankedRow {
    RankedRow { label: label.to_owned(), chosen, predicted_us: 4950.0, measured_us, ratio }
}

fn sample() -> Report {
    let (trace, steps) = trace();
    Report {
        pipeline: "gestures <of our own>".to_owned(),
        made_at: "2026-01-02 03:04 UTC".to_owned(),
        versions: "orchestrator 0.1.0".to_owned(),
        device: Device {
            address: "pi3.local:50051".to_owned(),
            model: "Raspberry Pi 3 Model B Rev 1.2".to_owned(),
            cpu: "Cortex-A53".to_owned(),
            cores: 4,
            memory_bytes: 1 << 30,
            system: "Debian GNU/Linux 12, Linux 6.1, 64-bit userland".to_owned(),
            fingerprint: "0123abcd".to_owned(),
        },
        conditions: BoardConditions {
            blocks: 130,
            voided_blocks: 3,
            void_reasons: vec!["under-voltage".to_owned()],
            temperature_celsius: Some((48.3, 61.0)),
            arm_clock_hz: Some((1_200_000_000, 1_200_000_000)),
            throttled_bits: None,
            max_load_1m: Some(1.02),
            governor: Some("performance".to_owned()),
            boots: 1,
        },
        verdict: Verdict::Chosen(choice()),
        table: table(),
        sensitivity: sensitivity(),
        points: points(),
        trace,
        steps,
        proof: Some(proof()),
        collapsed: vec![collapsed()],
        accuracy_floor: Some(0.92),
        latency_limit_us: Some(20_000.0),
        verification: Some(Verification {
            samples: 20,
            predicted_us: 4950.0,
            measured_us: 5010.0,
            equal_outputs: 20,
            equality: "bit for bit".to_owned(),
            stages: vec![VerifiedStage {
                stage: "finder".to_owned(),
                equal: (20, 20),
                latency_us: Some((2340.0, 2600.0, true)),
            }],
            ranking: vec![
                ranked("int8 / bin1 / fp32", true, 5010.0, None),
                ranked("int8 / bin1 / int8", false, 5040.0, Some((1.006, (0.998, 1.013)))),
            ],
            failures: Vec::new(),
        }),
        reproduce: vec!["orchestrator tune --device pi3.local demo.toml".to_owned()],
    }
}

#[test]
fn the_page_is_self_contained_and_escapes_names() {
    let page = html(&sample());
    assert!(page.contains("gestures &lt;of our own&gt;"));
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "the page refers to {outside}");
    }
}

#[test]
fn layers_at_another_level_are_counted_once_with_all_reasons() {
    let mut report = sample();
    report.table.truncate(1);
    report.table[0].exempt.push(Exempt {
        level: Level::Int8,
        layers: 3,
        reason: "depthwise".to_owned(),
    });
    let page = html(&report);
    assert!(page.contains("<span title=\"2: stem\n3: depthwise\">5 at int8</span>"), "{page}");
}

#[test]
fn what_the_board_does_not_tell_is_unknown_never_fine() {
    let page = html(&sample());
    let throttled = page.split("throttled").nth(1).unwrap();
    assert!(throttled.starts_with("</dt><dd>unknown"), "{}", &throttled[..60]);
}

#[test]
fn the_markdown_tells_the_same_story() {
    let text = markdown(&sample());
    for expected in [
        "5.31x faster than fp32",
        "| landmarks | **bin1** |",
        "188 of 200 right",
        "**chosen**",
        "recall 98.5 %",
        "accepted after 12 partial assignments",
        "| int8 / bin1 / int8 | 4.95 ms | 5.04 ms | 1.006 (0.998 – 1.013) |",
        "| landmarks | int2 | sign-center | 0 of 8 | block 2/conv | the level is dropped |",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    // Every line of a Markdown table has as many cells as its header.
    let mut columns = None;
    for line in text.lines() {
        let cells = line.starts_with('|').then(|| line.matches('|').count());
        if let (Some(before), Some(now)) = (columns, cells) {
            assert_eq!(before, now, "{line}");
        }
        columns = cells;
    }
}

#[test]
fn the_map_shows_the_best_recipe_of_a_level_and_marks_the_choice() {
    let mut report = sample();
    let worse = SensitivityRow {
        recipe: "percentile".to_owned(),
        value: 0.9,
        ..report.sensitivity[0].clone()
    };
    report.sensitivity.insert(1, worse);
    let page = html(&report);
    let map = page.split("class=\"map\"").nth(1).unwrap().split("</table>").next().unwrap();
    assert!(map.contains("<b>0.985 ★</b><br>2.34 ms, 2.22x"), "{map}");
    assert!(map.contains("minmax: 0.985, recall 98.5 %\npercentile: 0.900"), "{map}");
    assert_eq!(map.matches("<tr>").count(), 2, "one stage, once: {map}");
}

#[test]
fn a_proof_that_the_checker_rejects_is_told() {
    let mut report = sample();
    report.proof.as_mut().unwrap().checked = Err("3 assignments are not covered".to_owned());
    for text in [html(&report), markdown(&report)] {
        assert!(text.to_lowercase().contains("rejected"), "{text}");
        assert!(text.contains("3 assignments are not covered"), "{text}");
    }
}

#[test]
fn an_infeasible_search_gives_its_advice() {
    let mut report = sample();
    report.verdict = Verdict::Infeasible(vec!["relax the floor by 2.5 points".to_owned()]);
    for text in [html(&report), markdown(&report)] {
        assert!(text.contains("relax the floor by 2.5 points"));
    }
}

#[test]
fn a_report_without_evaluations_is_still_a_page() {
    let mut report = sample();
    report.points.clear();
    report.trace.clear();
    report.steps.clear();
    report.proof = None;
    report.collapsed.clear();
    report.sensitivity.clear();
    report.verification = None;
    let page = html(&report);
    assert!(page.contains("Nothing was evaluated") && page.contains("Not verified"));
}

#[test]
fn a_failed_verification_is_told_with_its_reasons() {
    let mut report = sample();
    let verification = report.verification.as_mut().unwrap();
    verification.failures.push("finder at int8 takes 9 ms".to_owned());
    verification.stages[0].latency_us = Some((2340.0, 9000.0, false));
    for text in [html(&report), markdown(&report)] {
        assert!(text.contains("NOT verified on the board"), "{text}");
        assert!(text.contains("finder at int8 takes 9 ms") && text.contains("+284.6 %"), "{text}");
    }
}
