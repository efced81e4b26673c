//! A board whose agent answers.

use std::sync::Arc;
use std::time::Duration;

use quantrack_proto::v1::agent_client::AgentClient;
use quantrack_proto::v1::upload_blob_request::Part;
use quantrack_proto::{API_VERSION, MIN_API_VERSION, v1};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::convert;
use super::error::DeviceError;
use super::lease::Lease;
use super::local::LocalAgent;
use super::run_id::RunHeader;
use crate::measurement::{BoardFacts, Conditions, Health, Occupancy};
use crate::store::DeviceRecord;

/// Size of the pieces of an upload; the contract allows no more than 1 MiB.
const CHUNK_BYTES: usize = 512 << 10;

/// A board at the moment.
#[derive(Clone, Debug)]
pub struct Now {
    /// What it is doing.
    pub conditions: Conditions,
    /// Who has it; agents of earlier releases do not say.
    pub occupancy: Option<Occupancy>,
    /// Whether it has what it needs; agents of earlier releases do not say.
    pub health: Option<Health>,
}

/// A connected board.
#[derive(Debug)]
pub struct Device {
    pub(super) client: AgentClient<InterceptedService<Channel, RunHeader>>,
    address: String,
    facts: BoardFacts,
    agent_version: String,
    engine_build: String,
    kernels: Vec<String>,
    /// The version of the interface that both speak.
    api_version: u32,
    /// How long to wait for a lease.
    patience: Duration,
    secure: bool,
    /// Ends with us, when we have started it.
    _local: Option<LocalAgent>,
}

impl Device {
    /// Greets the agent at the other end of `channel`.
    pub(super) async fn greet(
        channel: Channel,
        address: String,
        local: Option<LocalAgent>,
    ) -> Result<Self, DeviceError> {
        let mut client = AgentClient::with_interceptor(channel, RunHeader);
        let request = v1::GetCapabilitiesRequest {
            min_api_version: MIN_API_VERSION,
            max_api_version: API_VERSION,
        };
        let doing = "asking what it can do";
        let answer = client
            .get_capabilities(request)
            .await
            .map_err(|status| DeviceError::from_status(&address, doing, &status))?
            .into_inner();
        if answer.max_api_version < MIN_API_VERSION || answer.min_api_version > API_VERSION {
            let range = |least, most| {
                if least == most { format!("{most}") } else { format!("{least} to {most}") }
            };
            return Err(DeviceError::Incompatible {
                address,
                theirs: range(answer.min_api_version, answer.max_api_version),
                ours: range(MIN_API_VERSION, API_VERSION),
            });
        }
        let Some(board) = answer.board else {
            let detail = "it does not say which board it is on".to_owned();
            return Err(DeviceError::Protocol { address, doing, detail });
        };
        Ok(Self {
            client,
            address,
            facts: convert::board(board),
            agent_version: answer.agent_version,
            engine_build: answer.engine_build,
            kernels: answer.kernels,
            api_version: answer.max_api_version.min(API_VERSION),
            patience: Duration::ZERO,
            secure: false,
            _local: local,
        })
    }

    /// This board, for whose lease is waited that long.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// How long to wait for a lease.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The version of the interface that both sides speak.
    pub(super) fn api_version(&self) -> u32 {
        self.api_version
    }

    /// The same, reached with certificates on both sides.
    pub(super) fn secured(self) -> Self {
        Self { secure: true, ..self }
    }

    /// Whether it was reached with certificates on both sides.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Where it is, as the user addressed it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it is.
    pub fn facts(&self) -> &BoardFacts {
        &self.facts
    }

    /// Version of its agent.
    pub fn agent_version(&self) -> &str {
        &self.agent_version
    }

    /// Which kernels are timed; part of the key of every measurement.
    pub fn engine_build(&self) -> &str {
        &self.engine_build
    }

    /// Names of the micro-kernels that it can run.
    pub fn kernels(&self) -> &[String] {
        &self.kernels
    }

    /// What the store remembers of it.
    pub fn record(&self) -> DeviceRecord {
        DeviceRecord {
            fingerprint: self.facts.fingerprint(),
            address: self.address.clone(),
            facts: self.facts.clone(),
        }
    }

    /// Tells the board which certificates are revoked by what we know, and returns what it knows.
    pub(super) async fn exchange_lists(&self, revoked_pem: String) -> Result<String, DeviceError> {
        let request = v1::UpdateTrustRequest { revoked_pem, ..Default::default() };
        self.update_trust(request).await
    }

    /// Changes whom the board believes. Returns its lists of what is revoked.
    ///
    /// # Errors
    /// See [`DeviceError`]; the board says why it does not.
    pub async fn set_trust(
        &self,
        authorities_pem: String,
        revoked_pem: String,
        certificate_pem: String,
    ) -> Result<(), DeviceError> {
        let request = v1::UpdateTrustRequest { revoked_pem, authorities_pem, certificate_pem };
        self.update_trust(request).await.map(drop)
    }

    async fn update_trust(&self, request: v1::UpdateTrustRequest) -> Result<String, DeviceError> {
        let answer = self.client.clone().update_trust(request).await;
        Ok(answer.map_err(self.fault("exchanging what is revoked"))?.into_inner().revoked_pem)
    }

    /// What the board is doing now.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn conditions(&self) -> Result<Conditions, DeviceError> {
        Ok(self.now().await?.conditions)
    }

    /// What the board is doing now, who has it, and whether it has what it needs.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn now(&self) -> Result<Now, DeviceError> {
        let answer = self.client.clone().get_conditions(v1::GetConditionsRequest {}).await;
        let answer = answer.map_err(self.fault("asking what it is doing"))?.into_inner();
        Ok(Now {
            conditions: convert::conditions(answer.conditions.unwrap_or_default()),
            occupancy: answer.occupancy.map(convert::occupancy),
            health: answer.health.map(convert::health),
        })
    }

    /// Uploads those blobs, named by their digests, that the agent lacks; `load` gives their bytes. Returns how many
    /// bytes were sent.
    ///
    /// # Errors
    /// See [`DeviceError`], and what `load` reports.
    pub async fn upload<E: From<DeviceError>>(
        &self,
        lease: &Lease,
        sha256: &[String],
        load: impl Fn(&str) -> Result<Vec<u8>, E>,
    ) -> Result<u64, E> {
        let doing = "uploading variants";
        let request = v1::FindMissingBlobsRequest { sha256: sha256.to_vec() };
        let missing = self.client.clone().find_missing_blobs(request).await;
        let missing = missing.map_err(self.fault(doing))?.into_inner().sha256;
        let mut uploaded_bytes = 0;
        for digest in missing {
            if !sha256.contains(&digest) {
                let detail = format!("it asks for {digest:?}, which was not offered");
                return Err(self.protocol(doing, detail).into());
            }
            let bytes = load(&digest)?;
            uploaded_bytes += bytes.len() as u64;
            self.upload_blob(lease, digest, bytes).await?;
        }
        Ok(uploaded_bytes)
    }

    async fn upload_blob(
        &self,
        lease: &Lease,
        sha256: String,
        bytes: Vec<u8>,
    ) -> Result<(), DeviceError> {
        let header = Part::Header(v1::BlobHeader {
            lease: Some(lease.wire()),
            sha256,
            size_bytes: bytes.len() as u64,
        });
        let bytes: Arc<[u8]> = bytes.into();
        let chunks = (0..bytes.len()).step_by(CHUNK_BYTES).map(move |start| {
            let end = bytes.len().min(start + CHUNK_BYTES);
            Part::Chunk(bytes[start..end].to_vec())
        });
        let parts = std::iter::once(header).chain(chunks);
        let requests = parts.map(|part| v1::UploadBlobRequest { part: Some(part) });
        let answer = self.client.clone().upload_blob(tokio_stream::iter(requests)).await;
        answer.map_err(self.fault("uploading a variant"))?;
        Ok(())
    }

    /// Turns a failed call into an error that names this board.
    pub(super) fn fault(&self, doing: &'static str) -> impl Fn(tonic::Status) -> DeviceError + '_ {
        move |status| DeviceError::from_status(&self.address, doing, &status)
    }

    pub(super) fn protocol(&self, doing: &'static str, detail: String) -> DeviceError {
        DeviceError::Protocol { address: self.address.clone(), doing, detail }
    }
}
