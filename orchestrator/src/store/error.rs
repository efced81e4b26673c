//! What can go wrong with the store.

use std::path::{Path, PathBuf};

use super::database::is_read_only;

/// A store that cannot be used. Nothing that was stored before is lost.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error(
        "failed to open the store {}: {detail}; check the path and its permissions, or choose \
         another with --store",
        path.display()
    )]
    Open {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// The operating system failed to read or write it.
    #[error(
        "failed to read or write the store {}: {detail}; check the disk, then run the same command \
         again: it resumes",
        path.display()
    )]
    Io {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// No room is left.
    #[error(
        "the disk of the store {} is full; free some space and run the same command again: it \
         resumes",
        path.display()
    )]
    Full {
        /// The database or the file.
        path: PathBuf,
    },
    /// Writing is not allowed.
    #[error("the store {} is read-only; make it writable, or choose another with --store", path.display())]
    ReadOnly {
        /// The database or the file.
        path: PathBuf,
    },
    /// The file is no database, or a damaged one.
    #[error(
        "the store {} is damaged or no SQLite database ({detail}); restore it from a backup, or \
         move it away to start anew",
        path.display()
    )]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        detail: String,
    },
    /// A newer program has written it.
    #[error(
        "the store {} has schema {found}, but this program knows only up to {known}; use the newer \
         orchestrator, or choose another store with --store",
        path.display()
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema's version.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// Another program holds it for too long.
    #[error(
        "the store {} has been locked by another program for 30 s; wait for it or end it, then run \
         the same command again",
        path.display()
    )]
    Busy {
        /// The database.
        path: PathBuf,
    },
    /// Another orchestrator does what only one may do at a time.
    #[error(
        "another orchestrator (process {holder}) is {doing}; wait until it has finished, or end it"
    )]
    Held {
        /// Its process id, as it wrote it down.
        holder: String,
        /// What it does.
        doing: &'static str,
    },
    /// A row does not hold what it should.
    #[error("the store holds an unreadable {what}: {detail}; measure or evaluate it again")]
    Content {
        /// What was being read.
        what: &'static str,
        /// What is wrong.
        detail: String,
    },
    /// A file beside the database cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Anything else that SQLite reports.
    #[error("failed to use the store {}", path.display())]
    Query {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl StoreError {
    /// Names the cause of an SQLite error, by its result code (<https://www.sqlite.org/rescode.html>).
    pub(super) fn from_sqlx(path: &Path, source: sqlx::Error) -> Self {
        let path = path.to_owned();
        let code = source
            .as_database_error()
            .and_then(|error| error.code())
            .and_then(|code| code.parse::<i32>().ok());
        let detail = || source.to_string();
        // The low byte is the primary result code, the rest tells more.
        match code.map(|code| code & 0xff) {
            Some(5 | 6) => Self::Busy { path },
            Some(8) => Self::ReadOnly { path },
            Some(13) => Self::Full { path },
            Some(11 | 26) => Self::Corrupt { detail: detail(), path },
            // A full disk shows up as a failed write of a helper file, too.
            Some(10) if disk_is_full(&path) => Self::Full { path },
            Some(10) => Self::Io { detail: detail(), path },
            Some(14) if is_read_only(&path) => Self::ReadOnly { path },
            Some(14 | 23) => Self::Open { detail: detail(), path },
            _ => Self::Query { path, source },
        }
    }

    /// Names the cause of a failed file operation.
    pub(super) fn from_io(path: &Path, source: std::io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            std::io::ErrorKind::StorageFull => Self::Full { path },
            std::io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            _ => Self::File { path, source },
        }
    }
}

/// The room that a database needs to go on: its shared memory grows by 32 KiB at a time.
const LEAST_ROOM: u64 = 32 << 10;

/// Whether the disk of the database has no room to go on.
fn disk_is_full(database: &Path) -> bool {
    let folder = database.parent().filter(|parent| !parent.as_os_str().is_empty());
    let room = nix::sys::statvfs::statvfs(folder.unwrap_or(Path::new(".")));
    room.is_ok_and(|room| room.blocks_available() * room.fragment_size() < LEAST_ROOM)
}
