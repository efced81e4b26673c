//! `check`: the models of a suite against a baseline, on all boards at the same time.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::PossibleValuesParser;

use super::nightly::{
    Found, ReportArgs, at_once, connect, deliver, empty, fault, resolver, share, suite,
};
use super::nightly_accuracy;
use crate::context::Context;
use crate::device::Device;
use crate::exit::{CommandResult, Failure};
use crate::nightly::check::{
    Asked, Comparison, baseline_of, compare, quarantine, refusal, refused,
};
use crate::nightly::night::Night;
use crate::nightly::precautions::PRECAUTIONS;
use crate::nightly::record::Baseline;
use crate::nightly::report::{BoardReport, Fault, ModelReport};
use crate::nightly::setup::Setup;
use crate::nightly::subject::Subject;
use crate::nightly::suite::Suite;
use crate::nightly::verdict::Verdict;
use crate::rack::BoardState;
use crate::store::Store;

/// Options of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The baseline to compare with.
    #[arg(long, value_name = "NAME")]
    baseline: String,
    /// What to measure.
    #[arg(long, default_value = "nightly.toml", value_name = "FILE")]
    suite: PathBuf,
    /// The slow-down that is to be found, as a share [default: as the suite says, else 0.03].
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_effect: Option<f64>,
    /// Compare in spite of these differences between the baseline's setup, or its precautions, and the board's.
    #[arg(long, value_delimiter = ',', value_name = "NAME,...",
        value_parser = PossibleValuesParser::new(Setup::NAMES.into_iter().chain([PRECAUTIONS])))]
    across: Vec<String>,
    #[command(flatten)]
    report: ReportArgs,
}

/// What each board is to do.
struct Plan {
    suite: Suite,
    asked: Asked,
    golden: Option<Subject>,
    subjects: Vec<Subject>,
}

/// A model and what it is compared with.
type Pair = (Subject, Baseline);

/// Runs the command.
///
/// # Errors
/// When the suite or its models cannot be read, there is no such baseline, or the store fails. What befalls a board stands
/// in the report.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let mut suite = suite(&args.suite, context)?;
    suite.min_effect = args.min_effect.unwrap_or(suite.min_effect);
    let store = context.store().await?;
    let resolver = resolver(context, &store, &suite, Some(&args.suite))?;
    let golden = match &suite.golden {
        Some(golden) => Some(resolver.model(golden).await?),
        None => None,
    };
    let subjects = resolver.suite(&suite).await?;
    let asked = Asked {
        min_effect: suite.min_effect,
        runs: suite.runs,
        across: args.across.into_iter().collect(),
    };
    let min_effect = asked.min_effect;
    let plan = Arc::new(Plan { suite, asked, golden, subjects });
    let baselines: Vec<Baseline> = store.baselines(Some(&args.baseline)).await?;
    let accuracy = nightly_accuracy::check(&args.baseline, &plan.suite, &resolver, context).await?;
    let mut work = Vec::new();
    let boards = if plan.suite.measures() { connect(context, &store).await? } else { Vec::new() };
    for found in boards {
        let mut pairs = Vec::new();
        if let Ok(device) = &found.device {
            for subject in plan.golden.iter().chain(&plan.subjects) {
                let board = &device.facts().hostname;
                let baseline = baseline_of(&baselines, &args.baseline, board, &subject.name)?;
                pairs.push((subject.clone(), baseline));
            }
        }
        work.push(on_board(found, pairs, Arc::clone(&plan), store.clone(), context.clone()));
    }
    let boards = at_once(work.into_iter()).await?;
    let boards = boards.into_iter().collect::<Result<Vec<BoardReport>, Failure>>()?;
    deliver("check", args.baseline, min_effect, (boards, accuracy), &args.report, context)
}

/// One board's part. What goes wrong there is told in its report.
async fn on_board(
    found: Found,
    pairs: Vec<Pair>,
    plan: Arc<Plan>,
    store: Store,
    context: Context,
) -> Result<BoardReport, Failure> {
    let device = match found.device {
        Ok(device) => device,
        Err(failure) => {
            let fault = Some(fault(failure)?);
            return Ok(BoardReport { fault, ..empty(&found.address, None) });
        }
    };
    let mut report = empty(&found.address, Some(&device));
    if plan.golden.is_none() {
        let mut quarantined = store.quarantined().await?;
        if let Some(cause) = quarantined.remove(&device.facts().hostname) {
            report.fault = Some(Fault { state: BoardState::Quarantined, cause });
            return Ok(report);
        }
    }
    if let Err(failure) = measure(&device, pairs, &plan, &store, &context, &mut report).await {
        report.fault = Some(fault(failure)?);
    }
    Ok(report)
}

async fn measure(
    device: &Device,
    pairs: Vec<Pair>,
    plan: &Plan,
    store: &Store,
    context: &Context,
    report: &mut BoardReport,
) -> Result<(), Failure> {
    let now = Setup::of(device, plan.suite.measure.threads);
    let mut comparisons = Vec::new();
    let mut refusals: Vec<ModelReport> = Vec::new();
    for (subject, baseline) in pairs {
        let differences = refused(&baseline, &now, &plan.asked);
        if differences.is_empty() {
            let present = store.variant_bytes(&baseline.body.variant.sha256).is_ok();
            comparisons.push(Comparison::with_baseline(subject, baseline, present));
        } else {
            refusals.push(refusal(&subject, &baseline, differences));
        }
    }
    let golden = plan.golden.is_some();
    if !comparisons.is_empty() {
        let night = Night::begin(device, store, &plan.suite.measure, &context.progress).await?;
        // All baselines of a board have one setup unless some were set later: the golden model's may be the one refused.
        let first = usize::from(golden && !refusals.iter().any(|one| is_golden(one, plan)));
        let rest = comparisons.split_off(first);
        report.golden = compare(&night, &comparisons, &plan.asked).await?.pop();
        report.fault = report.golden.as_ref().and_then(quarantine);
        let board = &device.facts().hostname;
        match (&report.fault, report.golden.as_ref().map(|golden| golden.verdict)) {
            (Some(fault), _) => return Ok(store.quarantine(board, Some(&fault.cause)).await?),
            (None, Some(Verdict::Ok)) => store.quarantine(board, None).await?,
            // A golden model that nothing can be said of leaves the board as it was.
            (None, _) => {}
        }
        report.models = compare(&night, &rest, &plan.asked).await?;
        night.end();
    }
    refusals.retain(|refusal| !is_golden(refusal, plan));
    report.models.extend(refusals);
    Ok(())
}

fn is_golden(report: &ModelReport, plan: &Plan) -> bool {
    plan.golden.as_ref().is_some_and(|golden| golden.name == report.model)
}
