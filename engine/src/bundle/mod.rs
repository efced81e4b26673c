//! A bundle: one file with all that a board needs to run a pipeline as it was chosen and checked.
//!
//! The file is a tar archive (POSIX.1-2001 ustar) that opens with the usual tools: `tar xf`, then `sha256sum -c SHA256SUMS`.
//! Equal content makes equal bytes, and only those bytes are taken: an archive of which a bit was changed anywhere is refused.

mod archive;
mod error;
mod manifest;
mod runner;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use error::BundleError;
pub use manifest::{FORMAT_VERSION, Manifest, Provenance, Stage};
pub use runner::{FrameError, Runner, StageRun};

use crate::variant::Variant;

/// The member that describes the others.
const MANIFEST: &str = "bundle.json";

/// What runs, and whatever its maker wants to travel with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// What it is.
    pub manifest: Manifest,
    /// Files of variants by their SHA-256.
    pub variants: BTreeMap<String, Vec<u8>>,
    /// Other files by name (the pipeline's description, the certificate): kept, and not looked at.
    pub documents: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// The file: the same bytes for the same bundle.
    ///
    /// # Errors
    /// When the manifest and the variants do not belong together, or a document's name cannot stand in an archive.
    pub fn to_bytes(&self) -> Result<Vec<u8>, BundleError> {
        self.manifest.check()?;
        let mut members = BTreeMap::new();
        for (name, bytes) in &self.documents {
            if name == MANIFEST || name.contains('/') {
                return Err(BundleError::Name { name: name.clone() });
            }
            members.insert(name.clone(), bytes.clone());
        }
        for stage in &self.manifest.stages {
            let digest = &stage.variant_sha256;
            let variant = self.variants.get(digest);
            let variant = variant.ok_or_else(|| BundleError::missing(&variant_name(digest)))?;
            members.insert(variant_name(digest), variant.clone());
        }
        members.insert(MANIFEST.to_owned(), self.manifest.to_json()?);
        archive::write(&members)
    }

    /// Reads a file that anybody may have made.
    ///
    /// # Errors
    /// Bytes that are no bundle, of another format version, changed since they were made, or that lack a part.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BundleError> {
        let mut members = archive::read(bytes)?;
        let manifest = members.remove(MANIFEST).ok_or_else(|| BundleError::missing(MANIFEST))?;
        let manifest = Manifest::from_json(&manifest)?;
        let mut variants = BTreeMap::new();
        for stage in &manifest.stages {
            let digest = &stage.variant_sha256;
            if variants.contains_key(digest) {
                continue;
            }
            let name = variant_name(digest);
            let file = members.remove(&name).ok_or_else(|| BundleError::missing(&name))?;
            if Variant::sha256(&file) != *digest {
                return Err(BundleError::Digest { name });
            }
            variants.insert(digest.clone(), file);
        }
        let bundle = Self { manifest, variants, documents: members };
        // What no checksum covers (padding, times, owners) must be as it is written.
        if bundle.to_bytes()? == bytes { Ok(bundle) } else { Err(BundleError::Altered) }
    }
}

/// Where a variant lies in the archive.
fn variant_name(sha256: &str) -> String {
    format!("variants/{sha256}")
}
