//! Why a file did not become a graph.

use std::fmt;

use crate::graph::GraphError;

/// A model that cannot be imported: what is wrong with it, and what to do.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ImportError {
    /// The bytes are in no format that is known here.
    #[error(
        "the file is no TFLite model (bytes 4 to 7 are not \"TFL3\") and no ONNX model: check that it is complete, and \
         convert other formats to one of these"
    )]
    UnknownFormat,
    /// The container is broken.
    #[error("the file is corrupt or truncated ({0}): fetch or convert it again")]
    Corrupt(String),
    /// A version of the format that is not known.
    #[error(
        "the TFLite schema version is {0}, only 3 is supported: convert the model with a newer tool"
    )]
    SchemaVersion(u32),
    /// A version of ONNX's operators that is not known.
    #[error(
        "the file uses version {0} of ONNX's operators, 7 to 24 are supported: convert it (onnx.version_converter)"
    )]
    OperatorSet(i64),
    /// Control flow, or several models in one file.
    #[error("the file has {0} subgraphs, only 1 is supported: export a single inference function")]
    Subgraphs(usize),
    /// More of something than any sensible model has.
    #[error(
        "the file has {count} {what}, more than the {limit} that are allowed: it is damaged or hostile"
    )]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much.
        count: usize,
        /// How much is allowed.
        limit: usize,
    },
    /// Operators that the engine does not have, all of the file.
    #[error("{}", list(.0))]
    Unsupported(Vec<UnsupportedOp>),
    /// A constant that cannot be read.
    #[error("{0}; fetch or export the model again, with all of its files")]
    Constant(String),
    /// An input or output of the model that cannot be one.
    #[error("the model's inputs and outputs: {0}")]
    Interface(String),
    /// An operator that does not fit its tensors.
    #[error(
        "operator {index} ({name}): {reason}; the file is damaged or its converter is at fault"
    )]
    Operator {
        /// Index in the subgraph.
        index: usize,
        /// Its name in the schema.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The result breaks a rule of the representation.
    #[error("{0}; the file is damaged or its converter is at fault")]
    Graph(#[from] GraphError),
}

/// An operator of the file that the engine cannot run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsupportedOp {
    /// Index in the subgraph.
    pub index: usize,
    /// Its name in the schema, for custom operators the one that the file gives.
    pub name: String,
    /// Its version in the file.
    pub version: i32,
    /// What about it is not supported.
    pub reason: String,
}

impl fmt::Display for UnsupportedOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "operator {} ({} version {}): {}",
            self.index, self.name, self.version, self.reason
        )
    }
}

fn list(ops: &[UnsupportedOp]) -> String {
    let lines: String = ops.iter().map(|op| format!("\n  {op}")).collect();
    let plural = if ops.len() == 1 { "" } else { "s" };
    format!(
        "{} operator{plural} not supported:{lines}\nreplace them in the model, or cut it before the first one",
        ops.len()
    )
}
