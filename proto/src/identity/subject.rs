//! Whom a certificate names, and what that one may do.

use std::fmt;
use std::str::FromStr;

use rustls::pki_types::ServerName;

use super::error::IdentityError;

/// `internal` belongs to nobody on the Internet.
const DOMAIN: &str = "quantrack.internal";

/// What a client may do; each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Ask a board what it is and what it is doing.
    Read,
    /// Take a board, upload to it, measure and run models.
    Measure,
    /// Change whom a board believes.
    Admin,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Read, Self::Measure, Self::Admin];

    /// As users write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Measure => "measure",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|role| role.name() == text);
        found.ok_or_else(|| format!("{text:?} is no role; roles are read, measure and admin"))
    }
}

/// Whom a certificate names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A board.
    Board {
        /// Its name, whatever its address.
        name: String,
    },
    /// A client.
    Client {
        /// Who.
        name: String,
        /// What it may do.
        role: Role,
    },
}

impl Subject {
    /// A board of this name.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate.
    pub fn board(name: &str) -> Result<Self, IdentityError> {
        Ok(Self::Board { name: checked(name)? })
    }

    /// A client of this name.
    ///
    /// # Errors
    /// When the name cannot stand in a certificate.
    pub fn client(name: &str, role: Role) -> Result<Self, IdentityError> {
        Ok(Self::Client { name: checked(name)?, role })
    }

    /// The name of board or client.
    pub fn name(&self) -> &str {
        match self {
            Self::Board { name } | Self::Client { name, .. } => name,
        }
    }

    /// The DNS names that a certificate for it bears.
    pub fn dns_names(&self) -> Vec<String> {
        match self {
            Self::Board { name } => vec![format!("{name}.board.{DOMAIN}")],
            Self::Client { name, role } => {
                vec![format!("{name}.client.{DOMAIN}"), format!("{role}.role.{DOMAIN}")]
            }
        }
    }

    /// What the DNS names of a certificate say.
    pub(super) fn from_dns_names(names: &[&str]) -> Option<Self> {
        let mut parts = Vec::new();
        for name in names {
            let (first, kind) = name.strip_suffix(DOMAIN)?.strip_suffix('.')?.split_once('.')?;
            parts.push((kind, first));
        }
        parts.sort_unstable();
        match *parts {
            [("board", name)] => Self::board(name).ok(),
            [("client", name), ("role", role)] => Self::client(name, role.parse().ok()?).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Board { name } => write!(f, "board {name}"),
            Self::Client { name, role } => write!(f, "client {name} ({role})"),
        }
    }
}

/// The name that a client expects in the certificate of a board.
///
/// # Errors
/// When it cannot stand in a certificate.
pub fn server_name(board: &str) -> Result<ServerName<'static>, IdentityError> {
    let name = format!("{}.board.{DOMAIN}", checked(board)?);
    ServerName::try_from(name).map_err(|_| IdentityError::Name { name: board.to_owned() })
}

fn checked(name: &str) -> Result<String, IdentityError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let edges = !name.starts_with('-') && !name.ends_with('-');
    if (1..=63).contains(&name.len()) && name.chars().all(inner) && edges {
        return Ok(name.to_owned());
    }
    Err(IdentityError::Name { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_certificates_are_read_as_they_were_written() {
        for subject in
            [Subject::board("pi3-a").unwrap(), Subject::client("ana", Role::Measure).unwrap()]
        {
            let names = subject.dns_names();
            let names: Vec<&str> = names.iter().map(String::as_str).rev().collect();
            assert_eq!(Subject::from_dns_names(&names), Some(subject));
        }
        let none = ["ana.client.quantrack.internal"];
        let several = ["pi3.board.quantrack.internal", "pi4.board.quantrack.internal"];
        let both = ["pi3.board.quantrack.internal", "admin.role.quantrack.internal"];
        let foreign = ["pi3.board.example.com"];
        for names in [&none[..], &several, &both, &foreign, &[]] {
            assert_eq!(Subject::from_dns_names(names), None, "{names:?}");
        }
        for name in ["", "-a", "a-", "A", "a.b", "a b", &"a".repeat(64)] {
            assert!(Subject::board(name).is_err(), "{name}");
        }
    }
}
