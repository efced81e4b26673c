/// Why a step between models did not give a result. Messages complete "failed to …: ".
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum VisionError {
    /// A tensor or an image with another number of elements than its shape asks for.
    #[error("{what} has {found} elements, not {expected}")]
    Length {
        /// Which tensor.
        what: &'static str,
        /// How many elements it should have.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// An infinity or not a number.
    #[error("element {index} of {what} is not finite")]
    NotFinite {
        /// Which tensor.
        what: &'static str,
        /// The first such element.
        index: usize,
    },
    /// A side of an image, in pixels, that is zero or too large.
    #[error("{what} is {found} pixels, not 1 to {largest}")]
    Side {
        /// Which side of what.
        what: &'static str,
        /// Its length in pixels.
        found: usize,
        /// The largest length that is accepted.
        largest: usize,
    },
    /// A square that has no area, or lies so far from any image that its corners cannot be computed with.
    #[error("a square of side {side} about ({x}, {y}) cannot be cropped")]
    Square {
        /// The side in image pixels.
        side: f64,
        /// The centre's x in image pixels.
        x: f64,
        /// The centre's y in image pixels.
        y: f64,
    },
    /// Too few points, or points that do not differ, where a size is needed.
    #[error("{what} has no extent to divide by")]
    NoExtent {
        /// What should have an extent.
        what: &'static str,
    },
}

/// Fails unless `values` has `expected` elements, all finite.
pub(super) fn check(
    what: &'static str,
    values: &[f32],
    expected: usize,
) -> Result<(), VisionError> {
    if values.len() != expected {
        return Err(VisionError::Length { what, expected, found: values.len() });
    }
    check_finite(what, values.iter().map(|&value| f64::from(value)))
}

/// Fails at the first of `values` that is not finite.
pub(super) fn check_finite(
    what: &'static str,
    values: impl IntoIterator<Item = f64>,
) -> Result<(), VisionError> {
    match values.into_iter().position(|value| !value.is_finite()) {
        Some(index) => Err(VisionError::NotFinite { what, index }),
        None => Ok(()),
    }
}

/// Fails unless 1 ≤ `found` ≤ `largest`.
pub(super) fn check_side(
    what: &'static str,
    found: usize,
    largest: usize,
) -> Result<(), VisionError> {
    if (1..=largest).contains(&found) {
        Ok(())
    } else {
        Err(VisionError::Side { what, found, largest })
    }
}
