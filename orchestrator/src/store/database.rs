//! Opening the database and bringing its schema up to date.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::StoreError;
use crate::user;

/// What brings the schema from version `index` to `index + 1`. Never edited once released, only appended to.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_nightly.sql"),
    include_str!("migrations/0003_rack.sql"),
];

/// The version of the schema that this program writes.
pub const SCHEMA_VERSION: i64 = MIGRATIONS.len() as i64;

/// How long to wait for another program's transaction.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait before opening a store again that another program is creating.
const RETRY: Duration = Duration::from_millis(20);

/// An open store. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Store {
    pub(super) pool: SqlitePool,
    pub(super) path: Arc<Path>,
}

impl Store {
    /// Where the store is when the user does not say: `$XDG_DATA_HOME/quantrack/store.sqlite`.
    pub fn default_path() -> Option<PathBuf> {
        user::data_folder().map(|data| data.join("store.sqlite"))
    }

    /// The database that `path` means: itself if it is or looks like a file, else `store.sqlite` in that directory.
    pub fn database_path(path: &Path) -> PathBuf {
        let looks_like_file = path.extension().is_some() && !path.is_dir();
        if looks_like_file || path.is_file() { path.to_owned() } else { path.join("store.sqlite") }
    }

    /// Opens the store at `path` (a directory or a database), creating it if need be, and migrates it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let path: Arc<Path> = Self::database_path(path).into();
        if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            std::fs::create_dir_all(parent).map_err(|error| StoreError::from_io(parent, error))?;
        }
        let started = Instant::now();
        loop {
            match Self::connect(&path).await {
                // Programs that create a database at the same time can keep each other from switching it to write-ahead
                // logging, which SQLite says at once rather than wait for what will not end.
                Err(StoreError::Busy { .. }) if started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(RETRY).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Opens the store once.
    async fn connect(path: &Arc<Path>) -> Result<Self, StoreError> {
        let options = if is_read_only(path) { reading(path) } else { writing(path) };
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(BUSY_TIMEOUT + Duration::from_secs(5))
            .connect_with(options)
            .await
            .map_err(|error| StoreError::from_sqlx(path, error))?;
        let store = Self { pool, path: path.clone() };
        store.migrate().await?;
        Ok(store)
    }

    /// The database.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory of the database, where files beside it go.
    pub fn home(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Runs the missing migrations in one transaction, which other programs wait for.
    async fn migrate(&self) -> Result<(), StoreError> {
        let fault = |error| StoreError::from_sqlx(&self.path, error);
        let found: i64 =
            sqlx::query_scalar("PRAGMA user_version").fetch_one(&self.pool).await.map_err(fault)?;
        if found == SCHEMA_VERSION {
            return Ok(());
        }
        let mut transaction = self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
        // Another program may have migrated while we waited.
        let found: i64 = sqlx::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *transaction)
            .await
            .map_err(fault)?;
        if found > SCHEMA_VERSION {
            let path = self.path.to_path_buf();
            return Err(StoreError::Newer { path, found, known: SCHEMA_VERSION });
        }
        for &migration in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
            sqlx::raw_sql(migration).execute(&mut *transaction).await.map_err(fault)?;
        }
        let version = format!("PRAGMA user_version = {SCHEMA_VERSION}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(version))
            .execute(&mut *transaction)
            .await
            .map_err(fault)?;
        transaction.commit().await.map_err(fault)
    }

    /// Turns an SQLite error into one that names this store.
    pub(super) fn fault(&self) -> impl Fn(sqlx::Error) -> StoreError + '_ {
        |error| StoreError::from_sqlx(&self.path, error)
    }
}

fn writing(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // With WAL this loses nothing when the program is killed, and cannot corrupt on a power cut.
        .synchronous(SqliteSynchronous::Normal)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
}

/// For a folder in which nothing may be written: SQLite would want its helper files there. Unless some are left from a
/// program that was killed, it can do without.
fn reading(path: &Path) -> SqliteConnectOptions {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = Path::new(&log);
    SqliteConnectOptions::new().filename(path).read_only(true).immutable(!log.exists())
}

/// Whether the database or files beside it cannot be written.
pub(super) fn is_read_only(path: &Path) -> bool {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let forbidden = |path: &Path| {
        let answer = nix::unistd::access(path, nix::unistd::AccessFlags::W_OK);
        matches!(answer, Err(nix::errno::Errno::EROFS | nix::errno::Errno::EACCES))
    };
    forbidden(folder.unwrap_or(Path::new("."))) || forbidden(path)
}

/// JSON text of a value for a column.
pub(super) fn to_json(what: &'static str, value: &impl Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value)
        .map_err(|error| StoreError::Content { what, detail: error.to_string() })
}

/// A value from the JSON text of a column.
pub(super) fn from_json<T: DeserializeOwned>(
    what: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|error| StoreError::Content { what, detail: error.to_string() })
}

/// A count as SQLite stores it.
pub(super) fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count from how SQLite stores it.
pub(super) fn from_sql(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
