//! What can be wrong with a graph.

/// A graph that breaks the rules of the representation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// An operator that does not fit its operands or results.
    #[error("node {node} ({name}): {reason}")]
    Node {
        /// Index of the node.
        node: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// A tensor that contradicts itself.
    #[error("value {value} ({name}): {reason}")]
    Value {
        /// Index of the value.
        value: usize,
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Wrong lists of the model's inputs or outputs.
    #[error("the model's interface: {0}")]
    Interface(String),
}
