//! Every way to tell a report.

use quantrack_engine::Level;

use super::*;
use crate::measurement::ConditionsSummary;
use crate::nightly::precautions::{Missing, MissingPrecautions};
use crate::nightly::report::Fault;
use crate::nightly::setup::Difference;
use crate::nightly::verdict::Verdict;
use crate::rack::BoardState;
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
        missing_precautions: MissingPrecautions::default(),
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
        run_id: "0123abcd".to_owned(),
        baseline: "main".to_owned(),
        min_effect: 0.03,
        confidence: 0.99,
        verdict: Report::overall(&boards, &[]),
        boards,
        accuracy: Vec::new(),
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
        Some(Fault { state: BoardState::Offline, cause: "no route\nto host \u{1b}[1m".to_owned() });
    report(vec![board("pi3-a", first), board("pi3-b", vec![other_setup]), gone])
}

#[test]
fn people_see_a_table_and_the_reasons() {
    let text = human(&eventful());
    assert!(text.contains("12.3 ms") && text.contains("+5.2 %"), "{text}");
    assert!(text.contains("hand on pi3-a: inconclusive, slower by 2.0 %"), "{text}");
    assert!(text.contains("of another setup: kernel 6.6.51, now 6.12.25"), "{text}");
    assert!(text.contains("pi3-c: offline, no route"), "{text}");
    assert!(text.ends_with("palm on pi3-a is slower than main, and a rerun confirms it"), "{text}");
    let quiet = human(&report(vec![board("a", vec![model("palm", Verdict::Ok, 0.0, None)])]));
    assert!(quiet.ends_with("ok: nothing is 3.0 % slower than main"), "{quiet}");
    assert!(!quiet.contains("board"), "{quiet}");
}

#[test]
fn missing_precautions_are_told_whatever_the_verdict_is() {
    let set = |text: &str| Missing::from([text.to_owned()]);
    let memory = "memory is not locked: Operation not permitted";
    let less = |now, baseline| {
        let mut model = model("palm", Verdict::Ok, 0.0, None);
        model.missing_precautions = MissingPrecautions { baseline, now };
        model
    };
    let report = report(vec![
        board("pi3-a", vec![less(set(memory), Some(Missing::new()))]),
        board("pi3-b", vec![less(set(memory), Some(set(memory)))]),
        board("pi3-c", vec![less(set(memory), None), model("hand", Verdict::Ok, 0.0, None)]),
        board("pi3-d", vec![less(Missing::new(), Some(Missing::new()))]),
    ]);
    let other = "pi3-a: measured with other precautions missing than main: memory is not locked";
    let as_before = "pi3-b: measured with precautions missing, as main was: memory is not locked";
    let unknown = "palm on pi3-c: measured with precautions missing: memory is not locked";
    let (text, page) = (human(&report), markdown(&report));
    let lines = annotations(&report);
    for said in [other, as_before, unknown] {
        assert!(text.contains(said) && page.contains(said), "{text}\n{page}");
        assert!(lines.iter().any(|line| line.contains(said)), "{lines:?}");
    }
    assert!(!text.contains("pi3-d: ") && lines.len() == 3, "{text}\n{lines:?}");
    assert!(lines[0].starts_with("::notice title=precautions::pi3-a"), "{lines:?}");
    let xml = junit(&report).unwrap();
    assert_eq!(xml.matches("memory is not locked").count(), 3, "{xml}");
    let text = metrics(&report, 1);
    let count = "quantrack_missing_precautions{board=\"pi3-a\",model=\"palm\",baseline=\"main\"} 1";
    assert!(text.contains(count), "{text}");
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
    assert!(
        text.contains("<error message=\"offline, no route") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn markdown_escapes_what_would_be_markup() {
    let text = markdown(&eventful());
    assert!(
        text.contains("❌") && text.contains("| pi3-a | palm | int8 | 12.3 ms | 13.0 ms |"),
        "{text}"
    );
    assert!(text.contains(r"palm \<&\>"), "{text}");
    assert!(text.contains("- pi3-c: offline, no route to host"), "{text}");
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
    let faulty = |state| {
        let mut board = board("b", Vec::new());
        board.fault = Some(Fault { state, cause: "why".to_owned() });
        board
    };
    let code = |boards| report(boards).exit() as u8;
    assert_eq!(code(vec![ok()]), 0);
    assert_eq!(code(vec![ok(), faulty(BoardState::Quarantined)]), 0);
    assert_eq!(code(vec![faulty(BoardState::Quarantined)]), 4);
    assert_eq!(code(vec![ok(), faulty(BoardState::Offline)]), 4);
    let slow = board("c", vec![model("palm", Verdict::Regression, 0.1, None)]);
    assert_eq!(code(vec![slow, faulty(BoardState::Offline)]), 1);
    let unclear = board("d", vec![model("palm", Verdict::Inconclusive, 0.0, Some("x"))]);
    assert_eq!(code(vec![ok(), unclear]), 3);
    assert_eq!(code(vec![board("e", vec![model("palm", Verdict::Improved, -0.1, None)])]), 0);
}

#[test]
fn accuracy_is_told_wherever_latency_is() {
    let one = |name: &str, verdict, change: f64, reason: Option<&str>| AccuracyReport {
        name: name.to_owned(),
        verdict,
        reason: reason.map(str::to_owned),
        max_drop_points: 1.0,
        metric: "top1".to_owned(),
        unit: Unit::Share,
        images: 400,
        baseline: 0.95,
        now: 0.95 + change,
        change: Some(change),
        interval: Some((change - 0.01, change + 0.01)),
        lost: vec!["7.png".to_owned()],
        baseline_variants: Vec::new(),
        variants: Vec::new(),
    };
    let accuracy = vec![
        one("all int8", Verdict::Regression, -0.032, None),
        one("all int4", Verdict::Inconclusive, -0.005, Some("too few images")),
    ];
    let boards = vec![board("pi3-a", vec![model("palm", Verdict::Ok, 0.0, None)])];
    let verdict = Report::overall(&boards, &accuracy);
    assert_eq!(verdict, Verdict::Regression);
    let report = Report { accuracy, verdict, ..report(boards) };
    assert_eq!(report.exit() as u8, 1);
    let text = human(&report);
    assert!(text.contains("-3.2") && text.contains("worse in 7.png"), "{text}");
    assert!(text.ends_with("regression: all int8 loses accuracy against main"), "{text}");
    let xml = junit(&report).unwrap();
    let failure =
        "<failure message=\"accuracy of all int8: regression, -3.2 points (-4.2 .. -2.2)\"/>";
    assert!(xml.contains(failure), "{xml}");
    assert!(
        xml.contains("<skipped message=\"accuracy of all int4: inconclusive, too few"),
        "{xml}"
    );
    let page = markdown(&report);
    assert!(page.contains("| all int8 | top1 | 400 | 95.0 % | 91.8 % | -3.2 |"), "{page}");
    let lines = annotations(&report);
    assert!(lines[0].starts_with("::error title=regression::accuracy of all int8"), "{lines:?}");
    assert_eq!(lines.len(), 2);
    let text = metrics(&report, 1_700_000_000);
    assert!(
        text.contains("quantrack_accuracy_regression{assignment=\"all int8\",baseline=\"main\"} 1")
    );
}

#[test]
fn metrics_are_what_the_collector_reads() {
    let text = metrics(&eventful(), 1_700_000_000);
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(name.starts_with("quantrack_") && value.parse::<f64>().is_ok(), "{line}");
    }
    for words in [
        "quantrack_check_verdict{baseline=\"main\",verdict=\"regression\"} 1",
        "quantrack_check_verdict{baseline=\"main\",verdict=\"ok\"} 0",
        "quantrack_board_state{board=\"pi3-c\",state=\"offline\"} 1",
        "quantrack_latency_seconds{board=\"pi3-a\",",
    ] {
        assert!(text.contains(words), "no {words} in {text}");
    }
    assert_eq!(text.matches("# TYPE quantrack_latency_seconds gauge").count(), 1);
}

#[test]
fn slow_downs_of_many_times_are_ratios() {
    assert_eq!(change(0.051), "+5.1 %");
    assert_eq!(change(8.99), "+899.0 %");
    assert_eq!(change(3699.0), "3700 times");
    let wide = Effect { change: 3699.0, low: 2626.0, high: 5991.0 };
    assert_eq!(interval(&wide), "2627 .. 5992 times");
    assert_eq!(interval(&Effect { low: 0.5, ..wide }), "+50.0 .. +599100.0 %");
}
