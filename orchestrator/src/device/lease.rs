//! The right to use a board.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use quantrack_proto::v1;
use tokio::task::JoinHandle;
use tonic::{Code, Status, Streaming};

use super::client::Device;
use super::convert;
use super::error::DeviceError;
use super::run_id::run_id;
use crate::measurement::Occupancy;
use crate::user;

const TAKING: &str = "taking the board";
/// How long an agent may take to answer, beyond the time in its queue.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// The version of the interface since which agents have a queue.
const QUEUE_SINCE: u32 = 2;

/// A held board. Dropping it frees the board, and so does the end of this process, however it comes.
#[derive(Debug)]
pub struct Lease {
    wire: v1::Lease,
    /// Reads the signs of life; the lease lasts while its stream is open.
    keeper: JoinHandle<()>,
    /// Whether its end is no surprise.
    foreseen: Arc<AtomicBool>,
}

impl Lease {
    /// Which lease of its agent this is.
    pub(crate) fn epoch(&self) -> u64 {
        self.wire.epoch
    }

    /// Its agent is going to be exchanged, and the lease ends with it.
    pub(crate) fn foresee_end(&self) {
        self.foreseen.store(true, Ordering::Relaxed);
    }

    /// Proof of holding the board, for requests.
    pub(super) fn wire(&self) -> v1::Lease {
        self.wire.clone()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

impl Device {
    /// Takes the board, after waiting in its queue for as long as [`Device::patient`] said.
    ///
    /// # Errors
    /// [`DeviceError::Busy`] and [`DeviceError::NotInTime`] name the holder when somebody else has the board,
    /// [`DeviceError::Draining`] the reason why nobody gets it.
    pub async fn lease(&self) -> Result<Lease, DeviceError> {
        let wait = self.patience();
        let wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let request = v1::AcquireLeaseRequest { holder: holder(), wait_ms };
        let limit = wait + ANSWER_TIMEOUT;
        let taking = async {
            let answer = self.client.clone().acquire_lease(request).await;
            let mut signs = answer.map_err(|status| self.refusal(&status))?.into_inner();
            let wire = self.in_line(&mut signs).await?;
            Ok::<_, DeviceError>((wire, signs))
        };
        let (wire, mut signs) = tokio::time::timeout(limit, taking).await.map_err(|_| {
            let silent = format!("no answer within {} s", limit.as_secs());
            let status = Box::new(Status::deadline_exceeded(silent));
            DeviceError::Vanished { address: self.address().to_owned(), doing: TAKING, status }
        })??;
        let address = self.address().to_owned();
        let foreseen = Arc::new(AtomicBool::new(false));
        let quiet = Arc::clone(&foreseen);
        let keeper = tokio::spawn(async move {
            while let Ok(Some(_)) = signs.message().await {}
            if !quiet.load(Ordering::Relaxed) {
                tracing::warn!("the lease of the board at {address} has ended");
            }
        });
        Ok(Lease { wire, keeper, foreseen })
    }

    /// Reads the signs of a queue until they bring the lease, and tells whom it waits for when that changes.
    async fn in_line(
        &self,
        signs: &mut Streaming<v1::AcquireLeaseResponse>,
    ) -> Result<v1::Lease, DeviceError> {
        let mut told = None;
        loop {
            let sign = signs.message().await.map_err(|status| self.refusal(&status))?;
            let sign = sign.unwrap_or_default();
            if let Some(lease) = sign.lease {
                return Ok(lease);
            }
            let Some(place) = sign.place else {
                return Err(self.protocol(TAKING, "it gives no lease".to_owned()));
            };
            let now = convert::occupancy(place.occupancy.unwrap_or_default());
            let news = Some((place.position, now.epoch));
            if told != news {
                let (address, position) = (self.address(), place.position);
                tracing::info!("waiting for the board at {address}: place {position}, {now}");
                told = news;
            }
        }
    }

    /// Lets the board finish what it does and give no more leases, for that reason; `None` ends that.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn drain(&self, reason: Option<String>) -> Result<Occupancy, DeviceError> {
        let answer = self.client.clone().drain(v1::DrainRequest { reason }).await;
        let answer = answer.map_err(self.fault("draining"))?.into_inner();
        Ok(convert::occupancy(answer.occupancy.unwrap_or_default()))
    }

    /// Why there is no lease.
    fn refusal(&self, status: &Status) -> DeviceError {
        let (address, mut detail) = (self.address().to_owned(), status.message().to_owned());
        let broken = std::error::Error::source(status).is_some();
        match status.code() {
            Code::ResourceExhausted => {
                if !self.patience().is_zero() && self.api_version() < QUEUE_SINCE {
                    detail.push_str(" (its agent knows no queue: --wait needs a newer one)");
                }
                DeviceError::Busy { address, detail }
            }
            Code::DeadlineExceeded if !broken => DeviceError::NotInTime { address, detail },
            Code::FailedPrecondition => DeviceError::Draining { address, detail },
            _ => self.fault(TAKING)(status.clone()),
        }
    }
}

/// Who we are, for others who want the board.
fn holder() -> String {
    let user = user::name().unwrap_or_else(|| "somebody".to_owned());
    let host = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    let host = host.as_deref().unwrap_or("unknown");
    format!("{user}@{host} (process {}, run {})", std::process::id(), run_id())
}
