//! What can be wrong with a graph.

/// A graph that breaks the rules of the representation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node {node} ({name}): {reason}")]
pub struct GraphError {
    /// Index of the node.
    pub node: usize,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
}
