//! From a pipeline's model files to variants: import, calibrate, quantize; each built once and kept by content.

mod build;
mod key;
mod model_file;

use std::fmt;

pub use build::{BuildError, Building, CalibrationSource, build, calibrate};
pub use key::BuildInputs;
pub use model_file::{ModelError, ModelFile};

use crate::store::VariantRecord;

/// A variant of a pipeline's stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageVariant {
    /// Name of the stage.
    pub stage: String,
    /// The variant.
    pub record: VariantRecord,
}

impl fmt::Display for StageVariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.stage, self.record.level, self.record.recipe)
    }
}
