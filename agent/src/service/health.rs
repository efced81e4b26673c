//! What has to be right on the board before measuring is worthwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;
use quantrack_proto::v1;

use super::agent::Config;
use crate::board::Conditions;
use crate::governor::PERFORMANCE;
use crate::security::synchronized;

#[expect(clippy::disallowed_methods, reason = "a date is asked for")]
pub(super) fn read(config: &Config, conditions: &Conditions) -> v1::Health {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let space = statvfs(config.blobs.folder()).ok();
    let settable = |governor: &String| governor == PERFORMANCE || config.governor.is_there();
    v1::Health {
        clock_unix_ms: u64::try_from(clock.as_millis()).unwrap_or(u64::MAX),
        clock_set: synchronized(&config.root),
        free_bytes: space.map(|space| {
            let (blocks, size) = (space.blocks_available(), space.fragment_size());
            widen(blocks).saturating_mul(widen(size))
        }),
        governor_settable: conditions.governor.as_ref().map(settable),
    }
}

/// The widths of these numbers differ between architectures.
fn widen(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
