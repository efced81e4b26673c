//! `export`: the chosen assignment as a bundle, with what proves it.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use quantrack_engine::bundle::{FORMAT_VERSION, Manifest, Provenance, Stage};
use quantrack_engine::quantize::quantizer_build;
use quantrack_engine::{Bundle, Level};
use serde::Serialize;

use super::search::board;
use super::verify::chosen;
use crate::assignment::SearchRecord;
use crate::certificate::certificate;
use crate::context::Context;
use crate::digest::hex_digest;
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::{bytes, duration_us, text_table};
use crate::search::Accuracy;
use crate::spec::{self, Pipeline};
use crate::store::{Artifact, ArtifactKind, Store};
use crate::verification::VerificationRecord;

/// Arguments of `export`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The file to write [default: the pipeline's name with `.bundle`].
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Take the finalist that the newest `verify` found faster than the choice on the board, if there is one.
    #[arg(long)]
    pub fastest_measured: bool,
}

/// What `export` prints.
#[derive(Debug, Serialize)]
struct Shown {
    /// The bundle.
    file: PathBuf,
    /// Its size.
    bytes: u64,
    /// Its SHA-256.
    sha256: String,
    /// What it says of itself.
    manifest: Manifest,
    /// Bytes of each stage's variant.
    variant_bytes: Vec<u64>,
}

/// Writes the newest search's assignment on the board that the options choose.
///
/// # Errors
/// When nothing was chosen, or the file cannot be written.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let device = board(context, &store).await?;
    let mut search = chosen(&store, &pipeline, &device.fingerprint).await?;
    let certificate = certificate(&search).map_err(Failure::lab)?;
    if args.fastest_measured {
        let verified = newest_verification(&store, &search).await?;
        take_fastest(&mut search, &verified);
    }
    let documents = BTreeMap::from([
        ("certificate.json".to_owned(), certificate.to_bytes().map_err(Failure::lab)?),
        ("pipeline.toml".to_owned(), spec::text(&context.options.pipeline)?.into_bytes()),
    ]);
    let mut variants = BTreeMap::new();
    for stage in &search.stages {
        let digest = &stage.variant_sha256;
        variants.insert(digest.clone(), store.variant_bytes(digest)?);
    }
    let stages = stages(&pipeline, &search);
    let variant_bytes =
        stages.iter().map(|stage| variants[&stage.variant_sha256].len() as u64).collect();
    let manifest = Manifest {
        format: FORMAT_VERSION,
        pipeline: pipeline.name.clone(),
        stages,
        provenance: provenance(&search, certificate.sha256.certificate),
    };
    let bundle = Bundle { manifest, variants, documents };
    let file = bundle.to_bytes().map_err(Failure::lab)?;
    let path = args.output.unwrap_or_else(|| format!("{}.bundle", pipeline.name).into());
    save(&path, &file)?;
    let shown = Shown {
        bytes: file.len() as u64,
        sha256: hex_digest(&file),
        file: path,
        manifest: bundle.manifest,
        variant_bytes,
    };
    context.print("export", &shown, human)?;
    Ok(Exit::Ok)
}

async fn newest_verification(
    store: &Store,
    search: &SearchRecord,
) -> Result<VerificationRecord, Failure> {
    let (kind, device) = (ArtifactKind::Verification, Some(search.device.as_str()));
    let newest = store.newest_artifact(kind, &search.pipeline, device).await?;
    let newest: Option<Artifact<VerificationRecord>> = newest;
    let record = newest.map(|artifact| artifact.body);
    let of_this = |record: &VerificationRecord| {
        record.ranking.iter().any(|one| one.chosen && one.stages == search.stages)
    };
    record.filter(of_this).ok_or_else(|| {
        Failure::usage(anyhow::anyhow!("the newest search's choice was not verified on this board"))
            .next("run `orchestrator verify` first: it measures the finalists in turns")
    })
}

/// Makes the fastest finalist the choice; it stays as it is where none is faster beyond chance.
fn take_fastest(search: &mut SearchRecord, verified: &VerificationRecord) {
    let Some(fastest) = verified.ranking.iter().find(|one| one.is_faster()) else { return };
    search.stages.clone_from(&fastest.stages);
    search.predicted_latency_us = Some(fastest.predicted_us);
    if let Some(found) = &mut search.found {
        found.accuracy.correct = fastest.correct;
    }
}

/// The stages in the order of the pipeline, each after those that feed it.
fn stages(pipeline: &Pipeline, search: &SearchRecord) -> Vec<Stage> {
    let (sources, _) = pipeline.composition.sources(pipeline.stages.len());
    let stages = pipeline.stages.iter().zip(&search.stages).zip(sources);
    let stage =
        |((stage, chosen), sources): ((&spec::Stage, &crate::assignment::StageLevel), _)| Stage {
            name: stage.name.clone(),
            glue: stage.glue.clone(),
            sources,
            level: chosen.level,
            recipe: chosen.recipe.clone(),
            variant_sha256: chosen.variant_sha256.clone(),
        };
    stages.map(stage).collect()
}

fn provenance(search: &SearchRecord, certificate_sha256: String) -> Provenance {
    let counts = |accuracy: Accuracy| (accuracy.correct, accuracy.total);
    Provenance {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        engine_build: search.engine_build.clone(),
        quantizer_build: quantizer_build(),
        board: search.device.clone(),
        threads: search.threads,
        percentile: search.percentile.to_string(),
        predicted_latency_us: search.predicted_latency_us.unwrap_or(search.baseline_latency_us),
        baseline_latency_us: search.baseline_latency_us,
        correct: counts(search.found_accuracy().unwrap_or(search.baseline.accuracy)),
        baseline_correct: counts(search.baseline.accuracy),
        certificate_sha256,
    }
}

/// Writes the file whole or not at all.
fn save(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    // As any other file: a temporary one would be its owner's alone.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    let temporary = tempfile::Builder::new().permissions(mode).tempfile_in(folder);
    let written = temporary.and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        Ok(file.persist(path)?)
    });
    written.map(drop).map_err(|error| {
        Failure::lab(error)
            .context(format!("failed to write {}", path.display()))
            .next("choose another place with --output")
    })
}

fn human(shown: &Shown) -> String {
    let Manifest { stages, provenance, .. } = &shown.manifest;
    let header = ["stage", "level", "recipe", ">size"];
    let rows = stages.iter().zip(&shown.variant_bytes).map(|(stage, &size)| {
        vec![stage.name.clone(), Level::to_string(&stage.level), stage.recipe.clone(), bytes(size)]
    });
    let (correct, total) = provenance.correct;
    format!(
        "{}\n\n{} predicted on the board, {correct} of {total} right.\n\
         Bundle: {}, {} (SHA-256 {})\nOn the board: agent run {} IMAGE.ppm",
        text_table(&header, rows),
        duration_us(provenance.predicted_latency_us),
        shown.file.display(),
        bytes(shown.bytes),
        shown.sha256,
        shown.file.file_name().unwrap_or_default().display()
    )
}
