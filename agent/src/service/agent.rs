//! The service's methods; the long ones have a file each.

use std::sync::Arc;
use std::time::Duration;

use quantrack_engine::kernels::registry;
use quantrack_proto::v1::agent_server::Agent;
use quantrack_proto::{API_VERSION, MIN_API_VERSION, v1};
use tokio::sync::{Mutex, OwnedMutexGuard, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{convert, health, measure, run, trust, upload};
use crate::blobs::{Blobs, Digest};
use crate::board::{BoardFacts, Conditions, Root, detect_features};
use crate::lease::Leases;
use crate::security::{Peer, Security};
use crate::worker::Launcher;

/// How often a lease gives a sign of life.
const HEARTBEAT: Duration = Duration::from_secs(2);
/// How long a request waits for the one before it to end its worker.
const WORKER_WAIT: Duration = Duration::from_secs(5);
/// Most digests in one question.
const MAX_DIGESTS: usize = 4096;

/// What the service works with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the board's files are.
    pub root: Root,
    /// The uploaded variants.
    pub blobs: Blobs,
    /// How to start a worker.
    pub launcher: Launcher,
    /// Longest time that one order to a worker may take.
    pub order_deadline: Duration,
    /// Whom to let in; `None`: everybody, without TLS.
    pub security: Option<Arc<Security>>,
}

/// The service.
#[derive(Clone, Debug)]
pub struct AgentService {
    pub(super) config: Arc<Config>,
    pub(super) leases: Leases,
    /// Held by the request whose worker runs.
    slot: Arc<Mutex<()>>,
}

impl AgentService {
    /// A service without a lease in force.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), leases: Leases::default(), slot: Arc::default() }
    }

    /// The right to start a worker.
    pub(super) async fn slot(&self) -> Result<OwnedMutexGuard<()>, Status> {
        let wait = tokio::time::timeout(WORKER_WAIT, Arc::clone(&self.slot).lock_owned());
        let busy = "another measurement or run is under way; wait for its end or cancel it";
        wait.await.map_err(|_| Status::resource_exhausted(busy))
    }

    /// A request's limit of memory, or what the board can spare.
    pub(super) fn memory_limit_bytes(&self, asked: u64) -> u64 {
        if asked > 0 {
            return asked;
        }
        let total = BoardFacts::read(&self.config.root).memory_bytes;
        if total == 0 { 1 << 30 } else { total / 4 * 3 }
    }
}

#[tonic::async_trait]
impl Agent for AgentService {
    async fn get_capabilities(
        &self,
        request: Request<v1::GetCapabilitiesRequest>,
    ) -> Result<Response<v1::GetCapabilitiesResponse>, Status> {
        let request = request.into_inner();
        let (least, most) = (request.min_api_version, request.max_api_version);
        if most < MIN_API_VERSION || least > API_VERSION {
            return Err(Status::failed_precondition(format!(
                "the caller speaks versions {least} to {most} of the interface, this agent \
                 {MIN_API_VERSION} to {API_VERSION}; install the same release on both sides"
            )));
        }
        let features = detect_features();
        let usable = registry::all().into_iter().filter(|(_, isa)| features.has(*isa));
        Ok(Response::new(v1::GetCapabilitiesResponse {
            min_api_version: MIN_API_VERSION,
            max_api_version: API_VERSION,
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            engine_build: registry::engine_build(),
            board: Some(convert::board(BoardFacts::read(&self.config.root))),
            kernels: usable.map(|(name, _)| name.to_owned()).collect(),
        }))
    }

    async fn get_conditions(
        &self,
        _request: Request<v1::GetConditionsRequest>,
    ) -> Result<Response<v1::GetConditionsResponse>, Status> {
        let conditions = Conditions::read(&self.config.root);
        let health = Some(health::read(&self.config, &conditions));
        let conditions = Some(convert::conditions(conditions));
        Ok(Response::new(v1::GetConditionsResponse { conditions, health }))
    }

    type AcquireLeaseStream = ReceiverStream<Result<v1::AcquireLeaseResponse, Status>>;

    async fn acquire_lease(
        &self,
        request: Request<v1::AcquireLeaseRequest>,
    ) -> Result<Response<Self::AcquireLeaseStream>, Status> {
        let held = self.leases.acquire(&request.into_inner().holder)?;
        let (sender, receiver) = mpsc::channel(1);
        // The task owns the lease, and ends when the holder's stream does.
        tokio::spawn(async move {
            let sign = || v1::AcquireLeaseResponse { lease: Some(convert::lease(&held.proof)) };
            while sender.send(Ok(sign())).await.is_ok() {
                tokio::select! {
                    () = tokio::time::sleep(HEARTBEAT) => {}
                    () = sender.closed() => break,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn find_missing_blobs(
        &self,
        request: Request<v1::FindMissingBlobsRequest>,
    ) -> Result<Response<v1::FindMissingBlobsResponse>, Status> {
        let asked = request.into_inner().sha256;
        if asked.len() > MAX_DIGESTS {
            return Err(Status::invalid_argument(format!(
                "more than {MAX_DIGESTS} digests at once"
            )));
        }
        let digests: Result<Vec<Digest>, _> =
            asked.iter().map(|text| Digest::parse(text)).collect();
        let missing = digests?.into_iter().filter(|digest| !self.config.blobs.contains(digest));
        let sha256 = missing.map(|digest| digest.as_str().to_owned()).collect();
        Ok(Response::new(v1::FindMissingBlobsResponse { sha256 }))
    }

    async fn upload_blob(
        &self,
        request: Request<Streaming<v1::UploadBlobRequest>>,
    ) -> Result<Response<v1::UploadBlobResponse>, Status> {
        upload::receive(self, request.into_inner()).await.map(Response::new)
    }

    type MeasureStream = ReceiverStream<Result<v1::MeasureResponse, Status>>;

    async fn measure(
        &self,
        request: Request<v1::MeasureRequest>,
    ) -> Result<Response<Self::MeasureStream>, Status> {
        measure::start(self, request.into_inner()).await.map(Response::new)
    }

    type RunStream = ReceiverStream<Result<v1::RunResponse, Status>>;

    async fn run(
        &self,
        request: Request<Streaming<v1::RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        run::start(self, request.into_inner()).await.map(Response::new)
    }

    async fn update_trust(
        &self,
        request: Request<v1::UpdateTrustRequest>,
    ) -> Result<Response<v1::UpdateTrustResponse>, Status> {
        let peer = request.extensions().get::<Peer>().cloned();
        trust::update(self, peer.as_ref(), request.into_inner()).map(Response::new)
    }
}
