//! What the nightly commands share: their boards, and where their reports go.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use quantrack_proto::replace_file;
use tokio::task::JoinSet;

use crate::clock::since_1970;
use crate::context::Context;
use crate::device::{Address, Device, run_id};
use crate::exit::{CommandResult, Exit, Failure};
use crate::nightly::accuracy::AccuracyReport;
use crate::nightly::effect::CONFIDENCE;
use crate::nightly::render;
use crate::nightly::report::{BoardReport, Fault, Report};
use crate::nightly::subject::Resolver;
use crate::nightly::suite::{Suite, is_effect};
use crate::rack::BoardState;
use crate::spec;
use crate::store::Store;

/// Where reports go, besides standard output.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct ReportArgs {
    /// Write the report as JUnit XML: inconclusive is skipped, with the reason.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Append the report as Markdown, for a pull request or $GITHUB_STEP_SUMMARY.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write the report as metrics of Prometheus, for node_exporter's textfile collector.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Annotate the run on GitHub, on standard error.
    #[arg(long)]
    github: bool,
}

/// A slow-down on the command line.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if is_effect(share) {
        Ok(share)
    } else {
        Err("it must be a share such as 0.03 for 3 %".to_owned())
    }
}

/// A board that was asked for, and its agent or why there is none.
pub(super) struct Found {
    pub(super) address: Address,
    pub(super) device: Result<Device, Failure>,
}

/// Connects to all boards at the same time.
///
/// # Errors
/// When two of them have the same name: their histories would be mixed up.
pub(super) async fn connect(context: &Context, store: &Store) -> Result<Vec<Found>, Failure> {
    let one = |address: Address| {
        let context = context.clone();
        async move {
            let device = context.connect_to(&address).await;
            Found { address, device }
        }
    };
    let found = at_once(context.boards(store).await?.into_iter().map(one)).await?;
    let mut names: BTreeMap<&str, &Address> = BTreeMap::new();
    for board in &found {
        let Ok(device) = &board.device else { continue };
        let (name, address) = (&device.facts().hostname, &board.address);
        if let Some(other) = names.insert(name, address) {
            let error = anyhow!(
                "two of the boards call themselves {name:?}: those at {other} and {address}"
            );
            return Err(Failure::usage(error)
                .next("give one another name (hostnamectl set-hostname): histories go by names"));
        }
    }
    Ok(found)
}

/// Runs all of them at the same time, and returns their results in order.
///
/// # Errors
/// When one of them panics.
pub(super) async fn at_once<T: Send + 'static>(
    work: impl Iterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Result<Vec<T>, Failure> {
    let mut running = JoinSet::new();
    for (index, one) in work.enumerate() {
        running.spawn(async move { (index, one.await) });
    }
    let mut done = Vec::new();
    while let Some(ended) = running.join_next().await {
        done.push(ended.map_err(Failure::lab)?);
    }
    done.sort_by_key(|(index, _)| *index);
    Ok(done.into_iter().map(|(_, result)| result).collect())
}

/// The report of a board on which nothing has been measured.
pub(super) fn empty(address: &Address, device: Option<&Device>) -> BoardReport {
    let facts = device.map(Device::facts);
    BoardReport {
        board: facts.map_or_else(|| address.to_string(), |facts| facts.hostname.clone()),
        address: address.to_string(),
        device: facts.map(|facts| facts.name()),
        fingerprint: facts.map(|facts| facts.fingerprint()),
        engine_build: device.map(|device| device.engine_build().to_owned()),
        fault: None,
        golden: None,
        models: Vec::new(),
    }
}

/// Whether a failure is the board's, which the report tells, or the user's, which ends the command.
///
/// # Errors
/// The user's.
pub(super) fn fault(failure: Failure) -> Result<Fault, Failure> {
    match failure.exit {
        Exit::Lab | Exit::Busy | Exit::Draining => {
            Ok(Fault { state: BoardState::of_failure(&failure), cause: failure.to_string() })
        }
        _ => Err(failure),
    }
}

/// Makes variants of what a suite at `path` names, or a command line in the current folder.
///
/// # Errors
/// When the pipeline of stages cannot be read.
pub(super) fn resolver<'a>(
    context: &Context,
    store: &'a Store,
    suite: &Suite,
    path: Option<&Path>,
) -> Result<Resolver<'a>, Failure> {
    let beside = path.and_then(Path::parent).filter(|folder| !folder.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new(".")).to_owned();
    let stages = suite.assignment
        || !suite.accuracy.is_empty()
        || suite.models.iter().any(|model| model.stage.is_some());
    let mut pipeline = None;
    if stages {
        pipeline = Some(match &suite.pipeline {
            Some(name) if spec::BUILTIN.iter().any(|(builtin, _)| builtin == name) => {
                spec::load(name)?
            }
            Some(file) => spec::load(&beside.join(file).display().to_string())?,
            None => context.pipeline()?,
        });
    }
    let data = if stages { context.data()? } else { beside.clone() };
    let folder = context.options.data.clone().unwrap_or(beside);
    Ok(Resolver { store, folder, data, pipeline })
}

/// Prints a report and writes it wherever else it was asked for; its verdict is the exit code.
///
/// # Errors
/// When it cannot be written.
pub(super) fn deliver(
    command: &str,
    baseline: String,
    min_effect: f64,
    (boards, accuracy): (Vec<BoardReport>, Vec<AccuracyReport>),
    args: &ReportArgs,
    context: &Context,
) -> CommandResult {
    let verdict = Report::overall(&boards, &accuracy);
    let report = Report {
        run_id: run_id().to_owned(),
        baseline,
        min_effect,
        confidence: CONFIDENCE,
        verdict,
        boards,
        accuracy,
    };
    let fault = |path: &Path| {
        let text = format!("failed to write the report to {}", path.display());
        move |error: std::io::Error| Failure::lab(error).context(text)
    };
    if let Some(path) = &args.junit {
        let text = render::junit(&report).map_err(fault(path))?;
        std::fs::write(path, text).map_err(fault(path))?;
    }
    if let Some(path) = &args.markdown {
        append(path, &render::markdown(&report)).map_err(fault(path))?;
    }
    if let Some(path) = &args.metrics {
        let at = since_1970().as_secs();
        // The collector has an account of its own, and reads at any time.
        replace_file(path, render::metrics(&report, at).as_bytes(), 0o644).map_err(fault(path))?;
    }
    if args.github {
        annotate(&render::annotations(&report));
    }
    context.print(command, &report, render::human)?;
    Ok(report.exit())
}

fn append(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(text.as_bytes())
}

/// GitHub reads workflow commands from either stream; results have standard output.
#[expect(clippy::print_stderr, reason = "this is where annotations go")]
fn annotate(lines: &[String]) {
    for line in lines {
        eprintln!("{line}");
    }
}

/// The suite at `path`, with the options that overrule it.
///
/// # Errors
/// When it cannot be read.
pub(super) fn suite(path: &Path, context: &Context) -> Result<Suite, Failure> {
    let mut suite = Suite::read(path)?;
    context.options.overrule(&mut suite.measure);
    Ok(suite)
}
