//! What a certificate says.

use std::time::Duration;

use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::serial_number::SerialNumber;

use super::error::IdentityError;
use super::subject::Subject;

/// A certificate whose signature nobody has checked yet.
#[derive(Clone, Debug)]
pub struct Certificate(x509_cert::Certificate);

impl Certificate {
    /// Reads a certificate; `what` names it in errors.
    ///
    /// # Errors
    /// When it is none.
    pub fn from_der(what: &str, der: &CertificateDer<'_>) -> Result<Self, IdentityError> {
        let read = x509_cert::Certificate::from_der(der);
        read.map(Self).map_err(|error| IdentityError::content(what, error.to_string()))
    }

    /// Whom it names; `None` when that is neither a board nor a client, as for an authority.
    pub fn subject(&self) -> Option<Subject> {
        let names = self.0.tbs_certificate.get::<SubjectAltName>().ok()??.1.0;
        let names: Vec<&str> = names
            .iter()
            .map(|name| match name {
                GeneralName::DnsName(name) => name.as_str(),
                _ => "",
            })
            .collect();
        Subject::from_dns_names(&names)
    }

    /// The number that its authority has given it, in hexadecimal.
    pub fn serial(&self) -> String {
        let bytes = self.0.tbs_certificate.serial_number.as_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn serial_number(&self) -> &SerialNumber {
        &self.0.tbs_certificate.serial_number
    }

    /// When it begins to be valid.
    pub fn not_before(&self) -> UnixTime {
        unix(self.0.tbs_certificate.validity.not_before)
    }

    /// When it ends.
    pub fn not_after(&self) -> UnixTime {
        unix(self.0.tbs_certificate.validity.not_after)
    }

    /// The name of who has signed it.
    pub fn issuer(&self) -> String {
        self.0.tbs_certificate.issuer.to_string()
    }

    /// The name of who it belongs to, of which an authority has nothing else.
    pub fn name(&self) -> String {
        self.0.tbs_certificate.subject.to_string()
    }

    /// The point of the curve that is its public key.
    pub fn public_key(&self) -> &[u8] {
        self.0.tbs_certificate.subject_public_key_info.subject_public_key.raw_bytes()
    }

    /// Whether both have the same key.
    pub(super) fn same_key(&self, other: &Self) -> bool {
        let key = |of: &Self| of.0.tbs_certificate.subject_public_key_info.to_der().ok();
        key(self).is_some() && key(self) == key(other)
    }
}

/// A time as people write it.
pub fn date(time: UnixTime) -> String {
    let date = x509_cert::der::DateTime::from_unix_duration(Duration::from_secs(time.as_secs()));
    date.map_or_else(|_| format!("{} s after 1970", time.as_secs()), |date| date.to_string())
}

pub(super) fn unix(time: x509_cert::time::Time) -> UnixTime {
    let since: Duration = time.to_unix_duration();
    UnixTime::since_unix_epoch(since)
}
