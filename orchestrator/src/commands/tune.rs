//! `tune`: everything from measuring to the report. What is in the store already is not done again.

use serde::Serialize;

use super::certificate::{self, Written};
use super::{confirm, evaluate, gate, profile, report, search, verify};
use crate::assignment::SearchRecord;
use crate::context::Context;
use crate::evaluate::{Evaluator, check_countable};
use crate::exit::{CommandResult, Exit, Failure};
use crate::latency_table;
use crate::output::duration_us;
use crate::spec::Pipeline;
use crate::store::Store;
use crate::verification::VerificationRecord;

/// Arguments of `tune`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// What to measure again.
    #[command(flatten)]
    pub profile: profile::Args,
    /// The check on the board.
    #[command(flatten)]
    pub verify: verify::Args,
    /// How the best assignment is found.
    #[command(flatten)]
    pub strategy: search::Strategy,
    /// Where the report goes.
    #[command(flatten)]
    pub report: report::Args,
}

/// What `tune` prints.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// Recipes that were tried on a few images; absent where the pipeline asks for none of that.
    pub gate: Option<gate::Shown>,
    /// The latency table.
    pub profile: profile::Shown,
    /// Sensitivities and uniform levels.
    pub evaluate: evaluate::Shown,
    /// The choice.
    pub search: SearchRecord,
    /// The proof of the choice; absent where the search went by the table, which proves nothing.
    pub certificate: Option<Written>,
    /// The choice on the board; absent when there is none.
    pub verify: Option<VerificationRecord>,
    /// The choice on held-out images; absent where there are none.
    pub confirm: Option<confirm::Shown>,
    /// The report's files.
    pub report: report::Shown,
}

/// Runs `tune`.
///
/// # Errors
/// Those of its steps; what was measured before is kept.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let shown = tune(&args, context, &pipeline, &store).await?;
    context.print("tune", &shown, human)?;
    let verified = shown.verify.as_ref().is_some_and(|verified| verified.passed);
    Ok(match &shown.confirm {
        _ if !verified => Exit::TargetMissed,
        Some(confirm) => confirm.exit(),
        None => Exit::Ok,
    })
}

/// All steps in order.
///
/// # Errors
/// Those of the steps.
pub async fn tune(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<Shown, Failure> {
    args.strategy.check(false)?;
    // Labels that cannot be used, and metrics by which nothing can be proved, are told before hours of measuring, not after.
    check_countable(pipeline)?;
    drop(Evaluator::open(pipeline, &context.data()?, 0)?);
    let (gate, gated) = match pipeline.gate {
        true => {
            let (shown, gated) =
                gate::measure(&gate::Args::default(), context, pipeline, store).await?;
            (Some(shown), Some(gated))
        }
        false => (None, None),
    };
    let pipeline = gated.as_ref().unwrap_or(pipeline);
    let profile = profile::measure(&args.profile, context, pipeline, store).await?;
    let evaluate = evaluate::measure(&evaluate::Args::default(), context, pipeline, store).await?;
    let strategy = args.strategy.clone();
    let search_args = search::Args { strategy, ..search::Args::default() };
    let search = search::measure(&search_args, context, pipeline, store).await?;
    let certificate = match search.is_by_table() {
        true => None,
        false => Some(certificate::save(&search, &args.report.out.join("certificate.json"))?),
    };
    let verify = match &search.assignment {
        Some(_) => Some(verify::measure(&args.verify, context, pipeline, store).await?),
        None => None,
    };
    let confirm = match (&search.assignment, &pipeline.data.held_out) {
        (Some(_), Some(_)) => {
            let args = confirm::Args::default();
            Some(confirm::measure(&args, context, pipeline, store, &search).await?)
        }
        _ => None,
    };
    let report = report::write(&args.report, context, pipeline, store).await?;
    Ok(Shown { gate, profile, evaluate, search, certificate, verify, confirm, report })
}

/// The table, the choice, its check and the report's path.
pub fn human(shown: &Shown) -> String {
    let verified = match &shown.verify {
        None => "Not verified: there is no assignment.".to_owned(),
        Some(record) => format!(
            "{} of {} images equal the host's outputs; {} measured, {} predicted.\n{}{}",
            record.equal_outputs,
            record.samples,
            duration_us(record.measured_us),
            duration_us(record.predicted_us),
            verify::verdict(record),
            verify::ranking(record)
        ),
    };
    let confirmed = shown
        .confirm
        .as_ref()
        .map_or_else(String::new, |confirm| format!("\n\nHeld out\n{}", confirm::human(confirm)));
    let gated = shown.gate.as_ref().map_or_else(String::new, |gate| {
        format!("Recipes tried on a few images\n{}\n\n", gate::human(gate))
    });
    format!(
        "{gated}Measured on {}\n{}\n\nChosen\n{}\n\nOn the board\n{verified}{confirmed}\n\nReport: {}{}",
        shown.profile.device.facts.name(),
        latency_table::human(&shown.profile.rows),
        search::human(&shown.search),
        shown.report.html.display(),
        shown.certificate.as_ref().map_or_else(String::new, |c| format!("\n{}", c.human()))
    )
}
