//! An agent in this process, and a client of it over loopback.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quantrack_agent::blobs::{Blobs, Digest};
use quantrack_agent::board::Root;
use quantrack_agent::governor::Governor;
use quantrack_agent::service::{AgentService, Config, serve};
use quantrack_agent::worker::Launcher;
use quantrack_proto::v1;
use quantrack_proto::v1::agent_client::AgentClient;
use quantrack_proto::v1::upload_blob_request::Part;
use tokio::net::TcpListener;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub(crate) struct Board {
    pub(crate) client: AgentClient<Channel>,
    pub(crate) channel: Channel,
    pub(crate) address: SocketAddr,
    state: tempfile::TempDir,
}

/// Starts an agent whose board is imitated by the files below `root`.
pub(crate) async fn start(root: &Path) -> Board {
    start_with(root, Launcher::default()).await
}

/// The same, with workers that are started otherwise.
pub(crate) async fn start_with(root: &Path, launcher: Launcher) -> Board {
    let state = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = AgentService::new(Config {
        root: Root::new(root),
        blobs: Blobs::open(state.path(), 4 << 20).unwrap(),
        launcher,
        order_deadline: Duration::from_millis(1500),
        governor: Governor::new(state.path().join("governor")),
        shared_machine: false,
        security: None,
    });
    tokio::spawn(serve(listener, service, std::future::pending()));
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}")).unwrap();
    let channel = endpoint.connect().await.unwrap();
    Board { client: AgentClient::new(channel.clone()), channel, address, state }
}

pub(crate) fn imitated(board: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/boards").join(board)
}

pub(crate) struct Held {
    pub(crate) lease: v1::Lease,
    _stream: Streaming<v1::AcquireLeaseResponse>,
}

impl Board {
    /// Where the agent expects the helper that sets the governor.
    pub(crate) fn governor_socket(&self) -> PathBuf {
        self.state.path().join("governor")
    }

    pub(crate) async fn acquire(&self, holder: &str) -> Result<Held, Status> {
        let mut stream = self.line_up(holder, 0).await?;
        let lease = stream.message().await?.unwrap().lease.unwrap();
        Ok(Held { lease, _stream: stream })
    }

    /// The stream of one who waits for the board.
    pub(crate) async fn line_up(
        &self,
        holder: &str,
        wait_ms: u32,
    ) -> Result<Streaming<v1::AcquireLeaseResponse>, Status> {
        let request = v1::AcquireLeaseRequest { holder: holder.to_owned(), wait_ms };
        Ok(self.client.clone().acquire_lease(request).await?.into_inner())
    }

    /// Acquires the board as soon as its former holder has gone.
    pub(crate) async fn acquire_soon(&self) -> Held {
        for _ in 0..200 {
            if let Ok(held) = self.acquire("next").await {
                return held;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the board was not freed");
    }

    pub(crate) async fn send(&self, parts: Vec<Part>) -> Result<String, Status> {
        let requests = parts.into_iter().map(|part| v1::UploadBlobRequest { part: Some(part) });
        let stream = tokio_stream::iter(requests.collect::<Vec<_>>());
        Ok(self.client.clone().upload_blob(stream).await?.into_inner().sha256)
    }

    pub(crate) async fn upload(&self, held: &Held, bytes: &[u8]) -> String {
        let header = header(&held.lease, bytes, bytes.len() as u64);
        self.send(vec![header, Part::Chunk(bytes.to_vec())]).await.unwrap()
    }

    pub(crate) async fn measure(
        &self,
        held: &Held,
        variants: &[String],
    ) -> Result<Streaming<v1::MeasureResponse>, Status> {
        self.measure_with(held, variants, settings()).await
    }

    pub(crate) async fn measure_with(
        &self,
        held: &Held,
        variants: &[String],
        settings: v1::MeasureSettings,
    ) -> Result<Streaming<v1::MeasureResponse>, Status> {
        let request = v1::MeasureRequest {
            lease: Some(held.lease.clone()),
            variant_sha256: variants.to_vec(),
            settings: Some(settings),
        };
        Ok(self.client.clone().measure(request).await?.into_inner())
    }

    /// The events of a measurement, and how it ended.
    pub(crate) async fn events(
        &self,
        held: &Held,
        variants: &[String],
    ) -> (Vec<v1::measure_response::Event>, Option<Status>) {
        let mut stream = self.measure(held, variants).await.unwrap();
        let mut events = Vec::new();
        loop {
            match stream.message().await {
                Ok(Some(message)) => events.extend(message.event),
                Ok(None) => return (events, None),
                Err(status) => return (events, Some(status)),
            }
        }
    }
}

pub(crate) fn header(lease: &v1::Lease, bytes: &[u8], size_bytes: u64) -> Part {
    let sha256 = Digest::of(bytes).as_str().to_owned();
    Part::Header(v1::BlobHeader { lease: Some(lease.clone()), sha256, size_bytes })
}

pub(crate) fn settings() -> v1::MeasureSettings {
    v1::MeasureSettings {
        threads: 1,
        cores: Vec::new(),
        warmup_runs: 1,
        min_samples: 6,
        max_samples: 12,
        target_relative_ci: 0.0,
        max_duration_ms: 20_000,
        block_samples: 6,
        memory_limit_bytes: 2 << 30,
        layers: true,
        seed: 1,
        cool_to_celsius: None,
        cool_timeout_ms: 0,
    }
}
