//! Arrays in NumPy's `.npz` files, named as in the model.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use ndarray_npy::{NpzReader, NpzWriter, ReadNpzError, WriteNpzError};
use quantrack_engine::Tensor;
use quantrack_engine::graph::{Graph, ValueId};

/// Arrays that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArraysError {
    /// The file or folder cannot be read.
    #[error("failed to read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is no archive of arrays.
    #[error("failed to read the arrays of {}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadNpzError,
    },
    /// An input of the model is not in the file.
    #[error(
        "{} has no array {name:?}; it has {found}, the model's inputs are {wanted}",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The input.
        name: String,
        /// Arrays of the file.
        found: String,
        /// Inputs of the model.
        wanted: String,
    },
    /// An array is no fp32 array.
    #[error("failed to read the array {name:?} of {}; it must be float32", path.display())]
    Array {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Why.
        #[source]
        source: ReadNpzError,
    },
    /// An array has another shape.
    #[error("the array {name:?} of {} has shape {found:?}, the model wants {wanted:?}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// The array.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The model's.
        wanted: Vec<usize>,
    },
    /// A folder without arrays.
    #[error("{} has no .npz file", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The outputs cannot be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: WriteNpzError,
    },
}

/// The inputs of `graph` from the file at `path`, in the order of the model.
pub(super) fn read_inputs(graph: &Graph, path: &Path) -> Result<Vec<Tensor>, ArraysError> {
    let file = File::open(path).map_err(|source| ArraysError::Io { path: path.into(), source })?;
    let archive = |source| ArraysError::Archive { path: path.into(), source };
    let mut arrays = NpzReader::new(BufReader::new(file)).map_err(archive)?;
    let names = arrays.names().map_err(archive)?;
    let names: Vec<&str> = names.iter().map(|n| n.strip_suffix(".npy").unwrap_or(n)).collect();
    let read = |&id: &ValueId| {
        let value = &graph.values[id];
        let name = &value.name;
        if !names.contains(&name.as_str()) {
            let wanted: Vec<&str> =
                graph.inputs.iter().map(|&id| graph.values[id].name.as_str()).collect();
            return Err(ArraysError::Missing {
                path: path.into(),
                name: name.clone(),
                found: names.join(", "),
                wanted: wanted.join(", "),
            });
        }
        let array: Tensor = arrays.by_name(name).map_err(|source| ArraysError::Array {
            path: path.into(),
            name: name.clone(),
            source,
        })?;
        if array.shape() != value.shape {
            return Err(ArraysError::Shape {
                path: path.into(),
                name: name.clone(),
                found: array.shape().to_vec(),
                wanted: value.shape.clone(),
            });
        }
        // Arrays in Fortran order are allowed, but the engine reads rows.
        Ok(array.as_standard_layout().into_owned())
    };
    graph.inputs.iter().map(read).collect()
}

/// Samples: one `.npz` file, or every `.npz` file of a folder in the order of their names.
pub(super) fn read_samples(graph: &Graph, path: &Path) -> Result<Vec<Vec<Tensor>>, ArraysError> {
    if !path.is_dir() {
        return Ok(vec![read_inputs(graph, path)?]);
    }
    let fault = |source| ArraysError::Io { path: path.into(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(fault)? {
        let file = entry.map_err(fault)?.path();
        if file.extension().is_some_and(|extension| extension == "npz") {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(ArraysError::Empty { path: path.into() });
    }
    files.iter().map(|file| read_inputs(graph, file)).collect()
}

/// Writes the outputs of `graph`, named as in the model.
pub(super) fn write_outputs(
    graph: &Graph,
    outputs: &[Tensor],
    path: &Path,
) -> Result<(), ArraysError> {
    let fault = |source: WriteNpzError| ArraysError::Write { path: path.into(), source };
    let file =
        File::create(path).map_err(|source| ArraysError::Io { path: path.into(), source })?;
    let mut arrays = NpzWriter::new(file);
    for (&id, output) in graph.outputs.iter().zip(outputs) {
        arrays.add_array(graph.values[id].name.as_str(), output).map_err(fault)?;
    }
    arrays.finish().map_err(fault)?;
    Ok(())
}
