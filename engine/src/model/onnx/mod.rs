//! ONNX models, from bytes that nobody has vouched for.
//!
//! * `schema` has the fields of the protocol-buffer messages that are needed;
//! * `tensors` decodes constants, from the message or from files beside the model;
//! * `importer` walks the nodes in file order and collects all that are not supported. ONNX puts channels before rows and
//!   columns, the graph behind them: a value is held in the order in which it was computed, and transposed only where
//!   somebody reads it in the other. Inputs and outputs keep the file's order;
//! * `fold` computes what is known beforehand, such as the arithmetic of shapes;
//! * `lower` turns one node into nodes of the graph.
//!
//! Integers that are computed at run time (behind `QuantizeLinear` and in the `QLinear` operators) are held as fp32, which
//! has room for them exactly.

mod fold;
mod importer;
mod lower;
mod node;
pub mod schema;
mod tensors;

pub use importer::{Dimensions, has_external_data, import};
pub use lower::OPERATORS;
