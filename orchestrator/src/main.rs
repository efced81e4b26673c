//! The orchestrator: see [`quantrack_orchestrator::cli`].

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use quantrack_orchestrator::cli::Cli;
use quantrack_orchestrator::context::Context;
use quantrack_orchestrator::device::run_id;
use quantrack_orchestrator::exit::{CommandResult, Exit, Failure};
use quantrack_orchestrator::output::ProgressBars;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long a command has to end by itself after an interrupt.
const GRACE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    // Ends with code 2 and a message by itself when the command line is wrong.
    let cli = Cli::parse();
    let progress = ProgressBars::default();
    let logged = match cli.options.verbose {
        0 => "quantrack_orchestrator=info,warn",
        1 => "quantrack_orchestrator=debug,info",
        _ => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("QUANTRACK_LOG").unwrap_or_else(|_| logged.into()))
        .with_writer(progress.log_writer())
        .with_target(cli.options.verbose > 0)
        .without_time()
        .with_level(cli.options.verbose > 0)
        .init();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return report(&Failure::lab(error).context("failed to start threads")),
    };
    let context = Context { options: cli.options, progress };
    tracing::debug!("this is run {}, as agents call it in their logs", run_id());
    let ended = runtime.block_on(async {
        // In a task of its own: what computes keeps this one busy.
        let interrupted = tokio::spawn(interrupted());
        tokio::select! {
            ended = cli.command.run(&context) => ended,
            Ok(interrupted) = interrupted => interrupted,
        }
    });
    // Computations that an interrupt has cut off are not waited for: what they had finished is stored.
    runtime.shutdown_timeout(Duration::from_millis(200));
    match ended {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure),
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn interrupted() -> CommandResult {
    let fault = |error| Failure::lab(error).context("failed to listen for signals");
    let mut terminate = signal(SignalKind::terminate()).map_err(fault)?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.map_err(fault)?,
        _ = terminate.recv() => {}
    }
    tracing::warn!("interrupted; what has been measured is kept, and the same command resumes");
    // A command that waits is dropped now and gives its board back; one that computes does not hear of it.
    std::thread::spawn(|| {
        std::thread::sleep(GRACE);
        std::process::exit(i32::from(Exit::Interrupted as u8));
    });
    Ok(Exit::Interrupted)
}

/// Tells a failure on standard error.
#[expect(clippy::print_stderr, reason = "this is where failures go")]
fn report(failure: &Failure) -> ExitCode {
    eprintln!("error: {failure}");
    if let Some(step) = failure.next_step() {
        eprintln!(" next: {step}");
    }
    failure.exit.into()
}
