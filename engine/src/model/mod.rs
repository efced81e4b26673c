//! Importers: one per file format, each from untrusted bytes to a valid [`Graph`].

mod error;
mod fault;
pub mod onnx;
pub mod tflite;

use std::path::Path;

pub use error::{ImportError, UnsupportedOp};
pub use onnx::Dimensions;

use crate::graph::Graph;

/// Reads a model in any format that is known here: TFLite (`.tflite`) or ONNX (`.onnx`).
///
/// The graph is the model as it stands in the file, all fp32, with constants decoded, padding resolved and
/// missing biases filled in; [`crate::graph::fuse::optimize`] merges and removes operators afterwards.
///
/// # Errors
/// See [`ImportError`]. Nothing that a file says makes this function panic or allocate without bounds.
pub fn import(bytes: &[u8]) -> Result<Graph, ImportError> {
    import_with(bytes, &Dimensions::default(), None)
}

/// As [`import`], with extents for axes that the file leaves open, and the folder in which an ONNX file's constants may
/// lie in files of their own.
///
/// # Errors
/// As [`import`], and constants that cannot be read.
pub fn import_with(
    bytes: &[u8],
    dimensions: &Dimensions,
    folder: Option<&Path>,
) -> Result<Graph, ImportError> {
    if tflite::is_tflite(bytes) {
        tflite::import(bytes)
    } else {
        onnx::import(bytes, dimensions, folder)
    }
}
