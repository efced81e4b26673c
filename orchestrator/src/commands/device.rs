//! `device`: what a board is, and what it is doing now.

use std::fmt::Write as _;

use serde::Serialize;

use super::{doctor, enroll};
use crate::context::Context;
use crate::exit::{CommandResult, Exit};
use crate::measurement::{BoardFacts, Conditions};
use crate::output;

/// The subcommands of `device`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Ask the board given with --device what it is and what it is doing.
    Show,
    /// Install an agent with certificates on a board that ssh reaches, start it, and test it.
    Enroll(enroll::Args),
    /// Find out what is wrong with the boards given with --device, and what to do about it. Exit codes: 0 nothing; 1
    /// something that makes measurements worse; 4 a board cannot be used.
    Doctor,
}

/// What `device show` prints.
#[derive(Debug, Serialize)]
struct Shown {
    address: String,
    fingerprint: String,
    board: BoardFacts,
    agent_version: String,
    engine_build: String,
    kernels: Vec<String>,
    conditions: Conditions,
}

/// Runs a subcommand.
///
/// # Errors
/// When the board cannot be reached.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    match command {
        Command::Show => show(context).await,
        Command::Enroll(args) => enroll::run(args, context).await,
        Command::Doctor => doctor::run(context).await,
    }
}

async fn show(context: &Context) -> CommandResult {
    let device = context.connect().await?;
    let shown = Shown {
        address: device.address().to_owned(),
        fingerprint: device.facts().fingerprint(),
        board: device.facts().clone(),
        agent_version: device.agent_version().to_owned(),
        engine_build: device.engine_build().to_owned(),
        kernels: device.kernels().to_vec(),
        conditions: device.conditions().await?,
    };
    context.print("device show", &shown, human)?;
    Ok(Exit::Ok)
}

fn human(shown: &Shown) -> String {
    let board = &shown.board;
    let now = &shown.conditions;
    let unknown = || "unknown".to_owned();
    let from = |source: &Option<String>| {
        source.as_ref().map_or(String::new(), |source| format!(" ({source})"))
    };
    let throttling = now.throttled_bits.map_or_else(unknown, |bits| match bits {
        0 => "none".to_owned(),
        bits => format!("bits {bits:#x}"),
    });
    let lines = [
        ("board", format!("{} at {}", board.name(), shown.address)),
        ("fingerprint", shown.fingerprint.clone()),
        ("cpu", format!("{} cores {}, {}", board.cores, board.cpu, board.cpu_id)),
        ("features", board.features.join(" ")),
        ("memory", output::bytes(board.memory_bytes)),
        ("system", board.system()),
        (
            "agent",
            format!("{} ({}), engine {}", shown.agent_version, board.target, shown.engine_build),
        ),
        ("kernels", shown.kernels.join(" ")),
        ("throttling", throttling + &from(&now.throttled_source)),
        (
            "clock",
            now.arm_clock_hz.map_or_else(unknown, output::hertz) + &from(&now.arm_clock_source),
        ),
        ("temperature", now.temperature_celsius.map_or_else(unknown, |t| format!("{t:.1} °C"))),
        ("load", now.load_1m.map_or_else(unknown, |load| format!("{load:.2} (1 min)"))),
        ("governor", now.governor.clone().unwrap_or_else(unknown)),
        ("up", format!("{} min", now.uptime_ms / 60_000)),
    ];
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
        text
    })
}
