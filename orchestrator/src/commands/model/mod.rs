//! `model`: looks at a model file, or runs it.

mod arrays;
mod run;
mod show;

use quantrack_engine::model::Dimensions;

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

/// Extents for axes that a model leaves open.
#[derive(Debug, clap::Args)]
struct OpenAxes {
    /// Extent of an axis that an ONNX model leaves open, by its name in the file.
    #[arg(long = "dimension", value_name = "NAME=EXTENT", value_parser = parse_extent)]
    dimensions: Vec<(String, usize)>,
}

impl OpenAxes {
    fn all(&self) -> Dimensions {
        Dimensions::new(self.dimensions.iter().cloned())
    }
}

fn parse_extent(text: &str) -> Result<(String, usize), String> {
    let parsed = text.split_once('=').and_then(|(name, extent)| Some((name, extent.parse().ok()?)));
    let (name, extent) = parsed.ok_or("expected NAME=EXTENT, as in height=224")?;
    Ok((name.to_owned(), extent))
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
