//! What decides the content of a variant.

use quantrack_engine::Level;
use serde::Serialize;

use crate::digest::hex_digest;

/// Everything that goes into a variant: equal inputs give equal files.
#[derive(Clone, Debug, Serialize)]
pub struct BuildInputs<'a> {
    /// [`quantizer_build`](quantrack_engine::quantize::quantizer_build).
    pub quantizer: &'a str,
    /// Digest of the model file.
    pub model_sha256: &'a str,
    /// The level.
    pub level: Level,
    /// The recipe.
    pub recipe: &'a str,
    /// Digest of the calibration inputs; `None` when the recipe looks at none.
    pub calibration_sha256: Option<&'a str>,
}

impl BuildInputs<'_> {
    /// Key of the variant in the store's cache.
    pub fn key(&self) -> String {
        // Serializing plain strings cannot fail; the fallback would only build once more.
        hex_digest(serde_json::to_string(self).unwrap_or_default().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_input_counts() {
        let inputs = BuildInputs {
            quantizer: "1",
            model_sha256: "m",
            level: Level::Int8,
            recipe: "minmax",
            calibration_sha256: None,
        };
        let keys = [
            inputs.key(),
            BuildInputs { quantizer: "2", ..inputs.clone() }.key(),
            BuildInputs { model_sha256: "n", ..inputs.clone() }.key(),
            BuildInputs { level: Level::Bin1, ..inputs.clone() }.key(),
            BuildInputs { recipe: "percentile-99.99", ..inputs.clone() }.key(),
            BuildInputs { calibration_sha256: Some("c"), ..inputs.clone() }.key(),
        ];
        for (index, key) in keys.iter().enumerate() {
            assert!(!keys[..index].contains(key));
        }
        assert_eq!(keys[0], inputs.key());
    }
}
