//! The frequency governor, which only root may set.
//!
//! A small helper with the right to do so ([`helper`]) runs beside the agent, which has none. Over a socket it understands one
//! word, `performance`, and gives the governor back when the connection ends, whether the agent closed it, was killed or
//! crashed. Before it changes anything it writes down how things were ([`journal`]), so that its own next start repairs
//! what its death left behind. Without it the agent measures under the governor that there is, and says so ([`client`]).

pub mod client;
pub mod helper;
pub mod journal;

/// Where the helper listens unless somebody says otherwise.
pub const SOCKET: &str = "/run/quantrack-governor/socket";

pub use client::{Governor, Performance};
pub use journal::{GovernorError, PERFORMANCE, Switch};
