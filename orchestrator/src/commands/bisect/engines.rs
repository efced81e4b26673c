//! Engine builds, which run the same model on one board: agents that are put there in turns, by starting them on this
//! machine or over ssh.

use std::path::PathBuf;
use std::time::Duration;

use super::super::enroll;
use super::{Compared, known, remember};
use crate::context::Context;
use crate::device::{Address, Connector, Device, DeviceError, Lease};
use crate::digest::hex_digest;
use crate::enroll::{Architecture, Change, EnrollError, Remote, choose, probe};
use crate::exit::{Exit, Failure};
use crate::nightly::check::{Asked, Comparison, Judging, Place};
use crate::nightly::night::{Night, Run, Taken, Task};
use crate::nightly::setup::Setup;
use crate::nightly::subject::Subject;
use crate::nightly::suite::Suite;
use crate::nightly::verdict::Verdict;
use crate::profile::lock;
use crate::store::{Lock, Store};

/// Why runs between which somebody else had the board are not compared.
const DISTURBED: &str = "somebody else had the board while builds were exchanged";
/// How long a board may take to notice that a lease of our own is over.
const OWN_END: Duration = Duration::from_secs(10);

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
            board.architecture()?
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
    /// The agent that runs there, where one does.
    pub(super) running: Option<Running>,
    /// The build that was put there last.
    pub(super) last: Option<usize>,
    /// Keeps others on this machine from measuring while builds are started here.
    pub(super) lock: Option<Lock>,
    /// Whether somebody else had the board between two of the runs that are compared.
    pub(super) disturbed: bool,
}

/// An agent on the board.
pub(super) struct Running {
    /// Of which build it is; `None`: what was found there.
    build: Option<usize>,
    /// Held until the next agent takes its place: leases are the agent's, and end with it. Goes before the device.
    lease: Option<Lease>,
    device: Device,
}

/// What came of the runs of a build and of the first.
enum Turns {
    Taken(Taken),
    /// The build does not start, or does not measure.
    Untried(Failure),
}

impl Engines<'_> {
    /// The board with this build on it.
    pub(super) async fn on(&mut self, build: usize) -> Result<&Device, Failure> {
        let running = match self.running.take() {
            Some(running) if running.build == Some(build) => running,
            before => {
                let name = &self.builds[build].name;
                tracing::info!("{name}: putting it on the board");
                let context = format!("failed to put {name} on the board");
                self.last = None;
                let put = self.put(build, before).await;
                let running = put.map_err(|failure| failure.context(context))?;
                self.last = Some(build);
                running
            }
        };
        Ok(&self.running.insert(running).device)
    }

    async fn put(&mut self, build: usize, before: Option<Running>) -> Result<Running, Failure> {
        let program = self.builds[build].program.clone();
        let wait = self.context.options.wait;
        let Some(args) = &mut self.enroll else {
            // One of this machine ends with its connection.
            drop(before);
            let connector = Connector { agent_program: Some(program), ..self.context.connector() };
            let device = connector.connect(&Address::Local).await?.patient(wait);
            if self.lock.is_none() {
                self.lock = Some(lock(&device, self.store).await?);
            }
            return Ok(Running { build: Some(build), device, lease: None });
        };
        args.agent = Some(program);
        let before = match before {
            None => found(args, self.context).await?,
            before => before,
        };
        if let Some(Running { lease: Some(lease), .. }) = &before {
            lease.foresee_end();
        }
        let (shown, device) = enroll::enrol(args, self.context).await?;
        let restarted = shown.changes.contains(&Change::Service);
        match before {
            Some(before) if !restarted => Ok(Running { build: Some(build), ..before }),
            before => {
                // It has ended with its agent, if there was one.
                drop(before);
                let device = device.patient(wait);
                let lease = device.lease().await?;
                // The first lease of an agent is ours, or it was somebody else's.
                self.disturbed |= restarted && lease.epoch() > 1;
                Ok(Running { build: Some(build), device, lease: Some(lease) })
            }
        }
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
        self.disturbed = false;
        let taken = match self.turns(build).await? {
            Turns::Taken(taken) => taken,
            Turns::Untried(failure) => return Ok(Compared::untried(&failure)),
        };
        let mut judging = Judging::begin(&place, &comparison, taken, asked).await?;
        if judging.is_due() && !self.disturbed {
            match self.turns(build).await? {
                Turns::Taken(rerun) => judging.confirm(rerun),
                Turns::Untried(failure) => return Ok(Compared::untried(&failure)),
            }
        }
        let mut compared = Compared::new(judging.report(&place).await?, &self.builds[0].name);
        if self.disturbed {
            compared.verdict = Verdict::Inconclusive;
            compared.reason = Some(DISTURBED.to_owned());
        }
        remember(store, &place.setup, &parts, asked, &compared).await?;
        Ok(compared)
    }

    /// As many runs of the build and of the first as are asked for. The first comes before and after, half and half, so
    /// that a drift meets both alike, and the board changes builds twice only.
    async fn turns(&mut self, build: usize) -> Result<Turns, Failure> {
        let runs = self.asked.runs;
        let mut beside = self.runs(0, runs.div_ceil(2)).await?;
        let now = match self.runs(build, runs).await {
            Ok(now) => now,
            Err(failure) if lies_with_the_build(&failure) => {
                // Where the first does not come back either, it was the board.
                self.running = None;
                self.on(0).await?;
                return Ok(Turns::Untried(failure));
            }
            Err(failure) => return Err(failure),
        };
        beside.extend(self.runs(0, runs / 2).await?);
        Ok(Turns::Taken(Taken { now, beside }))
    }

    async fn runs(&mut self, build: usize, count: usize) -> Result<Vec<Run>, Failure> {
        let (store, measure, bars) = (self.store, &self.suite.measure, &self.context.progress);
        let task = Task { subject: self.subject.clone(), beside: None };
        self.on(build).await?;
        let Some(Running { device, lease, .. }) = &mut self.running else { return Ok(Vec::new()) };
        let held = match lease.take() {
            Some(held) => held,
            None => device.lease().await?,
        };
        let night = Night::under(held, device, store, measure, bars).await?;
        let taken = night.runs(&[&task], count).await?.pop();
        *lease = Some(night.end());
        Ok(taken.unwrap_or_default().now)
    }
}

/// The agent that is on the board before the first build is put there, held so that nobody's work is ended by that; `None`
/// where there is none.
async fn found(args: &enroll::Args, context: &Context) -> Result<Option<Running>, Failure> {
    let address = enroll::whereabouts(args).await?;
    let Ok(device) = context.connect_to(&address).await else { return Ok(None) };
    let device = device.patient(context.options.wait.max(OWN_END));
    let lease = Some(device.lease().await?);
    Ok(Some(Running { build: None, device, lease }))
}

/// Whether it may be the build, rather than the board or somebody who has it, for which there is no measurement.
fn lies_with_the_build(failure: &Failure) -> bool {
    if failure.exit != Exit::Lab {
        return false;
    }
    match (failure.cause::<EnrollError>(), failure.cause::<DeviceError>()) {
        (Some(EnrollError::SelfTest { .. } | EnrollError::Script { .. }), _) => true,
        (Some(_), _) => false,
        (None, device) => matches!(
            device,
            Some(
                DeviceError::Unreachable { .. }
                    | DeviceError::NoAnswer { .. }
                    | DeviceError::Incompatible { .. }
                    | DeviceError::Vanished { .. }
                    | DeviceError::Refused { .. }
                    | DeviceError::Protocol { .. }
                    | DeviceError::LocalAgent { .. }
            )
        ),
    }
}
