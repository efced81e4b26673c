//! `demo`: `tune` on a small pipeline that the program carries along.

use std::path::{Path, PathBuf};

use super::{profile, report, search, tune, verify};
use crate::context::Context;
use crate::exit::{CommandResult, Failure};
use crate::output::write_file;

/// Names and contents of the demo's files.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/demo_files.rs"));

/// Arguments of `demo`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Folder for the report.
    #[arg(long, value_name = "DIR", default_value = "quantrack-demo")]
    pub out: PathBuf,
}

/// Runs `demo`.
///
/// # Errors
/// Those of `tune`, or when the files cannot be unpacked.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let folder = context.store().await?.home().join("demo");
    unpack(&folder)?;
    let mut context = context.clone();
    context.options.pipeline = folder.join("demo.toml").display().to_string();
    context.options.data = Some(folder);
    let args = tune::Args {
        profile: profile::Args::default(),
        // A machine that somebody works on is no board: its clock and load change all the time.
        verify: verify::Args { max_latency_deviation: 100.0, ..verify::Args::default() },
        report: report::Args { out: args.out },
        strategy: search::Strategy::default(),
    };
    tune::run(args, &context).await
}

/// Writes the files that are missing or differ.
fn unpack(folder: &Path) -> Result<(), Failure> {
    for (name, content) in FILES {
        let path = folder.join(name);
        if std::fs::read(&path).is_ok_and(|known| known == *content) {
            continue;
        }
        write_file(&path, content).map_err(|error| {
            Failure::lab(error)
                .context(format!("failed to unpack the demo to {}", path.display()))
                .next("choose another place with --store")
        })?;
    }
    Ok(())
}
