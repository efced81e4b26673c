//! Digests.

use sha2::{Digest as _, Sha256};

/// SHA-256 in lower-case hexadecimal.
pub fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
