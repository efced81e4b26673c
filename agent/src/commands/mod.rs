//! The command line.

mod bench;
mod capabilities;
mod governor;
mod kernels;
mod run;
mod self_test;
mod serve;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use quantrack_engine::{Pool, RayonPool, Serial};

use crate::worker::{EngineLoader, child, limits};

/// The quantrack agent: measures models on this board for an orchestrator.
#[derive(Debug, Parser)]
#[command(name = "agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve orchestrators until a signal arrives.
    Serve(serve::Args),
    /// Hold every micro-kernel that this CPU can run against a naive reference.
    SelfTest(self_test::Args),
    /// Print what the board is and what it is doing, as JSON.
    Capabilities(capabilities::Args),
    /// Time layers and models at every level on this machine, in turns.
    Bench(bench::Args),
    /// Run a bundle's pipeline on images or a camera's frames.
    Run(run::Args),
    /// Set the frequency governor for the agent, which may not do so itself, while it measures.
    Governor(governor::Args),
    /// Run models for the agent; started by the agent itself.
    #[command(hide = true)]
    Worker {
        /// Under user-mode emulation, which starting this program again would leave.
        #[arg(long)]
        emulated: bool,
    },
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table.
    Human,
    /// JSON.
    Json,
}

/// Runs the command of this process's arguments. Exit codes: 0 done, 1 a self-test failed, 2 wrong usage, 4 the
/// machine does not allow it.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let ansi = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(ansi)
        .init();
    let result = match cli.command {
        Command::Serve(args) => serve::run(&args),
        Command::SelfTest(args) => self_test::run(&args),
        Command::Capabilities(args) => capabilities::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Run(args) => run::run(&args),
        Command::Governor(args) => governor::run(&args),
        Command::Worker { emulated } => worker(emulated),
    };
    result.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::from(4)
    })
}

/// So many threads to lend to the engine.
fn pool(threads: usize) -> anyhow::Result<Box<dyn Pool>> {
    if threads == 1 {
        return Ok(Box::new(Serial));
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    Ok(Box::new(RayonPool::new(pool.context("failed to start the threads")?)))
}

fn worker(emulated: bool) -> anyhow::Result<ExitCode> {
    if !emulated {
        limits::fix_addresses();
    }
    child::serve(&EngineLoader, &mut std::io::stdin().lock(), &mut std::io::stdout().lock())?;
    Ok(ExitCode::SUCCESS)
}
