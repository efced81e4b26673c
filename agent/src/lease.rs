//! One client at a time.

use std::fs::File;
use std::io::Read as _;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

/// Why a lease was not given, or a request under one refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody has the board.
    #[error("the board is held by {holder} (lease {epoch})")]
    Busy {
        /// Who.
        holder: String,
        /// Under which lease.
        epoch: u64,
    },
    /// The lease is over, or was never given.
    #[error("lease {epoch} is not in force; acquire the board again")]
    Stale {
        /// The lease that was shown.
        epoch: u64,
    },
    /// The request shows no lease.
    #[error("the request carries no lease; acquire the board first")]
    Missing,
    /// The system gave no random numbers for a token.
    #[error("no random numbers for a token: {0}")]
    NoRandomness(String),
}

/// Proof of holding the board.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// Grows with every lease.
    pub epoch: u64,
    /// Known to the holder only.
    pub token: String,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proof").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Held {
    proof: Proof,
    holder: String,
    /// Dropped at the end, which tells everybody who watches.
    over: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    last_epoch: u64,
    held: Option<Held>,
}

/// The board's lease.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Mutex<State>>);

/// A lease in force; it ends when this is dropped.
#[derive(Debug)]
pub struct HeldLease {
    leases: Leases,
    /// What the holder shows with each request.
    pub proof: Proof,
}

/// Tells when the lease of a request ends.
#[derive(Clone, Debug)]
pub struct LeaseWatch(watch::Receiver<()>);

impl LeaseWatch {
    /// Returns when the lease has ended.
    pub async fn ended(mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

impl Leases {
    /// Takes the board.
    ///
    /// # Errors
    /// [`LeaseError::Busy`] names the holder.
    pub fn acquire(&self, holder: &str) -> Result<HeldLease, LeaseError> {
        let token = token()?;
        let mut state = self.lock();
        if let Some(held) = &state.held {
            let (holder, epoch) = (held.holder.clone(), held.proof.epoch);
            return Err(LeaseError::Busy { holder, epoch });
        }
        state.last_epoch += 1;
        let proof = Proof { epoch: state.last_epoch, token };
        let over = watch::Sender::new(());
        state.held = Some(Held { proof: proof.clone(), holder: printable(holder), over });
        Ok(HeldLease { leases: self.clone(), proof })
    }

    /// Checks that a request's lease is in force.
    ///
    /// # Errors
    /// [`LeaseError::Stale`] when it is not, whether it is over or was made up.
    pub fn check(&self, proof: &Proof) -> Result<LeaseWatch, LeaseError> {
        let state = self.lock();
        let held = state.held.as_ref().filter(|held| held.proof == *proof);
        let held = held.ok_or(LeaseError::Stale { epoch: proof.epoch })?;
        Ok(LeaseWatch(held.over.subscribe()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.leases.lock().held.take_if(|held| held.proof == self.proof);
    }
}

/// A holder's name as others may see it: short, on one line.
fn printable(holder: &str) -> String {
    let name: String = holder.chars().filter(|c| !c.is_control()).take(120).collect();
    if name.trim().is_empty() { "somebody without a name".to_owned() } else { name }
}

/// 128 random bits in hexadecimal.
fn token() -> Result<String, LeaseError> {
    let mut bytes = [0; 16];
    File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| LeaseError::NoRandomness(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_epochs_grow() {
        let leases = Leases::default();
        let first = leases.acquire("ana@host").unwrap();
        assert_eq!(
            leases.acquire("bo").unwrap_err(),
            LeaseError::Busy { holder: "ana@host".to_owned(), epoch: 1 }
        );
        let old = first.proof.clone();
        assert!(leases.check(&old).is_ok());
        drop(first);
        let second = leases.acquire("bo\n").unwrap();
        assert_eq!(second.proof.epoch, 2);
        assert_eq!(leases.check(&old).unwrap_err(), LeaseError::Stale { epoch: 1 });
        let guessed = Proof { epoch: 2, token: old.token };
        assert_eq!(leases.check(&guessed).unwrap_err(), LeaseError::Stale { epoch: 2 });
        assert!(leases.check(&second.proof).is_ok());
    }

    #[test]
    fn of_many_at_once_one_wins() {
        let leases = Leases::default();
        let got: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|i| {
                    scope.spawn({
                        let leases = &leases;
                        move || leases.acquire(&i.to_string())
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(got.iter().filter(|result| result.is_ok()).count(), 1);
    }

    #[tokio::test]
    async fn the_end_wakes_those_who_watch() {
        let leases = Leases::default();
        let held = leases.acquire("ana").unwrap();
        let watch = leases.check(&held.proof).unwrap();
        drop(held);
        tokio::time::timeout(std::time::Duration::from_secs(5), watch.ended()).await.unwrap();
    }
}
