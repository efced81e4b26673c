//! Who may speak to whom: certificates of boards and clients, as both sides of a connection read them.
//!
//! An [`Identity`] is a folder of PEM files: a key, its certificate, the authorities to believe, and their lists of revoked
//! certificates. Boards and clients have the same. What a certificate says of its holder stands in its DNS names
//! ([`Subject`]): the name of a board, or the name and the [`Role`] of a client.

mod certificate;
mod error;
mod folder;
mod revocation;
mod subject;
mod trust;

use std::sync::Arc;

use rustls::CipherSuite;
use rustls::crypto::CryptoProvider;

pub use certificate::{Certificate, date};
pub use error::IdentityError;
pub use folder::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, Identity, KEY_FILE, REVOKED_FILE, encode_pem, read_pem,
    write_file, write_trust,
};
pub use revocation::RevocationList;
pub use subject::{Role, Subject, server_name};
pub use trust::Trust;

/// The cryptography of all connections. A Cortex-A53 of a Raspberry Pi has no instructions for AES, so ChaCha20 comes first.
pub fn crypto() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    let chacha = CipherSuite::TLS13_CHACHA20_POLY1305_SHA256;
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != chacha);
    Arc::new(provider)
}
