//! What can go wrong between a variant and its results.

use crate::graph::GraphError;

/// A variant that cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The graph breaks a rule of the representation.
    #[error("the variant's graph is not valid: {0}")]
    Graph(#[from] GraphError),
    /// No operator computes this node with the encodings that it has.
    #[error("node {name} ({op}) cannot run: {reason}; make the variant again with this version")]
    Unsupported {
        /// The node.
        name: String,
        /// Its operator.
        op: String,
        /// Why not.
        reason: String,
    },
}

/// Inputs that a session cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// Too few or too many.
    #[error("the model has {expected} inputs ({names}), but {got} were given")]
    InputCount {
        /// How many there are.
        expected: usize,
        /// Their names.
        names: String,
        /// How many were given.
        got: usize,
    },
    /// Another shape.
    #[error("input {name} has shape {expected:?}, but {got:?} was given")]
    InputShape {
        /// Its name.
        name: String,
        /// Its shape.
        expected: Vec<usize>,
        /// The shape that was given.
        got: Vec<usize>,
    },
}
