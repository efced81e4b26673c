//! Judging the certificate of a client.

use std::sync::Arc;
use std::time::Duration;

use quantrack_proto::identity::{Certificate, IdentityError, Subject, Trust, date};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, OtherError, SignatureScheme,
};

use super::clock::BoardClock;

/// How far clocks that are set may still be apart.
const TOLERANCE: Duration = Duration::from_secs(24 * 3600);

/// Why a certificate was refused, for the log. The peer gets the same alert for every cause.
#[derive(Debug, thiserror::Error)]
#[error("its certificate ({shown}) is refused: {cause}")]
pub(super) struct Refusal {
    /// Whom the certificate claims to name.
    shown: String,
    cause: String,
    /// Whether it was revoked.
    pub(super) revoked: bool,
}

/// Judges certificates by the board's authorities, their lists, and the board's clock.
#[derive(Debug)]
pub(super) struct ClientVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    clock: Arc<BoardClock>,
}

impl ClientVerifier {
    pub(super) fn new(trust: &Trust, clock: Arc<BoardClock>) -> Result<Self, IdentityError> {
        Ok(Self { inner: trust.client_verifier()?, clock })
    }

    /// Judges a certificate as of now.
    pub(super) fn judge(&self, chain: &[CertificateDer<'_>]) -> Result<Subject, Refusal> {
        let now = self.clock.time();
        let Some((end_entity, intermediates)) = chain.split_first() else {
            return Err(self.refusal(None, "there is none", false));
        };
        let certificate = Certificate::from_der("the certificate", end_entity).ok();
        let mut verified = self.inner.verify_client_cert(end_entity, intermediates, now);
        if let Err(Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before,
            ..
        })) = &verified
        {
            // The authority has signed it, so that time has come, and only a clock that is set can say otherwise.
            let latest_s = now.as_secs() + TOLERANCE.as_secs();
            if !self.clock.is_set() || not_before.as_secs() <= latest_s {
                let then = *not_before;
                verified = self.inner.verify_client_cert(end_entity, intermediates, then);
            }
        }
        if let Err(error) = verified {
            let revoked = matches!(error, Error::InvalidCertificate(CertificateError::Revoked));
            return Err(self.refusal(certificate.as_ref(), &self.cause(&error), revoked));
        }
        match certificate.as_ref().and_then(Certificate::subject) {
            Some(subject @ Subject::Client { .. }) => Ok(subject),
            _ => Err(self.refusal(certificate.as_ref(), "it names no client", false)),
        }
    }

    fn refusal(&self, shown: Option<&Certificate>, cause: &str, revoked: bool) -> Refusal {
        let shown = shown.map_or_else(
            || "unreadable".to_owned(),
            |shown| {
                let subject = shown.subject().map(|subject| subject.to_string());
                let subject = subject.unwrap_or_else(|| "of no board or client".to_owned());
                format!("{subject}, serial {}, by {}", shown.serial(), shown.issuer())
            },
        );
        Refusal { shown, cause: cause.to_owned(), revoked }
    }

    fn cause(&self, error: &Error) -> String {
        let clock = || {
            let set = if self.clock.is_set() {
                "its clock"
            } else {
                "what it has signed, for want of a clock"
            };
            format!("this board takes the time from {set}")
        };
        match error {
            // All authorities have like names, so another one's signature looks like a bad one of ours.
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => "no authority that this board believes has signed it".to_owned(),
            Error::InvalidCertificate(CertificateError::Revoked) => {
                "the authority has revoked it".to_owned()
            }
            Error::InvalidCertificate(CertificateError::ExpiredContext { time, not_after }) => {
                format!(
                    "it expired at {}, and it is {}: {}",
                    date(*not_after),
                    date(*time),
                    clock()
                )
            }
            Error::InvalidCertificate(CertificateError::NotValidYetContext {
                time,
                not_before,
            }) => {
                format!(
                    "it is not valid before {}, and it is {}: {}",
                    date(*not_before),
                    date(*time),
                    clock()
                )
            }
            Error::InvalidCertificate(CertificateError::InvalidPurposeContext { .. }) => {
                "it is not for clients".to_owned()
            }
            other => other.to_string(),
        }
    }
}

impl ClientCertVerifier for ClientVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let chain: Vec<CertificateDer<'_>> =
            std::iter::once(end_entity).chain(intermediates).cloned().collect();
        match self.judge(&chain) {
            Ok(_) => Ok(ClientCertVerified::assertion()),
            Err(refusal) => Err(CertificateError::Other(OtherError(Arc::new(refusal))).into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
