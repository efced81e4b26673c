//! Glue that does not fit.

use crate::vision::VisionError;

/// Why a stage's glue cannot do its work.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GlueError {
    /// No such glue.
    #[error("unknown glue {id:?}; use one of {known}")]
    Unknown {
        /// The name in the pipeline file.
        id: String,
        /// The names there are.
        known: String,
    },
    /// The model has not the input or output that the glue needs.
    #[error(
        "the glue needs the {wanted}, but the model has {found}; choose the model's own glue, or `tensor`"
    )]
    Port {
        /// What was looked for.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// The stage before found something of another kind.
    #[error(
        "the glue needs {wanted} from the stage before, which gives {found}; check the order of the stages"
    )]
    Previous {
        /// What is needed.
        wanted: &'static str,
        /// What there is.
        found: &'static str,
    },
    /// Parallel stages found what cannot be handed on together.
    #[error(
        "the stages before it are parallel and one of them gives {found}: only tensors can be handed on together; \
         put these stages one after the other in the composition, or give all of them glue that yields tensors"
    )]
    Join {
        /// What one of them gives.
        found: &'static str,
    },
    /// A finding that cannot be compared.
    #[error("findings of different kinds cannot be compared: {0} and {1}")]
    Incomparable(&'static str, &'static str),
    /// An inference returned another number of outputs than the model has.
    #[error("an inference gave {found} outputs instead of {expected}")]
    OutputCount {
        /// How many the model has.
        expected: usize,
        /// How many came.
        found: usize,
    },
    /// Geometry.
    #[error(transparent)]
    Vision(#[from] VisionError),
}
