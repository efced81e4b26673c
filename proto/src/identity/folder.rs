//! The folder of an identity.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime};

use x509_cert::der::pem::LineEnding;

use super::certificate::Certificate;
use super::error::IdentityError;
use super::revocation::RevocationList;
use crate::file::replace_file;

/// The private key, which only its owner may read.
pub const KEY_FILE: &str = "key.pem";
/// Its certificate.
pub const CERTIFICATE_FILE: &str = "certificate.pem";
/// The authorities to believe.
pub const AUTHORITIES_FILE: &str = "authorities.pem";
/// A list of revoked certificates of each of them.
pub const REVOKED_FILE: &str = "revoked.pem";

/// Whom to believe.
#[derive(Clone, Debug)]
pub struct Trust {
    authorities: Vec<CertificateDer<'static>>,
    lists: Vec<CertificateRevocationListDer<'static>>,
    newest: UnixTime,
}

impl Trust {
    /// Reads authorities and their lists, of which each must have one.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn from_pem(authorities: &str, revoked: &str) -> Result<Self, IdentityError> {
        let authorities = read_pem::<CertificateDer<'static>>(AUTHORITIES_FILE, authorities)?;
        let all_lists = read_pem::<CertificateRevocationListDer<'static>>(REVOKED_FILE, revoked)?;
        if authorities.is_empty() {
            return Err(IdentityError::content(AUTHORITIES_FILE, "it holds no certificate"));
        }
        let mut newest = UnixTime::since_unix_epoch(std::time::Duration::ZERO);
        let mut lists = Vec::new();
        for der in &authorities {
            let authority = Certificate::from_der(AUTHORITIES_FILE, der)?;
            let mut latest: Option<(UnixTime, &CertificateRevocationListDer<'static>)> = None;
            for list_der in &all_lists {
                let list = RevocationList::from_der(REVOKED_FILE, list_der)?;
                let later = latest.as_ref().is_none_or(|(time, _)| *time < list.signed_at());
                if later && list.is_signed_by(&authority) {
                    latest = Some((list.signed_at(), list_der));
                }
            }
            let none = || {
                let detail = format!("it has no list that {} has signed", authority.name());
                IdentityError::content(REVOKED_FILE, detail)
            };
            let (signed_at, list) = latest.ok_or_else(none)?;
            newest = newest.max(signed_at).max(authority.not_before());
            lists.push(list.clone());
        }
        Ok(Self { authorities, lists, newest })
    }

    /// The authorities, for a verifier.
    ///
    /// # Errors
    /// When one of them cannot be one.
    pub fn roots(&self) -> Result<RootCertStore, IdentityError> {
        let mut roots = RootCertStore::empty();
        for authority in &self.authorities {
            let added = roots.add(authority.clone());
            added.map_err(|error| IdentityError::content(AUTHORITIES_FILE, error.to_string()))?;
        }
        Ok(roots)
    }

    /// The authorities.
    pub fn authorities(&self) -> &[CertificateDer<'static>] {
        &self.authorities
    }

    /// The list of each authority.
    pub fn lists(&self) -> Vec<CertificateRevocationListDer<'static>> {
        self.lists.clone()
    }

    /// The list of each authority, as in a file.
    pub fn lists_pem(&self) -> String {
        let encode = |list: &CertificateRevocationListDer<'_>| encode_pem("X509 CRL", list);
        self.lists.iter().map(encode).collect()
    }

    /// Whether an authority that both believe has signed a later list in `known`.
    ///
    /// # Errors
    /// When lists cannot be read.
    pub fn is_older_than(&self, known: &Self) -> Result<bool, IdentityError> {
        for list in &self.lists {
            let list = RevocationList::from_der(REVOKED_FILE, list)?;
            for (der, other) in known.authorities.iter().zip(&known.lists) {
                let other = RevocationList::from_der(REVOKED_FILE, other)?;
                let authority = Certificate::from_der(AUTHORITIES_FILE, der)?;
                if list.signed_at() < other.signed_at() && list.is_signed_by(&authority) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The latest date that an authority has put its signature under: it cannot be earlier now.
    pub fn newest_date(&self) -> UnixTime {
        self.newest
    }

    /// Whether one of the authorities has signed `list`, and later than what is here.
    fn would_learn(&self, list: &RevocationList) -> Result<bool, IdentityError> {
        for (der, known) in self.authorities.iter().zip(&self.lists) {
            let known = RevocationList::from_der(REVOKED_FILE, known)?;
            let authority = Certificate::from_der(AUTHORITIES_FILE, der)?;
            if list.signed_at() > known.signed_at() && list.is_signed_by(&authority) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps in the folder of an identity, whose trust this is, what is later in lists that somebody sends; lists of others than
    /// its authorities stay out. Says whether there was something.
    ///
    /// # Errors
    /// When they are no lists, or the file cannot be written.
    pub fn learn(&self, revoked: &str, folder: &Path) -> Result<bool, IdentityError> {
        let news = self.would_learn_from(revoked)?;
        if news {
            write_file(&folder.join(REVOKED_FILE), &self.merged_with(revoked)?.lists_pem())?;
        }
        Ok(news)
    }

    /// The later list of each authority, from here and from what somebody sends.
    ///
    /// # Errors
    /// When they are no lists.
    fn merged_with(&self, revoked: &str) -> Result<Self, IdentityError> {
        let encode = |der: &CertificateDer<'_>| encode_pem("CERTIFICATE", der);
        let authorities: String = self.authorities.iter().map(encode).collect();
        Self::from_pem(&authorities, &format!("{revoked}\n{}", self.lists_pem()))
    }

    /// Whether the list of its authority names this certificate.
    ///
    /// # Errors
    /// When lists cannot be read.
    pub fn revokes(&self, certificate: &Certificate) -> Result<bool, IdentityError> {
        for (der, list) in self.authorities.iter().zip(&self.lists) {
            let authority = Certificate::from_der(AUTHORITIES_FILE, der)?;
            let list = RevocationList::from_der(REVOKED_FILE, list)?;
            if authority.name() == certificate.issuer() && list.revokes(certificate) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether lists that somebody sends hold news: a later list of an authority that is believed here.
    ///
    /// # Errors
    /// When they are no lists.
    fn would_learn_from(&self, revoked: &str) -> Result<bool, IdentityError> {
        for der in read_pem::<CertificateRevocationListDer<'static>>("the lists", revoked)? {
            if self.would_learn(&RevocationList::from_der("a list", &der)?)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

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
        own.map_or(self.trust.newest, |own| own.max(self.trust.newest))
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
