//! `agent self-test`.

use std::io::Write as _;
use std::process::ExitCode;

use quantrack_engine::kernels::{SelfTestResult, self_test};

use super::Format;
use crate::board::detect_features;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// How to print the result.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Cases for each kernel.
    #[arg(long, default_value_t = 200)]
    cases: usize,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let results = self_test(&detect_features(), args.cases);
    let passed = results.iter().all(|result| result.failure.is_none());
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Human => results.iter().try_for_each(|result| row(&mut out, result))?,
        Format::Json => {
            let rows: Vec<serde_json::Value> = results.iter().map(json).collect();
            let document = serde_json::json!({ "schema": 1, "passed": passed, "kernels": rows });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn row(out: &mut impl std::io::Write, result: &SelfTestResult) -> std::io::Result<()> {
    let verdict = result.failure.as_deref().map_or("ok".to_owned(), |why| format!("FAILED: {why}"));
    writeln!(
        out,
        "{:<40} {:<14} {:>5} cases  {verdict}",
        result.kernel, result.family, result.cases
    )
}

fn json(result: &SelfTestResult) -> serde_json::Value {
    serde_json::json!({
        "kernel": result.kernel,
        "family": result.family,
        "cases": result.cases,
        "ok": result.failure.is_none(),
        "failure": result.failure,
    })
}
