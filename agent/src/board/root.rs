//! The directory below which `/proc`, `/sys` and `/etc` are read.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// No file that we read is longer; more is cut off.
const MAX_BYTES: u64 = 256 << 10;

/// Where the board's files are: `/`, or a directory that imitates a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root(PathBuf);

impl Default for Root {
    fn default() -> Self {
        Self::new("/")
    }
}

impl Root {
    /// The board described by the files below `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self(directory.into())
    }

    /// Whether this is a directory of files rather than the machine itself; then no tool is asked either.
    pub fn imitates(&self) -> bool {
        self.0 != Path::new("/")
    }

    /// The place of an absolute path such as `/proc/cpuinfo`.
    pub fn path(&self, absolute: &str) -> PathBuf {
        self.0.join(absolute.trim_start_matches('/'))
    }

    /// The text of a file without the NUL bytes and blanks at its ends; `None` when it is empty or cannot be read.
    pub fn read(&self, absolute: &str) -> Option<String> {
        read_text(&self.path(absolute))
    }

    /// A number in a file of its own.
    pub fn read_number<T: std::str::FromStr>(&self, absolute: &str) -> Option<T> {
        self.read(absolute)?.parse().ok()
    }

    /// Paths of the entries of a directory, sorted; none when it cannot be read.
    pub fn entries(&self, absolute: &str) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.path(absolute)).into_iter().flatten();
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        paths
    }
}

/// The text of a file, as [`Root::read`].
pub(super) fn read_text(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(|c: char| c == '\0' || c.is_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}
