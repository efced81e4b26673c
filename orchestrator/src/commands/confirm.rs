//! `confirm`: the chosen assignment on images that nothing before has looked at.

use serde::Serialize;

use super::search::newest;
use crate::assignment::SearchRecord;
use crate::context::Context;
use crate::dataset::Dataset;
use crate::evaluate::{
    CalibrationImages, Chain, EndToEndRow, Evaluator, Paired, StoredEvaluator, Verdict, decide,
};
use crate::exit::{CommandResult, Exit, Failure};
use crate::spec::Pipeline;
use crate::store::Store;
use crate::variants;

/// Options of `confirm`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Threads of this machine that evaluate [default: one per core].
    #[arg(
        long = "confirm-threads",
        value_name = "N",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub host_threads: usize,
}

/// What `confirm` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Name of the pipeline.
    pub pipeline: String,
    /// The assignment on the held-out images.
    pub chosen: EndToEndRow,
    /// All stages at fp32 on the same images.
    pub baseline: EndToEndRow,
    /// Who is right where.
    pub paired: Paired,
    /// Interval of the difference at the confidence of the pipeline.
    pub difference: (f64, f64),
    /// The confidence.
    pub confidence: f64,
    /// Whether the accuracy asked for is met there.
    pub verdict: Verdict,
}

impl Shown {
    /// What the verdict is to callers of the program.
    pub fn exit(&self) -> Exit {
        match self.verdict {
            Verdict::Meets => Exit::Ok,
            Verdict::Misses => Exit::TargetMissed,
            Verdict::Inconclusive { .. } => Exit::Inconclusive,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When there are no held-out images or no search, or something cannot be read.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let search = newest(&store, &pipeline, None).await?.body;
    let shown = measure(&args, context, &pipeline, &store, &search).await?;
    context.print("confirm", &shown, human)?;
    Ok(shown.exit())
}

/// Evaluates the assignment of `search` and all stages at fp32 on the held-out images.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
    search: &SearchRecord,
) -> Result<Shown, Failure> {
    let Some(set) = &pipeline.data.held_out else {
        let error = anyhow::anyhow!("{} has no held-out images", pipeline.name);
        return Err(Failure::usage(error).next(
            "name a set as held-out under [data], or a single set as images, which is divided",
        ));
    };
    let Some(found) = &search.found else {
        let error = anyhow::anyhow!("the newest search found no assignment for {}", pipeline.name);
        return Err(Failure::usage(error).next("relax what the search says, and search again"));
    };
    let data = context.data()?;
    let mut images = CalibrationImages::open(pipeline, &data)?;
    let variants = variants::build(pipeline, &data, &mut images, store, &context.progress).await?;
    let picked = |picks: &[usize]| -> Vec<String> {
        let stages = search.problem.stages.iter().zip(picks);
        stages.map(|(stage, &pick)| stage.choices[pick].variant_sha256.clone()).collect()
    };
    let (chosen, baseline) = (picked(&found.picks), picked(&search.baseline.picks));
    tokio::task::block_in_place(|| {
        let dataset = Dataset::open(&data, set, &pipeline.data).map_err(Failure::usage)?;
        let chain = Chain::open(pipeline, &data)?;
        let evaluator = Evaluator::new(pipeline, chain, dataset, args.host_threads)?;
        let mut stored = StoredEvaluator::new(&evaluator, store, &pipeline.name, &variants);
        let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
        let baseline: Vec<&str> = baseline.iter().map(String::as_str).collect();
        let paired = Paired::of(&stored.results(&baseline)?, &stored.results(&chosen)?);
        Ok(Shown {
            pipeline: pipeline.name.clone(),
            chosen: stored.end_to_end(&chosen)?,
            baseline: stored.end_to_end(&baseline)?,
            paired,
            difference: paired.interval(pipeline.confidence),
            confidence: pipeline.confidence,
            verdict: decide(pipeline.floor, &paired, pipeline.confidence),
        })
    })
}

/// As in "held out: 121 of 138 right, fp32 122".
pub fn human(shown: &Shown) -> String {
    let points = |share: f64| format!("{:+.1}", 100.0 * share);
    let (low, high) = shown.difference;
    let verdict = match shown.verdict {
        Verdict::Inconclusive { .. } => "Whether the assignment meets the target is",
        _ => "The assignment",
    };
    format!(
        "On {} held-out images {} are right, at fp32 {}: {} points, {} to {} at {} % confidence.\n\
         {verdict} {}.",
        shown.paired.total(),
        shown.paired.both + shown.paired.gained,
        shown.paired.both + shown.paired.lost,
        points(shown.paired.difference()),
        points(low),
        points(high),
        100.0 * shown.confidence,
        shown.verdict
    )
}
