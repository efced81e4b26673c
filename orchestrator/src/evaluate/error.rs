//! Evaluations that fail.

use quantrack_engine::plan::{PlanError, RunError};
use quantrack_engine::quantize::QuantizeError;
use quantrack_engine::variant::VariantError;

use crate::dataset::DatasetError;
use crate::exit::Failure;
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
    /// The last stage names no class.
    #[error(
        "the last stage, {stage}, gives {found} instead of a class; end the pipeline with a classifier"
    )]
    NoClass {
        /// The stage.
        stage: String,
        /// What it gives.
        found: &'static str,
    },
    /// A metric that does not exist.
    #[error("unknown {what} metric {name:?}; use {known}")]
    Metric {
        /// Whose metric.
        what: String,
        /// The name in the pipeline file.
        name: String,
        /// What there is.
        known: String,
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
