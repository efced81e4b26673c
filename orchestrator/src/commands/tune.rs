//! `tune`: everything from measuring to the report. What is in the store already is not done again.

use serde::Serialize;

use super::certificate::{self, Written};
use super::{evaluate, profile, report, search, verify};
use crate::assignment::SearchRecord;
use crate::context::Context;
use crate::evaluate::Evaluator;
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
    /// Where the report goes.
    #[command(flatten)]
    pub report: report::Args,
}

/// What `tune` prints.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The latency table.
    pub profile: profile::Shown,
    /// Sensitivities and uniform levels.
    pub evaluate: evaluate::Shown,
    /// The choice.
    pub search: SearchRecord,
    /// The proof of the choice.
    pub certificate: Written,
    /// The choice on the board; absent when there is none.
    pub verify: Option<VerificationRecord>,
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
    Ok(match &shown.verify {
        Some(verified) if verified.passed => Exit::Ok,
        _ => Exit::TargetMissed,
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
    // Labels that cannot be used are told before hours of measuring, not after.
    drop(Evaluator::open(pipeline, &context.data()?, 0)?);
    let profile = profile::measure(&args.profile, context, pipeline, store).await?;
    let evaluate = evaluate::measure(&evaluate::Args::default(), context, pipeline, store).await?;
    let search = search::measure(&search::Args::default(), context, pipeline, store).await?;
    let certificate = certificate::save(&search, &args.report.out.join("certificate.json"))?;
    let verify = match &search.assignment {
        Some(_) => Some(verify::measure(&args.verify, context, pipeline, store).await?),
        None => None,
    };
    let report = report::write(&args.report, context, pipeline, store).await?;
    Ok(Shown { profile, evaluate, search, certificate, verify, report })
}

/// The table, the choice, its check and the report's path.
pub fn human(shown: &Shown) -> String {
    let verified = match &shown.verify {
        None => "Not verified: there is no assignment.".to_owned(),
        Some(record) => format!(
            "{} of {} images equal the host's outputs; {} measured, {} predicted.\n{}",
            record.equal_outputs,
            record.samples,
            duration_us(record.measured_us),
            duration_us(record.predicted_us),
            verify::verdict(record)
        ),
    };
    format!(
        "Measured on {}\n{}\n\nChosen\n{}\n\nOn the board\n{verified}\n\nReport: {}\n{}",
        shown.profile.device.facts.name(),
        latency_table::human(&shown.profile.rows),
        search::human(&shown.search),
        shown.report.html.display(),
        shown.certificate.human()
    )
}
