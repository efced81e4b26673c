//! The command line: options that all commands share, and the list of commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::commands::{
    authority, baseline, bisect, certificate, check, compare, confirm, demo, device, evaluate,
    explain, export, gate, history, manual, model, profile, report, search, table, tune, verify,
};
use crate::context::Context;
use crate::device::Address;
use crate::exit::CommandResult;
use crate::output::{self, Format};
use crate::spec::Measure;

/// Measures every model of a pipeline at every quantization level on the real board, and finds the best assignment
/// of levels.
///
/// Exit codes: 0 ok; 1 target missed, or something got worse; 2 wrong usage or input; 3 inconclusive; 4 device,
/// connection or store failed; 5 somebody else has the board; 6 the board is drained; 7 the board is quarantined; 130
/// interrupted. Results go to standard output, all else to standard error.
#[derive(Debug, Parser)]
#[command(name = "orchestrator", version, max_term_width = 100)]
pub struct Cli {
    /// Options of all commands.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that all commands share.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Common options")]
pub struct Options {
    /// Pipeline: a built-in name or a TOML file.
    #[arg(long, global = true, default_value = "hand-gesture", value_name = "NAME|FILE")]
    pub pipeline: String,
    /// Folder that holds models/ and images/ [default: that of the pipeline's file, or the current one].
    #[arg(long, global = true, env = "QUANTRACK_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where measurements are kept [default: quantrack/store.sqlite in the XDG data directory].
    #[arg(long, global = true, env = "QUANTRACK_STORE", value_name = "DIR|FILE")]
    pub store: Option<PathBuf>,
    /// The board: HOST, HOST:PORT (50051 when not given), or `local` for this machine [default: local]; BOARD@HOST where
    /// the board's name is another than the host's. Nightly commands take several.
    #[arg(long, global = true, value_name = "[BOARD@]HOST[:PORT]|local")]
    pub device: Vec<Address>,
    /// The boards of the rack that have this label, instead of --device: nightly commands take all of them, others one that
    /// is free.
    #[arg(long, global = true, value_name = "LABEL", conflicts_with = "device")]
    pub pool: Option<String>,
    /// How long to wait in the queue of a board that somebody else has, as in 90s, 30m or 2h.
    #[arg(long, global = true, default_value = "0s", value_name = "TIME", value_parser = output::time)]
    pub wait: Duration,
    /// The agent program that `local` starts [default: `agent` beside this program].
    #[arg(long, global = true, env = "QUANTRACK_AGENT", value_name = "FILE")]
    pub agent_bin: Option<PathBuf>,
    /// Folder of the certificate that boards know us by [default: quantrack/identity in the XDG configuration directory].
    #[arg(long, global = true, env = "QUANTRACK_IDENTITY", value_name = "DIR")]
    pub identity: Option<PathBuf>,
    /// Threads of the engine on the board [default: as the pipeline says].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: Option<u32>,
    /// Let the board cool to so many degrees Celsius before each block of samples [default: as the pipeline or suite says].
    #[arg(long, global = true, value_name = "CELSIUS", value_parser = celsius, allow_negative_numbers = true)]
    pub cool_to: Option<f64>,
    /// Seconds that the cooling of a measurement may take; then it ends as inconclusive [default: 300].
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub cool_timeout: Option<u32>,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t)]
    pub format: Format,
    /// Tell more; twice for all there is.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Options {
    /// Overrules how a pipeline or a suite measures.
    pub fn overrule(&self, measure: &mut Measure) {
        measure.threads = self.threads.unwrap_or(measure.threads);
        measure.cool_to = self.cool_to.or(measure.cool_to);
        measure.cool_seconds = self.cool_timeout.unwrap_or(measure.cool_seconds);
    }
}

/// A temperature on the command line.
fn celsius(text: &str) -> Result<f64, String> {
    let celsius: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    match (-40.0..=125.0).contains(&celsius) {
        true => Ok(celsius),
        false => Err("it must be from -40 to 125 °C".to_owned()),
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Tune a small pipeline that comes with this program: two minutes, nothing to prepare.
    Demo(demo::Args),
    /// Measure every stage at every level and recipe on the board.
    Profile(profile::Args),
    /// Measure the accuracy of every variant alone, and of assignments end to end, on this machine.
    Evaluate(evaluate::Args),
    /// Try recipes in order of cost and tell which variants have collapsed, on a few images.
    Gate(gate::Args),
    /// Find the best assignment of levels over what was measured.
    Search(search::Args),
    /// Measure the chosen assignment on held-out images, and decide whether it meets the target there.
    Confirm(confirm::Args),
    /// The proof of a search: check it without trusting the search.
    #[command(subcommand)]
    Certificate(certificate::Command),
    /// Run the chosen assignment on the board: outputs against the host's, latency against the prediction.
    Verify(verify::Args),
    /// Why this assignment was chosen: what every level would have meant, and what a lower threshold would buy.
    Explain,
    /// Write the chosen assignment as one file that `agent run` executes.
    Export(export::Args),
    /// Write what was measured and chosen as an HTML page and as Markdown.
    Report(report::Args),
    /// All of it: profile, evaluate, search, verify, report. Resumes where it was stopped.
    Tune(tune::Args),
    /// Nightly: measure the models of a suite and tell what is slower than a baseline. Exit codes: 0 no; 1 yes, and a
    /// rerun confirms it; 3 inconclusive, with the reason; 4 a board did not do its work.
    Check(check::Args),
    /// Measure two models in turns on the same boards, and tell whether the second is slower. Exit codes as of `check`.
    Compare(compare::Args),
    /// Find the first of several versions that is slower than the first one, on one board. Resumes where it was stopped.
    /// Exit codes: 0 none is slower; 1 it was found; 3 inconclusive, with the candidates.
    Bisect(bisect::Args),
    /// What nightly checks compare with.
    #[command(subcommand)]
    Baseline(baseline::Command),
    /// What nightly checks have measured, night by night, and where levels changed.
    History(history::Args),
    /// The rack's own authority: certificates for boards and clients.
    Authority(authority::Args),
    /// What boards are.
    #[command(subcommand)]
    Device(device::Command),
    /// The measured latencies.
    #[command(subcommand)]
    Table(table::Command),
    /// Look at a model, or run it.
    #[command(subcommand)]
    Model(model::Command),
    /// Print completions for a shell, or write man pages and completions.
    Manual(manual::Args),
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// With the exit code in the failure.
    pub async fn run(self, context: &Context) -> CommandResult {
        match self {
            Self::Demo(args) => demo::run(args, context).await,
            Self::Profile(args) => profile::run(args, context).await,
            Self::Evaluate(args) => evaluate::run(args, context).await,
            Self::Gate(args) => gate::run(args, context).await,
            Self::Confirm(args) => confirm::run(args, context).await,
            Self::Search(args) => search::run(args, context).await,
            Self::Certificate(command) => certificate::run(command, context).await,
            Self::Explain => explain::run(context).await,
            Self::Export(args) => export::run(args, context).await,
            Self::Report(args) => report::run(args, context).await,
            Self::Tune(args) => tune::run(args, context).await,
            Self::Verify(args) => verify::run(args, context).await,
            Self::Check(args) => check::run(args, context).await,
            Self::Compare(args) => compare::run(args, context).await,
            Self::Bisect(args) => bisect::run(args, context).await,
            Self::Baseline(command) => baseline::run(command, context).await,
            Self::History(args) => history::run(args, context).await,
            Self::Authority(args) => authority::run(args, context).await,
            Self::Device(command) => device::run(command, context).await,
            Self::Table(command) => table::run(command, context).await,
            Self::Model(command) => model::run(command, context).await,
            Self::Manual(args) => manual::run(&args),
        }
    }
}
