//! For GitHub: workflow commands, which become annotations of the run
//! (<https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>).

use super::{accuracy_sentence, precautions, sentence};
use crate::nightly::report::Report;
use crate::nightly::verdict::Verdict;

/// One line per thing to look at; none when all is well.
pub fn annotations(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for (board, model) in report.rows() {
        lines.extend(annotation(model.verdict, &sentence(board, model)));
    }
    for one in &report.accuracy {
        lines.extend(annotation(one.verdict, &accuracy_sentence(one)));
    }
    for board in &report.boards {
        if let Some(fault) = &board.fault {
            let (title, message) = (fault.state.to_string(), &fault.cause);
            lines.push(line("error", &title, &format!("{}: {message}", board.board)));
        }
    }
    lines.extend(precautions(report).iter().map(|said| line("notice", "precautions", said)));
    lines
}

fn annotation(verdict: Verdict, sentence: &str) -> Option<String> {
    let level = match verdict {
        Verdict::Ok => return None,
        Verdict::Regression => "error",
        Verdict::Improved => "notice",
        Verdict::Inconclusive | Verdict::LabFault => "warning",
    };
    Some(line(level, &verdict.to_string(), sentence))
}

fn line(level: &str, title: &str, message: &str) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    format!("::{level} title={}::{}", property(title), data(message))
}
