//! The identity of the person at this machine.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use quantrack_proto::identity::{CERTIFICATE_FILE, KEY_FILE, write_file, write_trust};

use super::error::AuthorityError;
use super::keeper::Credentials;
use crate::user;

/// Where the identity of whoever runs this program is, unless an option says otherwise.
pub fn identity_folder() -> Option<PathBuf> {
    user::config_folder().map(|config| config.join("identity"))
}

/// A name for whoever runs this program, as it can stand in a certificate.
pub fn own_name() -> String {
    let user = user::name().unwrap_or_default().to_ascii_lowercase();
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = user.chars().map(plain).take(63).collect();
    let name = name.trim_matches('-');
    if name.is_empty() { "keeper".to_owned() } else { name.to_owned() }
}

/// Writes what a board or a client needs into a folder of its own.
///
/// # Errors
/// When it cannot be written.
pub fn save_credentials(folder: &Path, credentials: &Credentials) -> Result<(), AuthorityError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| AuthorityError::Io { path: folder.to_owned(), error })?;
    if let Some(key) = &credentials.key {
        write_file(&folder.join(KEY_FILE), key)?;
    }
    write_file(&folder.join(CERTIFICATE_FILE), &credentials.certificate)?;
    Ok(write_trust(folder, &credentials.authorities, &credentials.revoked)?)
}
