//! Files that are no bundles.

use super::FORMAT_VERSION;
use crate::glue::GlueError;
use crate::plan::PlanError;
use crate::variant::VariantError;

/// Why a bundle cannot be read, written or run.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// No archive at all, or a damaged one.
    #[error("it is no bundle, or damaged: the archive cannot be read; copy or export it again")]
    Archive(#[source] std::io::Error),
    /// A part is not there.
    #[error("{name} is missing in it; export the bundle again")]
    Missing {
        /// The member.
        name: String,
    },
    /// A part twice, of another kind than a file, or with a name that is not allowed.
    #[error("it has a member {name:?} that no bundle has; export it again")]
    Name {
        /// The member.
        name: String,
    },
    /// A part that was changed.
    #[error("{name} is not what it was when the bundle was made; copy or export it again")]
    Digest {
        /// The member.
        name: String,
    },
    /// The list of checksums does not name what is there.
    #[error("its list of checksums does not fit its members; copy or export it again")]
    Sums,
    /// Bytes outside all members were changed.
    #[error("bytes between its members were changed since it was made; copy or export it again")]
    Altered,
    /// The description cannot be understood.
    #[error("its description cannot be understood; export it again with this version")]
    Manifest(#[source] serde_json::Error),
    /// Made for another version.
    #[error(
        "it has format {found}, this version takes format {FORMAT_VERSION}; export it again with this version"
    )]
    Format {
        /// What it has.
        found: u32,
    },
    /// The stages do not make a pipeline.
    #[error("its stages make no pipeline: {why}; export it again")]
    Stages {
        /// What is wrong.
        why: String,
    },
    /// A variant cannot be read.
    #[error("the variant of stage {stage} cannot be read")]
    Variant {
        /// Name of the stage.
        stage: String,
        /// Why.
        #[source]
        source: VariantError,
    },
    /// A variant cannot run here.
    #[error("the variant of stage {stage} cannot run on this machine")]
    Plan {
        /// Name of the stage.
        stage: String,
        /// Why.
        #[source]
        source: PlanError,
    },
    /// A stage's glue does not fit its model.
    #[error("the glue of stage {stage} does not fit its model")]
    Glue {
        /// Name of the stage.
        stage: String,
        /// Why.
        #[source]
        source: GlueError,
    },
}

impl BundleError {
    pub(super) fn missing(name: &str) -> Self {
        Self::Missing { name: name.to_owned() }
    }
}
