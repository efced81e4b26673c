//! `table show`: the measured latencies.

use std::collections::HashMap;

use serde::Serialize;

use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::latency_table::{Row, human};
use crate::store::TableFilter;

/// The subcommands of `table`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print the rows of the latency table that the common options select.
    Show(Args),
}

/// Which rows.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Rows of all pipelines in the store.
    #[arg(long)]
    all_pipelines: bool,
    /// Rows of this stage only.
    #[arg(long, value_name = "NAME")]
    stage: Option<String>,
    /// Rows of the board with this fingerprint (or its beginning).
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
}

/// What `table show` prints.
#[derive(Debug, Serialize)]
struct Shown {
    rows: Vec<Row>,
}

/// Runs a subcommand.
///
/// # Errors
/// When the store cannot be read, or holds nothing of a board that was asked for.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    let Command::Show(args) = command;
    let pipeline = if args.all_pipelines { None } else { Some(context.pipeline()?.name) };
    let store = context.store().await?;
    let address = (!context.options.device.is_empty()).then(|| context.address()).transpose()?;
    let asked = args.fingerprint.or_else(|| address.map(|address| address.to_string()));
    let device = match &asked {
        None => None,
        Some(asked) => {
            let found = store.find_device(asked).await?;
            let missing = || {
                Failure::usage(anyhow::anyhow!("the store has no measurements of {asked}"))
                    .next("`orchestrator profile --device ...` measures a board")
            };
            Some(found.ok_or_else(missing)?.fingerprint)
        }
    };
    let filter = TableFilter {
        pipeline,
        device,
        stage: args.stage,
        threads: context.options.threads,
        engine_build: None,
    };
    let rows = store.table(&filter).await?;
    let addresses: HashMap<String, String> = store
        .devices()
        .await?
        .into_iter()
        .map(|device| (device.fingerprint, device.address))
        .collect();
    let shown = Shown { rows: rows.iter().map(|row| Row::new(row, &addresses)).collect() };
    context.print("table show", &shown, |shown| match shown.rows.is_empty() {
        true => "nothing has been measured yet; `orchestrator profile` does it".to_owned(),
        false => human(&shown.rows),
    })?;
    Ok(Exit::Ok)
}
