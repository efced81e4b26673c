//! What can be wrong with a pipeline file.

use std::path::PathBuf;

/// A pipeline that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// Neither a built-in name nor a file.
    #[error(
        "no pipeline {name:?}: there is no such file, and the built-in pipelines are {}",
        builtin.join(", ")
    )]
    NotFound {
        /// As given.
        name: String,
        /// Names of the built-in pipelines.
        builtin: Vec<&'static str>,
    },
    /// The file is there, but cannot be read.
    #[error("failed to read the pipeline {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something in the text is wrong.
    #[error("{file}:{line}:{column}: {message}\n    |\n{line:>3} | {text}\n    |")]
    At {
        /// Name of the file.
        file: String,
        /// Line, counted from 1.
        line: usize,
        /// Column in characters, counted from 1.
        column: usize,
        /// What is wrong, and what to do.
        message: String,
        /// The whole line.
        text: String,
    },
}

/// A pipeline file under examination: makes errors that point at a place in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// An error at byte `offset` of the text.
    pub(super) fn error(&self, offset: usize, message: impl Into<String>) -> SpecError {
        let offset = (0..=offset.min(self.text.len()))
            .rev()
            .find(|&at| self.text.is_char_boundary(at))
            .unwrap_or(0);
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SpecError::At {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message: message.into(),
            text: self.text[start..].lines().next().unwrap_or_default().to_owned(),
        }
    }

    /// What the TOML reader found, with the closest known key where a key is unknown.
    pub(super) fn toml_error(&self, error: &toml::de::Error) -> SpecError {
        let mut message = error.message().trim_end().to_owned();
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let unknown =
            message.starts_with("unknown field") || message.starts_with("unknown variant");
        if let (true, [word, known @ ..]) = (unknown, quoted.as_slice())
            && let Some(close) = closest(word, known.iter().copied())
        {
            message = format!("{message}; did you mean `{close}`?");
        }
        self.error(error.span().map_or(0, |span| span.start), message)
    }
}

/// The candidate most like `word`, if any is close.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
