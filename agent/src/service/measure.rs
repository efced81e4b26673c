//! A measurement: a worker, its samples, and the board's conditions around them.

use std::time::{Duration, Instant};

use quantrack_proto::v1;
use quantrack_proto::v1::measure_response::Event;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::agent::AgentService;
use super::convert;
use super::upload::stale;
use crate::blobs::{Digest, Pin};
use crate::board::Conditions;
use crate::lease::Proof;
use crate::measure::{Sampling, Settings, void_reason};
use crate::worker::message::{Load, Sample, Setup};
use crate::worker::{Worker, WorkerError};

/// Most variants at once.
const MAX_VARIANTS: usize = 256;
/// Runs of each variant with its layers timed.
const LAYER_RUNS: u32 = 10;

type Events = mpsc::Sender<Result<v1::MeasureResponse, Status>>;

pub(super) async fn start(
    service: &AgentService,
    request: v1::MeasureRequest,
) -> Result<ReceiverStream<Result<v1::MeasureResponse, Status>>, Status> {
    let proof = convert::proof(request.lease)?;
    let over = service.leases.check(&proof)?;
    let settings = convert::settings(request.settings)?;
    if request.variant_sha256.is_empty() || request.variant_sha256.len() > MAX_VARIANTS {
        let text = format!("a measurement takes from 1 to {MAX_VARIANTS} variants");
        return Err(Status::invalid_argument(text));
    }
    let pin = |text: &String| service.config.blobs.pin(&Digest::parse(text)?);
    let pins: Result<Vec<Pin>, _> = request.variant_sha256.iter().map(pin).collect();
    let pins = pins?;
    let slot = service.slot().await?;
    let (events, receiver) = mpsc::channel(8);
    let service = service.clone();
    tokio::spawn(async move {
        let epoch = proof.epoch;
        let measurement = measure(&service, &settings, &pins, proof, &events);
        // Dropping the measurement kills its worker.
        let ended = tokio::select! {
            ended = measurement => ended,
            () = events.closed() => Ok(()),
            () = over.ended() => Err(stale(epoch)),
        };
        service.metrics.ended(ended.is_err());
        if let Err(status) = ended {
            let _ = events.send(Err(status)).await;
        }
        drop(slot);
    });
    Ok(ReceiverStream::new(receiver))
}

async fn measure(
    service: &AgentService,
    settings: &Settings,
    pins: &[Pin],
    proof: Proof,
    events: &Events,
) -> Result<(), Status> {
    let mut worker = Worker::start(&service.config.launcher, setup(service, settings)).await?;
    let deadline = service.config.order_deadline;
    progress(events, "loading", None, settings).await?;
    let mut variants = load(&mut worker, pins, deadline).await?;
    progress(events, "warming up", None, settings).await?;
    for variant in 0..count(pins) {
        worker.sample(Sample { variant, runs: settings.warmup_runs }, deadline).await?;
    }
    let converged = {
        let mut session = Session { service, settings, worker: &mut worker, events };
        session.sample(&mut variants).await?
    };
    if settings.layers {
        progress(events, "timing layers", None, settings).await?;
        for variant in 0..count(pins) {
            let times = worker.layers(Sample { variant, runs: LAYER_RUNS }, deadline).await?;
            send(events, Event::Layers(convert::layers(variant, times))).await?;
        }
    }
    let cores = worker.cores().to_vec();
    worker.kill().await;
    let lease = Some(convert::lease(&proof));
    send(events, Event::Summary(v1::MeasureSummary { variants, converged, lease, cores })).await
}

fn setup(service: &AgentService, settings: &Settings) -> Setup {
    let first = || (0..settings.threads).collect();
    let cores = if settings.cores.is_empty() { first() } else { settings.cores.clone() };
    let memory_limit_bytes = service.memory_limit_bytes(settings.memory_limit_bytes);
    Setup { threads: settings.threads, cores, memory_limit_bytes, seed: settings.seed }
}

async fn load(
    worker: &mut Worker,
    pins: &[Pin],
    deadline: Duration,
) -> Result<Vec<v1::VariantSummary>, Status> {
    let mut variants = Vec::with_capacity(pins.len());
    for (variant, pin) in (0..).zip(pins) {
        let sha256 = pin.digest().as_str().to_owned();
        let order = Load { path: pin.path().display().to_string(), sha256: sha256.clone() };
        let loaded = worker.load(order, deadline).await.map_err(|error| match error {
            WorkerError::Refused(why) => {
                Status::invalid_argument(format!("failed to load variant {sha256}: {why}"))
            }
            other => other.into(),
        })?;
        variants.push(v1::VariantSummary {
            variant,
            peak_memory_bytes: None,
            arena_bytes: loaded.arena_bytes,
            weight_bytes: loaded.weight_bytes,
            kernels: loaded.kernels,
        });
    }
    Ok(variants)
}

struct Session<'a> {
    service: &'a AgentService,
    settings: &'a Settings,
    worker: &'a mut Worker,
    events: &'a Events,
}

impl Session<'_> {
    /// Samples until there is enough; says whether all intervals are narrow.
    async fn sample(&mut self, variants: &mut [v1::VariantSummary]) -> Result<bool, Status> {
        let mut sampling = Sampling::new(self.settings.clone(), variants.len());
        let begin = Instant::now();
        while let Some((index, number, runs)) = sampling.next(begin.elapsed()) {
            let variant = u32::try_from(index).unwrap_or(u32::MAX);
            let (block, peak) = self.block(variant, number, runs).await?;
            sampling.record(&block.duration_ns, block.voided.is_some());
            self.service.metrics.block(block.voided.is_some());
            variants[index].peak_memory_bytes = peak;
            send(self.events, Event::Block(block)).await?;
            progress(self.events, "sampling", Some(&sampling), self.settings).await?;
        }
        Ok(sampling.converged())
    }

    /// One block of samples, and the worker's peak of memory. The conditions are read while the worker waits, outside
    /// the timed region; an untimed run before lets the clock rise again.
    async fn block(
        &mut self,
        variant: u32,
        number: u32,
        runs: u32,
    ) -> Result<(v1::SampleBlock, Option<u64>), Status> {
        let deadline = self.service.config.order_deadline;
        let root = &self.service.config.root;
        self.worker.sample(Sample { variant, runs: 1 }, deadline).await?;
        let before = Conditions::read(root);
        let samples = self.worker.sample(Sample { variant, runs }, deadline).await?;
        let after = Conditions::read(root);
        let block = v1::SampleBlock {
            variant,
            block: number,
            duration_ns: samples.duration_ns,
            voided: void_reason(&before, &after),
            before: Some(convert::conditions(before)),
            after: Some(convert::conditions(after)),
        };
        Ok((block, samples.peak_memory_bytes))
    }
}

fn count(pins: &[Pin]) -> u32 {
    u32::try_from(pins.len()).unwrap_or(u32::MAX)
}

async fn progress(
    events: &Events,
    phase: &str,
    sampling: Option<&Sampling>,
    settings: &Settings,
) -> Result<(), Status> {
    let now = v1::MeasureProgress {
        phase: phase.to_owned(),
        samples: sampling.map_or(0, Sampling::fewest),
        relative_ci: sampling.and_then(Sampling::relative_ci),
        max_samples: settings.max_samples,
    };
    send(events, Event::Progress(now)).await
}

async fn send(events: &Events, event: Event) -> Result<(), Status> {
    let sent = events.send(Ok(v1::MeasureResponse { event: Some(event) })).await;
    sent.map_err(|_| Status::cancelled("the caller has gone"))
}
