//! The wire contract between orchestrator and agent: messages, generated from `proto/quantrack/v1/agent.proto`, and
//! the [`identity`] of those who send them, with the names of [`Precaution`]s and the way in which both replace files.

mod file;
pub mod identity;
mod precaution;

pub use file::replace_file;
pub use precaution::Precaution;

/// Messages and services of package `quantrack.v1`.
#[allow(
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    clippy::all,
    clippy::pedantic,
    reason = "generated code"
)]
pub mod v1 {
    tonic::include_proto!("quantrack.v1");
}

/// The encoded `FileDescriptorSet`, for the reflection service.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The newest version of the contract that this build speaks. 2: queues for leases, drain, occupancy, numbers of blocks.
pub const API_VERSION: u32 = 2;
/// The oldest version of the contract that this build speaks.
pub const MIN_API_VERSION: u32 = 1;
/// Metadata of every call: the number of the caller's run, for the logs of both sides.
pub const RUN_HEADER: &str = "quantrack-run";
/// What systems call themselves that nobody has given a name.
pub const NAMELESS: [&str; 2] = ["(none)", "localhost"];
/// How the names begin that agents give to boards without one.
pub const UNNAMED: &str = "unnamed";
/// The agent's port when none is given.
pub const DEFAULT_PORT: u16 = 50051;
