//! `agent bench`.

use std::io::{BufRead as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::ValueEnum;
use quantrack_engine::kernels::{CpuFeatures, registry};
use quantrack_engine::{Level, Pool, bench as engine_bench};

use super::{Format, kernels, pool};
use crate::bench::{Report, Timed, layers, models, report_rows, round, sample, write_tables};
use crate::board::{BoardFacts, Conditions, Root, isa_name};
use crate::worker::limits;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Model files (TFLite, ONNX) to time whole at every level.
    #[arg(value_name = "FILE")]
    models: Vec<PathBuf>,
    /// What to time; all layers by default, and only models where files are given.
    #[arg(long, value_enum)]
    family: Vec<Family>,
    /// Levels to run at, all by default, as in fp32,int8.
    #[arg(long, value_delimiter = ',')]
    levels: Vec<Level>,
    /// How to print the result; JSON holds every sample.
    #[arg(long, value_enum, default_value = "human")]
    format: Format,
    /// Threads of each run.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    threads: u16,
    /// Cores to pin the threads to, as in 2,3.
    #[arg(long, value_delimiter = ',')]
    cores: Vec<u32>,
    /// Seconds to sample for, all subjects together; each gets six samples at least.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=86_400))]
    seconds: u64,
    /// Kernels to take wherever they can run, as `agent capabilities` names them.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    kernels: Vec<String>,
    /// Instead of sampling for some time, take one round for each line read from standard input and write its times as a
    /// line of JSON, until input ends: for comparisons with other programs in turns.
    #[arg(long)]
    by_line: bool,
}

/// What to time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Family {
    Gemm,
    Conv,
    Depthwise,
    Fc,
    Elementwise,
    Model,
}

impl Family {
    /// Layers of this family; `None` for models.
    fn layers(self) -> Option<engine_bench::Family> {
        Some(match self {
            Self::Gemm => engine_bench::Family::Gemm,
            Self::Conv => engine_bench::Family::Conv,
            Self::Depthwise => engine_bench::Family::Depthwise,
            Self::Fc => engine_bench::Family::Fc,
            Self::Elementwise => engine_bench::Family::Elementwise,
            Self::Model => return None,
        })
    }
}

/// Samples for an interval of the median.
const LEAST_ROUNDS: usize = 6;

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let cpu = kernels::features(&args.kernels)?;
    if let Err(errno) = limits::pin(&args.cores) {
        bail!("failed to pin to cores {:?}: {}", args.cores, errno.desc());
    }
    let pool = pool(usize::from(args.threads))?;
    let mut all = prepare(args, &cpu, pool.as_ref())?;
    if args.by_line {
        by_line(&mut all, pool.as_ref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let root = Root::new("/");
    let load_before = Conditions::read(&root).load_1m;
    let limit = Duration::from_secs(args.seconds);
    let mut said = Duration::ZERO;
    sample(&mut all, pool.as_ref(), limit, LEAST_ROUNDS, |rounds, elapsed| {
        if elapsed >= said + Duration::from_secs(5) {
            said = elapsed;
            tracing::info!("{rounds} rounds in {} of {} s", elapsed.as_secs(), args.seconds);
        }
    })?;
    let conditions = Conditions::read(&root);
    let clock_hz = conditions.arm_clock.map(|clock| clock.hz);
    let threads = pool.threads();
    let report = Report {
        schema: 1,
        agent_version: env!("CARGO_PKG_VERSION"),
        engine_build: registry::engine_build(),
        cpu: BoardFacts::read(&root).cpu,
        isas: cpu.isas().iter().map(|&isa| isa_name(isa)).collect(),
        asked_kernels: args.kernels.clone(),
        threads,
        cores: args.cores.clone(),
        clock_hz,
        load_before,
        load_after: conditions.load_1m,
        rows: report_rows(&all, threads, clock_hz),
    };
    let mut out = std::io::stdout().lock();
    match args.format {
        Format::Human => write_tables(&mut out, &report)?,
        Format::Json => writeln!(out, "{}", serde_json::to_string_pretty(&report)?)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Everything that was asked for, warm.
fn prepare(args: &Args, cpu: &CpuFeatures, pool: &dyn Pool) -> anyhow::Result<Vec<Timed>> {
    let families: Vec<engine_bench::Family> = match (args.family.is_empty(), args.models.is_empty())
    {
        (true, true) => engine_bench::Family::ALL.to_vec(),
        _ => args.family.iter().filter_map(|family| family.layers()).collect(),
    };
    if args.family.contains(&Family::Model) && args.models.is_empty() {
        bail!("name a model file to time, as in `agent bench --family model model.tflite`");
    }
    tracing::info!("preparing and warming up");
    let mut subjects = layers(cpu, &families);
    subjects.retain(|subject| match subject.is_peak() {
        true => !args.by_line,
        false => args.levels.is_empty() || args.levels.contains(&subject.level),
    });
    for file in &args.models {
        subjects.extend(models(cpu, file, &args.levels)?);
    }
    subjects.into_iter().map(|subject| Timed::new(subject, pool)).collect()
}

/// See [`Args::by_line`].
fn by_line(all: &mut [Timed], pool: &dyn Pool) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        line.context("failed to read standard input")?;
        round(all, pool)?;
        let times: Vec<serde_json::Value> = all
            .iter()
            .map(|timed| {
                serde_json::json!({
                    "case": timed.subject.name,
                    "level": timed.subject.level,
                    "ns": timed.samples_ns.last(),
                })
            })
            .collect();
        writeln!(out, "{}", serde_json::Value::from(times))?;
        out.flush()?;
    }
    Ok(())
}
