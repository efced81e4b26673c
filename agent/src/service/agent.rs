//! The service's methods; the long ones have a file each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use quantrack_engine::kernels::registry;
use quantrack_proto::v1::agent_server::Agent;
use quantrack_proto::{API_VERSION, MIN_API_VERSION, v1};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::{convert, health, lease, measure, run, trust, upload};
use crate::blobs::{Blobs, Digest};
use crate::board::{BoardFacts, Conditions, Root, detect_features};
use crate::governor::{Governor, Performance};
use crate::lease::Leases;
use crate::metrics::{self, Metrics};
use crate::security::{Peer, Security};
use crate::worker::Launcher;

/// How long a request waits for the one before it to end its worker.
const WORKER_WAIT: Duration = Duration::from_secs(5);
/// How often to look whether there are new metrics.
const METRICS_INTERVAL: Duration = Duration::from_secs(5);
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
    /// Who sets the frequency governor.
    pub governor: Governor,
    /// Whether foreign load is to be expected, and voids nothing.
    pub shared_machine: bool,
    /// Whom to let in; `None`: everybody, without TLS.
    pub security: Option<Arc<Security>>,
}

/// The service.
#[derive(Clone, Debug)]
pub struct AgentService {
    pub(super) config: Arc<Config>,
    pub(super) leases: Leases,
    pub(super) metrics: Metrics,
    /// Held by the request whose worker runs.
    slot: Arc<Mutex<()>>,
}

impl AgentService {
    /// A service without a lease in force.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            leases: Leases::default(),
            metrics: Metrics::default(),
            slot: Arc::default(),
        }
    }

    /// Keeps a file with what was done up to date, except while a worker runs, which must not be disturbed.
    pub async fn write_metrics(self, path: PathBuf) {
        let mut written = String::new();
        loop {
            let text = self.metrics.text(&self.leases.occupancy(), self.leases.given());
            if text != written && self.slot.try_lock().is_ok() {
                match metrics::write(&path, &text) {
                    Ok(()) => written = text,
                    Err(error) => tracing::warn!("failed to write {}: {error}", path.display()),
                }
            }
            tokio::time::sleep(METRICS_INTERVAL).await;
        }
    }

    /// With leases that were drained before, perhaps.
    #[must_use]
    pub fn with_leases(self, leases: Leases) -> Self {
        Self { leases, ..self }
    }

    /// The right to start a worker.
    pub(super) async fn slot(&self) -> Result<OwnedMutexGuard<()>, Status> {
        let wait = tokio::time::timeout(WORKER_WAIT, Arc::clone(&self.slot).lock_owned());
        let busy = "another measurement or run is under way; wait for its end or cancel it";
        wait.await.map_err(|_| Status::resource_exhausted(busy))
    }

    /// Holds the governor at performance where somebody may set it.
    pub(super) async fn performance(&self) -> Result<Performance, String> {
        self.config.governor.performance(&Conditions::read(&self.config.root)).await
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
        let occupancy = Some(convert::occupancy(self.leases.occupancy()));
        Ok(Response::new(v1::GetConditionsResponse { conditions, occupancy, health }))
    }

    type AcquireLeaseStream = ReceiverStream<Result<v1::AcquireLeaseResponse, Status>>;

    async fn acquire_lease(
        &self,
        request: Request<v1::AcquireLeaseRequest>,
    ) -> Result<Response<Self::AcquireLeaseStream>, Status> {
        let run = run_of(&request);
        lease::start(self, &request.into_inner(), run).map(Response::new)
    }

    async fn drain(
        &self,
        request: Request<v1::DrainRequest>,
    ) -> Result<Response<v1::DrainResponse>, Status> {
        let occupancy = self.leases.drain(request.into_inner().reason.as_deref())?;
        match &occupancy.draining {
            Some(reason) => tracing::info!("drained: {reason}; the board is {occupancy}"),
            None => tracing::info!("leases are given again"),
        }
        let occupancy = Some(convert::occupancy(occupancy));
        Ok(Response::new(v1::DrainResponse { occupancy }))
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
        let run = run_of(&request);
        let request = request.into_inner();
        tracing::info!("run {run}: measuring {} variants", request.variant_sha256.len());
        measure::start(self, request).await.map(Response::new)
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

/// The number of the caller's run, for the log.
fn run_of<T>(request: &Request<T>) -> String {
    let value = request.metadata().get(quantrack_proto::RUN_HEADER);
    let text = value.and_then(|value| value.to_str().ok()).unwrap_or("unknown");
    text.chars().filter(char::is_ascii_alphanumeric).take(40).collect()
}
