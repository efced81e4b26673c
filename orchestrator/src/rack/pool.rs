//! Pools: the boards of the rack with one label.

use anyhow::anyhow;

use super::state::{BoardState, Look, look};
use crate::device::{Address, Connector, Device};
use crate::exit::{Exit, Failure};
use crate::store::Store;

/// The addresses of a pool's boards.
///
/// # Errors
/// When there are none, or the store fails.
pub async fn members(store: &Store, label: &str) -> Result<Vec<Address>, Failure> {
    let boards = store.boards(Some(label)).await?;
    if boards.is_empty() {
        let error = anyhow!("no board of the rack has the label {label:?}");
        let next = "`orchestrator device list` shows the labels, `device label` sets them";
        return Err(Failure::usage(error).next(next));
    }
    let addresses = boards.iter().map(|board| board.address.parse());
    addresses.collect::<Result<_, _>>().map_err(Failure::usage)
}

/// A board of the pool that is free, else, for those who `wait`, the one for which fewest wait.
///
/// # Errors
/// When there is none, with the state of each.
pub async fn pick(
    store: &Store,
    label: &str,
    wait: bool,
    connector: &Connector,
) -> Result<Device, Failure> {
    let quarantined = store.quarantined().await?;
    let reason = |name: &str| quarantined.get(name).cloned();
    let mut busy: Vec<(u32, Device)> = Vec::new();
    let (mut states, mut any_busy) = (Vec::new(), false);
    for address in members(store, label).await? {
        let Look { state, detail, answer } = look(connector, &address, reason).await;
        match answer {
            Some((device, _)) if state == BoardState::Ok => return Ok(device),
            Some((device, Some(now))) if state == BoardState::Busy => {
                busy.push((now.waiting, device));
            }
            _ => {}
        }
        any_busy |= state == BoardState::Busy;
        states.push(format!("{address} is {state} ({})", detail.unwrap_or_default()));
    }
    busy.sort_by_key(|(waiting, _)| *waiting);
    match busy.into_iter().next() {
        Some((_, device)) if wait => Ok(device),
        _ => {
            let exit = if any_busy { Exit::Busy } else { Exit::Lab };
            let error = anyhow!("no board of the pool {label} is free: {}", states.join("; "));
            Err(Failure::new(exit, error).next("wait for one with --wait 30m, or mend the others"))
        }
    }
}
