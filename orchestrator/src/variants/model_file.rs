//! Reading model files.

use std::path::{Path, PathBuf};

use quantrack_engine::graph::Graph;
use quantrack_engine::model::{Dimensions, ImportError, import_with, onnx, tflite};

use crate::digest::hex_digest;

/// Largest model file that is read: far beyond any model for these boards.
const MAX_BYTES: u64 = 1 << 30;

/// An imported model.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Digest of the file, and of whatever else makes the model: constants in files of their own, and extents given for
    /// open axes.
    pub sha256: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// The model as it stands in the file.
    pub graph: Graph,
}

/// A model that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("failed to read the model {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is too large.
    #[error("failed to read the model {}: its {size} bytes are more than {MAX_BYTES}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The content cannot be imported.
    #[error("failed to import the model {}", path.display())]
    Import {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ImportError,
    },
}

impl ModelFile {
    /// Reads and imports the model at `path`, with extents for axes that the file leaves open.
    ///
    /// # Errors
    /// See [`ModelError`].
    pub fn read(path: &Path, dimensions: &Dimensions) -> Result<Self, ModelError> {
        let path = path.to_owned();
        let size = match std::fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(source) => return Err(ModelError::Read { path, source }),
        };
        if size > MAX_BYTES {
            return Err(ModelError::TooLarge { path, size });
        }
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ModelError::Read { path, source }),
        };
        match import_with(&bytes, dimensions, path.parent()) {
            Ok(graph) => Ok(Self {
                sha256: digest(&bytes, &graph, dimensions),
                bytes: bytes.len() as u64,
                graph,
            }),
            Err(source) => Err(ModelError::Import { path, source }),
        }
    }
}

fn digest(bytes: &[u8], graph: &Graph, dimensions: &Dimensions) -> String {
    let external = !tflite::is_tflite(bytes) && onnx::has_external_data(bytes);
    if !external && dimensions.iter().next().is_none() {
        return hex_digest(bytes);
    }
    let mut all = bytes.to_vec();
    for (name, extent) in dimensions.iter() {
        all.extend(format!("{name}={extent}\n").bytes());
    }
    let constants = graph.values.iter().filter_map(|value| value.constant.as_ref()?.as_f32());
    for elements in constants.filter(|_| external) {
        all.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
    }
    hex_digest(&all)
}
