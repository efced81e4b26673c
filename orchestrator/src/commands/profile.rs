//! `profile`: measures the latency table of a pipeline on a board.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use crate::context::Context;
use crate::evaluate::CalibrationImages;
use crate::exit::{CommandResult, Exit, Failure};
use crate::latency_table::{self, Row};
use crate::profile::{Profiled, profile};
use crate::spec::Pipeline;
use crate::store::{DeviceRecord, Store, TableFilter};
use crate::variants;

/// Options of `profile`.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Measure also what the table already has for this board, threads and engine build.
    #[arg(long)]
    pub remeasure: bool,
}

/// What `profile` prints.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The board.
    pub device: DeviceRecord,
    /// Rows measured now, and rows that were there already.
    pub measured: usize,
    /// Rows that were there already.
    pub reused: usize,
    /// Variants without a new row, since too few of their samples count.
    pub voided_variants: Vec<String>,
    /// Stages of which sampling had to end too early, and why.
    pub cut_short: Vec<String>,
    /// Precautions that the board did not allow, and why.
    pub missing_precautions: BTreeSet<String>,
    /// Stages whose intervals are wider than was asked.
    pub wide_intervals: Vec<String>,
    /// The latency table.
    pub rows: Vec<Row>,
}

/// Runs the command.
///
/// # Errors
/// When the pipeline's files, the board or the store fail.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let shown = measure(&args, context, &pipeline, &store).await?;
    context.print("profile", &shown, human)?;
    Ok(if shown.voided_variants.is_empty() { Exit::Ok } else { Exit::Inconclusive })
}

/// Builds the variants, measures what is missing, and reads the table.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<Shown, Failure> {
    let data = context.data()?;
    let mut images = CalibrationImages::open(pipeline, &data)?;
    let variants = variants::build(pipeline, &data, &mut images, store, &context.progress).await?;
    let device = context.connect().await?;
    tracing::info!("measuring on {} at {}", device.facts().name(), device.address());
    let profiled =
        profile(&device, store, pipeline, &variants, args.remeasure, &context.progress).await?;
    let Profiled { measured, reused, without, wide, cut_short, missing } = profiled;
    let record = device.record();
    let filter = TableFilter {
        pipeline: Some(pipeline.name.clone()),
        device: Some(record.fingerprint.clone()),
        stage: None,
        threads: Some(pipeline.measure.threads),
        engine_build: Some(device.engine_build().to_owned()),
    };
    let addresses = HashMap::from([(record.fingerprint.clone(), record.address.clone())]);
    let rows = store.table(&filter).await?;
    Ok(Shown {
        device: record,
        measured,
        reused,
        voided_variants: without,
        cut_short,
        missing_precautions: missing,
        wide_intervals: wide,
        rows: rows.iter().map(|row| Row::new(row, &addresses)).collect(),
    })
}

fn human(shown: &Shown) -> String {
    let facts = &shown.device.facts;
    let mut text = latency_table::human(&shown.rows);
    text.push_str(&format!(
        "\n{} variants measured on {} at {}, {} from the table",
        shown.measured,
        facts.name(),
        shown.device.address,
        shown.reused
    ));
    for stage in &shown.wide_intervals {
        text.push_str(&format!("\n{stage}: the interval is wider than asked; give it more time"));
    }
    for why in &shown.cut_short {
        text.push_str(&format!("\n{why}"));
    }
    for variant in &shown.voided_variants {
        text.push_str(&format!(
            "\n{variant}: too few samples count; see `device show`, mend the cause, and repeat"
        ));
    }
    if !shown.missing_precautions.is_empty() {
        let all: Vec<&str> = shown.missing_precautions.iter().map(String::as_str).collect();
        text.push_str(&format!("\nnot taken care of on this board: {}", all.join("; ")));
    }
    text
}
