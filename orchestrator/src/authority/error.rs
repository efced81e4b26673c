//! What can go wrong with an authority.

use std::path::PathBuf;

use quantrack_proto::identity::IdentityError;

/// Why the authority could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// There is none.
    #[error("there is no authority in {}; make one with `orchestrator authority init`", folder.display())]
    Missing {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// There is one already.
    #[error(
        "there is an authority in {} already; another one would not be believed by the boards of the first",
        folder.display()
    )]
    Exists {
        /// Where.
        folder: PathBuf,
    },
    /// Nothing says where data goes.
    #[error("neither the XDG directories nor HOME say where keys go; name a folder with {option}")]
    NoFolder {
        /// The option that names it.
        option: &'static str,
    },
    /// A file of it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A file of it.
    #[error("failed to access {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Its record cannot be read.
    #[error("{} is damaged: {detail}; restore it from a backup", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
    /// Signing failed.
    #[error("failed to sign: {0}")]
    Sign(#[from] rcgen::Error),
    /// Nothing has that name or number.
    #[error(
        "nothing that is valid has the name or the serial number {0:?}; `orchestrator authority list` shows what has"
    )]
    Unknown(String),
    /// The identity at hand is not of this authority.
    #[error(
        "the identity in {} is another authority's; name another folder with --identity",
        folder.display()
    )]
    Foreign {
        /// Where.
        folder: PathBuf,
    },
    /// The identity at hand is revoked.
    #[error("the identity in {} is revoked; remove the folder to get a new one", folder.display())]
    Revoked {
        /// Where.
        folder: PathBuf,
    },
    /// A rotation is under way.
    #[error("a rotation is under way; end it first with `orchestrator authority rotate --finish`")]
    Rotating,
    /// No rotation is under way.
    #[error("no rotation is under way; begin one with `orchestrator authority rotate`")]
    NotRotating,
}
