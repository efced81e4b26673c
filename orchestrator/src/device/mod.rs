//! Boards: finding one, talking to its agent, and starting an agent of our own on this machine.

mod address;
mod client;
mod connect;
mod convert;
mod error;
mod lease;
mod local;
mod measure;
mod run;
mod run_id;
mod tls;

pub(crate) use address::resolve;
pub use address::{Address, AddressError};
pub use client::{Device, Now};
pub use connect::Connector;
pub use error::DeviceError;
pub use lease::Lease;
pub use measure::{MeasureEvent, MeasureStream, Measured, Progress};
pub use run::{Inference, NamedTensor, RunStream};
pub use run_id::run_id;
pub use tls::TlsFault;
