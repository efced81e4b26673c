//! `report`: what was measured and chosen, as HTML and Markdown.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::search::{board, newest, rows};
use crate::context::Context;
use crate::evaluate::{SensitivityRow, details_text};
use crate::exit::{CommandResult, Exit, Failure};
use crate::gate::Tried;
use crate::output::{minutes, write_file};
use crate::report::{self, Report, Sources, collect};
use crate::spec::Pipeline;
use crate::store::{Artifact, ArtifactKind, Store};
use crate::verification::{Equality, Ranked, StageCheck, VerificationRecord};

/// Arguments of `report`.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Args {
    /// Folder for report.html and report.md.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub out: PathBuf,
}

/// What `report` prints.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The page.
    pub html: PathBuf,
    /// The same as Markdown.
    pub markdown: PathBuf,
    /// Its content.
    pub report: Report,
}

/// Runs `report`.
///
/// # Errors
/// When nothing was searched, or the files cannot be written.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let shown = write(&args, context, &pipeline, &store).await?;
    context.print("report", &shown, human)?;
    Ok(Exit::Ok)
}

/// Writes the report of the newest search on the board that the options choose.
///
/// # Errors
/// When nothing was searched, or the files cannot be written.
pub async fn write(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<Shown, Failure> {
    let device = board(context, store).await?;
    let rows = rows(pipeline, &device, store).await?;
    let Artifact { made_at, body: search, .. } =
        newest(store, pipeline, Some(&device.fingerprint)).await?;
    let verified = store
        .newest_artifact::<VerificationRecord>(
            ArtifactKind::Verification,
            &pipeline.name,
            Some(&device.fingerprint),
        )
        .await?;
    let gate = store.newest_artifact(ArtifactKind::Gate, &pipeline.name, None).await?;
    let tried: Vec<Tried> = gate.map(|artifact| artifact.body).unwrap_or_default();
    let known: Vec<&str> = rows.iter().map(|row| row.sha256.as_str()).collect();
    let evaluations = store.evaluations::<serde_json::Value>(&pipeline.name).await?;
    // Evaluations on other images may be there as well: of each variant the newest counts.
    let mut newest: HashMap<(String, String), SensitivityRow> = HashMap::new();
    for evaluation in evaluations.into_iter().filter(|evaluation| evaluation.stage.is_some()) {
        match serde_json::from_value::<SensitivityRow>(evaluation.body) {
            Ok(row) if known.contains(&row.variant_sha256.as_str()) => {
                newest.insert((row.stage.clone(), row.variant_sha256.clone()), row);
            }
            // A variant that the pipeline no longer has, or a row of another version.
            Ok(_) | Err(_) => {}
        }
    }
    let mut sensitivity: Vec<report::SensitivityRow> =
        newest.into_values().map(sensitivity_row).collect();
    let position = |row: &report::SensitivityRow| {
        let stage = pipeline.stages.iter().position(|stage| stage.name == row.stage);
        (stage, row.level, row.recipe.clone())
    };
    sensitivity.sort_by_key(position);
    let report = collect(Sources {
        made_at: minutes(&made_at),
        device: &device,
        rows: &rows,
        search: &search,
        sensitivity,
        tried: &tried,
        verification: verified.map(|artifact| verification(&artifact.body)),
        reproduce: reproduce(context),
    });
    let files = [("report.html", report::html(&report)), ("report.md", report::markdown(&report))];
    let [html, markdown] = files.map(|(name, text)| save(&args.out, name, &text));
    Ok(Shown { html: html?, markdown: markdown?, report })
}

fn save(folder: &Path, name: &str, text: &str) -> Result<PathBuf, Failure> {
    let path = folder.join(name);
    write_file(&path, text.as_bytes()).map_err(|error| {
        Failure::lab(error)
            .context(format!("failed to write {}", path.display()))
            .next("choose another folder with --out")
    })?;
    Ok(path)
}

fn sensitivity_row(row: SensitivityRow) -> report::SensitivityRow {
    report::SensitivityRow {
        stage: row.stage,
        level: row.level,
        recipe: row.recipe,
        metric: row.score.metric,
        value: row.score.value,
        unit: row.score.unit,
        ci95: row.score.ci95,
        samples: row.score.samples,
        details: details_text(&row.score.details),
    }
}

fn verification(record: &VerificationRecord) -> report::Verification {
    let exact = record.stages.iter().all(|stage| stage.equality == Equality::BitForBit);
    let equality = if exact {
        "bit for bit"
    } else {
        "bit for bit in integers, within 1e-4 of the largest output in floating point"
    };
    report::Verification {
        samples: record.samples,
        predicted_us: record.predicted_us,
        measured_us: record.measured_us,
        equal_outputs: record.equal_outputs,
        equality: equality.to_owned(),
        stages: record.stages.iter().map(verified_stage).collect(),
        ranking: record.ranking.iter().map(ranked_row).collect(),
        failures: record.failures.iter().map(|failure| failure.what.clone()).collect(),
    }
}

fn ranked_row(one: &Ranked) -> report::RankedRow {
    report::RankedRow {
        label: one.label(),
        chosen: one.chosen,
        predicted_us: one.predicted_us,
        measured_us: one.measured_us,
        ratio: one.ratio,
    }
}

fn verified_stage(check: &StageCheck) -> report::VerifiedStage {
    let latency = check.latency.as_ref();
    report::VerifiedStage {
        stage: check.stage.clone(),
        equal: (check.equal, check.inferences),
        latency_us: latency.map(|one| (one.predicted_us, one.measured_us, one.within)),
    }
}

/// The command that does all of it again.
fn reproduce(context: &Context) -> Vec<String> {
    let options = &context.options;
    let mut command = format!("orchestrator tune --pipeline {}", options.pipeline);
    if let Some(data) = &options.data {
        command.push_str(&format!(" --data {}", data.display()));
    }
    for device in context.addresses() {
        command.push_str(&format!(" --device {device}"));
    }
    if let Some(threads) = options.threads {
        command.push_str(&format!(" --threads {threads}"));
    }
    vec![command]
}

/// Where the files are, for people.
pub fn human(shown: &Shown) -> String {
    format!("{}\n{}", shown.html.display(), shown.markdown.display())
}
