//! Who has a board.

use std::fmt;

use serde::Serialize;

/// Who has a board, and who may have it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Occupancy {
    /// As the holder named itself; absent when the board is free.
    pub holder: Option<String>,
    /// Of the lease in force; 0 when the board is free.
    pub epoch: u64,
    /// For how many seconds it has been held.
    pub held_s: u64,
    /// How many wait for it.
    pub waiting: u32,
    /// Why it gives no more leases; absent when it does.
    pub draining: Option<String>,
}

impl fmt::Display for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.holder, self.held_s) {
            (None, _) => f.write_str("free")?,
            (Some(holder), seconds @ ..120) => write!(f, "held by {holder} since {seconds} s")?,
            (Some(holder), seconds) => write!(f, "held by {holder} since {} min", seconds / 60)?,
        }
        match self.waiting {
            0 => Ok(()),
            1 => f.write_str(", 1 waits"),
            more => write!(f, ", {more} wait"),
        }
    }
}
