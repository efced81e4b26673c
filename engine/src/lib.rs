//! Neural-network inference at several quantization levels, for small ARM boards and their host.
//!
//! The path of a model through this crate:
//!
//! ```text
//! bytes ──model::import──▶ Graph (all fp32) ──quantize──▶ Variant (typed graph at a level)
//!       ──plan::Plan::new──▶ Plan (kernels selected, weights packed, arena laid out) ──plan::Session──▶ outputs
//! ```
//!
//! * [`graph`] is the one intermediate representation. Each value says how its numbers are stored
//!   ([`graph::Encoding`]); an operator's arithmetic follows from the encodings of its operands, so a quantized
//!   model is an ordinary typed graph, and nothing quantized is ever simulated in floating point.
//! * [`kernels`] is the only place with `unsafe` (but for following FlatBuffers offsets that the verifier has
//!   checked, in the schema of [`model::tflite`]); every kernel stands in one registry.
//! * [`oracle`] runs an fp32 graph as its definition reads: everything faster is tested against it.
//! * [`mod@bench`] lists the layers that benchmarks time.
//! * [`vision`] is the arithmetic between vision models (letterbox, decoding, crops, landmarks, features), and [`glue`]
//!   what makes a stage's inputs with it and reads its outputs.
//! * [`bundle`] is a chosen pipeline in one file, and what runs it.
//! * Integer results are bit-identical on every ISA; fp32 kernels accumulate with fused multiply-add in one
//!   defined order, so they agree bit for bit as well.
//!
//! The crate takes bytes and slices and returns values. It opens no files or sockets, reads no clock and no
//! environment, and starts no threads: callers pass a [`Pool`].

pub mod bench;
pub mod bundle;
pub mod glue;
pub mod graph;
pub mod kernels;
pub mod level;
pub mod model;
pub mod oracle;
pub mod plan;
pub mod pool;
pub mod quantize;
pub mod variant;
pub mod vision;

pub use bundle::Bundle;
pub use level::Level;
pub use pool::{Pool, RayonPool, Serial};
pub use variant::Variant;

/// A dense fp32 tensor as callers see it: model inputs and outputs, calibration samples.
pub type Tensor = ndarray::ArrayD<f32>;
