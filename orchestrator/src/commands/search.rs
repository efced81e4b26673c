//! `search`: the best assignment over the measured table.

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Serialize;

use super::certificate::{self, Written};
use crate::assignment::{self, ProblemInputs, Scope, SearchRecord, assignments, guarantee};
use crate::context::Context;
use crate::evaluate::{
    CalibrationImages, Evaluator, StoredEvaluator, check_countable, measured_rates,
};
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::{duration_us, text_table};
use crate::search::{Accuracy, Evaluated, Guarantee, Method, Progress, Proposal, Stopping};
use crate::spec::Pipeline;
use crate::store::{Artifact, ArtifactKind, DeviceRecord, Store, TableFilter, TableRow};
use crate::variants::{self, StageVariant};

/// Arguments of `search`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// How the best assignment is found.
    #[command(flatten)]
    pub strategy: Strategy,
    /// Write the proof to this file; `certificate verify` checks it.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Threads of this machine that evaluate [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub host_threads: usize,
}

/// What the answer rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Basis {
    /// Evaluations of whole assignments, until nothing else can be better.
    #[default]
    Evaluations,
    /// One evaluation for each variant alone: losses of accuracy are taken to add up, and the best by that table are evaluated.
    Table,
}

/// Proposals by the table where nobody says how many.
const PROPOSALS: usize = 3;

/// How assignments are searched.
#[derive(Clone, Debug, Default, clap::Args)]
#[group(skip)]
pub struct Strategy {
    /// What the answer rests on.
    #[arg(long, value_enum, default_value_t)]
    pub method: Basis,
    /// With `--method table`: propose and evaluate the K best by the table; the first that keeps the floor is chosen
    /// [default: 3; of objective pareto the whole trade-off].
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub best: Option<u16>,
    /// Most end-to-end evaluations; without it as many as a proof takes.
    #[arg(long, value_name = "N")]
    pub max_evaluations: Option<usize>,
    /// Take accuracy to be monotone: fewer bits in any stage give fewer than MARGIN more right answers. Far fewer
    /// evaluations; some test it, and where one contradicts it, nothing is assumed [default MARGIN: 2 % of the images].
    #[arg(long, value_name = "MARGIN", num_args = 0..=1, default_missing_value = "0")]
    pub assume_monotone: Option<u64>,
    /// Stop an evaluation when a sequential test finds it hopeless; the answer is missed with at most this probability.
    /// 0 stops only what the images that are left cannot save.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub false_rejection: f64,
}

impl Strategy {
    /// Options of one method do not go with the other, and what is not proven has no certificate.
    ///
    /// # Errors
    /// Which options do not go together.
    pub(super) fn check(&self, certificate: bool) -> Result<(), Failure> {
        let unfit = [
            ("--max-evaluations", Basis::Table, self.max_evaluations.is_some()),
            ("--assume-monotone", Basis::Table, self.assume_monotone.is_some()),
            ("--false-rejection", Basis::Table, self.false_rejection > 0.0),
            ("--certificate", Basis::Table, certificate),
            ("--best", Basis::Evaluations, self.best.is_some()),
        ];
        let Some((option, ..)) = unfit.iter().find(|unfit| unfit.1 == self.method && unfit.2)
        else {
            return Ok(());
        };
        let (with, next) = match self.method {
            Basis::Table => ("--method table", "leave out one of the two"),
            Basis::Evaluations => ("--method evaluations", "add --method table"),
        };
        Err(Failure::usage(anyhow::anyhow!("{option} does not go with {with}")).next(next))
    }

    /// What the search may assume, with so many images.
    fn may_assume(&self, images: usize) -> Method {
        let monotone_margin = self.assume_monotone.map(|margin| match margin {
            0 => images.div_ceil(50).max(1) as u64,
            margin => margin,
        });
        Method { monotone_margin, false_rejection: self.false_rejection }
    }

    fn proposals(&self) -> usize {
        self.best.map_or(PROPOSALS, usize::from)
    }
}

/// What `search` prints.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    record: SearchRecord,
    /// The certificate, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    certificate_file: Option<Written>,
}

/// Runs `search`.
///
/// # Errors
/// When nothing was measured, or an evaluation fails.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    args.strategy.check(args.certificate.is_some())?;
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let record = measure(&args, context, &pipeline, &store).await?;
    let certificate_file =
        args.certificate.as_deref().map(|file| certificate::save(&record, file)).transpose()?;
    let shown = Shown { record, certificate_file };
    context.print("search", &shown, |shown| match &shown.certificate_file {
        Some(written) => format!("{}\n\n{}", human(&shown.record), written.human()),
        None => human(&shown.record),
    })?;
    let record = &shown.record;
    Ok(match (&record.assignment, record.certificate.guarantee) {
        (Some(_), _) => Exit::Ok,
        // What the table takes to be best is not, and others were not looked at.
        (None, Guarantee::Table) if !record.proposals.is_empty() => Exit::Inconclusive,
        (None, Guarantee::AssumptionFree | Guarantee::Monotone | Guarantee::Table) => {
            Exit::TargetMissed
        }
        (None, Guarantee::Incomplete) => Exit::Inconclusive,
    })
}

/// Searches the table of the board that the options choose, and keeps the record.
///
/// # Errors
/// When nothing was measured, or an evaluation fails.
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<SearchRecord, Failure> {
    check_countable(pipeline)?;
    let device = board(context, store).await?;
    let mut rows = rows(pipeline, &device, store).await?;
    let data = context.data()?;
    let mut images = CalibrationImages::open(pipeline, &data)?;
    let variants = variants::build(pipeline, &data, &mut images, store, &context.progress).await?;
    // Levels and recipes that the pipeline no longer names stay in the table, but are not allowed.
    let is_tried = |row: &TableRow| {
        variants.iter().any(|v| (&v.stage, &v.record.sha256) == (&row.stage, &row.sha256))
    };
    rows.retain(is_tried);
    let record = tokio::task::block_in_place(|| {
        let evaluator = Evaluator::open(pipeline, &data, args.host_threads)?;
        let mut stored = StoredEvaluator::new(&evaluator, store, &pipeline.name, &variants);
        let sensitivity = sensitivity(pipeline, &variants, &mut stored)?;
        let rates = &measured_rates(pipeline, &variants, &mut stored)?;
        let inputs = ProblemInputs { pipeline, rows: &rows, sensitivity: &sensitivity, rates };
        let mut problem = assignment::problem(&inputs)?;
        let strategy = &args.strategy;
        problem.max_evaluations = strategy.max_evaluations;
        problem.method = strategy.may_assume(evaluator.dataset().samples.len());
        let scope = Scope {
            pipeline: pipeline.name.clone(),
            device: device.fingerprint.clone(),
            engine_build: rows[0].engine_build.clone(),
            threads: pipeline.measure.threads,
            percentile: pipeline.percentile,
        };
        let most = match strategy.method {
            Basis::Evaluations => assignments(&problem),
            Basis::Table => (variants.len() + strategy.proposals()) as u64,
        };
        let bar = context.progress.bar("search", most);
        let mut shown = OnBar { bar: &bar, evaluator: &mut stored, incumbent: None };
        let record = match strategy.method {
            Basis::Evaluations => assignment::search(&scope, problem, &mut shown)?,
            Basis::Table => {
                assignment::search_table(&scope, problem, &mut shown, strategy.proposals())?
            }
        };
        bar.done(&format!("{} assignments evaluated", record.evaluations));
        Ok::<_, Failure>(record)
    })?;
    store.save_artifact(ArtifactKind::Search, &pipeline.name, &device.fingerprint, &record).await?;
    Ok(record)
}

/// Each stage's own metric by (stage, variant), where some stage has a threshold.
fn sensitivity(
    pipeline: &Pipeline,
    variants: &[StageVariant],
    stored: &mut StoredEvaluator<'_>,
) -> Result<HashMap<(String, String), f64>, Failure> {
    let mut sensitivity = HashMap::new();
    if pipeline.stages.iter().any(|stage| stage.min_accuracy.is_some()) {
        for variant in variants {
            if let Some((stage, _)) = pipeline.stage(&variant.stage) {
                let row = stored.sensitivity(stage, variant)?;
                sensitivity.insert((row.stage, row.variant_sha256), row.score.quality());
            }
        }
    }
    Ok(sensitivity)
}

/// The newest search of this pipeline, for the board with this fingerprint where one is named.
///
/// # Errors
/// When nothing was searched, or the store fails.
pub(super) async fn newest(
    store: &Store,
    pipeline: &Pipeline,
    fingerprint: Option<&str>,
) -> Result<Artifact<SearchRecord>, Failure> {
    let newest = store.newest_artifact(ArtifactKind::Search, &pipeline.name, fingerprint).await?;
    newest.ok_or_else(|| {
        let on_board = fingerprint.map_or("", |_| " on this board");
        Failure::usage(anyhow::anyhow!("nothing was searched for {}{on_board}", pipeline.name))
            .next("run `orchestrator search` with the same --pipeline and --device")
    })
}

/// Shows each evaluation on the bar, and how far the search has come.
struct OnBar<'a, E> {
    bar: &'a crate::output::StageBar,
    evaluator: &'a mut E,
    /// The best so far that was told.
    incumbent: Option<(f64, Accuracy)>,
}

impl<E: assignment::EndToEnd> assignment::EndToEnd for OnBar<'_, E> {
    fn answers(
        &mut self,
        variants: &[&str],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Failure> {
        let answers = self.evaluator.answers(variants, stop)?;
        self.bar.step();
        Ok(answers)
    }

    fn reached(&mut self, variants: &[&str], needed: u64) -> Result<Option<u64>, Failure> {
        self.evaluator.reached(variants, needed)
    }

    fn progress(&mut self, progress: &Progress) {
        let said = so_far(progress);
        if progress.incumbent != self.incumbent {
            self.incumbent = progress.incumbent;
            tracing::info!("search: {said}");
        }
        self.bar.say(said);
    }
}

/// As in "best 446 ms (117 of 138 right), nothing below 301 ms is better: gap 32.5 %".
fn so_far(progress: &Progress) -> String {
    let bound = format!("nothing below {} is better", duration_us(progress.bound_us));
    match (progress.incumbent, progress.gap()) {
        (Some((us, Accuracy { correct, total })), Some(gap)) => format!(
            "best {} ({correct} of {total} right), {bound}: gap {:.1} %",
            duration_us(us),
            100.0 * gap
        ),
        _ => format!("none passes yet, {bound}"),
    }
}

/// The board that the options choose, as the store knows it.
///
/// # Errors
/// When the store does not know it.
pub async fn board(context: &Context, store: &Store) -> Result<DeviceRecord, Failure> {
    let asked = context.address()?.to_string();
    store.find_device(&asked).await?.ok_or_else(|| {
        Failure::usage(anyhow::anyhow!("the store has no measurements of {asked}"))
            .next("`orchestrator profile` with the same --device measures it")
    })
}

/// The newest rows of the pipeline on that board: one engine build, the pipeline's number of threads.
///
/// # Errors
/// When there are none.
pub async fn rows(
    pipeline: &Pipeline,
    device: &DeviceRecord,
    store: &Store,
) -> Result<Vec<TableRow>, Failure> {
    let filter = TableFilter {
        pipeline: Some(pipeline.name.clone()),
        device: Some(device.fingerprint.clone()),
        stage: None,
        threads: Some(pipeline.measure.threads),
        engine_build: None,
    };
    let mut rows = store.table(&filter).await?;
    let newest = rows.iter().max_by_key(|row| row.measurement);
    let Some(build) = newest.map(|row| row.engine_build.clone()) else {
        let error = anyhow::anyhow!("{} was not measured on {}", pipeline.name, device.address);
        return Err(Failure::usage(error).next("run `orchestrator profile` first"));
    };
    rows.retain(|row| row.engine_build == build);
    Ok(rows)
}

/// The record for people.
pub fn human(record: &SearchRecord) -> String {
    let mut parts = vec![answer(record)];
    parts.extend(rates(record));
    parts.extend(front(record));
    parts.extend(proposals(record));
    parts.push(guarantee(&record.certificate, record.evaluations, record.found.is_some()));
    let row = |(level, evaluated): &(quantrack_engine::Level, Evaluated)| {
        let Accuracy { correct, total } = evaluated.accuracy;
        vec![
            level.to_string(),
            duration_us(evaluated.latency_us),
            format!("{correct} of {total}"),
            percentage(correct, total),
        ]
    };
    let uniform =
        text_table(&["level", ">latency", ">right", ">accuracy"], record.uniform.iter().map(row));
    parts.push(format!("For comparison, all stages at one level\n{uniform}"));
    parts.join("\n\n")
}

/// The assignment and what it gains, or why there is none.
fn answer(record: &SearchRecord) -> String {
    let Some(found) = &record.found else {
        let advice: Vec<String> = record.advice.iter().map(|a| format!("  - {a}")).collect();
        return match (advice.is_empty(), record.proposals.is_empty()) {
            (true, true) => "No assignment was found that meets the thresholds.".to_owned(),
            (true, false) => {
                "Nothing that the table proposes keeps the floor end to end: losses do not add up \
                 here. Raise --best, or leave out --method table."
                    .to_owned()
            }
            (false, _) => {
                let advice = advice.join("\n");
                format!("No assignment meets the thresholds. To get one:\n{advice}")
            }
        };
    };
    let header = ["stage", "level", "recipe", ">latency", ">fp32", ">x"];
    let stages = record.stages.iter().zip(&record.problem.stages).map(|(stage, choices)| {
        let fp32 = choices.choices[choices.baseline].latency_us;
        vec![
            stage.stage.clone(),
            stage.level.to_string(),
            stage.recipe.clone(),
            duration_us(stage.latency_us),
            duration_us(fp32),
            format!("{:.2}", fp32 / stage.latency_us),
        ]
    });
    let (accuracy, baseline) = (found.accuracy, record.baseline.accuracy);
    let asked = record.certificate.min_correct.map_or(String::new(), |least| {
        format!("; {} are asked", percentage(least, baseline.total))
    });
    format!(
        "{}\n\nPredicted {} instead of {} at fp32: {:.2} times faster.\n\
         {} of {} right ({}), fp32 has {} ({}){asked}.",
        text_table(&header, stages),
        duration_us(found.latency_us),
        duration_us(record.baseline_latency_us),
        record.baseline_latency_us / found.latency_us,
        accuracy.correct,
        accuracy.total,
        percentage(accuracy.correct, accuracy.total),
        baseline.correct,
        percentage(baseline.correct, baseline.total),
    )
}

/// How often stages run whose rate follows the level of another.
fn rates(record: &SearchRecord) -> Option<String> {
    let stages = &record.problem.stages;
    let row = |stage: usize| {
        let (rate, by) = record.problem.composition.rate(stage)?;
        let by = by?;
        let of = by.rates.iter().map(|(level, rate)| format!("{level} {}", percent(*rate)));
        let levels = of.collect::<Vec<_>>().join(", ");
        Some(vec![stages[stage].name.clone(), percent(rate), stages[by.stage].name.clone(), levels])
    };
    let rows: Vec<_> = (0..stages.len()).filter_map(row).collect();
    let table = |rows| text_table(&["stage", ">of the images", "by the level of", ""], rows);
    (!rows.is_empty()).then(|| format!("How often stages run\n{}", table(rows)))
}

/// The trade-off, where it was asked for.
fn front(record: &SearchRecord) -> Option<String> {
    let row = |point: &Evaluated| {
        let Accuracy { correct, total } = point.accuracy;
        vec![
            record.label(&point.picks),
            duration_us(point.latency_us),
            format!("{correct} of {total}"),
            percentage(correct, total),
        ]
    };
    let header = ["assignment", ">latency", ">right", ">accuracy"];
    let table = || text_table(&header, record.front.iter().map(row));
    (!record.front.is_empty()).then(|| format!("No other is faster and as accurate\n{}", table()))
}

/// What the table proposed, where the search went by it.
fn proposals(record: &SearchRecord) -> Option<String> {
    let least = record.certificate.min_correct.unwrap_or_default();
    let row = |Proposal { predicted, evaluated }: &Proposal| {
        let Accuracy { correct, total } = evaluated.accuracy;
        vec![
            record.label(&evaluated.picks),
            duration_us(evaluated.latency_us),
            format!("{predicted} of {total}"),
            format!("{correct} of {total}"),
            if correct < least { "below the floor" } else { "" }.to_owned(),
        ]
    };
    let header = ["assignment", ">latency", ">predicted right", ">right", ""];
    let table = || text_table(&header, record.proposals.iter().map(row));
    (!record.proposals.is_empty()).then(|| format!("The best by the table\n{}", table()))
}

fn percentage(correct: u64, total: u64) -> String {
    percent(correct as f64 / total.max(1) as f64)
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
