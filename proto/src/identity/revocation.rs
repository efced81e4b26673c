//! Lists of certificates that are no longer to be believed.

use rustls::pki_types::{CertificateRevocationListDer, UnixTime, alg_id};
use x509_cert::crl::CertificateList;
use x509_cert::der::{Decode as _, Encode as _};

use super::certificate::{Certificate, unix};
use super::error::IdentityError;

/// A list that an authority has signed (X.509 CRL).
#[derive(Clone, Debug)]
pub struct RevocationList(CertificateList);

impl RevocationList {
    /// Reads a list; `what` names it in errors.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_der(
        what: &str,
        der: &CertificateRevocationListDer<'_>,
    ) -> Result<Self, IdentityError> {
        let read = CertificateList::from_der(der);
        read.map(Self).map_err(|error| IdentityError::content(what, error.to_string()))
    }

    /// When it was signed: of two lists of one authority, the later one counts.
    pub fn signed_at(&self) -> UnixTime {
        unix(self.0.tbs_cert_list.this_update)
    }

    /// Whether this authority has signed it.
    pub fn is_signed_by(&self, authority: &Certificate) -> bool {
        if self.0.tbs_cert_list.issuer.to_string() != authority.name() {
            return false;
        }
        let Ok(message) = self.0.tbs_cert_list.to_der() else { return false };
        let signature = self.0.signature.raw_bytes();
        let provider = rustls::crypto::ring::default_provider();
        // Authorities have keys of this kind only.
        let known = provider.signature_verification_algorithms.all.iter().find(|algorithm| {
            algorithm.signature_alg_id() == alg_id::ECDSA_SHA256
                && algorithm.public_key_alg_id() == alg_id::ECDSA_P256
        });
        known.is_some_and(|algorithm| {
            algorithm.verify_signature(authority.public_key(), &message, signature).is_ok()
        })
    }

    /// Whether it names this certificate, of the same authority.
    pub(super) fn revokes(&self, certificate: &Certificate) -> bool {
        let mut revoked = self.0.tbs_cert_list.revoked_certificates.iter().flatten();
        revoked.any(|one| one.serial_number == *certificate.serial_number())
    }
}
