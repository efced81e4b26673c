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
use crate::board::{Conditions, cpu_time, quiet_cores, temperature};
use crate::lease::Proof;
use crate::measure::{
    Cooling, CpuTimes, ForeignLoad, Sampling, Settings, foreign_reason, void_reason,
};
use crate::worker::message::{Load, Sample, Setup};
use crate::worker::{Worker, WorkerError, limits};

/// Most variants at once.
const MAX_VARIANTS: usize = 256;
/// Runs of each variant with its layers timed.
const LAYER_RUNS: u32 = 10;
/// How often the temperature of a board that cools is looked at.
const COOLING_POLL: Duration = Duration::from_millis(200);

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
    // Given back when the measurement ends, however it ends.
    let performance = service.performance().await;
    let mut worker = Worker::start(&service.config.launcher, setup(service, settings)).await?;
    let deadline = service.config.order_deadline;
    progress(events, "loading", None, settings).await?;
    let mut variants = load(&mut worker, pins, deadline).await?;
    progress(events, "warming up", None, settings).await?;
    for variant in 0..count(pins) {
        worker.sample(Sample { variant, runs: settings.warmup_runs }, deadline).await?;
    }
    let (converged, cut_short) = {
        let mut session = Session {
            service,
            settings,
            worker: &mut worker,
            events,
            began: Instant::now(),
            foreign: ForeignLoad::default(),
            cooled: Duration::ZERO,
        };
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
    let refused = performance.as_ref().err().cloned();
    let missing = worker.missing().iter().cloned().chain(refused).collect();
    worker.kill().await;
    let lease = Some(convert::lease(&proof));
    let summary = v1::MeasureSummary { variants, converged, lease, cores, cut_short, missing };
    send(events, Event::Summary(summary)).await
}

fn setup(service: &AgentService, settings: &Settings) -> Setup {
    let cores = match settings.cores.as_slice() {
        [] => quiet_cores(&service.config.root, settings.threads),
        chosen => chosen.to_vec(),
    };
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
    began: Instant,
    foreign: ForeignLoad,
    /// Time spent waiting for the board to cool.
    cooled: Duration,
}

impl Session<'_> {
    /// Samples until there is enough; says whether all intervals are narrow, and why it ended before that.
    async fn sample(
        &mut self,
        variants: &mut [v1::VariantSummary],
    ) -> Result<(bool, Option<String>), Status> {
        let mut sampling = Sampling::new(self.settings.clone(), variants.len());
        let begin = Instant::now();
        let mut voided = None;
        while let Some((index, number, runs)) =
            sampling.next(begin.elapsed().saturating_sub(self.cooled))
        {
            if let Some(why) = self.cool(&sampling).await? {
                return Ok((sampling.converged(), Some(why)));
            }
            let variant = u32::try_from(index).unwrap_or(u32::MAX);
            let (block, peak) = self.block(variant, number, runs).await?;
            sampling.record(&block.duration_ns, block.voided.is_some());
            self.service.metrics.block(block.voided.is_some());
            variants[index].peak_memory_bytes = peak;
            voided = block.voided.clone().or(voided);
            send(self.events, Event::Block(block)).await?;
            progress(self.events, "sampling", Some(&sampling), self.settings).await?;
        }
        let hopeless = sampling.hopeless().then(|| {
            let last = voided.unwrap_or_default();
            format!("too many blocks in a row were voided, the last one because of {last}")
        });
        Ok((sampling.converged(), hopeless))
    }

    /// Waits until the board is as cool as asked; says why it never will be.
    async fn cool(&mut self, sampling: &Sampling) -> Result<Option<String>, Status> {
        let Some(cool_to) = self.settings.cool_to else { return Ok(None) };
        let (begin, before) = (Instant::now(), self.cooled);
        loop {
            let now = temperature(&self.service.config.root);
            match cool_to.decide(now, self.cooled) {
                Cooling::Cool => return Ok(None),
                Cooling::Never(why) => return Ok(Some(why)),
                Cooling::Wait => {
                    let phase = now.map(|now| format!("cooling, {now:.0} °C"));
                    let phase = phase.as_deref().unwrap_or("cooling");
                    progress(self.events, phase, Some(sampling), self.settings).await?;
                    tokio::time::sleep(COOLING_POLL).await;
                    self.cooled = before + begin.elapsed();
                }
            }
        }
    }

    /// The cores that others keep busy, when the worker has computed for so long.
    fn foreign_load(&mut self, worker_ns: u64) -> Option<f64> {
        let all = cpu_time(&self.service.config.root)?;
        let own = Duration::from_nanos(worker_ns.saturating_add(limits::cpu_time_ns()));
        self.foreign.at(CpuTimes { at: self.began.elapsed(), all, own })
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
        let settled = self.worker.sample(Sample { variant, runs: 1 }, deadline).await?;
        let before = Conditions::read(root);
        self.foreign_load(settled.cpu_time_ns);
        let samples = self.worker.sample(Sample { variant, runs }, deadline).await?;
        let foreign_load = self.foreign_load(samples.cpu_time_ns);
        let after = Conditions::read(root);
        let foreign = foreign_reason(foreign_load).filter(|_| !self.service.config.shared_machine);
        let block = v1::SampleBlock {
            variant,
            block: number,
            duration_ns: samples.duration_ns,
            voided: void_reason(&before, &after).or(foreign),
            foreign_load,
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
