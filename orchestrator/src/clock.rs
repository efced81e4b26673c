//! The calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Time since 1970, for what needs a date: certificates, and what other programs read. Nothing that is measured or ordered here
/// goes by it, because such clocks jump.
#[expect(clippy::disallowed_methods, reason = "a date is asked for")]
pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
