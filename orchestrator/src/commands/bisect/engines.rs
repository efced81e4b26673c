//! Engine builds, which run the same model on one board: agents that are put there in turns, by starting them on this
//! machine or over ssh.

use std::path::PathBuf;

use super::super::enroll;
use super::{Compared, known, remember};
use crate::context::Context;
use crate::device::{Address, Connector, Device};
use crate::digest::hex_digest;
use crate::enroll::{Architecture, Remote, choose, probe};
use crate::exit::Failure;
use crate::nightly::check::{Asked, Comparison, Judging, Place};
use crate::nightly::night::{Night, Run, Taken, Task};
use crate::nightly::setup::Setup;
use crate::nightly::subject::Subject;
use crate::nightly::suite::Suite;
use crate::store::Store;

/// An engine build: the agent that it is in.
#[derive(Clone, Debug)]
pub(super) struct Build {
    /// As the user named it.
    pub(super) name: String,
    /// Digest of the program.
    pub(super) sha256: String,
    program: PathBuf,
}

/// Reads the builds, for the board that ssh reaches as `target`, else for this machine.
///
/// # Errors
/// Names the build of which there is none for that board.
pub(super) async fn builds(named: &[PathBuf], target: Option<&str>) -> Result<Vec<Build>, Failure> {
    let architecture = match target {
        Some(target) => {
            let board = probe(&Remote::new(target)?).await?;
            Architecture::of(&board.machine, board.bits)?
        }
        None => Architecture::of(std::env::consts::ARCH, usize::BITS)?,
    };
    let read = |path: &PathBuf| {
        let (program, bytes) = if path.is_dir() {
            choose(architecture, None, Some(path)).map_err(Failure::usage)?
        } else if target.is_some() {
            choose(architecture, Some(path), None).map_err(Failure::usage)?
        } else {
            // On this machine a script may start it as well.
            let bytes = std::fs::read(path).map_err(Failure::usage);
            (
                path.clone(),
                bytes.map_err(|e| e.context(format!("failed to read {}", path.display())))?,
            )
        };
        // A bare name would be looked for among the system's programs.
        let program = std::path::absolute(program).map_err(Failure::usage)?;
        Ok(Build { name: path.display().to_string(), sha256: hex_digest(&bytes), program })
    };
    named.iter().map(read).collect()
}

/// Where comparisons are made.
pub(super) struct Engines<'a> {
    pub(super) context: &'a Context,
    pub(super) store: &'a Store,
    pub(super) suite: &'a Suite,
    pub(super) asked: &'a Asked,
    /// What is measured.
    pub(super) subject: &'a Subject,
    /// The oldest first.
    pub(super) builds: &'a [Build],
    /// How builds get on the board; `None`: they are started on this machine.
    pub(super) enroll: Option<enroll::Args>,
    /// The build that runs there, where one does.
    pub(super) running: Option<(usize, Device)>,
    /// The build that was put there last.
    pub(super) last: Option<usize>,
}

impl Engines<'_> {
    /// The board with this build on it.
    pub(super) async fn on(&mut self, build: usize) -> Result<&Device, Failure> {
        let device = match self.running.take() {
            Some((running, device)) if running == build => device,
            before => {
                // One of this machine ends with its connection.
                drop(before);
                let name = &self.builds[build].name;
                tracing::info!("{name}: putting it on the board");
                let context = format!("failed to put {name} on the board");
                let put = self.put(build).await.map_err(|failure| failure.context(context))?;
                self.last = Some(build);
                put
            }
        };
        Ok(&self.running.insert((build, device)).1)
    }

    async fn put(&mut self, build: usize) -> Result<Device, Failure> {
        let program = self.builds[build].program.clone();
        let device = if let Some(args) = &mut self.enroll {
            args.agent = Some(program);
            enroll::enrol(args, self.context).await?.1
        } else {
            let connector = Connector { agent_program: Some(program), ..self.context.connector() };
            connector.connect(&Address::Local).await?
        };
        Ok(device.patient(self.context.options.wait))
    }

    /// Compares a build with the first, or finds what that came to before.
    pub(super) async fn compare(&mut self, build: usize) -> Result<Compared, Failure> {
        let [first, sha256] = [0, build].map(|build| self.builds[build].sha256.clone());
        if sha256 == first {
            return Ok(Compared::same());
        }
        let (store, asked, threads) = (self.store, self.asked, self.suite.measure.threads);
        // The noise that is known of the board is that of the build that all are compared with.
        let setup = Setup::of(self.on(0).await?, threads);
        let model = self.subject.record.sha256.clone();
        let parts = [&first, &sha256, &model];
        if let Some(before) = known(store, &setup, &parts, asked).await? {
            return Ok(before);
        }
        let place = Place { store, setup };
        let comparison = Comparison::with_variant(self.subject.clone(), model.clone());
        let taken = self.turns(build).await?;
        let mut judging = Judging::begin(&place, &comparison, taken, asked).await?;
        if judging.is_due() {
            let rerun = self.turns(build).await?;
            judging.confirm(rerun);
        }
        let compared = Compared::new(judging.report(&place).await?, &self.builds[0].name);
        remember(store, &place.setup, &parts, asked, &compared).await?;
        Ok(compared)
    }

    /// As many runs of the build and of the first as are asked for. The first comes before and after, half and half, so
    /// that a drift meets both alike, and the board changes builds twice only.
    async fn turns(&mut self, build: usize) -> Result<Taken, Failure> {
        let runs = self.asked.runs;
        let mut beside = self.runs(0, runs.div_ceil(2)).await?;
        let now = self.runs(build, runs).await?;
        beside.extend(self.runs(0, runs / 2).await?);
        Ok(Taken { now, beside })
    }

    async fn runs(&mut self, build: usize, count: usize) -> Result<Vec<Run>, Failure> {
        let (store, measure, bars) = (self.store, &self.suite.measure, &self.context.progress);
        let task = Task { subject: self.subject.clone(), beside: None };
        let night = Night::begin(self.on(build).await?, store, measure, bars).await?;
        let taken = night.runs(&[&task], count).await?.pop();
        night.end();
        Ok(taken.unwrap_or_default().now)
    }
}
