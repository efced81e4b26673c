//! Every way to tell a report.

use quantrack_engine::Level;

use super::*;
use crate::measurement::ConditionsSummary;
use crate::nightly::report::{Fault, Report};
use crate::nightly::setup::Difference;
use crate::nightly::verdict::Verdict;
use crate::store::VariantRecord;

fn model(name: &str, verdict: Verdict, change: f64, reason: Option<&str>) -> ModelReport {
    ModelReport {
        model: name.to_owned(),
        variant: VariantRecord {
            sha256: "0".repeat(64),
            model_sha256: String::new(),
            level: Level::Int8,
            recipe: "minmax".to_owned(),
            bytes: 1,
            exemptions: Vec::new(),
        },
        baseline_sha256: "0".repeat(64),
        verdict,
        reason: reason.map(str::to_owned),
        effect: Some(Effect { change, low: change - 0.004, high: change + 0.004 }),
        floor: Some(0.008),
        baseline_median_us: Some(12_340.0),
        median_us: Some(12_340.0 * (1.0 + change)),
        interleaved: false,
        rerun: true,
        differences: Vec::new(),
        conditions: ConditionsSummary::default(),
        baseline_runs: Vec::new(),
        runs: Vec::new(),
    }
}

fn board(name: &str, models: Vec<ModelReport>) -> BoardReport {
    BoardReport {
        board: name.to_owned(),
        address: format!("{name}.local:50051"),
        device: Some("Raspberry Pi 3 Model B Rev 1.2".to_owned()),
        fingerprint: Some("0123456789abcdef".to_owned()),
        engine_build: Some("e1".to_owned()),
        fault: None,
        golden: None,
        models,
    }
}

fn report(boards: Vec<BoardReport>) -> Report {
    Report {
        baseline: "main".to_owned(),
        min_effect: 0.03,
        confidence: 0.99,
        verdict: Report::overall(&boards),
        boards,
    }
}

/// A night in which everything happens.
fn eventful() -> Report {
    let mut other_setup = model("palm <&>", Verdict::Inconclusive, 0.0, None);
    other_setup.differences = vec![Difference {
        what: "kernel",
        baseline: "6.6.51".to_owned(),
        now: "6.12.25".to_owned(),
    }];
    let first = vec![
        model("palm", Verdict::Regression, 0.052, None),
        model("hand", Verdict::Inconclusive, 0.02, Some("slower by 2.0 %, 100% sure")),
        model("gesture", Verdict::Ok, 0.001, None),
    ];
    let mut gone = board("pi3-c", Vec::new());
    gone.fault =
        Some(Fault { quarantined: false, cause: "no route\nto host \u{1b}[1m".to_owned() });
    report(vec![board("pi3-a", first), board("pi3-b", vec![other_setup]), gone])
}

#[test]
fn people_see_a_table_and_the_reasons() {
    let text = human(&eventful());
    assert!(text.contains("12.3 ms") && text.contains("+5.2 %"), "{text}");
    assert!(text.contains("hand on pi3-a: inconclusive, slower by 2.0 %"), "{text}");
    assert!(text.contains("of another setup: kernel 6.6.51, now 6.12.25"), "{text}");
    assert!(text.contains("pi3-c: lab fault, no route"), "{text}");
    assert!(text.ends_with("palm on pi3-a is slower than main, and a rerun confirms it"), "{text}");
    let quiet = human(&report(vec![board("a", vec![model("palm", Verdict::Ok, 0.0, None)])]));
    assert!(quiet.ends_with("ok: nothing is 3.0 % slower than main"), "{quiet}");
    assert!(!quiet.contains("board"), "{quiet}");
}

#[test]
fn junit_is_well_formed_and_skips_what_is_inconclusive() {
    let text = junit(&eventful()).unwrap();
    let mut reader = quick_xml::Reader::from_str(&text);
    let mut depth = 0;
    loop {
        match reader.read_event().unwrap() {
            quick_xml::events::Event::Start(_) => depth += 1,
            quick_xml::events::Event::End(_) => depth -= 1,
            quick_xml::events::Event::Eof => break,
            _ => {}
        }
    }
    assert_eq!(depth, 0);
    assert!(text.contains(r#"tests="3" failures="1" skipped="1" errors="0""#), "{text}");
    assert!(
        text.contains(r#"<skipped message="inconclusive: slower by 2.0 %, 100% sure"/>"#),
        "{text}"
    );
    assert!(text.contains("palm &lt;&amp;&gt;"), "{text}");
    assert!(text.contains("<error message=\"no route") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn markdown_escapes_what_would_be_markup() {
    let text = markdown(&eventful());
    assert!(
        text.contains("❌") && text.contains("| pi3-a | palm | int8 | 12.3 ms | 13.0 ms |"),
        "{text}"
    );
    assert!(text.contains(r"palm \<&\>"), "{text}");
    assert!(text.contains("- pi3-c: no route to host"), "{text}");
}

#[test]
fn github_gets_a_line_per_thing_to_look_at() {
    let lines = annotations(&eventful());
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(lines[0].starts_with("::error title=regression::palm on pi3-a: regression, +5.2 %25"));
    assert!(lines[1].starts_with("::warning title=inconclusive::hand on pi3-a"));
    assert!(lines[3].contains("no route%0Ato host"), "{lines:?}");
}

#[test]
fn the_worst_counts_but_a_quarantined_board_leaves_the_others_alone() {
    let ok = || board("a", vec![model("palm", Verdict::Ok, 0.0, None)]);
    let faulty = |quarantined| {
        let mut board = board("b", Vec::new());
        board.fault = Some(Fault { quarantined, cause: "why".to_owned() });
        board
    };
    let code = |boards| report(boards).exit() as u8;
    assert_eq!(code(vec![ok()]), 0);
    assert_eq!(code(vec![ok(), faulty(true)]), 0);
    assert_eq!(code(vec![faulty(true)]), 4);
    assert_eq!(code(vec![ok(), faulty(false)]), 4);
    let slow = board("c", vec![model("palm", Verdict::Regression, 0.1, None)]);
    assert_eq!(code(vec![slow, faulty(false)]), 1);
    let unclear = board("d", vec![model("palm", Verdict::Inconclusive, 0.0, Some("x"))]);
    assert_eq!(code(vec![ok(), unclear]), 3);
    assert_eq!(code(vec![board("e", vec![model("palm", Verdict::Improved, -0.1, None)])]), 0);
}
