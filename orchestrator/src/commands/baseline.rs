//! `baseline`: what nightly checks compare with.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::anyhow;
use serde::Serialize;

use super::nightly::{Found, at_once, connect, resolver, suite};
use super::nightly_accuracy;
use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::measurement::ConditionsSummary;
use crate::nightly::check::save;
use crate::nightly::conditions::unclean;
use crate::nightly::effect::median;
use crate::nightly::floor::Noise;
use crate::nightly::night::{Night, Taken, Task, kept, missing};
use crate::nightly::precautions::listed;
use crate::nightly::record::{Baseline, BaselineBody, Role, SessionBody};
use crate::nightly::subject::Subject;
use crate::nightly::suite::Suite;
use crate::output::{duration_us, minutes, text_table};
use crate::store::Store;

/// The subcommands of `baseline`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Measure the models of a suite on the boards, and keep that as a baseline, in place of the one of that name.
    Set(SetArgs),
    /// The baselines in the store.
    List,
    /// A baseline in full: the setups that it was measured on, and its runs.
    Show {
        /// Its name.
        name: String,
    },
}

/// Options of `baseline set`.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// Its name.
    name: String,
    /// What to measure.
    #[arg(long, default_value = "nightly.toml", value_name = "FILE")]
    suite: PathBuf,
}

/// What the commands print.
#[derive(Debug, Default, Serialize)]
struct Shown {
    baselines: Vec<Baseline>,
    /// Assignments whose accuracy was kept.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    accuracy: Vec<String>,
    /// What was measured and not kept, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

/// What each board is to do.
struct Plan {
    name: String,
    suite: Suite,
    subjects: Vec<Subject>,
}

/// Runs a subcommand.
///
/// # Errors
/// When the suite, its models or a board cannot be used, or the store fails.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    match command {
        Command::Set(args) => set(args, context).await,
        Command::List => {
            let baselines = context.store().await?.baselines(None).await?;
            let shown = Shown { baselines, ..Shown::default() };
            context.print("baseline list", &shown, human)?;
            Ok(Exit::Ok)
        }
        Command::Show { name } => {
            let store = context.store().await?;
            let baselines: Vec<Baseline> = store.baselines(Some(&name)).await?;
            if baselines.is_empty() {
                let error = anyhow!("there is no baseline {name:?}");
                return Err(Failure::usage(error).next("`orchestrator baseline list` names them"));
            }
            let shown = Shown { baselines, ..Shown::default() };
            context.print("baseline show", &shown, in_full)?;
            Ok(Exit::Ok)
        }
    }
}

async fn set(args: SetArgs, context: &Context) -> CommandResult {
    let suite = suite(&args.suite, context)?;
    let store = context.store().await?;
    let resolver = resolver(context, &store, &suite, Some(&args.suite))?;
    let mut subjects = Vec::new();
    if let Some(golden) = &suite.golden {
        subjects.push(resolver.model(golden).await?);
    }
    subjects.extend(resolver.suite(&suite).await?);
    let plan = Arc::new(Plan { name: args.name.clone(), suite, subjects });
    nightly_accuracy::set(&args.name, &plan.suite, &resolver, context).await?;
    let found = if plan.suite.measures() { connect(context, &store).await? } else { Vec::new() };
    let work = found
        .into_iter()
        .map(|found| on_board(found, Arc::clone(&plan), store.clone(), context.clone()));
    let mut refused = Vec::new();
    for ended in at_once(work).await? {
        refused.extend(ended?);
    }
    let baselines = store.baselines(Some(&args.name)).await?;
    let accuracy = plan.suite.accuracy.iter().map(|one| one.name.clone()).collect();
    let shown = Shown { baselines, accuracy, refused };
    context.print("baseline set", &shown, human)?;
    Ok(if shown.refused.is_empty() { Exit::Ok } else { Exit::Inconclusive })
}

/// Measures and keeps one board's baselines. Returns what was not kept, and why.
async fn on_board(
    found: Found,
    plan: Arc<Plan>,
    store: Store,
    context: Context,
) -> Result<Vec<String>, Failure> {
    let device = found.device?;
    let facts = device.facts();
    let night = Night::begin(&device, &store, &plan.suite.measure, &context.progress).await?;
    let task = |subject: &Subject| Task { subject: subject.clone(), beside: None };
    let tasks: Vec<Task> = plan.subjects.iter().map(task).collect();
    let taken = night.runs(&tasks.iter().collect::<Vec<_>>(), plan.suite.baseline_runs).await?;
    let mut refused = Vec::new();
    for (subject, taken) in plan.subjects.iter().zip(&taken) {
        let blocks = taken.blocks();
        // There is nothing yet that conditions could differ from.
        let why = unclean(&blocks, &ConditionsSummary::default(), facts.cores);
        if let Some(why) = why.or_else(|| taken.too_short()) {
            refused.push(format!("{} on {}: {why}", subject.name, facts.hostname));
            continue;
        }
        let body = BaselineBody {
            variant: subject.record.clone(),
            setup: night.setup(),
            settings: plan.suite.measure.clone(),
            runs: kept(&taken.now),
            conditions: ConditionsSummary::of(&blocks),
            missing_precautions: Some(missing(&taken.now)),
        };
        keep(&night, &plan.name, subject, body, taken).await?;
    }
    night.end();
    if refused.is_empty() {
        // What it is now is what it will be compared with.
        store.quarantine(&facts.hostname, None).await?;
    }
    Ok(refused)
}

async fn keep(
    night: &Night<'_>,
    name: &str,
    subject: &Subject,
    body: BaselineBody,
    taken: &Taken,
) -> Result<(), Failure> {
    let session = SessionBody {
        role: Role::Baseline,
        runs: kept(&taken.now),
        verdict: None,
        effect: None,
        noise: None,
    };
    let baseline = Baseline {
        name: name.to_owned(),
        board: night.device().facts().hostname.clone(),
        model: subject.name.clone(),
        body,
        set_at: String::new(),
    };
    night.store().save_baseline(&baseline).await?;
    save(&night.place(), &subject.name, &subject.record.sha256, true, session).await
}

fn human(shown: &Shown) -> String {
    if shown.baselines.is_empty() && shown.refused.is_empty() && shown.accuracy.is_empty() {
        return "there is no baseline yet; `orchestrator baseline set NAME` makes one".to_owned();
    }
    let header =
        ["baseline", "board", "model", "level", ">median", ">runs", ">between runs", "set"];
    let rows = shown.baselines.iter().map(|baseline| {
        let body = &baseline.body;
        let medians = &body.runs.medians_us;
        vec![
            baseline.name.clone(),
            baseline.board.clone(),
            baseline.model.clone(),
            body.variant.level.to_string(),
            median(medians.clone()).map_or("-".to_owned(), duration_us),
            medians.len().to_string(),
            format!("±{:.1} %", 100.0 * Noise::of(std::slice::from_ref(medians)).run_sd),
            minutes(&baseline.set_at),
        ]
    });
    let mut text = text_table(&header, rows);
    for line in without(&shown.baselines) {
        text.push_str(&format!("\n{line}"));
    }
    for kept in &shown.accuracy {
        text.push_str(&format!("\nkept: the accuracy of {kept}"));
    }
    for refused in &shown.refused {
        text.push_str(&format!("\nnot kept: {refused}"));
    }
    text
}

/// Which boards did not allow all precautions, each told once for all that they lacked alike.
fn without(baselines: &[Baseline]) -> Vec<String> {
    let lacking = baselines.iter().filter_map(|baseline| {
        let missing = baseline.body.missing_precautions.as_ref();
        let missing = missing.filter(|missing| !missing.is_empty())?;
        let Baseline { name, board, .. } = baseline;
        let missing = listed(missing, "nothing");
        Some(format!("{name} on {board}: measured with precautions missing: {missing}"))
    });
    lacking.collect::<BTreeSet<String>>().into_iter().collect()
}

fn in_full(shown: &Shown) -> String {
    let mut parts = vec![human(shown)];
    for baseline in &shown.baselines {
        let BaselineBody { setup, settings, runs, variant, conditions, missing_precautions } =
            &baseline.body;
        let medians: Vec<String> = runs.medians_us.iter().map(|&us| duration_us(us)).collect();
        let sampling = format!(
            "{} to {} samples in blocks of {}, {} threads",
            settings.min_samples, settings.max_samples, settings.block, setup.threads
        );
        parts.push(format!(
            "{} on {}\n  board    {}\n  system   {}\n  agent    {}, engine {}\n  variant  {} by {}, {}\n  \
             sampling {sampling}\n  blocks   {}, {} voided\n  missing  {}\n  runs     {}",
            baseline.model,
            baseline.board,
            setup.facts.name(),
            setup.facts.system(),
            setup.agent_version,
            setup.engine_build,
            variant.level,
            variant.recipe,
            variant.sha256,
            conditions.blocks,
            conditions.voided_blocks,
            missing_precautions.as_ref().map_or("unknown".to_owned(), |all| listed(all, "nothing")),
            medians.join(", ")
        ));
    }
    parts.join("\n\n")
}
