//! The rack: boards by name and label, and the state of each.

mod discover;
mod enter;
mod pool;
mod state;

pub use discover::{Found, discover};
pub use enter::{Entered, enter};
pub use pool::{members, pick};
pub use state::{BoardState, Look, judge, look};
