//! A variant: one model at one level by one recipe, as a content-addressed file.
//!
//! The file is a [safetensors](https://huggingface.co/docs/safetensors) container: one tensor per constant, and
//! the graph as JSON in the metadata. It opens with the usual tools, and its parser checks every offset.

mod error;
mod file;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use error::VariantError;
pub use file::FORMAT_VERSION;

use crate::graph::Graph;
use crate::level::Level;

/// A model at a level, ready to be planned for any CPU.
#[derive(Clone, Debug, PartialEq)]
pub struct Variant {
    /// The typed graph.
    pub graph: Graph,
    /// The level that the variant is named after.
    pub level: Level,
    /// The recipe that made it, for example `minmax` or `percentile-99.99`.
    pub recipe: String,
    /// Layers that run at another level than `level`, and why.
    pub exemptions: Vec<Exemption>,
}

/// A layer that a recipe keeps at a higher level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemption {
    /// Name of the node.
    pub node: String,
    /// The level at which it runs.
    pub level: Level,
    /// Why.
    pub reason: String,
}

impl Variant {
    /// An imported graph as it is.
    pub fn fp32(graph: Graph) -> Self {
        Self { graph, level: Level::Fp32, recipe: "direct".to_owned(), exemptions: Vec::new() }
    }

    /// The file: the same bytes for the same variant.
    pub fn to_bytes(&self) -> Vec<u8> {
        file::write(self)
    }

    /// Reads a file that anybody may have made.
    ///
    /// # Errors
    /// Bytes that are no variant, of another format version, or whose graph breaks a rule.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, VariantError> {
        file::read(bytes)
    }

    /// The name of a file: its SHA-256 in lower-case hexadecimal.
    pub fn sha256(bytes: &[u8]) -> String {
        Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
