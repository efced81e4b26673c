//! A variant: one model at one level by one recipe, as a content-addressed file.
//!
//! The file is a [safetensors](https://huggingface.co/docs/safetensors) container: one tensor per constant, and
//! the graph as JSON in the metadata. It opens with the usual tools, and its parser checks every offset.

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
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Exemption {
    /// Name of the node.
    pub node: String,
    /// The level at which it runs.
    pub level: Level,
    /// Why.
    pub reason: String,
}
