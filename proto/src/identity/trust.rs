//! Whom to believe.

use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::certificate::Certificate;
use super::crypto;
use super::error::IdentityError;
use super::folder::{AUTHORITIES_FILE, REVOKED_FILE, encode_pem, read_pem, write_file};
use super::revocation::RevocationList;

/// Whom to believe: authorities, and the list of each.
#[derive(Clone, Debug)]
pub struct Trust(Vec<Believed>);

/// An authority and its list, as they were sent and as they were read.
#[derive(Clone, Debug)]
struct Believed {
    authority_der: CertificateDer<'static>,
    authority: Certificate,
    list_der: CertificateRevocationListDer<'static>,
    list: RevocationList,
}

impl Believed {
    /// Whether the authority has signed `list`, and later than the one that is here.
    fn precedes(&self, list: &RevocationList) -> bool {
        self.list.signed_at() < list.signed_at() && list.is_signed_by(&self.authority)
    }
}

impl Trust {
    /// Reads authorities and their lists, of which each must have one.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn from_pem(authorities: &str, revoked: &str) -> Result<Self, IdentityError> {
        let authorities = read_pem::<CertificateDer<'static>>(AUTHORITIES_FILE, authorities)?;
        if authorities.is_empty() {
            return Err(IdentityError::content(AUTHORITIES_FILE, "it holds no certificate"));
        }
        let lists = lists(REVOKED_FILE, revoked)?;
        let mut believed = Vec::new();
        for authority_der in authorities {
            let authority = Certificate::from_der(AUTHORITIES_FILE, &authority_der)?;
            let own = lists.iter().filter(|(_, list)| list.is_signed_by(&authority));
            // Of those of one second the first, which is where the newer one is written.
            let latest = own.rev().max_by_key(|(_, list)| list.signed_at()).cloned();
            let (list_der, list) = latest.ok_or_else(|| {
                let detail = format!("it has no list that {} has signed", authority.name());
                IdentityError::content(REVOKED_FILE, detail)
            })?;
            believed.push(Believed { authority_der, authority, list_der, list });
        }
        Ok(Self(believed))
    }

    /// The authorities, for a verifier.
    ///
    /// # Errors
    /// When one of them cannot be one.
    pub fn roots(&self) -> Result<RootCertStore, IdentityError> {
        let mut roots = RootCertStore::empty();
        for believed in &self.0 {
            roots.add(believed.authority_der.clone()).map_err(|error| unusable(&error))?;
        }
        Ok(roots)
    }

    /// What judges certificates of boards.
    ///
    /// # Errors
    /// When one of the authorities, or of their lists, cannot be one.
    pub fn server_verifier(&self) -> Result<Arc<WebPkiServerVerifier>, IdentityError> {
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(self.roots()?), crypto())
                .with_crls(self.lists());
        verifier.build().map_err(|error| unusable(&error))
    }

    /// What judges certificates of clients.
    ///
    /// # Errors
    /// As [`Trust::server_verifier`].
    pub fn client_verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), crypto())
                .with_crls(self.lists());
        verifier.build().map_err(|error| unusable(&error))
    }

    fn lists(&self) -> impl Iterator<Item = CertificateRevocationListDer<'static>> {
        self.0.iter().map(|believed| believed.list_der.clone())
    }

    /// The list of each authority, as in a file.
    pub fn lists_pem(&self) -> String {
        self.0.iter().map(|believed| encode_pem("X509 CRL", &believed.list_der)).collect()
    }

    /// Whether an authority that both believe has signed a later list in `known`.
    pub fn is_older_than(&self, known: &Self) -> bool {
        let later = |own: &Believed, known: &Believed| {
            own.list.signed_at() < known.list.signed_at() && own.list.is_signed_by(&known.authority)
        };
        self.0.iter().any(|own| known.0.iter().any(|known| later(own, known)))
    }

    /// The latest date that an authority has put its signature under: it cannot be earlier now.
    pub fn newest_date(&self) -> UnixTime {
        let dates = self.0.iter().flat_map(|b| [b.list.signed_at(), b.authority.not_before()]);
        dates.max().unwrap_or(UnixTime::since_unix_epoch(std::time::Duration::ZERO))
    }

    /// Keeps in the folder of an identity, whose trust this is, what is later in lists that somebody sends; lists of others than
    /// its authorities stay out. Says whether there was something.
    ///
    /// # Errors
    /// When they are no lists, or the file cannot be written.
    pub fn learn(&self, revoked: &str, folder: &Path) -> Result<bool, IdentityError> {
        let sent = lists("the lists", revoked)?;
        let news =
            sent.iter().any(|(_, list)| self.0.iter().any(|believed| believed.precedes(list)));
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
        let encode = |believed: &Believed| encode_pem("CERTIFICATE", &believed.authority_der);
        let authorities: String = self.0.iter().map(encode).collect();
        Self::from_pem(&authorities, &format!("{revoked}\n{}", self.lists_pem()))
    }

    /// Whether the list of its authority names this certificate.
    pub fn revokes(&self, certificate: &Certificate) -> bool {
        self.0.iter().any(|believed| {
            believed.authority.name() == certificate.issuer() && believed.list.revokes(certificate)
        })
    }
}

/// Lists of revoked certificates in a PEM text; `what` names it in errors.
fn lists(
    what: &str,
    pem: &str,
) -> Result<Vec<(CertificateRevocationListDer<'static>, RevocationList)>, IdentityError> {
    let all = read_pem::<CertificateRevocationListDer<'static>>(what, pem)?;
    all.into_iter()
        .map(|der| RevocationList::from_der(what, &der).map(|list| (der, list)))
        .collect()
}

fn unusable(error: &dyn ToString) -> IdentityError {
    IdentityError::content(AUTHORITIES_FILE, error.to_string())
}
