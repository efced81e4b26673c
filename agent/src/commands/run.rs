//! `agent run`: a bundle's pipeline on images or a camera's frames, without an orchestrator.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use quantrack_engine::bundle::{Manifest, Runner, StageRun};
use quantrack_engine::vision::RgbImage;
use quantrack_engine::{Bundle, Pool};
use serde_json::{Value, json};

use super::{Format, pool};
use crate::board::detect_features;
use crate::frames::{Frames, RawFormat};
use crate::pipeline::{Timings, describe, found_json};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The bundle that `orchestrator export` wrote.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,
    /// PPM images, of which a file may hold several; `-` is standard input.
    #[arg(value_name = "FILE", default_value = "-")]
    files: Vec<PathBuf>,
    /// Raw frames instead of PPM images, as in rgb24:640x480, bgr24:… or yuv420:….
    #[arg(long, value_name = "PIXELS:WIDTHxHEIGHT")]
    frames: Option<RawFormat>,
    /// Threads of each inference.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// How to print what is found: a line for each frame and a summary, or a JSON object on a line for each.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
}

/// Exit code 2: the bundle or the frames cannot be used; frames before the broken one have been printed.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let pool = pool(usize::from(args.threads))?;
    let mut out = std::io::stdout().lock();
    match stream(args, pool.as_ref(), &mut out) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => match error.downcast::<Unwritable>() {
            // Whoever reads the results has seen enough.
            Ok(Unwritable(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Ok(ExitCode::SUCCESS)
            }
            Ok(unwritable) => Err(unwritable.into()),
            Err(error) => {
                tracing::error!("{error:#}");
                Ok(ExitCode::from(2))
            }
        },
    }
}

/// Standard output that takes no more.
#[derive(Debug, thiserror::Error)]
#[error("failed to write the results")]
struct Unwritable(#[source] std::io::Error);

fn stream(args: &Args, pool: &dyn Pool, out: &mut dyn Write) -> anyhow::Result<()> {
    let bytes = std::fs::read(&args.bundle);
    let bytes = bytes.with_context(|| format!("failed to read {}", args.bundle.display()))?;
    let bundle = Bundle::from_bytes(&bytes)
        .with_context(|| format!("{} cannot be used", args.bundle.display()))?;
    let runner = Runner::new(&bundle, &detect_features())
        .with_context(|| format!("{} cannot run here", args.bundle.display()))?;
    let manifest = &bundle.manifest;
    let timings = Timings::new(manifest);
    let mut pipeline = Running { manifest, runner, pool, timings, start: Instant::now() };
    for file in &args.files {
        if file == Path::new("-") && std::io::stdin().is_terminal() {
            bail!(
                "standard input is a terminal: name PPM images, or pipe frames into this command"
            );
        }
        let mut frames = Frames::open(file, args.frames)
            .with_context(|| format!("failed to open {}", file.display()))?;
        for index in 0.. {
            let place = || format!("frame {index} of {}", file.display());
            let Some(image) = frames.next_frame().with_context(place)? else { break };
            let line = pipeline.frame(&image, file, index, args.format).with_context(place)?;
            writeln!(out, "{line}").and_then(|()| out.flush()).map_err(Unwritable)?;
        }
    }
    let summary = match args.format {
        Format::Human => pipeline.timings.table(),
        Format::Json => json!({ "schema": 1, "summary": pipeline.timings.json() }).to_string(),
    };
    writeln!(out, "{summary}").map_err(Unwritable)?;
    Ok(())
}

struct Running<'a> {
    manifest: &'a Manifest,
    runner: Runner,
    pool: &'a dyn Pool,
    timings: Timings,
    start: Instant,
}

impl Running<'_> {
    /// Runs the pipeline on a frame; returns the line that says what was found.
    fn frame(
        &mut self,
        image: &RgbImage<'_>,
        file: &Path,
        index: u64,
        format: Format,
    ) -> anyhow::Result<String> {
        let start = self.start;
        let runs = self.runner.run(image, self.pool, &|| start.elapsed())?;
        let total = self.timings.add(&runs);
        Ok(match format {
            Format::Human => {
                let found = describe(runs.last().and_then(|run| run.found.as_ref()));
                let ms = total.as_secs_f64() * 1e3;
                format!("{:<32} {index:>6} {ms:>9.2} ms  {found}", file.display().to_string())
            }
            Format::Json => self.json(&runs, total, file, index).to_string(),
        })
    }

    fn json(&self, runs: &[StageRun], total: Duration, file: &Path, index: u64) -> Value {
        let us = |duration: Duration| duration.as_nanos() as f64 / 1e3;
        let stages = self.manifest.stages.iter().zip(runs).map(|(stage, run)| {
            json!({
                "stage": stage.name,
                "inferences": run.inferences,
                "model_us": us(run.model),
                "glue_us": us(run.glue),
                "found": run.found.as_ref().map(found_json),
            })
        });
        json!({
            "schema": 1,
            "file": file,
            "frame": index,
            "total_us": us(total),
            "stages": stages.collect::<Vec<_>>(),
        })
    }
}
