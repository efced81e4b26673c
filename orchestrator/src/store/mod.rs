//! Everything that was measured, in one SQLite database with the variants' files beside it.
//!
//! Every write is one transaction, made as soon as its content exists: killing the program loses at most what was
//! in flight. Several orchestrators can share a store.

mod accuracy;
mod artifacts;
mod database;
mod devices;
mod error;
mod lock;
mod measurements;
mod nightly;
mod rack;
mod table;
mod variants;

pub use accuracy::StoredEvaluation;
pub use artifacts::{Artifact, ArtifactKind};
pub use database::{SCHEMA_VERSION, Store};
pub use devices::DeviceRecord;
pub use error::StoreError;
pub use lock::Lock;
pub use measurements::{MeasurementKey, NewMeasurement};
pub use nightly::{StoredBaseline, StoredSession};
pub use rack::{QuarantineEvent, StoredBoard};
pub use table::{TableFilter, TableRow};
pub use variants::VariantRecord;

#[cfg(test)]
mod tests;
