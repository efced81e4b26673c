//! Named bytes as a tar archive with a list of checksums.

use std::collections::BTreeMap;
use std::io::Read as _;

use tar::{Archive, Builder, EntryType, Header};

use super::BundleError;
use crate::variant::Variant;

/// Named bytes.
type Members = BTreeMap<String, Vec<u8>>;

/// The member that `sha256sum -c` takes.
const SUMS: &str = "SHA256SUMS";

/// Members sorted by name, the list of their checksums first.
pub(super) fn write(members: &Members) -> Result<Vec<u8>, BundleError> {
    let mut builder = Builder::new(Vec::new());
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(EntryType::Regular);
        builder
            .append_data(&mut header, name, bytes)
            .map_err(|_| BundleError::Name { name: name.to_owned() })
    };
    append(SUMS, sums(members).as_bytes())?;
    members.iter().try_for_each(|(name, bytes)| append(name, bytes))?;
    builder.into_inner().map_err(BundleError::Archive)
}

/// The members, all of them as the list of checksums says.
pub(super) fn read(bytes: &[u8]) -> Result<Members, BundleError> {
    let mut members = Members::new();
    for entry in Archive::new(bytes).entries().map_err(BundleError::Archive)? {
        let mut entry = entry.map_err(BundleError::Archive)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        // A size in a header is only believed as far as there are bytes.
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(BundleError::Archive)?;
        let regular = entry.header().entry_type() == EntryType::Regular;
        if !regular || members.insert(name.clone(), content).is_some() {
            return Err(BundleError::Name { name });
        }
    }
    let listed = members.remove(SUMS).ok_or_else(|| BundleError::missing(SUMS))?;
    if listed == sums(&members).as_bytes() {
        return Ok(members);
    }
    // Which of them it is, where that can be told.
    let listed = String::from_utf8_lossy(&listed);
    let changed = members.iter().find(|(name, bytes)| {
        let is_listed = listed.lines().any(|line| line.ends_with(&format!("  {name}")));
        is_listed && !listed.lines().any(|line| line == sum(name, bytes))
    });
    Err(changed.map_or(BundleError::Sums, |(name, _)| BundleError::Digest { name: name.clone() }))
}

fn sums(members: &Members) -> String {
    members.iter().map(|(name, bytes)| sum(name, bytes) + "\n").collect()
}

/// A line of the list.
fn sum(name: &str, bytes: &[u8]) -> String {
    format!("{}  {name}", Variant::sha256(bytes))
}
