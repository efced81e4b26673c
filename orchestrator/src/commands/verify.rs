//! `verify`: the assignment that the search chose, on the board, against the host.

use std::sync::Arc;

use quantrack_engine::Tensor;

use super::search::newest;
use crate::assignment::{SearchRecord, StageLevel};
use crate::context::Context;
use crate::dataset::spread;
use crate::device::{Device, Lease, NamedTensor};
use crate::evaluate::{Evaluator, LoadedVariant, Trace};
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::{self, StageBar, text_table};
use crate::spec::Pipeline;
use crate::stats::summarize;
use crate::store::{ArtifactKind, Store};
use crate::verification::{
    DEFAULT_MAX_DEVIATION, Equality, Judge, LatencyCheck, StageCheck, VerificationRecord, failures,
};

/// Options of `verify`.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// How many of the evaluation images are run, evenly spread.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub samples: u32,
    /// How far latencies may be from the prediction, in percent of it, beyond the intervals of both.
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0 * DEFAULT_MAX_DEVIATION, value_parser = percent)]
    pub max_latency_deviation: f64,
}

impl Default for Args {
    fn default() -> Self {
        Self { samples: 20, max_latency_deviation: 100.0 * DEFAULT_MAX_DEVIATION }
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

/// Runs the newest search's assignment on the board, compares, and keeps the result.
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
    let variants = tokio::task::block_in_place(|| load(store, &search.stages))?;
    let (evaluator, traces) = tokio::task::block_in_place(|| {
        let evaluator = Evaluator::open(pipeline, &data, 0)?;
        let samples = spread(evaluator.dataset().samples.len(), args.samples as usize);
        let traces = samples.into_iter().map(|sample| evaluator.trace(sample, &variants));
        let traces = traces.collect::<Result<Vec<Trace>, _>>()?;
        Ok::<_, Failure>((evaluator, traces))
    })?;
    let lease = device.lease().await?;
    let sha256: Vec<String> = search.stages.iter().map(|s| s.variant_sha256.clone()).collect();
    device
        .upload(&lease, &sha256, |digest: &str| store.variant_bytes(digest).map_err(Failure::from))
        .await?;
    let bar = context.progress.bar("verify", (traces.len() * variants.len()) as u64);
    let mut images = vec![Image::default(); traces.len()];
    let max_deviation = args.max_latency_deviation / 100.0;
    let judge = Judge { search: &search, max_deviation };
    let mut stages = Vec::new();
    for (index, level) in search.stages.iter().enumerate() {
        let board = Board { device: &device, lease: &lease, pipeline, bar: &bar };
        let run = board.check(index, level, &variants[index], &traces, &mut images).await?;
        stages.push(StageCheck { latency: judge.stage(level, run.durations_ns), ..run.check });
    }
    bar.done(&format!("{} images", traces.len()));
    let mut record = VerificationRecord { stages, ..summary(&evaluator, &traces, &images, judge)? };
    record.failures = failures(&record, pipeline.max_latency_us);
    record.passed = record.failures.is_empty();
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

fn load(store: &Store, stages: &[StageLevel]) -> Result<Vec<Arc<LoadedVariant>>, Failure> {
    let one = |stage: &StageLevel| {
        let bytes = store.variant_bytes(&stage.variant_sha256)?;
        Ok(Arc::new(LoadedVariant::from_bytes(&bytes)?))
    };
    stages.iter().map(one).collect()
}

/// What the board did with one image.
#[derive(Clone, Debug, Default)]
struct Image {
    /// Nanoseconds of all inferences, by stage.
    stage_ns: Vec<u64>,
    /// Inferences with other outputs than the host's.
    different: u64,
    /// Outputs of the newest stage.
    outputs: Vec<Vec<Tensor>>,
}

/// The board that is verified.
struct Board<'a> {
    device: &'a Device,
    lease: &'a Lease,
    pipeline: &'a Pipeline,
    bar: &'a StageBar,
}

impl Board<'_> {
    /// Runs one stage for all images, with the inputs that the host gave it.
    async fn check(
        &self,
        index: usize,
        stage: &StageLevel,
        variant: &LoadedVariant,
        traces: &[Trace],
        images: &mut [Image],
    ) -> Result<StageRun, Failure> {
        self.bar.say(format!("{} at {}", stage.stage, stage.level));
        let equality = Equality::of(stage.level);
        let names: Vec<&str> = variant.plan().inputs().iter().map(|p| p.name.as_str()).collect();
        let named = |inputs: &Vec<Tensor>| -> Vec<NamedTensor> {
            let pairs = names.iter().zip(inputs);
            let one = |(name, tensor): (&&str, &Tensor)| NamedTensor {
                name: (*name).to_owned(),
                tensor: tensor.clone(),
            };
            pairs.map(one).collect()
        };
        let mut stream =
            self.device.run(self.lease, &stage.variant_sha256, &self.pipeline.measure).await?;
        // The first inference warms caches and is not counted.
        if let Some(first) = traces.iter().find_map(|trace| trace.stages[index].inputs.first()) {
            stream.infer(&named(first)).await?;
        }
        let (mut durations, mut equal) = (Vec::new(), 0);
        for (trace, image) in traces.iter().zip(images) {
            image.outputs.clear();
            let mut total_ns = 0_u64;
            let host = &trace.stages[index];
            for (inputs, expected) in host.inputs.iter().zip(&host.outputs) {
                let answer = stream.infer(&named(inputs)).await?;
                let outputs: Vec<Tensor> = answer.outputs.into_iter().map(|o| o.tensor).collect();
                let duration_ns = u64::try_from(answer.duration.as_nanos()).unwrap_or(u64::MAX);
                durations.push(duration_ns);
                total_ns = total_ns.saturating_add(duration_ns);
                let same = equality.holds(&outputs, expected);
                equal += u64::from(same);
                image.different += u64::from(!same);
                image.outputs.push(outputs);
            }
            image.stage_ns.push(total_ns);
            self.bar.step();
        }
        let inferences = durations.len() as u64;
        let (stage, level) = (stage.stage.clone(), stage.level);
        let check = StageCheck { stage, level, equality, inferences, equal, latency: None };
        Ok(StageRun { check, durations_ns: durations })
    }
}

/// What one stage did on the board.
#[derive(Debug)]
struct StageRun {
    /// All but the verdict on the latency.
    check: StageCheck,
    /// Nanoseconds of each inference.
    durations_ns: Vec<u64>,
}

/// Everything but the stages and the verdict.
fn summary(
    evaluator: &Evaluator,
    traces: &[Trace],
    images: &[Image],
    judge: Judge<'_>,
) -> Result<VerificationRecord, Failure> {
    let (mut equal_labels, mut equal_outputs) = (0, 0);
    let mut per_image_us = Vec::new();
    for (trace, image) in traces.iter().zip(images) {
        let same = evaluator.label_of(trace, &image.outputs)? == trace.label;
        equal_labels += u64::from(same);
        equal_outputs += u64::from(same && image.different == 0);
        if trace.stages.last().is_some_and(|last| !last.inputs.is_empty()) {
            per_image_us.push(judge.image_us(&image.stage_ns));
        }
    }
    let nanoseconds = per_image_us.iter().map(|us| (us * 1e3).round() as u64).collect();
    let measured = summarize(nanoseconds, 0).ok_or_else(|| {
        let error = anyhow::anyhow!("none of the {} images reaches the last stage", traces.len());
        Failure::new(Exit::Inconclusive, error).next("verify more images with --samples")
    })?;
    let latency = judge.end_to_end(&measured);
    Ok(VerificationRecord {
        pipeline: judge.search.pipeline.clone(),
        device: judge.search.device.clone(),
        stages: Vec::new(),
        samples: traces.len() as u64,
        equal_outputs,
        equal_labels,
        predicted_us: latency.predicted_us,
        measured_us: latency.measured_us,
        measured_p90_us: measured.p90_us,
        per_image_us,
        latency: Some(latency),
        max_latency_deviation: judge.max_deviation,
        failures: Vec::new(),
        passed: false,
    })
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
         Tolerance: {:.0} % of the stage or of a tenth of the pipeline, beyond the 95 % intervals.\n{}",
        text_table(&header, rows),
        record.equal_outputs,
        record.samples,
        output::duration_us(record.predicted_us),
        output::duration_us(record.measured_us),
        output::duration_us(record.measured_p90_us),
        100.0 * record.max_latency_deviation,
        verdict(record)
    )
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
