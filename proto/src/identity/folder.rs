//! The folder of an identity.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use x509_cert::der::pem::LineEnding;

use super::certificate::Certificate;
use super::error::IdentityError;
use super::trust::Trust;
use crate::file::replace_file;

/// The private key, which only its owner may read.
pub const KEY_FILE: &str = "key.pem";
/// Its certificate.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// The authorities to believe.
pub const AUTHORITIES_FILE: &str = "authorities.pem";
/// A list of revoked certificates of each of them.
pub const REVOKED_FILE: &str = "revoked.pem";

/// A key, its certificate, and whom to believe.
#[derive(Debug)]
pub struct Identity {
    /// The private key.
    pub key: PrivateKeyDer<'static>,
    /// Its certificate.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whom to believe.
    pub trust: Trust,
}

impl Identity {
    /// Reads the folder of an identity.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn load(folder: &Path) -> Result<Self, IdentityError> {
        let key_path = folder.join(KEY_FILE);
        let key_text = read(&key_path)?;
        let mode = fs::metadata(&key_path).map_err(fault(&key_path))?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(IdentityError::Exposed { path: key_path });
        }
        let key = PrivateKeyDer::from_pem_slice(key_text.as_bytes());
        let key = key.map_err(|error| content(&key_path, &error))?;
        let path = folder.join(CERTIFICATE_FILE);
        let chain =
            read_pem::<CertificateDer<'static>>(&path.display().to_string(), &read(&path)?)?;
        if chain.is_empty() {
            return Err(content(&path, &"it holds no certificate"));
        }
        let authorities = read(&folder.join(AUTHORITIES_FILE))?;
        let trust = Trust::from_pem(&authorities, &read(&folder.join(REVOKED_FILE))?)?;
        Ok(Self { key, chain, trust })
    }

    /// What its certificate says.
    ///
    /// # Errors
    /// When it is none.
    pub fn certificate(&self) -> Result<Certificate, IdentityError> {
        Certificate::from_der(CERTIFICATE_FILE, &self.chain[0])
    }

    /// The latest date that an authority has signed in any of it.
    pub fn newest_date(&self) -> UnixTime {
        let own = self.certificate().map(|certificate| certificate.not_before());
        let newest = self.trust.newest_date();
        own.map_or(newest, |own| own.max(newest))
    }

    /// Checks a certificate that is to take the place of the one here: it is for the same key and the same holder.
    ///
    /// # Errors
    /// When it is not.
    pub fn check_renewal(&self, pem: &str) -> Result<(), IdentityError> {
        let what = "the new certificate";
        let chain = read_pem::<CertificateDer<'static>>(what, pem)?;
        let first = chain.first().ok_or_else(|| IdentityError::content(what, "it is empty"))?;
        let (new, own) = (Certificate::from_der(what, first)?, self.certificate()?);
        if !new.same_key(&own) {
            return Err(IdentityError::content(what, "it belongs to another key"));
        }
        if new.subject() != own.subject() {
            return Err(IdentityError::content(what, "it names somebody else"));
        }
        Ok(())
    }
}

/// All objects of one kind in a PEM text; `what` names it in errors.
///
/// # Errors
/// When it is not PEM.
pub fn read_pem<T: PemObject>(what: &str, text: &str) -> Result<Vec<T>, IdentityError> {
    let all: Result<Vec<T>, _> = T::pem_slice_iter(text.as_bytes()).collect();
    all.map_err(|error| IdentityError::content(what, error.to_string()))
}

/// One object as PEM.
pub fn encode_pem(label: &str, der: &[u8]) -> String {
    // It fails for labels and lengths that nobody writes.
    x509_cert::der::pem::encode_string(label, LineEnding::LF, der).unwrap_or_default()
}

/// Replaces a file at once, so that nobody reads half of it. It is private to its owner.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, text: &str) -> Result<(), IdentityError> {
    replace_file(path, text.as_bytes(), 0o600).map_err(fault(path))
}

/// Replaces in the folder of an identity whom to believe.
///
/// # Errors
/// When a file cannot be written.
pub fn write_trust(folder: &Path, authorities: &str, revoked: &str) -> Result<(), IdentityError> {
    let lists = folder.join(REVOKED_FILE);
    let known = fs::read_to_string(&lists).unwrap_or_default();
    // At every moment there is a list of each authority that the other file names.
    write_file(&lists, &format!("{revoked}\n{known}"))?;
    write_file(&folder.join(AUTHORITIES_FILE), authorities)?;
    write_file(&lists, revoked)
}

fn read(path: &Path) -> Result<String, IdentityError> {
    fs::read_to_string(path).map_err(fault(path))
}

fn fault(path: &Path) -> impl Fn(std::io::Error) -> IdentityError + '_ {
    |error| IdentityError::Io { path: path.to_owned(), error }
}

fn content(path: &Path, detail: &dyn ToString) -> IdentityError {
    IdentityError::content(path.display().to_string(), detail.to_string())
}
