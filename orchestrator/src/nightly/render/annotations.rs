//! For GitHub: workflow commands, which become annotations of the run
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).

use super::sentence;
use crate::nightly::report::Report;
use crate::nightly::verdict::Verdict;

/// One line per thing to look at; none when all is well.
pub fn annotations(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (board, model) in report.rows() {
        let level = match model.verdict {
            Verdict::Ok => continue,
            Verdict::Regression => "error",
            Verdict::Improved => "notice",
            Verdict::Inconclusive | Verdict::LabFault => "warning",
        };
        lines.push(line(level, &model.verdict.to_string(), &sentence(board, model)));
    }
    for board in &report.boards {
        if let Some(fault) = &board.fault {
            lines.push(line("error", "lab fault", &format!("{}: {}", board.board, fault.cause)));
        }
    }
    lines
}

fn line(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={}::{}", property(title), data(message))
}
