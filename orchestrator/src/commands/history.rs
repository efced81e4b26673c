//! `history`: what nights have measured, and where levels changed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::nightly::effect::median;
use crate::nightly::history::{ChangePoint, change_points};
use crate::nightly::record::{Role, Session};
use crate::nightly::verdict::Verdict;
use crate::output::{duration_us, minutes, text_table};
use crate::report;
use crate::store::QuarantineEvent;

/// Options of `history`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model [default: all].
    model: Option<String>,
    /// The board, by the name that it has given itself [default: all].
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
    /// Write a page with a plot per board and model: HTML that needs nothing else.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What `history` prints.
#[derive(Debug, Serialize)]
struct Shown {
    series: Vec<Series>,
    /// When boards were off their own history, and back.
    quarantines: Vec<QuarantineEvent>,
}

/// A model on a board, night by night.
#[derive(Debug, Serialize)]
struct Series {
    board: String,
    model: String,
    nights: Vec<NightRow>,
    change_points: Vec<ChangePoint>,
}

#[derive(Debug, Serialize)]
struct NightRow {
    measured_at: String,
    role: Role,
    sha256: String,
    runs: usize,
    median_us: f64,
    verdict: Option<Verdict>,
}

/// Runs the command.
///
/// # Errors
/// When the store cannot be read.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let sessions: Vec<Session> =
        store.sessions(args.board.as_deref(), args.model.as_deref(), None).await?;
    let mut series: BTreeMap<(String, String), Vec<NightRow>> = BTreeMap::new();
    for session in sessions.into_iter().filter(|session| session.body.role != Role::Beside) {
        let Session { board, model, sha256, body, measured_at, .. } = session;
        let runs = body.runs.medians_us.len();
        let Some(median_us) = median(body.runs.medians_us) else { continue };
        let row = NightRow {
            measured_at,
            role: body.role,
            sha256,
            runs,
            median_us,
            verdict: body.verdict,
        };
        series.entry((board, model)).or_default().push(row);
    }
    let series = series.into_iter().map(|((board, model), nights)| {
        let medians: Vec<f64> = nights.iter().map(|night| night.median_us).collect();
        Series { board, model, nights, change_points: change_points(&medians) }
    });
    let mut quarantines = store.quarantine_events().await?;
    quarantines.retain(|event| args.board.as_ref().is_none_or(|board| *board == event.board));
    let shown = Shown { series: series.collect(), quarantines };
    if let Some(path) = &args.html {
        let page = report::history_html(&page(&shown));
        std::fs::write(path, page).map_err(|error| {
            Failure::lab(error).context(format!("failed to write the page to {}", path.display()))
        })?;
        tracing::info!("the page is {}", path.display());
    }
    context.print("history", &shown, human)?;
    Ok(Exit::Ok)
}

/// What the page shows.
fn page(shown: &Shown) -> report::History {
    let outcome = |verdict: Option<Verdict>| match verdict {
        None => report::Outcome::Baseline,
        Some(Verdict::Ok) => report::Outcome::Ok,
        Some(Verdict::Improved) => report::Outcome::Improved,
        Some(Verdict::Regression) => report::Outcome::Regression,
        Some(Verdict::Inconclusive | Verdict::LabFault) => report::Outcome::Inconclusive,
    };
    let night = |night: &NightRow| report::Night {
        at: night.measured_at.clone(),
        median_us: night.median_us,
        outcome: outcome(night.verdict),
        variant: night.sha256[..8.min(night.sha256.len())].to_owned(),
    };
    let change = |point: &ChangePoint| report::Change {
        index: point.index,
        levels_us: (point.before, point.after),
    };
    let series = |series: &Series| report::Series {
        board: series.board.clone(),
        model: series.model.clone(),
        nights: series.nights.iter().map(night).collect(),
        changes: series.change_points.iter().map(change).collect(),
        quarantines: quarantines(&shown.quarantines, &series.board),
    };
    let nights = shown.series.iter().flat_map(|series| &series.nights);
    let last = nights.map(|night| night.measured_at.as_str()).max().map(minutes);
    report::History { last, series: shown.series.iter().map(series).collect() }
}

/// The times in which the board was quarantined.
fn quarantines(events: &[QuarantineEvent], board: &str) -> Vec<report::Quarantine> {
    let mut times: Vec<report::Quarantine> = Vec::new();
    for event in events.iter().filter(|event| event.board == board) {
        match (&event.cause, times.last_mut()) {
            (Some(cause), _) => {
                let (from, cause) = (event.at.clone(), cause.clone());
                times.push(report::Quarantine { from, until: None, cause });
            }
            (None, Some(last)) => last.until = Some(event.at.clone()),
            (None, None) => {}
        }
    }
    times
}

fn human(shown: &Shown) -> String {
    if shown.series.is_empty() {
        return "no night has been measured yet; `orchestrator check` does it".to_owned();
    }
    shown.series.iter().map(one).collect::<Vec<String>>().join("\n\n")
}

fn one(series: &Series) -> String {
    let header = ["night", "variant", ">runs", ">median", "verdict", "level"];
    let rows = series.nights.iter().enumerate().map(|(index, night)| {
        let changed = series.change_points.iter().find(|point| point.index == index);
        let level = changed.map_or(String::new(), |point| {
            let share = 100.0 * (point.after / point.before - 1.0);
            let (before, after) = (duration_us(point.before), duration_us(point.after));
            format!("changed by {share:+.1} %, from {before} to {after}")
        });
        vec![
            minutes(&night.measured_at),
            night.sha256[..8.min(night.sha256.len())].to_owned(),
            night.runs.to_string(),
            duration_us(night.median_us),
            night.verdict.map_or("baseline".to_owned(), |verdict| verdict.to_string()),
            level,
        ]
    });
    format!("{} on {}\n{}", series.model, series.board, text_table(&header, rows))
}
