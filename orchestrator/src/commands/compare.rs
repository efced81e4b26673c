//! `compare A B`: two models in turns on the same boards.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::anyhow;

use super::nightly::{Found, ReportArgs, at_once, connect, deliver, empty, fault, resolver, share};
use crate::context::Context;
use crate::exit::{CommandResult, Failure};
use crate::nightly::check::{Asked, Comparison, compare};
use crate::nightly::night::Night;
use crate::nightly::report::BoardReport;
use crate::nightly::suite::{MIN_EFFECT, Model, RUN_COUNTS, RUNS, Suite};
use crate::store::Store;

/// Options of `compare`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to compare with: a model file or a variant, or a stage of the pipeline; with its level, as in
    /// hand.tflite@fp16 or palm@int8.
    a: String,
    /// What may be slower.
    b: String,
    /// The slow-down that is to be found, as a share.
    #[arg(long, default_value_t = MIN_EFFECT, value_name = "SHARE", value_parser = share)]
    min_effect: f64,
    /// Runs of each, and as many again to confirm.
    #[arg(long, default_value_t = RUNS, value_name = "N", value_parser = runs)]
    runs: usize,
    #[command(flatten)]
    report: ReportArgs,
}

pub(super) fn runs(text: &str) -> Result<usize, String> {
    let runs = text.parse().map_err(|_| "not a number".to_owned())?;
    let (least, most) = RUN_COUNTS.into_inner();
    match RUN_COUNTS.contains(&runs) {
        true => Ok(runs),
        false => Err(format!("it must be from {least} to {most}")),
    }
}

/// What each board is to do.
struct Plan {
    suite: Suite,
    asked: Asked,
    comparison: Comparison,
}

/// Runs the command.
///
/// # Errors
/// When the models cannot be read, or the store fails. What befalls a board stands in the report.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let models = [Model::named(&args.a), Model::named(&args.b)].to_vec();
    let mut suite = Suite { models, ..Suite::default() };
    context.options.overrule(&mut suite.measure);
    let store = context.store().await?;
    let resolver = resolver(context, &store, &suite, None)?;
    let a = resolver.model(&suite.models[0]).await?;
    let b = resolver.model(&suite.models[1]).await?;
    if a.record.sha256 == b.record.sha256 {
        let error = anyhow!("{} and {} are the same variant", args.a, args.b);
        return Err(Failure::usage(error).next("name two that differ"));
    }
    let asked = Asked { min_effect: args.min_effect, runs: args.runs, across: BTreeSet::new() };
    let comparison = Comparison::with_variant(b, a.record.sha256);
    let plan = Arc::new(Plan { suite, asked, comparison });
    let found = connect(context, &store).await?;
    let work = found
        .into_iter()
        .map(|found| on_board(found, Arc::clone(&plan), store.clone(), context.clone()));
    let boards = at_once(work).await?;
    let boards = boards.into_iter().collect::<Result<Vec<BoardReport>, Failure>>()?;
    let found = (boards, Vec::new());
    deliver("compare", args.a, args.min_effect, found, &args.report, context)
}

/// One board's part. What goes wrong there is told in its report.
async fn on_board(
    found: Found,
    plan: Arc<Plan>,
    store: Store,
    context: Context,
) -> Result<BoardReport, Failure> {
    let mut report = empty(&found.address, found.device.as_ref().ok());
    let measured = async {
        let device = found.device?;
        let night = Night::begin(&device, &store, &plan.suite.measure, &context.progress).await?;
        let models = compare(&night, std::slice::from_ref(&plan.comparison), &plan.asked).await?;
        night.end();
        Ok(models)
    };
    match measured.await {
        Ok(models) => report.models = models,
        Err(failure) => report.fault = Some(fault(failure)?),
    }
    Ok(report)
}
