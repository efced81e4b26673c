//! Why bytes are not a variant.

use crate::graph::GraphError;

/// Bytes that are not a variant this version can run.
#[derive(Debug, thiserror::Error)]
pub enum VariantError {
    /// The container is damaged, or no safetensors file at all.
    #[error("failed to read the variant: the container is damaged ({0}); upload it again")]
    Container(String),
    /// The container holds no graph.
    #[error("failed to read the variant: this is a safetensors file, but not one of quantrack's")]
    NoGraph,
    /// Another version of the format.
    #[error(
        "failed to read the variant: its format is version {found}, this build reads versions {oldest} to {newest}; \
         make the variant again with the same version of orchestrator and agent"
    )]
    Version {
        /// In the file.
        found: u32,
        /// The first that this build reads.
        oldest: u32,
        /// The last.
        newest: u32,
    },
    /// The description of the graph cannot be read.
    #[error("failed to read the variant: its graph is damaged ({0})")]
    Description(String),
    /// A constant is missing or of another type or size.
    #[error(
        "failed to read the variant: constant {0} is missing, or not as its graph describes it"
    )]
    Constant(String),
    /// The graph breaks a rule.
    #[error("failed to read the variant: {0}")]
    Graph(#[from] GraphError),
}
