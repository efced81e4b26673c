//! The time by which certificates are judged.
//!
//! Boards have no battery for their clock: until the network has told the time, it is that of the last shutdown, or of 1970.
//! So the board's clock counts only once the system says that it has been set, and never below a floor: the latest date
//! under which the authority has put its signature in any file that the board has. Without a set clock the floor is the time.
//!
//! The floor cannot be ahead of the authority's clock, so a wrong clock never makes good certificates look expired; and it
//! never goes back, so a clock set back does not revive a certificate that had expired before the newest list was signed.
//! What remains is that a board without time takes a certificate for valid that has expired since. Revoked ones are refused
//! whatever the time is.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::board::Root;

/// systemd-timesyncd makes this when it has set the clock from the network since boot.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Whether the system says that its clock has been set since boot.
pub fn synchronized(root: &Root) -> bool {
    root.path(SYNCHRONIZED).exists()
}

/// The board's clock, believed as far as it deserves.
pub struct BoardClock {
    root: Root,
    always_set: bool,
    floor_s: AtomicU64,
    now: Arc<dyn Fn() -> UnixTime + Send + Sync>,
}

impl BoardClock {
    /// The system's clock. `always_set` believes it even where timesyncd does not say that it is right.
    pub fn new(root: Root, always_set: bool) -> Self {
        Self::reading(root, always_set, Arc::new(UnixTime::now))
    }

    /// A clock that reads what `now` says.
    pub fn reading(
        root: Root,
        always_set: bool,
        now: Arc<dyn Fn() -> UnixTime + Send + Sync>,
    ) -> Self {
        Self { root, always_set, floor_s: AtomicU64::new(0), now }
    }

    /// It cannot be earlier than this.
    pub(super) fn raise(&self, floor: UnixTime) {
        self.floor_s.fetch_max(floor.as_secs(), Ordering::Relaxed);
    }

    /// Whether the system says that its clock has been set.
    pub(super) fn is_set(&self) -> bool {
        self.always_set || synchronized(&self.root)
    }

    /// The time by which certificates are judged.
    pub(super) fn time(&self) -> UnixTime {
        let floor_s = self.floor_s.load(Ordering::Relaxed);
        let floor = UnixTime::since_unix_epoch(Duration::from_secs(floor_s));
        if self.is_set() { floor.max((self.now)()) } else { floor }
    }
}

impl fmt::Debug for BoardClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoardClock").field("floor_s", &self.floor_s).finish_non_exhaustive()
    }
}

impl TimeProvider for BoardClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.time())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_counts_once_it_is_set_and_never_below_the_floor() {
        let at = |s| UnixTime::since_unix_epoch(Duration::from_secs(s));
        for (set, clock, time) in
            [(false, 10, 100), (false, 1000, 100), (true, 10, 100), (true, 1000, 1000)]
        {
            let folder = tempfile::tempdir().unwrap();
            if set {
                let flag = folder.path().join(SYNCHRONIZED.trim_start_matches('/'));
                std::fs::create_dir_all(flag.parent().unwrap()).unwrap();
                std::fs::write(flag, "").unwrap();
            }
            let root = Root::new(folder.path());
            let clock = BoardClock::reading(root, false, Arc::new(move || at(clock)));
            clock.raise(at(100));
            clock.raise(at(50));
            assert_eq!(clock.time(), at(time));
        }
    }
}
