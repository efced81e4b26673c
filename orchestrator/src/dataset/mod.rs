//! Labelled images: a folder and a CSV file, checked before anything is computed.

mod decode;
mod error;
mod images;
mod labels;
mod split;

pub use decode::{DecodeError, decode};
pub use error::DatasetError;
pub use images::{Dataset, Sample, spread};
pub use labels::{HandBox, LabelRow, read_labels};
pub use split::Portion;
