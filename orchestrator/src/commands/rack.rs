//! `device add|list|label|drain|undrain|remove`: the boards of the rack.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::anyhow;
use serde::Serialize;

use super::nightly::at_once;
use crate::context::Context;
use crate::device::{Address, Device};
use crate::exit::{CommandResult, Exit, Failure};
use crate::measurement::Occupancy;
use crate::output::{minutes, text_table};
use crate::rack::{self, BoardState, Entered, Found, look};
use crate::store::{Store, StoredBoard};

/// How long boards have to announce themselves.
const DISCOVERY: Duration = Duration::from_secs(3);

/// Options of `device add`.
#[derive(Debug, clap::Args)]
pub struct AddArgs {
    /// Where they are.
    #[arg(required = true, value_name = "HOST[:PORT]")]
    addresses: Vec<Address>,
    /// Their labels, which make pools.
    #[arg(long = "label", value_name = "LABEL", value_parser = label)]
    labels: Vec<String>,
}

/// Options of `device list`.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Look for agents that announce themselves in the local network as well.
    #[arg(long)]
    discover: bool,
}

/// Options of `device label`.
#[derive(Debug, clap::Args)]
pub struct LabelArgs {
    /// The board, by the name that it has given itself.
    name: String,
    /// Labels to give it.
    #[arg(value_parser = label)]
    labels: Vec<String>,
    /// Labels to take from it.
    #[arg(long, value_name = "LABEL")]
    remove: Vec<String>,
}

/// Options of `device drain`.
#[derive(Debug, clap::Args)]
pub struct DrainArgs {
    /// The board, by the name that it has given itself [default: the one of --device].
    pub(super) name: Option<String>,
    /// Why, for those who are refused.
    #[arg(long, default_value = "maintenance", value_name = "TEXT")]
    pub(super) reason: String,
}

/// Options of commands that name a board.
#[derive(Debug, clap::Args)]
pub struct NameArgs {
    /// The board, by the name that it has given itself [default: the one of --device].
    pub(super) name: Option<String>,
}

/// A board in the list.
#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    board: StoredBoard,
    state: BoardState,
    /// Why it is not ok.
    detail: Option<String>,
    occupancy: Option<Occupancy>,
}

/// What `device list` prints.
#[derive(Debug, Serialize)]
struct Listed {
    boards: Vec<Row>,
    /// Agents that announce themselves and are not in the rack.
    #[serde(skip_serializing_if = "Option::is_none")]
    discovered: Option<Vec<Found>>,
}

/// What commands that change a board print.
#[derive(Debug, Serialize)]
struct Changed {
    boards: Vec<StoredBoard>,
    said: Vec<String>,
}

pub(super) fn label(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !text.is_empty() && text.len() <= 40 && text.chars().all(plain) {
        return Ok(text.to_owned());
    }
    Err("a label has letters, digits, '-', '_' and '.', 40 at most".to_owned())
}

/// Runs `device add`.
///
/// # Errors
/// When a board cannot be reached, or another one has its name.
pub(super) async fn add(args: AddArgs, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let connector = context.connector();
    let mut changed = Changed { boards: Vec::new(), said: Vec::new() };
    for address in &args.addresses {
        let device = context.connect_to(address).await?;
        let entered = rack::enter(&device, &args.labels, &connector, &store).await?;
        let Entered { board, moved_from } = entered;
        changed.said.push(match moved_from {
            Some(before) => {
                format!("{} is at {} now, and no more at {before}", board.name, address)
            }
            None => format!("{} is in the rack: {} at {address}", board.name, board.facts.name()),
        });
        changed.boards.push(board);
    }
    tell("device add", &changed, context)
}

/// Runs `device list`.
///
/// # Errors
/// When the store fails.
pub(super) async fn list(args: ListArgs, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let boards = store.boards(context.options.pool.as_deref()).await?;
    let known: BTreeSet<String> = boards.iter().map(|board| board.address.clone()).collect();
    let quarantined = store.quarantined().await?;
    let one = |board: StoredBoard| {
        let (store, connector) = (store.clone(), context.connector());
        let quarantine = quarantined.get(&board.name).cloned();
        async move {
            let address = board.address.parse().map_err(Failure::usage)?;
            let found = look(&connector, &address, |_| quarantine.clone()).await;
            seen(board, found, &store).await
        }
    };
    let rows: Vec<Result<Row, Failure>> = at_once(boards.into_iter().map(one)).await?;
    let mut discovered = None;
    if args.discover {
        let found = rack::discover(DISCOVERY).await.map_err(|error| {
            Failure::lab(error).context("failed to listen for announcements in this network")
        })?;
        let new = found.into_iter().filter(|found| !known.contains(&found.address));
        discovered = Some(new.collect());
    }
    let listed = Listed { boards: rows.into_iter().collect::<Result<_, _>>()?, discovered };
    context.print("device list", &listed, human)?;
    Ok(Exit::Ok)
}

/// The row of a board that has been looked at; where it answers, the store remembers that.
async fn seen(mut board: StoredBoard, found: rack::Look, store: &Store) -> Result<Row, Failure> {
    let rack::Look { mut state, mut detail, answer } = found;
    let Some((device, occupancy)) = answer else {
        return Ok(Row { board, state, detail, occupancy: None });
    };
    let calls_itself = &device.facts().hostname;
    if *calls_itself == board.name {
        board.facts = device.facts().clone();
        store.save_board(&board).await?;
    } else {
        state = BoardState::Faulty;
        detail = Some(format!("the board there calls itself {calls_itself:?}"));
    }
    Ok(Row { board, state, detail, occupancy })
}

/// Runs `device label`.
///
/// # Errors
/// When there is no such board, or the store fails.
pub(super) async fn relabel(args: LabelArgs, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let mut board = named(&store, &args.name).await?;
    board.labels.extend(args.labels);
    board.labels.retain(|label| !args.remove.contains(label));
    store.save_labels(&board.name, &board.labels).await?;
    let labels: Vec<&str> = board.labels.iter().map(String::as_str).collect();
    let said = vec![format!("{}: {}", board.name, labels.join(", "))];
    tell("device label", &Changed { boards: vec![board], said }, context)
}

/// Runs `device drain`, or `device undrain` without a reason.
///
/// # Errors
/// When the board cannot be reached.
pub(super) async fn drain(
    name: Option<String>,
    reason: Option<String>,
    context: &Context,
) -> CommandResult {
    let device = connect(name.as_deref(), context).await?;
    let drained = reason.is_some();
    let now = device.drain(reason).await?;
    let (name, command) = (&device.facts().hostname, ["device undrain", "device drain"]);
    let said = match (drained, &now.holder) {
        (true, Some(_)) => format!("{name} gives no more leases; it is still {now}"),
        (true, None) => format!("{name} gives no more leases, and is free"),
        (false, _) => format!("{name} gives leases again"),
    };
    tell(command[usize::from(drained)], &Changed { boards: Vec::new(), said: vec![said] }, context)
}

/// Runs `device remove`.
///
/// # Errors
/// When there is no such board, or the store fails.
pub(super) async fn remove(name: &str, context: &Context) -> CommandResult {
    let store = context.store().await?;
    let board = named(&store, name).await?;
    store.remove_board(&board.name).await?;
    let said = vec![format!("{name} is no more in the rack; what was measured on it stays")];
    tell("device remove", &Changed { boards: vec![board], said }, context)
}

/// Connects to the board of that name in the rack, else to the one that the options choose.
///
/// # Errors
/// When there is no such board, or it cannot be reached.
pub(super) async fn connect(name: Option<&str>, context: &Context) -> Result<Device, Failure> {
    let Some(name) = name else { return context.connect().await };
    let board = named(&context.store().await?, name).await?;
    context.connect_to(&board.address.parse().map_err(Failure::usage)?).await
}

async fn named(store: &Store, name: &str) -> Result<StoredBoard, Failure> {
    let boards = store.boards(None).await?;
    boards.into_iter().find(|board| board.name == name).ok_or_else(|| {
        let error = anyhow!("the rack has no board {name:?}");
        Failure::usage(error).next("`orchestrator device list` names them, `device add` adds one")
    })
}

fn tell(command: &str, changed: &Changed, context: &Context) -> CommandResult {
    context.print(command, changed, |changed| changed.said.join("\n"))?;
    Ok(Exit::Ok)
}

fn human(listed: &Listed) -> String {
    let mut parts = Vec::new();
    if listed.boards.is_empty() {
        parts.push("no board is in the rack; `orchestrator device add HOST` adds one".to_owned());
    } else {
        let header = ["board", "state", "address", "labels", "model", "seen", "why"];
        let rows = listed.boards.iter().map(|row| {
            let labels: Vec<&str> = row.board.labels.iter().map(String::as_str).collect();
            vec![
                row.board.name.clone(),
                row.state.to_string(),
                row.board.address.clone(),
                labels.join(" "),
                row.board.facts.name(),
                minutes(&row.board.seen_at),
                row.detail.clone().unwrap_or_default(),
            ]
        });
        parts.push(text_table(&header, rows));
    }
    match listed.discovered.as_deref() {
        None => {}
        Some([]) => parts.push("no other agent announces itself in this network".to_owned()),
        Some(found) => {
            let line =
                |found: &Found| format!("{} at {} is not in the rack", found.name, found.address);
            parts.push(found.iter().map(line).collect::<Vec<String>>().join("\n"));
        }
    }
    parts.join("\n\n")
}
