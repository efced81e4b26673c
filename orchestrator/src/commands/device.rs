//! `device`: the boards of the rack; what a board is, and what it is doing now.

use std::fmt::Write as _;

use serde::Serialize;

use super::{doctor, enroll, rack};
use crate::context::Context;
use crate::device::Now;
use crate::exit::CommandResult;
use crate::measurement::{BoardFacts, Conditions, Occupancy};
use crate::output;
use crate::rack::{BoardState, judge};

/// The subcommands of `device`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// The boards of the rack, and the state of each.
    List(rack::ListArgs),
    /// Ask a board what it is, what it is doing and who has it. Exit codes: 0 it is free; 4 it is offline; 5 busy;
    /// 6 drained; 7 quarantined.
    Show(rack::NameArgs),
    /// Add boards to the rack, or tell that they have moved.
    Add(rack::AddArgs),
    /// Give a board labels, which make pools, or take them.
    Label(rack::LabelArgs),
    /// Let a board finish what it does and give no more leases.
    Drain(rack::DrainArgs),
    /// Let a board give leases again.
    Undrain(rack::NameArgs),
    /// Take a board out of the rack.
    Remove {
        /// The board, by the name that it has given itself.
        name: String,
    },
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
    state: BoardState,
    /// Why it is not ok.
    detail: Option<String>,
    occupancy: Option<Occupancy>,
}

/// Runs a subcommand.
///
/// # Errors
/// When the board cannot be reached.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    match command {
        Command::List(args) => rack::list(args, context).await,
        Command::Show(args) => show(args, context).await,
        Command::Add(args) => rack::add(args, context).await,
        Command::Label(args) => rack::relabel(args, context).await,
        Command::Drain(args) => rack::drain(args.name, Some(args.reason), context).await,
        Command::Undrain(args) => rack::drain(args.name, None, context).await,
        Command::Remove { name } => rack::remove(&name, context).await,
        Command::Enroll(args) => enroll::run(args, context).await,
        Command::Doctor => doctor::run(context).await,
    }
}

async fn show(args: rack::NameArgs, context: &Context) -> CommandResult {
    let device = rack::connect(args.name.as_deref(), context).await?;
    let mut quarantined = context.store().await?.quarantined().await?;
    let Now { conditions, occupancy, .. } = device.now().await?;
    let (state, detail) = judge(occupancy.as_ref(), quarantined.remove(&device.facts().hostname));
    let shown = Shown {
        address: device.address().to_owned(),
        fingerprint: device.facts().fingerprint(),
        board: device.facts().clone(),
        agent_version: device.agent_version().to_owned(),
        engine_build: device.engine_build().to_owned(),
        kernels: device.kernels().to_vec(),
        conditions,
        state,
        detail,
        occupancy,
    };
    context.print("device show", &shown, human)?;
    Ok(shown.state.exit())
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
        (
            "state",
            match &shown.detail {
                Some(detail) => format!("{}: {detail}", shown.state),
                None => shown.state.to_string(),
            },
        ),
        ("up", format!("{} min", now.uptime_ms / 60_000)),
    ];
    lines.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<12} {value}");
        text
    })
}
