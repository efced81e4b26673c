//! One client at a time, and a queue of those who wait.

use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Most clients that may wait for the board.
const MAX_QUEUE: usize = 256;

/// Why a lease was not given, or a request under one refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Somebody has the board, or comes before.
    #[error("the board is {0}")]
    Busy(Occupancy),
    /// The time to wait is over.
    #[error("{} s in the queue were not enough: place {position} of it, and the board is {occupancy}", waited.as_secs())]
    NotInTime {
        /// How long the client has waited.
        waited: Duration,
        /// Its place at the end.
        position: usize,
        /// Whom it waited for.
        occupancy: Occupancy,
    },
    /// Too many wait.
    #[error("the queue for the board is full, and it is {0}")]
    QueueFull(Occupancy),
    /// The board gives no more leases.
    #[error(
        "the board is drained and gives no more leases: {reason}; `orchestrator device undrain` ends that"
    )]
    Draining {
        /// Why.
        reason: String,
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
    /// That the board is drained could not be written down.
    #[error("failed to write {path}, so that a restart would undo it: {detail}")]
    NotKept {
        /// Where.
        path: String,
        /// Why.
        detail: String,
    },
}

/// Who has the board, and who may have it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Who has it; `None` when it is free.
    pub holder: Option<String>,
    /// Of the lease in force; 0 when there is none.
    pub epoch: u64,
    /// Since the lease was given.
    pub held: Duration,
    /// How many wait.
    pub waiting: usize,
    /// Why no more leases are given.
    pub draining: Option<String>,
}

impl fmt::Display for Occupancy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.holder {
            Some(holder) => {
                let (epoch, held) = (self.epoch, self.held.as_secs());
                write!(f, "held by {holder} (lease {epoch}) since {held} s")?;
            }
            None => f.write_str("free")?,
        }
        match self.waiting {
            0 => Ok(()),
            1 => f.write_str(", and 1 waits"),
            more => write!(f, ", and {more} wait"),
        }
    }
}

/// Proof of holding the board.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    /// Grows with every lease.
    pub epoch: u64,
    /// Known to the holder only.
    pub token: String,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").field("epoch", &self.epoch).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Held {
    proof: Proof,
    holder: String,
    since: Instant,
    /// Dropped at the end, which tells everybody who watches.
    over: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    last_epoch: u64,
    held: Option<Held>,
    last_ticket: u64,
    /// Tickets of those who wait, first come first.
    queue: VecDeque<u64>,
    draining: Option<String>,
}

impl State {
    fn occupancy(&self) -> Occupancy {
        let held = self.held.as_ref();
        Occupancy {
            holder: held.map(|held| held.holder.clone()),
            epoch: held.map_or(0, |held| held.proof.epoch),
            held: held.map_or(Duration::ZERO, |held| held.since.elapsed()),
            waiting: self.queue.len(),
            draining: self.draining.clone(),
        }
    }

    fn draining(&self) -> Result<(), LeaseError> {
        match self.draining.clone() {
            Some(reason) => Err(LeaseError::Draining { reason }),
            None => Ok(()),
        }
    }
}

/// The board's lease.
#[derive(Clone, Debug, Default)]
pub struct Leases(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told whenever somebody in the queue may have come forward.
    changed: watch::Sender<()>,
    /// Where it is written that the board is drained.
    drain_file: Option<PathBuf>,
}

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

/// A place in the queue; dropping it leaves the queue.
#[derive(Debug)]
pub struct Place {
    leases: Leases,
    holder: String,
    ticket: u64,
    changed: watch::Receiver<()>,
}

/// What a place in the queue is worth at the moment.
#[derive(Debug)]
pub enum Turn {
    /// The board.
    Mine(HeldLease),
    /// So many have to go first, this one included.
    Waits {
        /// 1 is next.
        position: usize,
        /// Whom it waits for.
        occupancy: Occupancy,
    },
}

impl Leases {
    /// Leases that remember in this directory whether the board is drained.
    pub fn kept_in(state_dir: &Path) -> Self {
        let drain_file = state_dir.join("draining");
        let draining = std::fs::read_to_string(&drain_file).ok().map(|reason| printable(&reason));
        let state = Mutex::new(State { draining, ..State::default() });
        Self(Arc::new(Shared { state, drain_file: Some(drain_file), ..Shared::default() }))
    }

    /// Takes the board if nobody has it or waits for it.
    ///
    /// # Errors
    /// [`LeaseError::Busy`] names the holder.
    pub fn acquire(&self, holder: &str) -> Result<HeldLease, LeaseError> {
        match self.line_up(holder)?.turn()? {
            Turn::Mine(held) => Ok(held),
            Turn::Waits { mut occupancy, .. } => {
                // It does not wait itself.
                occupancy.waiting = occupancy.waiting.saturating_sub(1);
                Err(LeaseError::Busy(occupancy))
            }
        }
    }

    /// Takes the last place in the queue.
    ///
    /// # Errors
    /// When the queue is full, or the board drained.
    pub fn line_up(&self, holder: &str) -> Result<Place, LeaseError> {
        let mut state = self.lock();
        state.draining()?;
        if state.queue.len() >= MAX_QUEUE {
            return Err(LeaseError::QueueFull(state.occupancy()));
        }
        state.last_ticket += 1;
        let ticket = state.last_ticket;
        state.queue.push_back(ticket);
        let changed = self.0.changed.subscribe();
        Ok(Place { leases: self.clone(), holder: printable(holder), ticket, changed })
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

    /// Who has the board.
    pub fn occupancy(&self) -> Occupancy {
        self.lock().occupancy()
    }

    /// How many leases have been given.
    pub fn given(&self) -> u64 {
        self.lock().last_epoch
    }

    /// Gives no more leases, for that reason, or gives leases again. Who waits is refused; who has the board keeps it.
    ///
    /// # Errors
    /// When it cannot be written down; then nothing changes.
    pub fn drain(&self, reason: Option<&str>) -> Result<Occupancy, LeaseError> {
        let mut state = self.lock();
        let reason = reason.map(printable);
        if let Some(path) = &self.0.drain_file {
            let written = match &reason {
                Some(reason) => std::fs::write(path, reason),
                None => std::fs::remove_file(path),
            };
            if let Err(error) = written.or_else(|error| match error.kind() {
                std::io::ErrorKind::NotFound if reason.is_none() => Ok(()),
                _ => Err(error),
            }) {
                let path = path.display().to_string();
                return Err(LeaseError::NotKept { path, detail: error.to_string() });
            }
        }
        state.draining = reason;
        self.0.changed.send_replace(());
        Ok(state.occupancy())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// The board, when it is free and nobody comes before.
    ///
    /// # Errors
    /// When the board has been drained.
    pub fn turn(&mut self) -> Result<Turn, LeaseError> {
        let token = token()?;
        let mut state = self.leases.lock();
        // What is told from here on concerns a later state than the one that is looked at.
        self.changed.mark_unchanged();
        state.draining()?;
        let before = state.queue.iter().position(|&ticket| ticket == self.ticket);
        let before = before.unwrap_or(state.queue.len());
        if before > 0 || state.held.is_some() {
            return Ok(Turn::Waits { position: before + 1, occupancy: state.occupancy() });
        }
        state.queue.pop_front();
        state.last_epoch += 1;
        let proof = Proof { epoch: state.last_epoch, token };
        let (holder, over) = (self.holder.clone(), watch::Sender::new(()));
        state.held = Some(Held { proof: proof.clone(), holder, since: Instant::now(), over });
        Ok(Turn::Mine(HeldLease { leases: self.leases.clone(), proof }))
    }

    /// Returns when [`Place::turn`] may have another answer than it had.
    pub async fn moved(&mut self) {
        // The sender lives as long as `leases`.
        let _ = self.changed.changed().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leases.lock().queue.retain(|&ticket| ticket != self.ticket);
        self.leases.0.changed.send_replace(());
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        self.leases.lock().held.take_if(|held| held.proof == self.proof);
        self.leases.0.changed.send_replace(());
    }
}

/// A name or a reason as others may see it: short, on one line.
fn printable(text: &str) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).take(120).collect();
    if line.trim().is_empty() { "nobody says".to_owned() } else { line }
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
mod tests;
