//! The stream of a lease: a place in the queue, then the board for as long as the stream is open.

use std::time::{Duration, Instant};

use quantrack_proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::agent::AgentService;
use super::convert;
use crate::lease::{HeldLease, LeaseError, Place, Turn};

/// How often a lease, or a place in the queue, gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// Longest time in the queue.
const MAX_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

type Signs = mpsc::Sender<Result<v1::AcquireLeaseResponse, Status>>;

pub(super) fn start(
    service: &AgentService,
    request: &v1::AcquireLeaseRequest,
    run: String,
) -> Result<ReceiverStream<Result<v1::AcquireLeaseResponse, Status>>, Status> {
    let wait = Duration::from_millis(request.wait_ms.into()).min(MAX_WAIT);
    let (signs, receiver) = mpsc::channel(1);
    if wait.is_zero() {
        let held = service.leases.acquire(&request.holder)?;
        tokio::spawn(hold(held, signs, run));
    } else {
        let place = service.leases.line_up(&request.holder)?;
        tokio::spawn(async move {
            match queue(place, wait, &signs).await {
                Ok(Some(held)) => hold(held, signs, run).await,
                Ok(None) => {}
                Err(error) => drop(signs.send(Err(error.into())).await),
            }
        });
    }
    Ok(ReceiverStream::new(receiver))
}

/// Waits for the board; `None` when the client has gone.
async fn queue(
    mut place: Place,
    wait: Duration,
    signs: &Signs,
) -> Result<Option<HeldLease>, LeaseError> {
    let begin = Instant::now();
    loop {
        let (position, occupancy) = match place.turn()? {
            Turn::Mine(held) => return Ok(Some(held)),
            Turn::Waits { position, occupancy } => (position, occupancy),
        };
        let left = wait.saturating_sub(begin.elapsed());
        if left.is_zero() {
            return Err(LeaseError::NotInTime { waited: wait, position, occupancy });
        }
        let place_now = v1::QueuePlace {
            position: u32::try_from(position).unwrap_or(u32::MAX),
            occupancy: Some(convert::occupancy(occupancy)),
        };
        // A client that reads slowly misses signs, and not its turn.
        let sign = v1::AcquireLeaseResponse { lease: None, place: Some(place_now) };
        let _ = signs.try_send(Ok(sign));
        tokio::select! {
            () = place.moved() => {}
            () = tokio::time::sleep(HEARTBEAT.min(left)) => {}
            () = signs.closed() => return Ok(None),
        }
    }
}

/// Owns the lease until the holder's stream ends.
async fn hold(held: HeldLease, signs: Signs, run: String) {
    let epoch = held.proof.epoch;
    tracing::info!("run {run}: lease {epoch} begins");
    let sign =
        || v1::AcquireLeaseResponse { lease: Some(convert::lease(&held.proof)), place: None };
    while signs.send(Ok(sign())).await.is_ok() {
        tokio::select! {
            () = tokio::time::sleep(HEARTBEAT) => {}
            () = signs.closed() => break,
        }
    }
    tracing::info!("run {run}: lease {epoch} ends");
}
