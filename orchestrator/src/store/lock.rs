//! Locks between orchestrators, for what only one may do at a time. They end with the process, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek as _, Write as _};

use nix::fcntl::{Flock, FlockArg};

use super::database::Store;
use super::error::StoreError;

/// A held lock; dropping it lets others go on.
#[derive(Debug)]
pub struct Lock {
    _file: Flock<File>,
}

impl Store {
    /// Takes the lock `name` of this store, without waiting. `doing` says to others what the holder does, as in
    /// "measuring on this machine".
    ///
    /// # Errors
    /// [`StoreError::Held`] when another process has it.
    pub fn lock(&self, name: &str, doing: &'static str) -> Result<Lock, StoreError> {
        let path = self.home().join(format!("{name}.lock"));
        let fault = |error| StoreError::from_io(&path, error);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault)?;
        let mut holder = String::new();
        // Who holds it is only for the message: an unreadable name must not stop anybody.
        let _ = Read::by_ref(&mut file).take(32).read_to_string(&mut holder);
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                file.rewind().and_then(|()| file.set_len(0)).map_err(fault)?;
                write!(*file, "{}", std::process::id()).map_err(fault)?;
                Ok(Lock { _file: file })
            }
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                Err(StoreError::Held { holder: holder.trim().to_owned(), doing })
            }
            Err((_, errno)) => Err(fault(errno.into())),
        }
    }
}
