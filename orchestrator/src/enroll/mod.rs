//! From a board that ssh reaches to one whose agent answers with a certificate.
//!
//! * `remote` runs scripts on the board through the system's `ssh`, so that the user's configuration, keys and jump hosts
//!   count.
//! * `probe` finds out what the board is; `program` chooses the agent for it.
//! * `install` puts agent, unit and certificates there and starts them; it says what it has changed when it cannot go on.
//!
//! The scripts are POSIX shell and run under `sh -eu`. Enrolling again changes nothing that is as it should be.

mod error;
mod install;
mod probe;
mod program;
mod remote;

pub use error::EnrollError;
pub use install::{Change, Identity, certificate, clean, install, self_test, stage};
pub use probe::{Board, probe};
pub use program::{Architecture, choose};
pub use remote::Remote;
