//! The gRPC service.

mod agent;
mod convert;
mod health;
mod lease;
mod measure;
mod run;
mod server;
mod status;
mod trust;
mod upload;

pub use agent::{AgentService, Config};
pub use server::{ServeError, serve};
