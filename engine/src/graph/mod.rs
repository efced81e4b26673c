//! The intermediate representation: a graph of typed values and a closed set of operators.
//!
//! An imported model is a [`Graph`] whose values are all [`Encoding::F32`] (plus `I32` constants). A quantized
//! model is the same kind of graph with other encodings and explicit [`Op::Convert`] nodes between them.
//! Activations are in NHWC order.

mod encoding;
mod error;
pub mod fuse;
mod op;
mod shape;
mod stats;
mod types;
mod validate;

pub use encoding::{Constant, ConstantData, Encoding, grouped};
pub use error::GraphError;
pub use op::{Activation, BinaryOp, Op, Padding, ReduceOp, UnaryOp, Window};
pub use shape::{MAX_ELEMENTS, broadcast, checked_elements, infer};
pub use types::{Graph, Node, Value, ValueId};
