//! `verify`: the assignment that the search chose, on the board, against the host.

use super::search::newest;
use crate::assignment::SearchRecord;
use crate::context::Context;
use crate::dataset::spread;
use crate::evaluate::Evaluator;
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::{self, text_table};
use crate::spec::Pipeline;
use crate::stats::{LatencySummary, summarize};
use crate::store::{ArtifactKind, Store};
use crate::verification::{
    Board, DEFAULT_MAX_DEVIATION, Equality, Finalist, Judge, LatencyCheck, Ranked, Run, StageCheck,
    VerificationRecord, failures, finalists, rank,
};

/// Options of `verify`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// How many of the evaluation images are run, evenly spread.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// Most assignments that are run in turns: the choice, and others that answer as well and could be faster.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub finalists: u32,
    /// How far latencies may be from the prediction, in percent of it, beyond the intervals of both.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * DEFAULT_MAX_DEVIATION, value_parser = percent)]
    pub max_latency_deviation: f64,
}

impl Default for Args {
    fn default() -> Self {
        Self { samples: 20, finalists: 3, max_latency_deviation: 100.0 * DEFAULT_MAX_DEVIATION }
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: Option<f64> = text.trim_end_matches(['%', ' ']).parse().ok();
    let fits = |percent: &f64| percent.is_finite() && *percent >= 0.0;
    percent.filter(fits).ok_or_else(|| "a percentage of 0 or more is needed".to_owned())
}

/// Runs the command. Ends with code 1 when an output differs, a latency is not as predicted, or the latency limit is
/// not met.
///
/// # Errors
/// When nothing was searched yet, or the pipeline's files, the board or the store fail.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let record = measure(&args, context, &pipeline, &store).await?;
    context.print("verify", &record, human)?;
    Ok(if record.passed { Exit::Ok } else { Exit::TargetMissed })
}

/// Runs the newest search's assignment on the board, in turns with others that answer as well, compares, and keeps the result.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<VerificationRecord, Failure> {
    let data = context.data()?;
    let device = context.connect().await?;
    let fingerprint = device.record().fingerprint;
    let search = chosen(store, pipeline, &fingerprint).await?;
    let max_deviation = args.max_latency_deviation / 100.0;
    // As far as predictions may be off, these could be faster than the choice.
    let reach = (1.0 + max_deviation) / (1.0 - max_deviation).max(0.1);
    let (evaluator, mut runs) = tokio::task::block_in_place(|| {
        let evaluator = Evaluator::open(pipeline, &data, 0)?;
        let samples = spread(evaluator.dataset().samples.len(), args.samples as usize);
        let runs = finalists(&search, args.finalists as usize, reach).into_iter();
        let runs = runs.map(|finalist| Run::on_host(finalist, &evaluator, &samples, store));
        let runs = runs.collect::<Result<Vec<Run>, Failure>>()?;
        Ok::<_, Failure>((evaluator, runs))
    })?;
    let lease = device.lease().await?;
    let images: usize = runs.iter().map(|run| run.images.len() * run.stages.len()).sum();
    let bar = context.progress.bar("verify", images as u64);
    let board = Board { device: &device, lease: &lease, pipeline, bar: &bar };
    board.run(&mut runs, store).await?;
    bar.done(&format!("{} images by {} assignments", args.samples, runs.len()));
    let record = judged(&evaluator, &search, &runs, max_deviation, pipeline.max_latency_us)?;
    store.save_artifact(ArtifactKind::Verification, &pipeline.name, &fingerprint, &record).await?;
    Ok(record)
}

/// The newest search of this pipeline for this board; it must have found an assignment.
pub(super) async fn chosen(
    store: &Store,
    pipeline: &Pipeline,
    fingerprint: &str,
) -> Result<SearchRecord, Failure> {
    let search = newest(store, pipeline, Some(fingerprint)).await?.body;
    if search.stages.len() == pipeline.stages.len() {
        return Ok(search);
    }
    let error = anyhow::anyhow!("the newest search found no assignment for {}", pipeline.name);
    let next = search.advice.first().cloned().unwrap_or_else(|| "search again".to_owned());
    Err(Failure::new(Exit::TargetMissed, error).next(next))
}

/// What the board did with all images by one assignment.
struct Measured {
    equal_outputs: u64,
    equal_labels: u64,
    /// Microseconds by image; none where it does not reach the last stage.
    images_us: Vec<Option<f64>>,
    summary: LatencySummary,
}

impl Measured {
    fn new(evaluator: &Evaluator, run: &Run, judge: Judge<'_>) -> Result<Self, Failure> {
        let (mut equal_labels, mut equal_outputs) = (0, 0);
        let mut images_us = Vec::new();
        for (trace, image) in run.traces.iter().zip(&run.images) {
            let same = evaluator.label_of(trace, &image.outputs)? == trace.label;
            equal_labels += u64::from(same);
            equal_outputs += u64::from(same && image.different == 0);
            let reaches_last = trace.stages.last().is_some_and(|last| !last.inputs.is_empty());
            images_us.push(reaches_last.then(|| judge.image_us(&image.stage_ns)));
        }
        let nanoseconds = images_us.iter().flatten().map(|us| (us * 1e3).round() as u64).collect();
        let summary = summarize(nanoseconds, 0).ok_or_else(|| {
            let images = run.traces.len();
            let error = anyhow::anyhow!("none of the {images} images reaches the last stage");
            Failure::new(Exit::Inconclusive, error).next("verify more images with --samples")
        })?;
        Ok(Self { equal_outputs, equal_labels, images_us, summary })
    }
}

/// The verdict on the chosen assignment, which ran first, and how it ranks among the others.
fn judged(
    evaluator: &Evaluator,
    search: &SearchRecord,
    runs: &[Run],
    max_deviation: f64,
    limit_us: Option<f64>,
) -> Result<VerificationRecord, Failure> {
    let (mut ranking, mut measured) = (Vec::new(), Vec::new());
    for (index, run) in runs.iter().enumerate() {
        let one = Measured::new(evaluator, run, judge(search, run, max_deviation))?;
        ranking.push(Ranked {
            stages: run.finalist.stages.clone(),
            chosen: index == 0,
            correct: run.finalist.correct,
            predicted_us: run.finalist.predicted_us,
            measured_us: one.summary.median_us,
            equal_outputs: one.equal_outputs,
            ratio: None,
        });
        measured.push(one);
    }
    let images_us: Vec<_> = measured.iter().map(|one| one.images_us.clone()).collect();
    let (chosen, first) = (&runs[0], &measured[0]);
    let judge = judge(search, chosen, max_deviation);
    let durations = chosen.stages.iter().map(|stage| stage.durations_ns.clone());
    let stages = chosen.checks().into_iter().zip(search.stages.iter().zip(durations));
    let latency = judge.end_to_end(&first.summary);
    let mut record = VerificationRecord {
        pipeline: search.pipeline.clone(),
        device: search.device.clone(),
        stages: stages
            .map(|(check, (level, durations))| StageCheck {
                latency: judge.stage(level, durations),
                ..check
            })
            .collect(),
        samples: chosen.traces.len() as u64,
        equal_outputs: first.equal_outputs,
        equal_labels: first.equal_labels,
        predicted_us: latency.predicted_us,
        measured_us: latency.measured_us,
        measured_p90_us: first.summary.p90_us,
        per_image_us: first.images_us.iter().flatten().copied().collect(),
        latency: Some(latency),
        max_latency_deviation: max_deviation,
        ranking: rank(ranking, &images_us),
        failures: Vec::new(),
        passed: false,
    };
    record.failures = failures(&record, limit_us);
    record.passed = record.failures.is_empty();
    Ok(record)
}

fn judge<'a>(search: &'a SearchRecord, run: &'a Run, max_deviation: f64) -> Judge<'a> {
    let Finalist { stages, predicted_us, .. } = &run.finalist;
    Judge { search, stages, predicted_us: *predicted_us, max_deviation }
}

fn human(record: &VerificationRecord) -> String {
    let rows = record.stages.iter().map(|stage| {
        let meaning = match stage.equality {
            Equality::BitForBit => "bit for bit".to_owned(),
            Equality::WithinTolerance => "within 1e-4 of the largest".to_owned(),
        };
        let mut cells = vec![
            stage.stage.clone(),
            stage.level.to_string(),
            format!("{} of {}", stage.equal, stage.inferences),
            meaning,
        ];
        cells.extend(latency_cells(stage.latency.as_ref()));
        cells
    });
    let header = [
        "stage",
        "level",
        ">equal to the host",
        "which means",
        ">predicted",
        ">measured",
        ">off by",
        "tolerance",
    ];
    format!(
        "{}\n\nEnd to end: {} of {} images equal the host in every output and in the class.\n\
         Latency: {} predicted, {} measured, {} at p90.\n\
         Tolerance: {:.0} % of the stage or of a tenth of the pipeline, beyond the 95 % intervals.\n{}{}",
        text_table(&header, rows),
        record.equal_outputs,
        record.samples,
        output::duration_us(record.predicted_us),
        output::duration_us(record.measured_us),
        output::duration_us(record.measured_p90_us),
        100.0 * record.max_latency_deviation,
        verdict(record),
        ranking(record)
    )
}

/// The finalists by what was measured; nothing where the choice ran alone.
pub fn ranking(record: &VerificationRecord) -> String {
    if record.ranking.len() < 2 {
        return String::new();
    }
    let rows = record.ranking.iter().map(|one| {
        vec![
            one.label(),
            output::duration_us(one.predicted_us),
            output::duration_us(one.measured_us),
            one.correct.to_string(),
            match one.ratio {
                None if one.chosen => "chosen".to_owned(),
                None => "too few images".to_owned(),
                Some((ratio, (low, high))) => format!("{ratio:.3} ({low:.3} to {high:.3})"),
            },
        ]
    });
    let header =
        ["assignment", ">predicted", ">measured", ">right", "times as long as the choice (95 %)"];
    let said = match record.ranking.iter().find(|one| one.is_faster()) {
        None => "None of the others is faster than the choice beyond chance.".to_owned(),
        Some(_) => {
            "Another is faster than the choice on the board: `export --fastest-measured` takes it."
                .to_owned()
        }
    };
    format!("\n\nFinalists, in turns on the board\n{}\n{said}", text_table(&header, rows))
}

/// Predicted, measured, deviation and whether it is allowed.
fn latency_cells(latency: Option<&LatencyCheck>) -> [String; 4] {
    let Some(check) = latency else {
        return [String::new(), String::new(), String::new(), "never run".to_owned()];
    };
    [
        output::duration_us(check.predicted_us),
        output::duration_us(check.measured_us),
        format!("{:+.1} %", 100.0 * check.deviation()),
        if check.within { "within".to_owned() } else { "OUTSIDE".to_owned() },
    ]
}

/// "Verified.", or what is wrong and what to do about it.
pub fn verdict(record: &VerificationRecord) -> String {
    if record.passed {
        return "Verified on the board.".to_owned();
    }
    let mut lines = vec!["NOT verified:".to_owned()];
    let mut steps: Vec<&str> = Vec::new();
    for failure in &record.failures {
        lines.push(format!("  - {}", failure.what));
        if !steps.contains(&failure.next.as_str()) {
            steps.push(&failure.next);
        }
    }
    lines.extend(steps.into_iter().map(|step| format!(" next: {step}")));
    lines.join("\n")
}
