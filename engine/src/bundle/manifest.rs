//! What a bundle says of itself.

use serde::{Deserialize, Serialize};

use super::BundleError;
use crate::level::Level;

/// The format that this version writes and takes.
pub const FORMAT_VERSION: u32 = 1;

/// The description of a bundle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The stages, each after those that feed it. At least one; names are unique.
    pub stages: Vec<Stage>,
    /// Where it comes from, and what it was found to do.
    pub provenance: Provenance,
}

/// A stage and what runs in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Its name.
    pub name: String,
    /// Which glue makes its inputs and reads its outputs.
    pub glue: String,
    /// Indices of the stages that feed it; none: it sees the image.
    pub sources: Vec<usize>,
    /// Level of its variant.
    pub level: Level,
    /// Recipe of its variant.
    pub recipe: String,
    /// SHA-256 of its variant's file.
    pub variant_sha256: String,
}

/// Where a bundle comes from, and what it was found to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of quantrack that wrote it.
    pub version: String,
    /// The engine build that was timed.
    pub engine_build: String,
    /// The quantizer build that this version has.
    pub quantizer_build: String,
    /// Fingerprint of the board whose latencies were searched.
    pub board: String,
    /// Threads of the engine when it was timed.
    pub threads: u32,
    /// Which percentile latencies are.
    pub percentile: String,
    /// Predicted latency of the pipeline in microseconds.
    pub predicted_latency_us: f64,
    /// The same with all stages at fp32.
    pub baseline_latency_us: f64,
    /// Right answers end to end, and of how many.
    pub correct: (u64, u64),
    /// The same with all stages at fp32.
    pub baseline_correct: (u64, u64),
    /// SHA-256 of the certificate that says why nothing is better.
    pub certificate_sha256: String,
}

impl Manifest {
    pub(super) fn to_json(&self) -> Result<Vec<u8>, BundleError> {
        let mut json = serde_json::to_vec_pretty(self).map_err(BundleError::Manifest)?;
        json.push(b'\n');
        Ok(json)
    }

    pub(super) fn from_json(bytes: &[u8]) -> Result<Self, BundleError> {
        /// What every format has.
        #[derive(Deserialize)]
        struct Versioned {
            format: u32,
        }
        let Versioned { format } = serde_json::from_slice(bytes).map_err(BundleError::Manifest)?;
        if format != FORMAT_VERSION {
            return Err(BundleError::Format { found: format });
        }
        serde_json::from_slice(bytes).map_err(BundleError::Manifest)
    }

    /// Fails where the stages make no pipeline.
    pub(super) fn check(&self) -> Result<(), BundleError> {
        let wrong = |why: String| Err(BundleError::Stages { why });
        if self.stages.is_empty() {
            return wrong("there are none".to_owned());
        }
        for (index, stage) in self.stages.iter().enumerate() {
            if self.stages[..index].iter().any(|other| other.name == stage.name) {
                return wrong(format!("two are called {}", stage.name));
            }
            if let Some(source) = stage.sources.iter().find(|&&source| source >= index) {
                return wrong(format!(
                    "{} is fed by stage {source}, which is not before it",
                    stage.name
                ));
            }
            let digest = &stage.variant_sha256;
            if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return wrong(format!("{} has no SHA-256 of a variant", stage.name));
            }
        }
        Ok(())
    }
}
