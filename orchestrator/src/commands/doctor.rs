//! `device doctor`: what is wrong with boards, and what to do about it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::context::Context;
use crate::doctor::{Finding, State, examine};
use crate::exit::{CommandResult, Exit};

/// What is printed.
#[derive(Debug, Serialize)]
struct Shown {
    boards: Vec<Examined>,
}

#[derive(Debug, Serialize)]
struct Examined {
    address: String,
    findings: Vec<Finding>,
}

/// Runs the command.
///
/// # Errors
/// When the result cannot be printed; what is wrong with boards is a result.
pub async fn run(context: &Context) -> CommandResult {
    let connector = context.connector();
    let mut boards = Vec::new();
    for address in context.addresses() {
        let findings = examine(&connector, &address).await;
        boards.push(Examined { address: address.to_string(), findings });
    }
    let worst = boards.iter().flat_map(|board| &board.findings).map(|f| f.state).max();
    let shown = Shown { boards };
    context.print("device doctor", &shown, human)?;
    Ok(match worst {
        Some(State::Failed) => Exit::Lab,
        Some(State::Warning) => Exit::TargetMissed,
        _ => Exit::Ok,
    })
}

fn human(shown: &Shown) -> String {
    let mut text = String::new();
    for board in &shown.boards {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}", board.address);
        for finding in &board.findings {
            let state = match finding.state {
                State::Ok => "ok",
                State::Unknown => "unknown",
                State::Warning => "WARNING",
                State::Failed => "FAILED",
            };
            let _ = writeln!(text, "  {:<12} {state:<8} {}", finding.check, finding.found);
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(text, "  {:<12} {:<8} -> {remedy}", "", "");
            }
        }
    }
    text
}
