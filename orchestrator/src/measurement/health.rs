//! What a board needs before measuring on it is worthwhile.

/// What a board says of what it needs besides being quiet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Its clock, in milliseconds since 1970.
    pub clock_unix_ms: u64,
    /// Whether its system says that the clock has been set since boot.
    pub clock_set: bool,
    /// Room for variants.
    pub free_bytes: Option<u64>,
    /// Whether a measurement can set the frequency governor; `None` where there is none.
    pub governor_settable: Option<bool>,
}
