//! Evaluations that fail.

use quantrack_engine::plan::{PlanError, RunError};
use quantrack_engine::quantize::QuantizeError;
use quantrack_engine::variant::VariantError;

use crate::dataset::DatasetError;
use crate::exit::Failure;
use crate::metric::ExternalError;
use crate::store::StoreError;
use crate::variants::ModelError;
use quantrack_engine::glue::GlueError;

/// Why accuracy could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Images or labels.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// A model file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A variant that is damaged.
    #[error("failed to read a variant; delete it from the store to have it built again")]
    Variant(#[from] VariantError),
    /// A model that has no fp32 variant.
    #[error("failed to make the fp32 variant")]
    Quantize(#[from] QuantizeError),
    /// A variant that does not run here.
    #[error("failed to plan a variant")]
    Plan(#[from] PlanError),
    /// Glue that does not fit the stage's model or data.
    #[error("failed to connect the stage {stage}")]
    Glue {
        /// The stage.
        stage: String,
        /// Why.
        #[source]
        source: GlueError,
    },
    /// Inputs that do not fit.
    #[error("failed to run the stage {stage}")]
    Run {
        /// The stage.
        stage: String,
        /// Why.
        #[source]
        source: RunError,
    },
    /// A metric for something else than what is found.
    #[error(
        "the metric {name} does not judge the stage {stage}, which finds {found}; name one that does {place}: {known}, or a \
         command"
    )]
    Unfit {
        /// The stage.
        stage: String,
        /// The name of the metric.
        name: String,
        /// What the stage finds.
        found: &'static str,
        /// Where the metric is to be named.
        place: &'static str,
        /// What there is.
        known: String,
    },
    /// Samples that are tensors, and a stage that wants an image.
    #[error(
        "the stage {stage} looks at an image, but [data] has tensors; give it the glue tensor or classifier, or name images"
    )]
    NoImage {
        /// The stage.
        stage: String,
    },
    /// A metric that gave no number.
    #[error(
        "the metric {metric} gives {value} for {sample}, which is no finite number; take the sample out, or report this"
    )]
    NotFinite {
        /// The metric.
        metric: String,
        /// What it gave.
        value: f64,
        /// The sample.
        sample: String,
    },
    /// A program of the user's that gives no scores.
    #[error(
        "failed to score the stage {stage} with `{command}`; what was evaluated before is kept"
    )]
    External {
        /// The stage.
        stage: String,
        /// The command.
        command: String,
        /// Why.
        #[source]
        source: ExternalError,
    },
    /// A search for which images must be right or wrong.
    #[error(
        "a search proves its answer by counting right images, and {metric} counts none; say from which value on an image is \
         right with right-from under [accuracy]"
    )]
    NoCount {
        /// The metric.
        metric: String,
    },
    /// Labels that no image can get.
    #[error(
        "the label {label:?} of {file} is none of the pipeline's classes ({classes}); correct it or drop the row"
    )]
    Label {
        /// The label.
        label: String,
        /// The image.
        file: String,
        /// The classes.
        classes: String,
    },
    /// The journal.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Threads.
    #[error("failed to start the threads that evaluate")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        match error {
            EvaluateError::Store(error) => error.into(),
            EvaluateError::Threads(_) => Self::lab(error),
            _ => Self::usage(error),
        }
    }
}
