//! For Prometheus, by node_exporter's textfile collector: the text format of
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::Write as _;

use crate::nightly::report::Report;
use crate::nightly::verdict::Verdict;

const VERDICTS: [Verdict; 5] =
    [Verdict::Ok, Verdict::Regression, Verdict::Improved, Verdict::Inconclusive, Verdict::LabFault];

/// The report as metrics. `at` is when it was made, in seconds since 1970.
pub fn metrics(report: &Report, at: u64) -> String {
    let mut text = String::new();
    let mut family = |name: &str, help: &str, rows: Vec<(String, String)>| {
        if rows.is_empty() {
            return;
        }
        // Writing to a String cannot fail.
        let _ = writeln!(text, "# HELP quantrack_{name} {help}\n# TYPE quantrack_{name} gauge");
        for (labels, value) in rows {
            let _ = writeln!(text, "quantrack_{name}{labels} {value}");
        }
    };
    let baseline = ("baseline", report.baseline.as_str());
    family(
        "check_timestamp_seconds",
        "When the check ended.",
        vec![(labels(&[baseline]), at.to_string())],
    );
    let overall = VERDICTS.map(|verdict| {
        let row = labels(&[baseline, ("verdict", &verdict.to_string())]);
        (row, u64::from(verdict == report.verdict).to_string())
    });
    family("check_verdict", "What the check came to: 1 for its verdict.", overall.to_vec());
    let boards = report.boards.iter().map(|board| {
        let state = board.fault.as_ref().map_or("ok".to_owned(), |fault| fault.state.to_string());
        (labels(&[("board", &board.board), ("state", &state)]), "1".to_owned())
    });
    family("board_state", "The state in which a board was found.", boards.collect());
    let of_models = |value: &dyn Fn(&crate::nightly::report::ModelReport) -> Option<f64>| {
        let rows = report.rows().filter_map(|(board, model)| {
            let row = labels(&[("board", &board.board), ("model", &model.model), baseline]);
            Some((row, value(model)?.to_string()))
        });
        rows.collect::<Vec<(String, String)>>()
    };
    family(
        "latency_seconds",
        "Median of tonight's runs.",
        of_models(&|model| model.median_us.map(|us| us / 1e6)),
    );
    family(
        "latency_change_ratio",
        "By what share a model is slower than its baseline.",
        of_models(&|model| model.effect.map(|effect| effect.change)),
    );
    family(
        "latency_noise_ratio",
        "What the board differs by when nothing has changed.",
        of_models(&|model| model.floor),
    );
    family(
        "missing_precautions",
        "How many precautions the board did not allow.",
        of_models(&|model| Some(model.missing_precautions.now.len() as f64)),
    );
    family(
        "model_regression",
        "Whether a model is confirmed to be slower.",
        of_models(&|model| Some(f64::from(u8::from(model.verdict == Verdict::Regression)))),
    );
    let accuracy = report.accuracy.iter().map(|one| {
        (
            labels(&[("assignment", &one.name), ("metric", &one.metric), baseline]),
            one.now.to_string(),
        )
    });
    family("accuracy", "The metric's value today.", accuracy.collect());
    let regression = report.accuracy.iter().map(|one| {
        let lost = u64::from(one.verdict == Verdict::Regression).to_string();
        (labels(&[("assignment", &one.name), baseline]), lost)
    });
    family("accuracy_regression", "Whether accuracy is lost.", regression.collect());
    text
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let one = |(name, value): &(&str, &str)| format!("{name}=\"{}\"", escaped(value));
    let all: Vec<String> = pairs.iter().map(one).collect();
    format!("{{{}}}", all.join(","))
}
