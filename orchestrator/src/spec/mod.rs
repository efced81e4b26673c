//! Pipeline files: one TOML file says what is tried, on which data, and what must be reached.
//!
//! Reading is strict: unknown keys are errors, and every error points at its line.

mod check;
mod error;
mod file;
mod pipeline;

use std::path::Path;

pub use check::TRAINED;
pub use error::SpecError;
pub use pipeline::{Candidate, Data, ImageSet, Measure, Percentile, Pipeline, Stage};

/// The pipelines that come with the program: name and text.
pub const BUILTIN: &[(&str, &str)] =
    &[("hand-gesture", include_str!("../../pipelines/hand-gesture.toml"))];

/// Reads a pipeline from text; `file` is its name in messages.
///
/// # Errors
/// [`SpecError::At`] with the place and what is wrong there.
pub fn parse(file: &str, text: &str) -> Result<Pipeline, SpecError> {
    check::pipeline(error::Source { file, text })
}

/// The pipeline called `name`: a built-in one, or a file at that path.
///
/// # Errors
/// See [`SpecError`].
pub fn load(name: &str) -> Result<Pipeline, SpecError> {
    if let Some((name, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return parse(&format!("{name}.toml (built in)"), text);
    }
    match std::fs::read_to_string(name) {
        Ok(text) => parse(name, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(SpecError::NotFound {
            name: name.to_owned(),
            builtin: BUILTIN.iter().map(|(name, _)| *name).collect(),
        }),
        Err(source) => Err(SpecError::Read { path: Path::new(name).to_owned(), source }),
    }
}

#[cfg(test)]
mod tests;
