//! Calibration, quantized weights and recipes: from an imported graph to a variant.
//!
//! A recipe never looks at labels, and the same inputs in the same order give the same variant.

mod calibrate;
mod correct;
mod encodings;
mod equalize;
mod error;
mod float;
mod gptq;
mod imported;
mod integer;
mod mixed;
mod moments;
mod noise;
mod range;
mod ranges;
mod recipe;
mod rewrite;
mod roles;
mod samples;
mod sign;
mod sign_fit;
mod weights;

pub use calibrate::{Calibration, Calibrator, ValueStats};
pub use error::{CalibrateError, QuantizeError};
pub use noise::{LayerNoise, noise_along};
pub use recipe::{Range, Recipe, Scheme, UnknownRecipe, default_recipe, recipes_of};

use crate::Level;
use crate::graph::{Graph, fuse};
use crate::variant::Variant;

/// Changes whenever a recipe makes another variant of the same model and calibration than before.
const REVISION: u32 = 9;

/// Identifies what makes variants: part of the key under which a variant is kept, so that none is taken for that of
/// another quantizer or file format.
pub fn quantizer_build() -> String {
    let (version, format) = (env!("CARGO_PKG_VERSION"), crate::variant::FORMAT_VERSION);
    format!("{version}-q{REVISION}-f{format}")
}

/// Makes the variant of an imported `graph` at `level` by `recipe`.
///
/// # Errors
/// A recipe of another level, or one that needs a calibration when none is given (or one of another
/// graph).
pub fn quantize(
    graph: &Graph,
    level: Level,
    recipe: &Recipe,
    calibration: Option<&Calibration>,
) -> Result<Variant, QuantizeError> {
    recipe.check(level)?;
    let needed = || {
        let calibration = calibration.ok_or(QuantizeError::NoCalibration { level })?;
        if calibration.values.len() == prepare(graph).values.len() {
            Ok(calibration)
        } else {
            Err(QuantizeError::OtherCalibration)
        }
    };
    let fused = prepare(graph);
    let variant = match level {
        Level::Fp32 => Variant::fp32(fused),
        Level::Fp16 => float::half(fused),
        Level::Bin1 if *recipe == Recipe::Imported => imported::quantize(fused),
        Level::Int8 | Level::Int4 | Level::Int2 | Level::Bin1 => {
            integer::quantize(fused, level, recipe, needed()?)?
        }
    };
    variant.graph.validate()?;
    Ok(Variant { recipe: recipe.to_string(), ..variant })
}

/// The graph that calibration observes and recipes rewrite: fused, dead nodes removed.
fn prepare(graph: &Graph) -> Graph {
    fuse::optimize(graph.clone())
}
