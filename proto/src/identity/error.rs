//! What can be wrong with certificates that lie on a disk or are sent.

use std::path::PathBuf;

/// Why an identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("failed to access {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A file holds something else.
    #[error("{what} is unusable: {detail}")]
    Content {
        /// The file, or what was sent.
        what: String,
        /// Why.
        detail: String,
    },
    /// A key that others may read is not secret.
    #[error("others may read the key {}; make it private: chmod 600 {}", path.display(), path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
    },
    /// A name that cannot stand in a certificate.
    #[error(
        "{name:?} cannot be the name of a board or a client: up to 63 lower-case letters, digits and hyphens, a letter or \
         a digit first and last"
    )]
    Name {
        /// The name.
        name: String,
    },
}

impl IdentityError {
    pub(super) fn content(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Content { what: what.into(), detail: detail.into() }
    }
}
