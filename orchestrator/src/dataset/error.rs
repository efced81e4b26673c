//! Data that cannot be used.

use std::path::PathBuf;

use super::decode::DecodeError;
use super::tensors::TensorError;

/// Why labelled images cannot be used; each says where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// The CSV file cannot be opened.
    #[error("failed to read the labels {}; check --data and [data] of the pipeline", path.display())]
    Labels {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A row that is no CSV.
    #[error("failed to parse {}: make all rows as long as the header, in UTF-8", path.display())]
    Csv {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: csv::Error,
    },
    /// A column that the pipeline names is missing.
    #[error("failed to find the column {column:?} in {}, which has {}; name the right one in [data]", path.display(), found.join(", "))]
    Column {
        /// The file.
        path: PathBuf,
        /// The column.
        column: String,
        /// The columns there are.
        found: Vec<String>,
    },
    /// A row that is complete but wrong.
    #[error("failed to use line {line} of {}: {problem}", path.display())]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, counted from 1.
        line: u64,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Nothing there, or nothing to tell apart.
    #[error("failed to use {}: {problem}", path.display())]
    Degenerate {
        /// The CSV file.
        path: PathBuf,
        /// What is wrong, and what to do.
        problem: String,
    },
    /// Tensors that cannot be used.
    #[error("failed to use the tensors of {}", path.display())]
    Tensors {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: TensorError,
    },
    /// An image that cannot be decoded.
    #[error("failed to decode the image {}; replace it, or take its row out of the labels", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: DecodeError,
    },
}
