//! Measuring variants on a board: stage by stage, the levels of a stage interleaved.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::device::{Address, Device, Lease, MeasureEvent, Measured, Progress};
use crate::exit::Failure;
use crate::output::{ProgressBars, StageBar};
use crate::spec::{Measure, Pipeline};
use crate::store::{Lock, MeasurementKey, NewMeasurement, Store, StoreError};
use crate::variants::StageVariant;

/// How often to ask again for this machine, which has no queue.
const RETRY: Duration = Duration::from_millis(200);

/// What a profile did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profiled {
    /// Variants measured now.
    pub measured: usize,
    /// Variants whose rows were there already.
    pub reused: usize,
    /// Variants (stage and candidate) all of whose samples were voided: they have no row.
    pub without: Vec<String>,
    /// Stages whose intervals are wider than was asked.
    pub wide: Vec<String>,
    /// Stages of which sampling had to end too early, and why. They have no new rows.
    pub cut_short: Vec<String>,
    /// Precautions that the board did not allow, and why.
    pub missing: BTreeSet<String>,
}

/// Measures those of `variants` that the table lacks for this board, number of threads and engine build, or all of
/// them to `remeasure`. Each stage's rows are stored when the stage is complete, its samples as they arrive.
///
/// # Errors
/// When board or store fail.
pub async fn profile(
    device: &Device,
    store: &Store,
    pipeline: &Pipeline,
    variants: &[StageVariant],
    remeasure: bool,
    bars: &ProgressBars,
) -> Result<Profiled, Failure> {
    let record = device.record();
    store.save_device(&record).await?;
    let key = MeasurementKey {
        device: record.fingerprint,
        engine_build: device.engine_build().to_owned(),
        threads: pipeline.measure.threads,
    };
    let mut profiled = Profiled::default();
    let mut missing: Vec<(&str, Vec<&StageVariant>)> = Vec::new();
    for stage in &pipeline.stages {
        let mut of_stage: Vec<&StageVariant> = Vec::new();
        for variant in variants.iter().filter(|variant| variant.stage == stage.name) {
            if !remeasure && store.has_latency(&key, &variant.record.sha256).await? {
                profiled.reused += 1;
            } else if of_stage.iter().all(|other| other.record.sha256 != variant.record.sha256) {
                of_stage.push(variant);
            }
        }
        if !of_stage.is_empty() {
            missing.push((&stage.name, of_stage));
        }
    }
    if missing.is_empty() {
        return Ok(profiled);
    }
    let (lease, _lock) = take(device, store).await?;
    let board = Board { device, lease: &lease, store, key: &key, settings: &pipeline.measure };
    for (stage, of_stage) in missing {
        let bar = bars.bar(stage, u64::from(pipeline.measure.max_samples));
        let ended = board.measure_stage(&of_stage, &bar).await?;
        profiled.measured += of_stage.len() - ended.without.len();
        let named = |sha256: &String| {
            let found = of_stage.iter().find(|variant| variant.record.sha256 == *sha256);
            found.map(|variant| variant.to_string())
        };
        profiled.without.extend(ended.without.iter().filter_map(named));
        if let Some(why) = &ended.cut_short {
            profiled.cut_short.push(format!("{stage}: {why}"));
        } else if !ended.converged {
            profiled.wide.push(stage.to_owned());
        }
        profiled.missing.extend(ended.missing);
        bar.done(&format!("measured {} variants", of_stage.len()));
    }
    Ok(profiled)
}

/// Takes the board. Remote ones are guarded by their lease; agents on this machine would disturb each other.
///
/// # Errors
/// When somebody else has it, and has it still after the time that the device is waited for.
pub(crate) async fn take(device: &Device, store: &Store) -> Result<(Lease, Option<Lock>), Failure> {
    let local = device.address() == Address::Local.to_string();
    let lock = if local { Some(lock(device, store).await?) } else { None };
    Ok((device.lease().await?, lock))
}

/// Keeps others on this machine from measuring here, after waiting for as long as the device is waited for.
///
/// # Errors
/// When somebody else measures here, or the store fails.
pub(crate) async fn lock(device: &Device, store: &Store) -> Result<Lock, StoreError> {
    let begin = Instant::now();
    loop {
        match store.lock("local-board", "measuring on this machine") {
            Err(StoreError::Held { .. }) if begin.elapsed() < device.patience() => {
                tokio::time::sleep(RETRY).await;
            }
            ended => return ended,
        }
    }
}

/// A board that is ours, and where its samples go.
pub(crate) struct Board<'a> {
    pub(crate) device: &'a Device,
    pub(crate) lease: &'a Lease,
    pub(crate) store: &'a Store,
    pub(crate) key: &'a MeasurementKey,
    pub(crate) settings: &'a Measure,
}

/// How the measurement of a stage ended.
struct Ended {
    without: Vec<String>,
    converged: bool,
    cut_short: Option<String>,
    missing: Vec<String>,
}

impl Board<'_> {
    async fn measure_stage(
        &self,
        variants: &[&StageVariant],
        bar: &StageBar,
    ) -> Result<Ended, Failure> {
        let sha256: Vec<String> = variants.iter().map(|v| v.record.sha256.clone()).collect();
        let (id, done) = self.sample(sha256.clone(), bar).await?;
        let Measured { variants, converged, cores, cut_short, missing } = done;
        let without = if cut_short.is_some() {
            // Too few samples for rows that are to be trusted: the next run measures again.
            self.store.end_measurement(id, &cores, converged).await?;
            sha256
        } else {
            self.store.finish_measurement(id, self.key, &variants, &cores, converged).await?
        };
        Ok(Ended { without, converged, cut_short, missing })
    }

    /// Measures variants, interleaved, in one process on the board. Their samples are stored as they arrive; the number of
    /// the measurement, which the caller ends, and its summary are returned.
    pub(crate) async fn sample(
        &self,
        sha256: Vec<String>,
        bar: &StageBar,
    ) -> Result<(i64, Measured), Failure> {
        bar.say("uploading");
        let load = |digest: &str| self.store.variant_bytes(digest).map_err(Failure::from);
        self.device.upload(self.lease, &sha256, load).await?;
        let new = NewMeasurement {
            key: self.key,
            agent_version: self.device.agent_version(),
            settings: self.settings,
        };
        let id = self.store.begin_measurement(&new).await?;
        let mut events = self.device.measure(self.lease, sha256, self.settings).await?;
        let mut done: Option<Measured> = None;
        while let Some(event) = events.next().await? {
            match event {
                MeasureEvent::Progress(now) => show(bar, &now),
                MeasureEvent::Block(block) => {
                    if let Some(reason) = &block.voided {
                        tracing::debug!("{} samples voided: {reason}", block.duration_ns.len());
                    }
                    self.store.save_block(id, &block).await?;
                }
                MeasureEvent::Layers(sha256, layers) => {
                    self.store.save_layers(id, &sha256, &layers).await?;
                }
                MeasureEvent::Done(measured) => done = Some(measured),
            }
        }
        let done = done.ok_or_else(|| {
            let error = anyhow::anyhow!("the agent ended the measurement without a summary");
            Failure::lab(error).next("run the same command again: it resumes")
        })?;
        Ok((id, done))
    }
}

fn show(bar: &StageBar, now: &Progress) {
    bar.set(u64::from(now.samples), u64::from(now.max_samples));
    bar.say(match now.relative_ci {
        Some(share) => format!("{}, interval ±{:.1} %", now.phase, 50.0 * share),
        None => now.phase.clone(),
    });
}
