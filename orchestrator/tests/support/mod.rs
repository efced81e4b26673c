//! What several integration tests share.

use std::path::{Path, PathBuf};

/// The folder with `models/`, `images/` and `reference/`; `None`, said on stderr, where it may be missing.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
pub(crate) fn data() -> Option<PathBuf> {
    let folder = std::env::var_os("QUANTRACK_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hand-gesture"),
        PathBuf::from,
    );
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", folder.display());
    eprintln!("skipped: {} is missing, set QUANTRACK_DATA", folder.display());
    None
}
