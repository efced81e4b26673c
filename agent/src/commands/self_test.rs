//! `agent self-test`: every kernel that this CPU can run against the naive reference, and which of them are selected for the
//! layers of the benchmarks.

use std::io::Write as _;
use std::process::ExitCode;

use quantrack_engine::Level;
use quantrack_engine::bench::{Case, cases};
use quantrack_engine::kernels::{CpuFeatures, SelfTestResult, self_test};

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
    let features = detect_features();
    let results = self_test(&features, args.cases);
    let selected = selection(&features);
    let passed = results.iter().all(|result| result.failure.is_none());
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Human => {
            writeln!(out, "Instruction sets: {:?}\n", features.isas())?;
            results.iter().try_for_each(|result| row(&mut out, result))?;
            writeln!(out, "\nSelected for the layers of the benchmarks:")?;
            for (case, level, kernel) in &selected {
                writeln!(out, "{:<24} {level:<6} {kernel}", case.name)?;
            }
        }
        Format::Json => {
            let rows: Vec<serde_json::Value> = results.iter().map(json).collect();
            let selected: Vec<serde_json::Value> = selected
                .iter()
                .map(|(case, level, kernel)| {
                    serde_json::json!({ "layer": case.name, "level": level, "kernel": kernel })
                })
                .collect();
            let document = serde_json::json!({
                "schema": 1,
                "passed": passed,
                "instruction_sets": features.isas(),
                "kernels": rows,
                "selected": selected,
            });
            writeln!(out, "{document:#}")?;
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// The kernel of every layer that has one, by level.
fn selection(features: &CpuFeatures) -> Vec<(&'static Case, &'static str, &'static str)> {
    let mut all = Vec::new();
    for case in cases() {
        for &level in case.levels() {
            let prepared = case.prepare(level, features);
            if let Some(kernel) = prepared.map(|layer| layer.kernel()).filter(|k| !k.is_empty()) {
                all.push((case, Level::name(level), kernel));
            }
        }
    }
    all
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
