//! Uploaded variants, each in a file named after its SHA-256.

use std::collections::HashMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// Why a blob was not stored or not found.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// Not 64 hexadecimal digits.
    #[error("{0:?} is no SHA-256 in lower-case hexadecimal")]
    BadDigest(String),
    /// More than the store may hold.
    #[error(
        "a blob of {size_bytes} bytes does not fit: {free_bytes} of {max_bytes} bytes can be freed; \
         raise --max-store-bytes"
    )]
    TooLarge {
        /// What was announced.
        size_bytes: u64,
        /// What is free, blobs that nothing uses included.
        free_bytes: u64,
        /// What the store may hold.
        max_bytes: u64,
    },
    /// More or fewer bytes than announced.
    #[error("{received_bytes} bytes arrived of a blob of {size_bytes}; upload it again")]
    WrongSize {
        /// What was announced.
        size_bytes: u64,
        /// What came.
        received_bytes: u64,
    },
    /// Other bytes than announced.
    #[error("the blob's SHA-256 is {actual}, not {announced}; upload it again")]
    WrongDigest {
        /// What was announced.
        announced: String,
        /// What the bytes have.
        actual: String,
    },
    /// Nobody has uploaded it.
    #[error("blob {0} is not on this agent; upload it first")]
    Unknown(String),
    /// The file system has no room.
    #[error("{directory} is full; free some space there or choose another --state-dir")]
    DiskFull {
        /// Where.
        directory: String,
    },
    /// The file system failed otherwise.
    #[error("failed to write in {directory}: {detail}; choose another --state-dir")]
    Io {
        /// Where.
        directory: String,
        /// Why.
        detail: String,
    },
}

/// A SHA-256 in lower-case hexadecimal: cannot name anything outside the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Digest(String);

impl Digest {
    /// Checks the form.
    ///
    /// # Errors
    /// [`BlobError::BadDigest`].
    pub fn parse(text: &str) -> Result<Self, BlobError> {
        let valid =
            text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if valid {
            Ok(Self(text.to_owned()))
        } else {
            Err(BlobError::BadDigest(text.chars().take(80).collect()))
        }
    }

    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_hash(&Sha256::digest(bytes))
    }

    fn from_hash(hash: &[u8]) -> Self {
        Self(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug)]
struct Entry {
    size_bytes: u64,
    pins: u32,
    last_use: u64,
}

#[derive(Debug, Default)]
struct Index {
    entries: HashMap<Digest, Entry>,
    /// Announced sizes of uploads under way.
    reserved_bytes: u64,
    uses: u64,
}

/// The store. At most `max_bytes`; the blobs unused for longest make room.
#[derive(Clone, Debug)]
pub struct Blobs(Arc<Store>);

#[derive(Debug)]
struct Store {
    directory: PathBuf,
    incoming: PathBuf,
    max_bytes: u64,
    index: Mutex<Index>,
}

impl Blobs {
    /// Removes the store in `state_dir`, and that directory if nothing else is in it.
    ///
    /// # Errors
    /// When something is gone already, or cannot be removed.
    pub fn remove(state_dir: &Path) -> std::io::Result<()> {
        std::fs::remove_dir_all(state_dir.join("blobs"))?;
        std::fs::remove_dir_all(state_dir.join("incoming"))?;
        std::fs::remove_dir(state_dir)
    }

    /// Opens the store in `state_dir`, with the blobs that are there. Half-received ones are deleted.
    ///
    /// # Errors
    /// When the directory cannot be made or read.
    pub fn open(state_dir: &Path, max_bytes: u64) -> Result<Self, BlobError> {
        let (directory, incoming) = (state_dir.join("blobs"), state_dir.join("incoming"));
        let fault = |error: std::io::Error| io_error(&directory, &error);
        std::fs::create_dir_all(&directory).map_err(fault)?;
        if incoming.exists() {
            std::fs::remove_dir_all(&incoming).map_err(fault)?;
        }
        std::fs::create_dir_all(&incoming).map_err(fault)?;
        let mut index = Index::default();
        for entry in std::fs::read_dir(&directory).map_err(fault)?.flatten() {
            let (Ok(digest), Ok(metadata)) =
                (Digest::parse(&entry.file_name().to_string_lossy()), entry.metadata())
            else {
                continue;
            };
            if metadata.is_file() {
                let entry = Entry { size_bytes: metadata.len(), pins: 0, last_use: 0 };
                index.entries.insert(digest, entry);
            }
        }
        let index = Mutex::new(index);
        Ok(Self(Arc::new(Store { directory, incoming, max_bytes, index })))
    }

    /// Where the blobs are.
    pub fn folder(&self) -> &Path {
        &self.0.directory
    }

    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.0.lock().entries.contains_key(digest)
    }

    /// Keeps a blob from being evicted for as long as the pin lives.
    ///
    /// # Errors
    /// [`BlobError::Unknown`] when it is not here.
    pub fn pin(&self, digest: &Digest) -> Result<Pin, BlobError> {
        let mut index = self.0.lock();
        index.uses += 1;
        let now = index.uses;
        let entry = index.entries.get_mut(digest);
        let entry = entry.ok_or_else(|| BlobError::Unknown(digest.0.clone()))?;
        entry.pins += 1;
        entry.last_use = now;
        Ok(Pin { store: Arc::clone(&self.0), digest: digest.clone() })
    }

    /// Begins to receive a blob; evicts what it must.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn receive(&self, digest: Digest, size_bytes: u64) -> Result<Upload, BlobError> {
        self.0.reserve(size_bytes)?;
        let reservation = Reservation { store: Arc::clone(&self.0), size_bytes };
        let file = NamedTempFile::new_in(&self.0.incoming)
            .map_err(|error| io_error(&self.0.incoming, &error))?;
        Ok(Upload { reservation, file, digest, hash: Sha256::new(), received_bytes: 0 })
    }
}

impl Store {
    fn lock(&self) -> std::sync::MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reserve(&self, size_bytes: u64) -> Result<(), BlobError> {
        let mut index = self.lock();
        let sum = |pinned_only: bool| {
            let counts = |entry: &&Entry| !pinned_only || entry.pins > 0;
            index.entries.values().filter(counts).map(|entry| entry.size_bytes).sum::<u64>()
        };
        let free_bytes = self.max_bytes.saturating_sub(sum(true) + index.reserved_bytes);
        if size_bytes > free_bytes {
            return Err(BlobError::TooLarge { size_bytes, free_bytes, max_bytes: self.max_bytes });
        }
        let mut used = sum(false) + index.reserved_bytes;
        while used + size_bytes > self.max_bytes {
            let idle = index.entries.iter().filter(|(_, entry)| entry.pins == 0);
            let Some(oldest) = idle.min_by_key(|(_, entry)| entry.last_use) else { break };
            let (digest, size) = (oldest.0.clone(), oldest.1.size_bytes);
            index.entries.remove(&digest);
            let path = self.directory.join(digest.as_str());
            std::fs::remove_file(&path).map_err(|error| io_error(&self.directory, &error))?;
            used -= size;
        }
        index.reserved_bytes += size_bytes;
        Ok(())
    }
}

#[derive(Debug)]
struct Reservation {
    store: Arc<Store>,
    size_bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.store.lock().reserved_bytes -= self.size_bytes;
    }
}

/// A blob that is arriving. Dropped before [`Upload::finish`], nothing of it remains.
#[derive(Debug)]
pub struct Upload {
    reservation: Reservation,
    file: NamedTempFile,
    digest: Digest,
    hash: Sha256,
    received_bytes: u64,
}

impl Upload {
    /// Takes the next piece.
    ///
    /// # Errors
    /// More than announced, or the file system's error.
    pub fn write(&mut self, chunk: &[u8]) -> Result<(), BlobError> {
        self.received_bytes += chunk.len() as u64;
        if self.received_bytes > self.reservation.size_bytes {
            return Err(self.wrong_size());
        }
        self.hash.update(chunk);
        let incoming = &self.reservation.store.incoming;
        self.file.write_all(chunk).map_err(|error| io_error(incoming, &error))
    }

    /// Checks the whole and puts it into the store, at once or not at all.
    ///
    /// # Errors
    /// When the size or the digest differ, or the file system's error.
    pub fn finish(self) -> Result<Digest, BlobError> {
        if self.received_bytes != self.reservation.size_bytes {
            return Err(self.wrong_size());
        }
        let actual = Digest::from_hash(&self.hash.finalize());
        if actual != self.digest {
            let (announced, actual) = (self.digest.0, actual.0);
            return Err(BlobError::WrongDigest { announced, actual });
        }
        let store = &self.reservation.store;
        let path = store.directory.join(self.digest.as_str());
        let mut index = store.lock();
        self.file.persist(path).map_err(|error| io_error(&store.directory, &error.error))?;
        index.uses += 1;
        let last_use = index.uses;
        let size_bytes = self.received_bytes;
        let fresh = Entry { size_bytes, pins: 0, last_use };
        index.entries.entry(self.digest.clone()).or_insert(fresh);
        Ok(self.digest)
    }

    fn wrong_size(&self) -> BlobError {
        let (size_bytes, received_bytes) = (self.reservation.size_bytes, self.received_bytes);
        BlobError::WrongSize { size_bytes, received_bytes }
    }
}

/// A blob in use.
#[derive(Debug)]
pub struct Pin {
    store: Arc<Store>,
    digest: Digest,
}

impl Pin {
    /// The blob's file.
    pub fn path(&self) -> PathBuf {
        self.store.directory.join(self.digest.as_str())
    }

    /// The blob's name.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        if let Some(entry) = self.store.lock().entries.get_mut(&self.digest) {
            entry.pins -= 1;
        }
    }
}

fn io_error(directory: &Path, error: &std::io::Error) -> BlobError {
    let directory = directory.display().to_string();
    match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
            BlobError::DiskFull { directory }
        }
        _ => BlobError::Io { directory, detail: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(max_bytes: u64) -> (tempfile::TempDir, Blobs) {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path(), max_bytes).unwrap();
        (directory, blobs)
    }

    fn put(blobs: &Blobs, bytes: &[u8]) -> Result<Digest, BlobError> {
        let mut upload = blobs.receive(Digest::of(bytes), bytes.len() as u64)?;
        bytes.chunks(7).try_for_each(|chunk| upload.write(chunk))?;
        upload.finish()
    }

    #[test]
    fn a_digest_cannot_leave_the_store() {
        let long = "A".repeat(64);
        for bad in ["", "../../etc/passwd", "abc", long.as_str(), &"/".repeat(64), &"é".repeat(32)]
        {
            assert!(matches!(Digest::parse(bad), Err(BlobError::BadDigest(_))), "{bad}");
        }
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Digest::of(b"abc").as_str(), abc);
    }

    #[test]
    fn keeps_blobs_over_a_restart_and_drops_halves() {
        let (directory, blobs) = store(1000);
        let digest = put(&blobs, b"a variant").unwrap();
        let mut half = blobs.receive(Digest::of(b"never"), 5).unwrap();
        half.write(b"nev").unwrap();
        std::mem::forget(half);
        let again = Blobs::open(directory.path(), 1000).unwrap();
        assert_eq!(std::fs::read(again.pin(&digest).unwrap().path()).unwrap(), b"a variant");
        assert_eq!(std::fs::read_dir(directory.path().join("incoming")).unwrap().count(), 0);
    }

    #[test]
    fn refuses_wrong_bytes_and_sizes_without_a_trace() {
        let (directory, blobs) = store(1000);
        let mut wrong = blobs.receive(Digest::of(b"abc"), 3).unwrap();
        wrong.write(b"abd").unwrap();
        assert!(matches!(wrong.finish(), Err(BlobError::WrongDigest { .. })));
        let mut short = blobs.receive(Digest::of(b"abc"), 3).unwrap();
        short.write(b"ab").unwrap();
        assert!(matches!(short.finish(), Err(BlobError::WrongSize { received_bytes: 2, .. })));
        let mut long = blobs.receive(Digest::of(b"abc"), 3).unwrap();
        assert!(matches!(long.write(b"abcd"), Err(BlobError::WrongSize { .. })));
        drop(long);
        assert!(!blobs.contains(&Digest::of(b"abc")));
        assert_eq!(std::fs::read_dir(directory.path().join("incoming")).unwrap().count(), 0);
        assert_eq!(blobs.0.lock().reserved_bytes, 0);
    }

    #[test]
    fn evicts_the_blob_unused_for_longest_but_never_a_pinned_one() {
        let (_directory, blobs) = store(30);
        let first = put(&blobs, &[1; 10]).unwrap();
        let second = put(&blobs, &[2; 10]).unwrap();
        let third = put(&blobs, &[3; 10]).unwrap();
        let pin = blobs.pin(&first).unwrap();
        put(&blobs, &[4; 10]).unwrap();
        assert!(blobs.contains(&first) && !blobs.contains(&second) && blobs.contains(&third));
        let error = put(&blobs, &[5; 21]).unwrap_err();
        assert!(matches!(error, BlobError::TooLarge { free_bytes: 20, .. }), "{error}");
        drop(pin);
        put(&blobs, &[6; 30]).unwrap();
        assert!(!blobs.contains(&first));
    }

    #[test]
    fn a_full_disk_is_named() {
        let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert!(matches!(io_error(Path::new("/x"), &error), BlobError::DiskFull { .. }));
    }
}
