//! `model`: looks at a model file, or runs it.

mod arrays;
mod run;
mod show;

use crate::context::Context;
use crate::exit::CommandResult;

/// The subcommands of `model`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print inputs, outputs, operators, parameters, multiply-accumulates and levels of a model file.
    Show(show::Args),
    /// Run a model at a level on given arrays.
    Run(run::Args),
}

/// Runs a subcommand.
///
/// # Errors
/// When a file cannot be used.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    match command {
        Command::Show(args) => show::run(args, context),
        // It only computes.
        Command::Run(args) => tokio::task::block_in_place(|| run::run(&args, context)),
    }
}
