//! What an authority has issued.

use quantrack_proto::identity::{IdentityError, Role, Subject};
use serde::{Deserialize, Serialize};

/// Version of the record's file.
pub(super) const SCHEMA: u32 = 1;

/// A certificate that was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The board's or the client's name.
    pub name: String,
    /// What a client may do; `None` for a board.
    pub role: Option<String>,
    /// Its number in hexadecimal.
    pub serial: String,
    /// Which of the authority's keys has signed it.
    pub generation: u32,
    /// In seconds since 1970.
    pub issued_at_s: u64,
    /// In seconds since 1970.
    pub not_after_s: u64,
    /// In seconds since 1970, if it was.
    pub revoked_at_s: Option<u64>,
    /// Where the board is, as its user addresses it.
    pub address: Option<String>,
    /// The certificate.
    pub certificate_pem: String,
}

impl Issued {
    /// Whom it names.
    ///
    /// # Errors
    /// When the record was changed by hand.
    pub fn subject(&self) -> Result<Subject, IdentityError> {
        let unknown = |_| IdentityError::Name { name: self.name.clone() };
        match &self.role {
            None => Subject::board(&self.name),
            Some(role) => Subject::client(&self.name, role.parse::<Role>().map_err(unknown)?),
        }
    }

    /// Whether it counts at this time.
    pub fn is_valid(&self, now_s: u64) -> bool {
        self.revoked_at_s.is_none() && now_s < self.not_after_s
    }

    /// Whether it is a board's.
    pub fn is_board(&self) -> bool {
        self.role.is_none()
    }
}

/// An authority's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub(super) schema: u32,
    /// The authority's keys that count; the last one signs. There are two while keys are being rotated.
    pub generations: Vec<u32>,
    /// The latest serial number, so that none comes twice.
    pub(super) last_serial: u64,
    /// When lists were signed last: of two lists the later one counts, so each has a second of its own.
    pub(super) listed_at_s: u64,
    /// Everything that was issued, in order.
    pub issued: Vec<Issued>,
}
