//! Making certificates and lists: ECDSA on P-256, which every core signs and checks in a millisecond or two.

use quantrack_proto::identity::Subject;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
    SignatureAlgorithm,
};
use time::OffsetDateTime;

use super::error::AuthorityError;

/// Certificates begin a day early, for those whose clocks are behind.
const EARLIER_S: u64 = 24 * 3600;
const YEAR_S: u64 = 365 * 24 * 3600;
/// How long an authority lasts.
const AUTHORITY_YEARS: u64 = 20;

/// One key of an authority.
pub(super) struct Signer {
    number: u32,
    key: KeyPair,
}

/// A public key that somebody else has the private one of.
pub(super) struct PublicKey(pub(super) Vec<u8>);

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// A certificate to be.
pub(super) struct Order<'a> {
    pub(super) subject: &'a Subject,
    pub(super) serial: u64,
    pub(super) from_s: u64,
    pub(super) to_s: u64,
}

impl Signer {
    pub(super) fn new(number: u32) -> Result<Self, AuthorityError> {
        Ok(Self { number, key: KeyPair::generate()? })
    }

    pub(super) fn from_pem(number: u32, key: &str) -> Result<Self, AuthorityError> {
        Ok(Self { number, key: KeyPair::from_pem(key)? })
    }

    pub(super) fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// Its name differs from that of its successors, so that each list belongs to one of them.
    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&format!("quantrack authority {}", self.number));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
    }

    /// The authority's own certificate.
    pub(super) fn certificate(&self, now_s: u64) -> Result<String, AuthorityError> {
        let mut params = self.params();
        params.serial_number = Some(SerialNumber::from(u64::from(self.number)));
        params.not_before = at(now_s.saturating_sub(EARLIER_S));
        params.not_after = at(now_s + AUTHORITY_YEARS * YEAR_S);
        Ok(params.self_signed(&self.key)?.pem())
    }

    pub(super) fn sign(
        &self,
        order: &Order<'_>,
        key: &impl PublicKeyData,
    ) -> Result<String, AuthorityError> {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(order.subject.name());
        for name in order.subject.dns_names() {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        params.serial_number = Some(SerialNumber::from(order.serial));
        params.not_before = at(order.from_s.saturating_sub(EARLIER_S));
        params.not_after = at(order.to_s);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // So that a board's certificate opens no other board.
        params.extended_key_usages = vec![match order.subject {
            Subject::Board { .. } => ExtendedKeyUsagePurpose::ServerAuth,
            Subject::Client { .. } => ExtendedKeyUsagePurpose::ClientAuth,
        }];
        params.use_authority_key_identifier_extension = true;
        let issuer = Issuer::new(self.params(), &self.key);
        Ok(params.signed_by(key, &issuer)?.pem())
    }

    /// The list of what is revoked: serial numbers, and when that was.
    pub(super) fn list(
        &self,
        signed_at_s: u64,
        revoked: impl Iterator<Item = (u64, u64)>,
    ) -> Result<String, AuthorityError> {
        let revoked = revoked.map(|(serial, at_s)| RevokedCertParams {
            serial_number: SerialNumber::from(serial),
            revocation_time: at(at_s),
            reason_code: None,
            invalidity_date: None,
        });
        let params = CertificateRevocationListParams {
            this_update: at(signed_at_s),
            // Boards take it for as long as there is no later one: some are reached rarely.
            next_update: at(signed_at_s + AUTHORITY_YEARS * YEAR_S),
            crl_number: SerialNumber::from(signed_at_s),
            issuing_distribution_point: None,
            revoked_certs: revoked.collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&Issuer::new(self.params(), &self.key))?.pem()?)
    }
}

fn named(name: &str) -> DistinguishedName {
    let mut all = DistinguishedName::new();
    all.push(DnType::CommonName, name);
    all
}

fn at(seconds: u64) -> OffsetDateTime {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
