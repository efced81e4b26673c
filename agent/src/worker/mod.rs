//! The process that runs models.
//!
//! The agent starts itself again as a worker and talks to it over its standard streams in [`frame`]s of [`message`]s.
//! The worker limits itself ([`limits`]) before it touches a model, then does one command after the other
//! ([`child`]). The agent's side ([`process`]) gives every command a deadline and turns an end of the worker into an
//! error that names its cause.

pub mod child;
pub mod engine;
pub mod frame;
mod inputs;
pub mod limits;
mod memory;
pub mod message;
pub mod process;
mod sockets;

pub use engine::{EngineLoader, Loader, Model, Port, Resources};
pub use process::{Launcher, Worker, WorkerError};
