//! Pipeline files: one TOML file says what is tried, on which data, and what must be reached.
//!
//! Reading is strict: unknown keys are errors, and every error points at its line.

mod check;
mod data;
mod error;
mod file;
mod judge;
mod pipeline;

use std::path::Path;

pub use check::TRAINED;
pub use error::SpecError;
pub use pipeline::{Candidate, Data, Measure, Origin, Percentile, Pipeline, SampleSet, Stage};

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
    let built_in = BUILTIN.iter().any(|(builtin, _)| *builtin == name);
    let shown = if built_in { format!("{name}.toml (built in)") } else { name.to_owned() };
    parse(&shown, &text(name)?)
}

/// The text of the pipeline called `name`, as [`load`] reads it.
///
/// # Errors
/// When there is none, or its file cannot be read.
pub fn text(name: &str) -> Result<String, SpecError> {
    if let Some((_, text)) = BUILTIN.iter().find(|(builtin, _)| *builtin == name) {
        return Ok((*text).to_owned());
    }
    std::fs::read_to_string(name).map_err(|source| match source.kind() {
        std::io::ErrorKind::NotFound => SpecError::NotFound {
            name: name.to_owned(),
            builtin: BUILTIN.iter().map(|(name, _)| *name).collect(),
        },
        _ => SpecError::Read { path: Path::new(name).to_owned(), source },
    })
}

/// What the TOML reader found wrong in a file of another kind, with its place.
pub(crate) fn toml_error(file: &str, text: &str, error: &toml::de::Error) -> SpecError {
    error::Source { file, text }.toml_error(error)
}

#[cfg(test)]
mod tests;
