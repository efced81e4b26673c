//! Boards that behave well and boards that do not, played by an agent in this process.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quantrack_engine::Level;
use quantrack_orchestrator::device::{Connector, Device, DeviceError, NamedTensor};
use quantrack_orchestrator::digest::hex_digest;
use quantrack_orchestrator::exit::{Exit, Failure};
use quantrack_orchestrator::output::ProgressBars;
use quantrack_orchestrator::profile::profile;
use quantrack_orchestrator::spec::{self, Pipeline};
use quantrack_orchestrator::store::{Store, TableFilter, VariantRecord};
use quantrack_orchestrator::variants::StageVariant;
use quantrack_proto::v1::agent_server::{Agent, AgentServer};
use quantrack_proto::v1::*;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt as _};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// How the board behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Good,
    Busy,
    /// Speaks only a version of the contract that is yet to come.
    Future,
    /// Ends the measurement after the first block, as a dying worker does.
    Dying,
    /// Sends a block of a variant that was not asked for.
    Confused,
    /// Every sample comes from a throttled board.
    Throttled,
    /// The whole agent is gone after the first block.
    Vanishing,
}

type Sent<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Played {
    mood: Mood,
    blobs: Arc<Mutex<HashMap<String, Vec<u8>>>>,
    leased: Arc<Mutex<bool>>,
}

/// Frees the board when the stream of the lease ends.
struct Holding(Arc<Mutex<bool>>);

impl Drop for Holding {
    fn drop(&mut self) {
        *self.0.lock().unwrap() = false;
    }
}

#[tonic::async_trait]
impl Agent for Played {
    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        let version = if self.mood == Mood::Future { 99 } else { 1 };
        Ok(Response::new(GetCapabilitiesResponse {
            min_api_version: version,
            max_api_version: version,
            agent_version: "0.1.0".to_owned(),
            engine_build: "played".to_owned(),
            board: Some(Board { model: "Played Pi".to_owned(), cores: 4, ..Board::default() }),
            kernels: vec!["none".to_owned()],
        }))
    }

    async fn get_conditions(
        &self,
        _: Request<GetConditionsRequest>,
    ) -> Result<Response<GetConditionsResponse>, Status> {
        let conditions =
            Some(Conditions { temperature_celsius: Some(48.5), ..Conditions::default() });
        Ok(Response::new(GetConditionsResponse { conditions, occupancy: None, health: None }))
    }

    async fn drain(&self, _: Request<DrainRequest>) -> Result<Response<DrainResponse>, Status> {
        Err(Status::unimplemented("an agent of version 1 does not know this"))
    }

    type AcquireLeaseStream = Sent<AcquireLeaseResponse>;

    async fn acquire_lease(
        &self,
        request: Request<AcquireLeaseRequest>,
    ) -> Result<Response<Self::AcquireLeaseStream>, Status> {
        if self.mood == Mood::Busy {
            return Err(Status::resource_exhausted("ana@buildhost holds it since 12 min"));
        }
        assert!(request.into_inner().holder.contains('@'));
        let mut leased = self.leased.lock().unwrap();
        if std::mem::replace(&mut *leased, true) {
            return Err(Status::resource_exhausted("held already"));
        }
        let lease = Some(Lease { epoch: 7, token: "secret".to_owned() });
        let holding = Holding(Arc::clone(&self.leased));
        let first = tokio_stream::once(Ok(AcquireLeaseResponse { lease, place: None }));
        let rest = tokio_stream::pending().map(move |message| {
            let _ = &holding;
            message
        });
        Ok(Response::new(Box::pin(first.chain(rest))))
    }

    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let blobs = self.blobs.lock().unwrap();
        let asked = request.into_inner().sha256.into_iter();
        let sha256 = asked.filter(|sha256| !blobs.contains_key(sha256)).collect();
        Ok(Response::new(FindMissingBlobsResponse { sha256 }))
    }

    async fn upload_blob(
        &self,
        request: Request<Streaming<UploadBlobRequest>>,
    ) -> Result<Response<UploadBlobResponse>, Status> {
        let mut parts = request.into_inner();
        let Some(upload_blob_request::Part::Header(header)) = parts.message().await?.unwrap().part
        else {
            return Err(Status::invalid_argument("the header must come first"));
        };
        assert_eq!(header.lease.unwrap().epoch, 7);
        let mut bytes = Vec::new();
        while let Some(part) = parts.message().await? {
            let Some(upload_blob_request::Part::Chunk(chunk)) = part.part else {
                return Err(Status::invalid_argument("only chunks may follow"));
            };
            assert!(chunk.len() <= 1 << 20);
            bytes.extend(chunk);
        }
        assert_eq!(
            (bytes.len() as u64, hex_digest(&bytes)),
            (header.size_bytes, header.sha256.clone())
        );
        self.blobs.lock().unwrap().insert(header.sha256.clone(), bytes);
        Ok(Response::new(UploadBlobResponse { sha256: header.sha256 }))
    }

    type MeasureStream = Sent<MeasureResponse>;

    async fn measure(
        &self,
        request: Request<MeasureRequest>,
    ) -> Result<Response<Self::MeasureStream>, Status> {
        let request = request.into_inner();
        assert!(request.variant_sha256.iter().all(|s| self.blobs.lock().unwrap().contains_key(s)));
        let (send, events) = mpsc::channel(1);
        tokio::spawn(play(self.mood, request, send));
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }

    async fn update_trust(
        &self,
        _: Request<UpdateTrustRequest>,
    ) -> Result<Response<UpdateTrustResponse>, Status> {
        Err(Status::failed_precondition("this board speaks no TLS"))
    }

    type RunStream = Sent<RunResponse>;

    /// Doubles every input.
    async fn run(
        &self,
        request: Request<Streaming<RunRequest>>,
    ) -> Result<Response<Self::RunStream>, Status> {
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|first| first.part);
        assert!(matches!(first, Some(run_request::Part::Header(_))));
        let answers = requests.map(|request| {
            let Some(run_request::Part::Inputs(mut set)) = request?.part else {
                return Err(Status::invalid_argument("inputs expected"));
            };
            for tensor in &mut set.tensors {
                let values = tensor.f32_le.as_chunks::<4>().0.iter();
                let doubled = values.map(|&bytes| 2.0 * f32::from_le_bytes(bytes));
                tensor.f32_le = doubled.flat_map(f32::to_le_bytes).collect();
            }
            Ok(RunResponse { outputs: Some(set), duration_ns: 1_500 })
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// Two rounds of 30 samples; variant `v` takes `v + 1` microseconds.
async fn play(
    mood: Mood,
    request: MeasureRequest,
    send: mpsc::Sender<Result<MeasureResponse, Status>>,
) {
    let variants = u32::try_from(request.variant_sha256.len()).unwrap();
    let event = |event| Ok(MeasureResponse { event: Some(event) });
    for block in 0..2 {
        for variant in 0..variants {
            let sent = measure_response::Event::Block(SampleBlock {
                variant: if mood == Mood::Confused { 99 } else { variant },
                // Agents repeat the number of a voided block for the one taken in its place.
                block: if mood == Mood::Throttled { 0 } else { block * variants + variant },
                duration_ns: vec![1_000 * u64::from(variant + 1); 30],
                before: Some(crate::Conditions::default()),
                after: None,
                foreign_load: None,
                voided: (mood == Mood::Throttled).then(|| "throttled".to_owned()),
            });
            let _ = send.send(event(sent)).await;
            if mood == Mood::Dying {
                let cause = "the worker was killed by signal 9: it needed more than 512 MiB";
                let _ = send.send(Err(Status::aborted(cause))).await;
                return;
            }
            if mood == Mood::Vanishing {
                std::future::pending::<()>().await;
            }
        }
    }
    let variants = (0..variants).map(|variant| VariantSummary {
        variant,
        arena_bytes: 64,
        ..VariantSummary::default()
    });
    let summary =
        MeasureSummary { variants: variants.collect(), converged: true, ..Default::default() };
    let _ = send.send(event(measure_response::Event::Summary(summary))).await;
}

/// A board in this process, with threads of its own: when they end, so do its connections.
struct Playing(Option<tokio::runtime::Runtime>);

impl Drop for Playing {
    fn drop(&mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

/// Starts a board.
async fn board(mood: Mood) -> (String, Playing) {
    let mut threads = tokio::runtime::Builder::new_multi_thread();
    let threads = threads.worker_threads(1).enable_all().build().unwrap();
    let (send, bound) = tokio::sync::oneshot::channel();
    threads.spawn(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        send.send(listener.local_addr().unwrap()).unwrap();
        let played = Played { mood, blobs: Arc::default(), leased: Arc::default() };
        Server::builder()
            .add_service(AgentServer::new(played))
            .serve_with_incoming(TcpListenerStream::new(listener))
            .await
            .unwrap();
    });
    (bound.await.unwrap().to_string(), Playing(Some(threads)))
}

async fn connect(address: &str) -> Result<Device, DeviceError> {
    Connector::default().connect(&address.parse().unwrap()).await
}

const PIPELINE: &str = r#"
name = "two"
[data]
calibration = { images = "c", labels = "c.csv" }
evaluation = { images = "e", labels = "e.csv" }
[accuracy]
metric = "top1"
min-accuracy = 0.9
[[stage]]
name = "a"
model = "a.tflite"
glue = "tensor"
levels = ["fp32", "int8"]
[[stage]]
name = "b"
model = "b.tflite"
glue = "tensor"
levels = ["fp32"]
"#;

/// A store with the pipeline's variants; that of stage a at fp32 takes several chunks to upload.
async fn prepared(home: &TempDir) -> (Store, Pipeline, Vec<StageVariant>) {
    let store = Store::open(home.path()).await.unwrap();
    let pipeline = spec::parse("two.toml", PIPELINE).unwrap();
    let mut variants = Vec::new();
    for (stage, level, size) in
        [("a", Level::Fp32, 1_300_000), ("a", Level::Int8, 9), ("b", Level::Fp32, 5)]
    {
        let bytes = vec![level as u8 + 1; size];
        let record = VariantRecord {
            sha256: hex_digest(&bytes),
            model_sha256: String::new(),
            level,
            recipe: "minmax".to_owned(),
            bytes: bytes.len() as u64,
            exemptions: Vec::new(),
        };
        store.save_variant(&format!("{stage}{level}"), &record, &bytes).await.unwrap();
        variants.push(StageVariant { stage: stage.to_owned(), record });
    }
    let named: Vec<_> = variants.iter().map(|v| (v.stage.clone(), v.record.clone())).collect();
    store.save_candidates("two", &named).await.unwrap();
    (store, pipeline, variants)
}

async fn profiled(mood: Mood) -> (TempDir, Store, Result<usize, Failure>) {
    let home = TempDir::new().unwrap();
    let (store, pipeline, variants) = prepared(&home).await;
    let (address, playing) = board(mood).await;
    let device = connect(&address).await.unwrap();
    let end = (mood == Mood::Vanishing).then_some(Duration::from_millis(300));
    tokio::spawn(async move {
        tokio::time::sleep(end.unwrap_or(Duration::from_secs(60))).await;
        drop(playing);
    });
    let bars = ProgressBars::default();
    let ended = profile(&device, &store, &pipeline, &variants, false, &bars).await;
    (home, store, ended.map(|profiled| profiled.measured))
}

#[tokio::test]
async fn a_profile_fills_the_table_and_a_second_one_measures_nothing() {
    let home = TempDir::new().unwrap();
    let (store, pipeline, variants) = prepared(&home).await;
    let (address, _playing) = board(Mood::Good).await;
    let device = connect(&address).await.unwrap();
    let bars = ProgressBars::default();
    let measure = |again| profile(&device, &store, &pipeline, &variants, again, &bars);
    let first = measure(false).await.unwrap();
    assert_eq!((first.measured, first.reused), (3, 0));
    let rows = store.table(&TableFilter::default()).await.unwrap();
    let seen: Vec<_> = rows
        .iter()
        .map(|row| (row.stage.as_str(), row.level, row.summary.median_us, row.summary.samples))
        .collect();
    assert_eq!(
        seen,
        [("a", Level::Fp32, 1.0, 60), ("a", Level::Int8, 2.0, 60), ("b", Level::Fp32, 1.0, 60)]
    );
    assert_eq!(rows[0].summary.p95_us, Some(1.0));
    let second = measure(false).await.unwrap();
    assert_eq!((second.measured, second.reused), (0, 3));
    let third = measure(true).await.unwrap();
    assert_eq!((third.measured, third.reused), (3, 0), "the lease of the first was given back");
}

#[tokio::test]
async fn what_was_measured_before_a_fault_is_kept() {
    let (_home, store, ended) = profiled(Mood::Dying).await;
    let failure = ended.unwrap_err();
    assert_eq!(failure.exit, Exit::Lab);
    assert!(failure.to_string().contains("killed by signal 9"), "{failure}");
    assert!(store.table(&TableFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_board_that_vanishes_is_told_from_one_that_refuses() {
    let (_home, _store, ended) = profiled(Mood::Vanishing).await;
    let failure = ended.unwrap_err();
    assert_eq!(failure.exit, Exit::Lab);
    let message = failure.to_string();
    assert!(message.contains("vanished while measuring"), "{message}");
    assert!(message.contains("it resumes"), "{message}");
}

#[tokio::test]
async fn samples_of_a_throttled_board_make_no_row() {
    let home = TempDir::new().unwrap();
    let (store, pipeline, variants) = prepared(&home).await;
    let (address, _playing) = board(Mood::Throttled).await;
    let device = connect(&address).await.unwrap();
    let bars = ProgressBars::default();
    let ended = profile(&device, &store, &pipeline, &variants, false, &bars).await.unwrap();
    assert_eq!(ended.measured, 0);
    assert_eq!(ended.without, ["a fp32 (minmax)", "a int8 (minmax)", "b fp32 (minmax)"]);
}

#[tokio::test]
async fn nonsense_is_refused() {
    let (_home, _store, ended) = profiled(Mood::Confused).await;
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("variant 99, but 2 were asked for"), "{message}");
}

#[tokio::test]
async fn a_busy_board_names_its_holder() {
    let (_home, _store, ended) = profiled(Mood::Busy).await;
    let failure = ended.unwrap_err();
    assert_eq!(failure.exit, Exit::Busy);
    assert!(failure.to_string().contains("ana@buildhost"), "{failure}");
    // An older agent has no queue.
    let (address, _playing) = board(Mood::Busy).await;
    let device = connect(&address).await.unwrap().patient(Duration::from_secs(60));
    let error = device.lease().await.unwrap_err().to_string();
    assert!(error.contains("--wait needs a newer one"), "{error}");
    let error = device.drain(None).await.unwrap_err();
    assert!(matches!(error, DeviceError::Incompatible { .. }), "{error}");
}

#[tokio::test]
async fn another_version_of_the_contract_is_refused() {
    let (address, _playing) = board(Mood::Future).await;
    let error = connect(&address).await.unwrap_err();
    assert!(matches!(error, DeviceError::Incompatible { .. }), "{error}");
    assert!(error.to_string().contains("99"), "{error}");
}

#[tokio::test]
async fn a_dropped_lease_frees_the_board() {
    let (address, _playing) = board(Mood::Good).await;
    let device = connect(&address).await.unwrap();
    let lease = device.lease().await.unwrap();
    assert!(matches!(device.lease().await, Err(DeviceError::Busy { .. })));
    drop(lease);
    for _ in 0..100 {
        if device.lease().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    device.lease().await.unwrap();
}

/// After a power cut: all agents of a rack come up at once, and everybody who was connected comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_agents_that_reconnect_at_once_are_all_had_again() {
    const BOARDS: usize = 300;
    let (blobs, limit) = (Arc::default(), Duration::from_secs(60));
    let mut ports: Vec<u16> = vec![0; BOARDS];
    for _power_cut in 0..2 {
        let rack =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let rack = Playing(Some(rack.unwrap()));
        let mut bound = Vec::new();
        for &port in &ports {
            let blobs = Arc::clone(&blobs);
            bound.push(rack.0.as_ref().unwrap().spawn(async move {
                // The agent before it may be about to go.
                let listener = loop {
                    match tokio::net::TcpListener::bind(("127.0.0.1", port)).await {
                        Ok(listener) => break listener,
                        Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                    }
                };
                let port = listener.local_addr().unwrap().port();
                let played = Played { mood: Mood::Good, blobs, leased: Arc::default() };
                let serving = Server::builder()
                    .add_service(AgentServer::new(played))
                    .serve_with_incoming(TcpListenerStream::new(listener));
                tokio::spawn(serving);
                port
            }));
        }
        for (port, bound) in ports.iter_mut().zip(bound) {
            *port = bound.await.unwrap();
        }
        let all = ports.iter().map(|port| {
            let address = format!("127.0.0.1:{port}");
            tokio::spawn(async move {
                let device = connect(&address).await.unwrap();
                let lease = device.lease().await.unwrap();
                assert!(matches!(device.lease().await, Err(DeviceError::Busy { .. })));
                (device, lease)
            })
        });
        let all: Vec<_> = all.collect();
        let mut held = Vec::new();
        for one in all {
            held.push(tokio::time::timeout(limit, one).await.unwrap().unwrap());
        }
        assert_eq!(held.len(), BOARDS);
    }
}

#[tokio::test]
async fn variants_run_on_given_inputs_one_after_the_other() {
    let (address, _playing) = board(Mood::Good).await;
    let device = connect(&address).await.unwrap();
    assert_eq!(device.conditions().await.unwrap().temperature_celsius, Some(48.5));
    let lease = device.lease().await.unwrap();
    let settings = spec::Measure::default();
    let mut loaded = device.run(&lease, "any", &settings).await.unwrap();
    for value in [1.5_f32, -3.0] {
        let tensor = quantrack_engine::Tensor::from_elem(ndarray::IxDyn(&[2, 2]), value);
        let input = NamedTensor { name: "x".to_owned(), tensor };
        let inference = loaded.infer(std::slice::from_ref(&input)).await.unwrap();
        assert_eq!(inference.outputs[0].tensor, input.tensor.mapv(|x| 2.0 * x));
        assert_eq!(inference.duration, Duration::from_nanos(1_500));
    }
}
