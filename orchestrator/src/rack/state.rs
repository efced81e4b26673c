//! What state a board is in.

use std::fmt;

use serde::Serialize;

use crate::device::{Address, Connector, Device, DeviceError};
use crate::exit::{Exit, Failure};
use crate::measurement::Occupancy;

/// Whether a board can be used, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum BoardState {
    /// Free.
    Ok,
    /// Somebody else has it.
    Busy,
    /// It gives no more leases until somebody ends that.
    Draining,
    /// It is off its own history, by its golden model.
    Quarantined,
    /// Nobody answers at its address.
    Offline,
    /// It answers and cannot be used.
    Faulty,
}

impl fmt::Display for BoardState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Busy => "busy",
            Self::Draining => "draining",
            Self::Quarantined => "quarantined",
            Self::Offline => "offline",
            Self::Faulty => "faulty",
        })
    }
}

impl BoardState {
    /// The state of a board with which something went wrong.
    pub fn of(error: &DeviceError) -> Self {
        match error {
            DeviceError::Busy { .. } | DeviceError::NotInTime { .. } => Self::Busy,
            DeviceError::Draining { .. } => Self::Draining,
            DeviceError::Resolve { .. }
            | DeviceError::Unreachable { .. }
            | DeviceError::NoAnswer { .. }
            | DeviceError::Vanished { .. } => Self::Offline,
            _ => Self::Faulty,
        }
    }

    /// The state of a board on which a command has failed.
    pub fn of_failure(failure: &Failure) -> Self {
        failure.cause::<DeviceError>().map_or(Self::Faulty, Self::of)
    }

    /// The exit code of a command that tells it.
    pub fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Ok,
            Self::Busy => Exit::Busy,
            Self::Draining => Exit::Draining,
            Self::Quarantined => Exit::Quarantined,
            Self::Offline | Self::Faulty => Exit::Lab,
        }
    }
}

/// A board as it was found.
#[derive(Debug)]
pub struct Look {
    /// Its state.
    pub state: BoardState,
    /// Why it is not ok: the holder, the reason or the cause.
    pub detail: Option<String>,
    /// The board and who has it; absent when it could not be asked.
    pub answer: Option<(Device, Option<Occupancy>)>,
}

/// Looks at the board at `address`. `quarantined` tells by the board's name why it is off its own history, if it is.
pub async fn look(
    connector: &Connector,
    address: &Address,
    quarantined: impl Fn(&str) -> Option<String>,
) -> Look {
    let asked = async {
        let device = connector.connect(address).await?;
        let occupancy = device.now().await?.occupancy;
        Ok((device, occupancy))
    };
    match asked.await {
        Ok(answer) => {
            let (state, detail) = judge(answer.1.as_ref(), quarantined(&answer.0.facts().hostname));
            Look { state, detail, answer: Some(answer) }
        }
        Err(error) => {
            let (state, detail) = (BoardState::of(&error), Some(error.to_string()));
            Look { state, detail, answer: None }
        }
    }
}

/// The state of a board that answers. What lasts comes before what passes.
pub fn judge(
    occupancy: Option<&Occupancy>,
    quarantine: Option<String>,
) -> (BoardState, Option<String>) {
    let draining = occupancy.and_then(|now| now.draining.clone());
    let busy = occupancy.filter(|now| now.holder.is_some() || now.waiting > 0);
    match (draining, quarantine, busy) {
        (Some(reason), _, busy) => {
            let still = busy.map_or(String::new(), |now| format!(" (still {now})"));
            (BoardState::Draining, Some(reason + &still))
        }
        (None, Some(cause), _) => (BoardState::Quarantined, Some(cause)),
        (None, None, Some(now)) => (BoardState::Busy, Some(now.to_string())),
        (None, None, None) => (BoardState::Ok, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_told_apart() {
        let held = Occupancy { holder: Some("ana".to_owned()), ..Occupancy::default() };
        let drained = Occupancy { draining: Some("fan".to_owned()), ..held.clone() };
        let state = |occupancy: Option<&Occupancy>, cause: Option<&str>| {
            judge(occupancy, cause.map(str::to_owned)).0
        };
        assert_eq!(state(None, None), BoardState::Ok, "an older agent does not tell");
        assert_eq!(state(Some(&Occupancy::default()), None), BoardState::Ok);
        assert_eq!(state(Some(&held), None), BoardState::Busy);
        assert_eq!(state(Some(&held), Some("slow")), BoardState::Quarantined);
        assert_eq!(state(Some(&drained), Some("slow")), BoardState::Draining);
        let why = judge(Some(&drained), None).1.unwrap();
        assert!(why.starts_with("fan (still held by ana"), "{why}");
        use BoardState::{Busy, Draining, Offline, Ok, Quarantined};
        let codes = [Ok, Busy, Draining, Quarantined, Offline].map(|state| state.exit() as u8);
        assert_eq!(codes, [0, 5, 6, 7, 4]);
    }
}
