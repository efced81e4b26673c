//! Importers: one per file format, each from untrusted bytes to a valid [`Graph`].

mod error;
pub mod tflite;

pub use error::{ImportError, UnsupportedOp};

use crate::graph::Graph;

/// Reads a model in any format that is known here; for now TFLite (`.tflite`).
///
/// The graph is the model as it stands in the file, all fp32, with constants decoded, padding resolved and
/// missing biases filled in; [`crate::graph::fuse::optimize`] merges and removes operators afterwards.
///
/// # Errors
/// See [`ImportError`]. Nothing that a file says makes this function panic or allocate without bounds.
pub fn import(bytes: &[u8]) -> Result<Graph, ImportError> {
    if tflite::is_tflite(bytes) { tflite::import(bytes) } else { Err(ImportError::UnknownFormat) }
}
