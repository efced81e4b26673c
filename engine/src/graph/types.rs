//! Values, nodes and the graph.

use crate::Level;

use super::{Constant, Encoding, Op};

/// Index of a value in [`Graph::values`].
pub type ValueId = usize;

/// A tensor of the graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    /// The name in the source model, unique within the graph.
    pub name: String,
    /// Extent of each axis; every extent is at least 1.
    pub shape: Vec<usize>,
    /// How the elements are stored. For constants the encoding of `constant.data` (`Int8` constants carry their
    /// scales in the constant; their `Encoding` is `Int8 { scale: 1.0, zero_point: 0 }`).
    pub encoding: Encoding,
    /// The elements, when they are known before the model runs.
    pub constant: Option<Constant>,
}

impl Value {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }
}

/// One operator applied to values.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// A name for people: that of the first result in the source model.
    pub name: String,
    /// The operator.
    pub op: Op,
    /// Operands in the order that [`Op`] documents.
    pub inputs: Vec<ValueId>,
    /// Results.
    pub outputs: Vec<ValueId>,
    /// The level at which the node computes.
    pub level: Level,
}

/// A model: values, and nodes in an order in which they can run.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Graph {
    /// All tensors.
    pub values: Vec<Value>,
    /// Operators; each comes after those whose results it reads.
    pub nodes: Vec<Node>,
    /// The model's inputs, in the order of the source model, unused ones included.
    pub inputs: Vec<ValueId>,
    /// The model's outputs, in the order of the source model.
    pub outputs: Vec<ValueId>,
}
