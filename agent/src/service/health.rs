//! What has to be right on the board before measuring is worthwhile.

use std::time::{SystemTime, UNIX_EPOCH};

use nix::sys::statvfs::statvfs;
use quantrack_proto::v1;

use super::agent::Config;
use crate::board::Conditions;
use crate::security::synchronized;

/// Where the privileged helper listens that sets the governor.
const GOVERNOR_SOCKET: &str = "/run/quantrack-governor/socket";

pub(super) fn read(config: &Config, conditions: &Conditions) -> v1::Health {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let space = statvfs(config.blobs.folder()).ok();
    let settable =
        |governor: &String| governor == "performance" || config.root.path(GOVERNOR_SOCKET).exists();
    v1::Health {
        clock_unix_ms: u64::try_from(clock.as_millis()).unwrap_or(u64::MAX),
        clock_set: synchronized(&config.root),
        // The widths of these numbers differ between architectures.
        free_bytes: space.map(|space| {
            let (blocks, size): (u64, u64) =
                (space.blocks_available().into(), space.fragment_size().into());
            blocks.saturating_mul(size)
        }),
        governor_settable: conditions.governor.as_ref().map(settable),
    }
}
