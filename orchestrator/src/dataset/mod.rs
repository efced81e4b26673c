//! Labelled samples: images or tensors, and a CSV file, checked before anything is computed.

mod decode;
mod error;
mod labels;
mod samples;
mod split;
mod tensors;

pub use decode::{DecodeError, decode};
pub use error::DatasetError;
pub use labels::{HandBox, LabelRow, read_labels};
pub use samples::{Content, Dataset, Sample, spread};
pub use split::Portion;
pub use tensors::{Arrays, TensorError, TensorPlace};
