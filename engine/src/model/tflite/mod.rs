//! TFLite models, from bytes that nobody has vouched for.
//!
//! * `schema` verifies the FlatBuffers container and gives access to the fields that are needed;
//! * `tensors` checks shapes and decodes constants (fp16 ones bit for bit into fp32);
//! * `importer` walks the operators in file order, and collects all that are not supported;
//! * `lower` turns one operator into nodes of the graph.
//! * `larq` names the custom operators of one-bit networks, `flexbuffer` reads their parameters;
//! * [`ModelWriter`] makes small models, for tests and tools.

mod builtin;
mod flexbuffer;
mod importer;
mod larq;
mod lower;
mod schema;
mod tensors;
mod window;
mod writer;

pub use builtin::Builtin;
pub use importer::import;
pub use larq::LarqOp;
pub use schema::{
    AddOptions, ConcatenationOptions, Conv2dOptions, DepthwiseConv2dOptions, DivOptions,
    FullyConnectedOptions, GatherOptions, MulOptions, Options, Pool2dOptions, ReducerOptions,
    ResizeBilinearOptions, SoftmaxOptions, StridedSliceOptions, SubOptions, UnpackOptions,
};
pub use writer::{ModelWriter, TensorId};

/// Whether the bytes carry TFLite's file identifier.
pub fn is_tflite(bytes: &[u8]) -> bool {
    bytes.get(4..8) == Some(schema::IDENTIFIER.as_bytes())
}
