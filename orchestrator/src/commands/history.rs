//! `history`: what nights have measured, and where levels changed.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::context::Context;
use crate::exit::{CommandResult, Exit};
use crate::nightly::effect::median;
use crate::nightly::history::{ChangePoint, change_points};
use crate::nightly::record::{Role, Session};
use crate::nightly::verdict::Verdict;
use crate::output::{duration_us, minutes, text_table};

/// Options of `history`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The model [default: all].
    model: Option<String>,
    /// The board, by the name that it has given itself [default: all].
    #[arg(long, value_name = "NAME")]
    board: Option<String>,
}

/// What `history` prints.
#[derive(Debug, Serialize)]
struct Shown {
    series: Vec<Series>,
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
    let shown = Shown { series: series.collect() };
    context.print("history", &shown, human)?;
    Ok(Exit::Ok)
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
