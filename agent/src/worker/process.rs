//! The agent's side of a worker.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, ChildStdout, Command as Process};
use tokio::task::JoinHandle;

use super::frame::{self, FrameError};
use super::message::{Command, Load, Loaded, Order, Outcome, Ready, Reply, Sample, Samples};
use super::message::{Layers, Setup, Tensors};

/// How much of what a worker says at its end is kept.
const STDERR_BYTES: u64 = 4096;
/// How long a worker whose stream has ended may take to end itself.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a worker did not do what it should.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The program could not be started.
    #[error("failed to start the worker: {0}; free some memory on the board")]
    Start(String),
    /// The order failed; the worker lives.
    #[error("{0}")]
    Refused(String),
    /// It was killed for taking too long.
    #[error(
        "the worker was killed: {doing} took longer than {} ms; the model may not end, or the board \
         be overloaded",
        deadline.as_millis()
    )]
    Deadline {
        /// What it was doing.
        doing: &'static str,
        /// How long it had.
        deadline: Duration,
    },
    /// It needed more memory than it had.
    #[error(
        "the worker exhausted its memory limit of {limit_bytes} bytes while {doing}; raise the \
         limit, or use a smaller variant"
    )]
    Memory {
        /// What it was doing.
        doing: &'static str,
        /// How much it had.
        limit_bytes: u64,
    },
    /// It ended otherwise.
    #[error("the worker ended with {cause} while {doing}{said}; this variant cannot run here")]
    Ended {
        /// What it was doing.
        doing: &'static str,
        /// The signal or exit code.
        cause: String,
        /// What it said last.
        said: String,
    },
    /// The two sides do not understand each other.
    #[error("the worker broke its protocol while {doing}: {detail}; report this as a bug")]
    Protocol {
        /// What it was doing.
        doing: &'static str,
        /// How.
        detail: String,
    },
}

/// How to start a worker.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program: this one.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

impl Default for Launcher {
    fn default() -> Self {
        Self { program: "/proc/self/exe".into(), arguments: vec!["worker".into()] }
    }
}

impl Launcher {
    /// This program through `emulator`, for an agent that itself runs under user-mode emulation (`qemu-aarch64 agent`):
    /// the host's kernel cannot start its binary directly.
    ///
    /// # Errors
    /// When the path of this program cannot be found out.
    pub fn emulated(emulator: PathBuf) -> std::io::Result<Self> {
        let program = std::env::current_exe()?;
        Ok(Self {
            program: emulator,
            arguments: vec![program.into(), "worker".into(), "--emulated".into()],
        })
    }
}

/// A running worker. Dropping it kills it, and what it has started.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    orders: ChildStdin,
    replies: ChildStdout,
    last_words: JoinHandle<String>,
    limit_bytes: u64,
    cores: Vec<u32>,
    missing: Vec<String>,
}

impl Worker {
    /// Starts a worker with its limits set.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn start(launcher: &Launcher, setup: Setup) -> Result<Self, WorkerError> {
        let mut process = Process::new(&launcher.program);
        process.args(&launcher.arguments).env_clear().kill_on_drop(true);
        // Of its own, so that it can be killed with whatever it starts.
        process.process_group(0);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = process.spawn().map_err(|error| WorkerError::Start(error.to_string()))?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(orders), Some(replies), Some(mut stderr)) = streams else {
            return Err(WorkerError::Start("it has no streams".to_owned()));
        };
        let last_words = tokio::spawn(async move {
            let mut bytes = Vec::new();
            let _ = (&mut stderr).take(STDERR_BYTES).read_to_end(&mut bytes).await;
            // Whatever follows must not block the worker.
            let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let limit_bytes = setup.memory_limit_bytes;
        let mut worker = Self {
            child,
            orders,
            replies,
            last_words,
            limit_bytes,
            cores: vec![],
            missing: vec![],
        };
        let deadline = Duration::from_secs(30);
        match worker.order("starting", Order::Setup(setup), deadline).await? {
            Outcome::Ready(Ready { cores, missing }) => {
                worker.cores = cores;
                worker.missing = missing;
            }
            other => return Err(unexpected("starting", &other)),
        }
        Ok(worker)
    }

    /// Cores that it is pinned to; none when the system refused.
    pub fn cores(&self) -> &[u32] {
        &self.cores
    }

    /// Precautions that the system refused, and why.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }

    /// Loads the next variant.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn load(&mut self, load: Load, deadline: Duration) -> Result<Loaded, WorkerError> {
        let doing = "loading a variant";
        match self.order(doing, Order::Load(load), deadline).await? {
            Outcome::Loaded(loaded) => Ok(loaded),
            other => Err(unexpected(doing, &other)),
        }
    }

    /// Times consecutive runs.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn sample(
        &mut self,
        sample: Sample,
        deadline: Duration,
    ) -> Result<Samples, WorkerError> {
        let doing = "running a variant";
        match self.order(doing, Order::Sample(sample), deadline).await? {
            Outcome::Samples(samples) if samples.duration_ns.len() == sample.runs as usize => {
                Ok(samples)
            }
            other => Err(unexpected(doing, &other)),
        }
    }

    /// Times the layers within runs.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn layers(
        &mut self,
        sample: Sample,
        deadline: Duration,
    ) -> Result<Layers, WorkerError> {
        let doing = "timing layers";
        match self.order(doing, Order::Layers(sample), deadline).await? {
            Outcome::Layers(layers) => Ok(layers),
            other => Err(unexpected(doing, &other)),
        }
    }

    /// Runs variant 0 on given inputs.
    ///
    /// # Errors
    /// See [`WorkerError`].
    pub async fn run(
        &mut self,
        inputs: Tensors,
        deadline: Duration,
    ) -> Result<Tensors, WorkerError> {
        let doing = "running on given inputs";
        match self.order(doing, Order::Run(inputs), deadline).await? {
            Outcome::Outputs(outputs) => Ok(outputs),
            other => Err(unexpected(doing, &other)),
        }
    }

    /// Kills it and waits until it is gone.
    pub async fn kill(mut self) {
        self.kill_all();
        let _ = self.child.kill().await;
    }

    /// Kills it and what it has started, unless it is gone: then its number may be another's.
    fn kill_all(&self) {
        if let Some(id) = self.child.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }

    async fn order(
        &mut self,
        doing: &'static str,
        order: Order,
        deadline: Duration,
    ) -> Result<Outcome, WorkerError> {
        let exchange =
            tokio::time::timeout(deadline, self.exchange(Command { order: Some(order) }));
        match exchange.await {
            Err(_) => {
                self.kill_all();
                let _ = self.child.kill().await;
                Err(WorkerError::Deadline { doing, deadline })
            }
            Ok(Ok(Reply { outcome: Some(Outcome::Failed(message)) })) => {
                Err(WorkerError::Refused(message))
            }
            Ok(Ok(Reply { outcome: Some(outcome) })) => Ok(outcome),
            Ok(Ok(Reply { outcome: None })) => {
                Err(WorkerError::Protocol { doing, detail: "an empty reply".to_owned() })
            }
            Ok(Err(FrameError::Io(_))) => Err(self.cause_of_end(doing).await),
            Ok(Err(error)) => Err(WorkerError::Protocol { doing, detail: error.to_string() }),
        }
    }

    async fn exchange(&mut self, command: Command) -> Result<Reply, FrameError> {
        self.orders.write_all(&frame::encode(&command)?).await?;
        self.orders.flush().await?;
        let mut prefix = [0; 4];
        self.replies.read_exact(&mut prefix).await?;
        let mut body = vec![0; frame::length(prefix)?];
        self.replies.read_exact(&mut body).await?;
        Ok(Reply::decode(body.as_slice())?)
    }

    /// Why the stream has ended.
    async fn cause_of_end(&mut self, doing: &'static str) -> WorkerError {
        let Ok(Ok(status)) = tokio::time::timeout(END_TIMEOUT, self.child.wait()).await else {
            let _ = self.child.kill().await;
            let detail = "it closed its stream and did not end".to_owned();
            return WorkerError::Protocol { doing, detail };
        };
        let said = tokio::time::timeout(END_TIMEOUT, &mut self.last_words).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        end(doing, status, said.trim(), self.limit_bytes)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// Names the cause of a worker's end. Rust's allocator says so before it aborts; a kill that was not ours is the
/// kernel's, out of memory.
fn end(doing: &'static str, status: ExitStatus, said: &str, limit_bytes: u64) -> WorkerError {
    if said.contains("memory allocation of") || said.contains("Cannot allocate memory") {
        return WorkerError::Memory { doing, limit_bytes };
    }
    let cause = match (status.signal(), status.code()) {
        (Some(number), _) => match Signal::try_from(number) {
            Ok(Signal::SIGKILL) => "SIGKILL (out of memory on the board?)".to_owned(),
            Ok(signal) => signal.to_string(),
            Err(_) => format!("signal {number}"),
        },
        (None, code) => format!("exit code {}", code.unwrap_or(-1)),
    };
    let last = said.lines().rfind(|line| !line.starts_with("note:")).unwrap_or_default();
    let said = if last.is_empty() { String::new() } else { format!(" ({last})") };
    WorkerError::Ended { doing, cause, said }
}

fn unexpected(doing: &'static str, outcome: &Outcome) -> WorkerError {
    let detail = format!("an answer to another order, {:.80}", format!("{outcome:?}"));
    WorkerError::Protocol { doing, detail }
}
