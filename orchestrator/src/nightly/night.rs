//! A night on one board: runs of models, each a process of its own, in turns.

use std::time::Duration;

use anyhow::anyhow;

use super::check::Place;
use super::effect::{MIN_BLOCKS, run_median};
use super::precautions::Missing;
use super::record::Runs;
use super::report::RunSamples;
use super::setup::Setup;
use super::subject::Subject;
use crate::device::{Device, Lease};
use crate::exit::Failure;
use crate::measurement::Block;
use crate::output::{ProgressBars, StageBar};
use crate::profile::{Board, take};
use crate::spec::Measure;
use crate::store::{Lock, MeasurementKey, Store};

/// What a run may take beyond the time that it samples: loading models, warming up, and cleaning up.
const SLACK: Duration = Duration::from_secs(120);

/// A board that is ours for a night.
#[derive(Debug)]
pub struct Night<'a> {
    device: &'a Device,
    store: &'a Store,
    settings: &'a Measure,
    key: MeasurementKey,
    lease: Lease,
    _lock: Option<Lock>,
    bar: StageBar,
}

/// What is measured in turns: a model, and what it is compared with where that is measured as well.
#[derive(Clone, Debug)]
pub struct Task {
    /// The model.
    pub subject: Subject,
    /// Digest of the variant that takes turns with it.
    pub beside: Option<String>,
}

/// A run of one variant.
#[derive(Clone, Debug)]
pub struct Run {
    /// Number of its measurement.
    pub measurement: i64,
    /// Its median in microseconds; `None` when too few samples count.
    pub median_us: Option<f64>,
    /// Its blocks.
    pub blocks: Vec<Block>,
    /// Why it ended too early to count.
    pub cut_short: Option<String>,
    /// Precautions that the board did not allow; of a stored run its baseline knows them.
    pub missing: Missing,
}

/// The runs of a task.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    /// Of the model.
    pub now: Vec<Run>,
    /// Of what took turns with it.
    pub beside: Vec<Run>,
}

impl<'a> Night<'a> {
    /// Takes the board for the length of the night.
    ///
    /// # Errors
    /// When somebody else has it, or the store fails.
    pub async fn begin(
        device: &'a Device,
        store: &'a Store,
        settings: &'a Measure,
        bars: &ProgressBars,
    ) -> Result<Self, Failure> {
        let (lease, lock) = take(device, store).await?;
        Ok(Self { _lock: lock, ..Self::under(lease, device, store, settings, bars).await? })
    }

    /// Begins under a lease of the board that is there already.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn under(
        lease: Lease,
        device: &'a Device,
        store: &'a Store,
        settings: &'a Measure,
        bars: &ProgressBars,
    ) -> Result<Self, Failure> {
        let record = device.record();
        store.save_device(&record).await?;
        let key = MeasurementKey {
            device: record.fingerprint,
            engine_build: device.engine_build().to_owned(),
            threads: settings.threads,
        };
        let bar = bars.bar(&device.facts().hostname, u64::from(settings.max_samples));
        Ok(Self { device, store, settings, key, lease, _lock: None, bar })
    }

    /// The board.
    pub fn device(&self) -> &Device {
        self.device
    }

    /// Where its samples go.
    pub fn store(&self) -> &Store {
        self.store
    }

    /// The board and what runs on it.
    pub fn setup(&self) -> Setup {
        Setup::of(self.device, self.settings.threads)
    }

    /// Where this is.
    pub fn place(&self) -> Place<'a> {
        Place { store: self.store, setup: self.setup() }
    }

    /// Ends it. The board is given back when the lease is dropped.
    pub fn end(self) -> Lease {
        self.bar.done("measured");
        self.lease
    }

    /// So many runs of each task, in turns, so that what changes during the night meets all alike. A task of which a run
    /// gives no median gets no more.
    ///
    /// # Errors
    /// When board or store fail.
    pub async fn runs(&self, tasks: &[&Task], count: usize) -> Result<Vec<Taken>, Failure> {
        let mut taken = vec![Taken::default(); tasks.len()];
        for _ in 0..count {
            for (task, taken) in tasks.iter().zip(&mut taken) {
                if taken.now.iter().chain(&taken.beside).any(|run| run.median_us.is_none()) {
                    continue;
                }
                let mut runs = self.run(task).await?.into_iter();
                taken.now.extend(runs.next());
                taken.beside.extend(runs.next());
            }
        }
        Ok(taken)
    }

    /// One process: the model, and what takes turns with it, block by block.
    async fn run(&self, task: &Task) -> Result<Vec<Run>, Failure> {
        let sha256: Vec<String> = std::iter::once(task.subject.record.sha256.clone())
            .chain(task.beside.clone())
            .collect();
        let Self { device, store, settings, key, lease, bar, .. } = self;
        let board = Board { device, lease, store, key, settings };
        let cooling = settings.cool_to.map_or(0, |_| settings.cool_seconds);
        let limit =
            Duration::from_secs(u64::from(settings.max_seconds) + u64::from(cooling)) + SLACK;
        let Ok(sampled) = tokio::time::timeout(limit, board.sample(sha256.clone(), bar)).await
        else {
            let (name, waited) = (&task.subject.name, limit.as_secs());
            let error =
                anyhow!("{} has not finished a run of {name} after {waited} s", device.address());
            return Err(Failure::lab(error).next("`device show` tells what the board is doing"));
        };
        let (measurement, ended) = sampled?;
        store.end_measurement(measurement, &ended.cores, ended.converged).await?;
        let mut runs = Vec::new();
        for digest in sha256 {
            let blocks = store.measured_blocks(measurement, &digest).await?;
            let run = Run::new(measurement, blocks);
            let run = Run { missing: ended.missing.iter().cloned().collect(), ..run };
            runs.push(match ended.cut_short.clone() {
                Some(why) => Run { median_us: None, cut_short: Some(why), ..run },
                None => run,
            });
        }
        Ok(runs)
    }
}

impl Run {
    fn new(measurement: i64, blocks: Vec<Block>) -> Self {
        let valid = blocks.iter().filter(|block| block.voided.is_none());
        let median_ns = run_median(valid.map(|block| block.duration_ns.as_slice()));
        let (median_us, missing) = (median_ns.map(|ns| ns / 1e3), Missing::new());
        Self { measurement, median_us, blocks, cut_short: None, missing }
    }

    /// The run that was stored.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stored(store: &Store, measurement: i64, sha256: &str) -> Result<Self, Failure> {
        Ok(Self::new(measurement, store.measured_blocks(measurement, sha256).await?))
    }

    /// Its raw samples, for reports.
    pub fn samples(&self) -> RunSamples {
        RunSamples::new(self.measurement, self.median_us, &self.blocks)
    }
}

impl Taken {
    /// These and those of a rerun.
    pub fn extend(&mut self, rerun: Self) {
        self.now.extend(rerun.now);
        self.beside.extend(rerun.beside);
    }

    /// All blocks of the runs.
    pub fn blocks(&self) -> Vec<Block> {
        self.now.iter().chain(&self.beside).flat_map(|run| run.blocks.iter().cloned()).collect()
    }

    /// Why the runs do not count, where one of them was too short.
    pub fn too_short(&self) -> Option<String> {
        let mut all = self.now.iter().chain(&self.beside);
        let short = all.find(|run| run.median_us.is_none())?;
        Some(short.cut_short.clone().unwrap_or_else(|| {
            format!(
                "a run had fewer than {MIN_BLOCKS} blocks that count; give it more time, or make \
                 blocks shorter"
            )
        }))
    }
}

/// Precautions that were missing in any of the runs.
pub fn missing(runs: &[Run]) -> Missing {
    runs.iter().flat_map(|run| run.missing.iter().cloned()).collect()
}

/// What is kept of runs.
pub fn kept(runs: &[Run]) -> Runs {
    let counted = runs.iter().filter_map(|run| Some((run.measurement, run.median_us?)));
    let (measurements, medians_us) = counted.unzip();
    Runs { measurements, medians_us }
}
