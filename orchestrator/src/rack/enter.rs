//! A board enters the rack.

use anyhow::anyhow;

use crate::device::{Connector, Device};
use crate::exit::Failure;
use crate::store::{Store, StoredBoard};

/// A board that has entered the rack.
#[derive(Debug)]
pub struct Entered {
    /// The board as the store has it now.
    pub board: StoredBoard,
    /// Where it was before, if it has moved.
    pub moved_from: Option<String>,
}

/// Adds a board, or what has changed about it. Its baselines and history go by the name that it gives itself, so no two
/// boards may have the same.
///
/// # Errors
/// When another board has that name or address, naming both, or the store fails.
pub async fn enter(
    device: &Device,
    labels: &[String],
    connector: &Connector,
    store: &Store,
) -> Result<Entered, Failure> {
    let (name, address) = (&device.facts().hostname, device.address());
    let known = store.boards(None).await?;
    if let Some(other) = known.iter().find(|b| b.address == address && b.name != *name) {
        let error = anyhow!(
            "the board at {address} calls itself {name:?}, and the rack knows {:?} there",
            other.name
        );
        return Err(Failure::usage(error)
            .next(format!("if it was renamed, run `orchestrator device remove {}`", other.name)));
    }
    let known = known.into_iter().find(|board| board.name == *name);
    let moved_from = known.as_ref().map(|board| board.address.clone()).filter(|at| at != address);
    if let Some(before) = &moved_from
        && twin(device, before, connector).await
    {
        let error = anyhow!("two boards call themselves {name:?}: those at {before} and {address}");
        return Err(Failure::usage(error)
            .next("give one another name (hostnamectl set-hostname): histories go by names"));
    }
    let mut board = StoredBoard {
        name: name.clone(),
        address: address.to_owned(),
        facts: device.facts().clone(),
        labels: known.map(|board| board.labels).unwrap_or_default(),
        seen_at: String::new(),
    };
    board.labels.extend(labels.iter().cloned());
    store.save_board(&board).await?;
    Ok(Entered { board, moved_from })
}

/// Whether another board of the same name answers at `before`. The same boot at two addresses is one board.
async fn twin(device: &Device, before: &str, connector: &Connector) -> bool {
    let asked = async {
        let other = connector.connect(&before.parse()?).await?;
        let boots = (other.conditions().await?.boot_id, device.conditions().await?.boot_id);
        let same_boot = boots.0.is_some() && boots.0 == boots.1;
        Ok::<bool, crate::device::DeviceError>(
            other.facts().hostname == device.facts().hostname && !same_boot,
        )
    };
    asked.await.unwrap_or(false)
}
