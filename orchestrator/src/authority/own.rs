//! The identity of the person at this machine.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use quantrack_proto::identity::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, REVOKED_FILE, write_file,
};

use super::error::AuthorityError;
use super::keeper::Credentials;

/// Where the identity of whoever runs this program is, unless an option says otherwise.
pub fn identity_folder() -> Option<PathBuf> {
    xdg("XDG_CONFIG_HOME", ".config").map(|config| config.join("quantrack/identity"))
}

/// A name for whoever runs this program, as it can stand in a certificate.
pub fn own_name() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let user = user.unwrap_or_default().to_ascii_lowercase();
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
    let revoked = folder.join(REVOKED_FILE);
    let known = fs::read_to_string(&revoked).unwrap_or_default();
    if let Some(key) = &credentials.key {
        write_file(&folder.join(KEY_FILE), key)?;
    }
    write_file(&folder.join(CERTIFICATE_FILE), &credentials.certificate)?;
    // At every moment there is a list of each authority that the other file names.
    write_file(&revoked, &format!("{}\n{known}", credentials.revoked))?;
    write_file(&folder.join(AUTHORITIES_FILE), &credentials.authorities)?;
    write_file(&revoked, &credentials.revoked)?;
    Ok(())
}

/// An XDG directory.
pub(super) fn xdg(variable: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(below_home)))
}
