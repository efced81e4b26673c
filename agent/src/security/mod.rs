//! Who may use this board: mutual TLS with certificates of an authority of the rack's own.
//!
//! * `clock` is the time by which certificates are judged; the board's own clock may be wrong.
//! * `verifier` judges clients' certificates, and keeps the cause of a refusal from the peer.
//! * `identity` holds the board's files, reads them again when they change, and replaces them when asked to.
//! * `connection` accepts connections; `roles` lets requests through.

mod clock;
mod connection;
mod identity;
mod roles;
mod verifier;

pub use clock::{BoardClock, synchronized};
pub use connection::{Connection, Peer, incoming};
pub use identity::{Security, SecurityError, Update};
pub use roles::{Authorize, listed_role, required_role};
