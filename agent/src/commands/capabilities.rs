//! `agent capabilities`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use quantrack_engine::kernels::registry;

use crate::board::{BoardFacts, Root, detect_features};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Directory below which /proc, /sys and /etc are read.
    #[arg(long, default_value = "/", value_name = "DIR")]
    board_root: PathBuf,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let features = detect_features();
    let usable = registry::all().into_iter().filter(|(_, isa)| features.has(*isa));
    let kernels: Vec<&str> = usable.map(|(name, _)| name).collect();
    let document = serde_json::json!({
        "schema": 1,
        "agent_version": env!("CARGO_PKG_VERSION"),
        "engine_build": registry::engine_build(),
        "board": BoardFacts::read(&Root::new(&args.board_root)),
        "kernels": kernels,
    });
    writeln!(std::io::stdout(), "{document:#}")?;
    Ok(ExitCode::SUCCESS)
}
