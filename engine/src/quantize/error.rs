//! What can go wrong on the way to a variant.

use crate::Level;
use crate::graph::GraphError;
use crate::plan::{PlanError, RunError};

use super::recipe::UnknownRecipe;

/// Samples that cannot calibrate.
#[derive(Debug, thiserror::Error)]
pub enum CalibrateError {
    /// No sample was observed.
    #[error("no calibration sample was given; name a folder with at least one readable image")]
    Empty,
    /// A sample drives a value out of the numbers.
    #[error(
        "calibration sample {sample} makes {value} not finite; leave the sample out or check the model"
    )]
    NotFinite {
        /// Which sample, counted from 0.
        sample: usize,
        /// Name of the value.
        value: String,
    },
    /// The graph cannot be planned.
    #[error("failed to run the model for calibration: {0}")]
    Plan(#[from] PlanError),
    /// The sample does not fit the model.
    #[error("failed to run the model for calibration: {0}")]
    Run(#[from] RunError),
}

/// A variant that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum QuantizeError {
    /// A recipe of another level.
    #[error("recipe {recipe} does not reach level {level}; use one of {known}")]
    WrongRecipe {
        /// The recipe.
        recipe: String,
        /// The level.
        level: Level,
        /// Recipes that do.
        known: String,
    },
    /// The recipe's name cannot be read.
    #[error(transparent)]
    UnknownRecipe(#[from] UnknownRecipe),
    /// The level needs calibration samples.
    #[error("level {level} needs calibration samples; name a folder of images or tensors")]
    NoCalibration {
        /// The level.
        level: Level,
    },
    /// The calibration is that of another graph.
    #[error("the calibration belongs to another model; calibrate this one")]
    OtherCalibration,
    /// The calibration samples cannot be run again.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// The result breaks a rule: a fault of this crate.
    #[error("the recipe made an invalid graph: {0}")]
    Graph(#[from] GraphError),
}
