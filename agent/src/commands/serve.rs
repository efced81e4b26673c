//! `agent serve`.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::blobs::Blobs;
use crate::board::Root;
use crate::governor::{self, Governor};
use crate::lease::Leases;
use crate::security::{BoardClock, Security};
use crate::service::{self, AgentService, Config};
use crate::worker::Launcher;

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Address to listen on; port 0 takes a free one. The address is printed as JSON.
    #[arg(
        long,
        env = "QUANTRACK_LISTEN",
        default_value = "127.0.0.1:50051",
        value_name = "ADDRESS:PORT"
    )]
    listen: SocketAddr,
    /// Folder of this board's certificate and of those whom it believes, as `orchestrator device enroll` makes it. Without
    /// one the agent listens on loopback only, without TLS.
    #[arg(long, env = "QUANTRACK_IDENTITY", value_name = "DIR")]
    identity: Option<PathBuf>,
    /// Judge certificates by this machine's clock, even where systemd-timesyncd does not say that it is right.
    #[arg(long, env = "QUANTRACK_TRUST_CLOCK")]
    trust_clock: bool,
    /// Directory of uploaded variants [default: quantrack in $XDG_RUNTIME_DIR, /run or the temporary directory]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Directory below which /proc, /sys and /etc are read.
    #[arg(long, default_value = "/", value_name = "DIR")]
    board_root: PathBuf,
    /// Most bytes of uploaded variants.
    #[arg(long, default_value_t = 64 << 20, value_name = "BYTES")]
    max_store_bytes: u64,
    /// Longest time that one block of runs may take.
    #[arg(long, default_value_t = 120, value_name = "SECONDS")]
    block_deadline_s: u64,
    /// Emulator to start workers with, for an agent that runs under user-mode emulation itself, as in /usr/bin/qemu-arm.
    #[arg(long, env = "QUANTRACK_WORKER_EMULATOR", value_name = "FILE")]
    worker_emulator: Option<PathBuf>,
    /// Keep a file for node_exporter's textfile collector up to date; best in memory, as in /run/quantrack/agent.prom.
    #[arg(long, value_name = "FILE")]
    metrics: Option<PathBuf>,
    /// Socket of the helper that sets the frequency governor (`agent governor`).
    #[arg(long, default_value = governor::SOCKET, value_name = "FILE")]
    governor_socket: PathBuf,
    /// This machine does other work as well: foreign load is told, but voids no samples.
    #[arg(long)]
    shared_machine: bool,
    /// End when standard input does, as it does when the parent dies, and leave no variants behind.
    #[arg(long)]
    exit_with_parent: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !args.listen.ip().is_loopback() && args.identity.is_none() {
        tracing::error!(
            "{} is beyond loopback, where anybody could use this board: enrol it (`orchestrator device \
             enroll USER@BOARD`), or name the folder of its certificate with --identity",
            args.listen
        );
        return Ok(ExitCode::from(2));
    }
    // One thread: the agent must not disturb what it measures, and its workers are tied to the thread that starts them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start")?.block_on(listen(args))
}

async fn listen(args: &Args) -> anyhow::Result<ExitCode> {
    let state_dir = args.state_dir.clone().unwrap_or_else(default_state_dir);
    let blobs = Blobs::open(&state_dir, args.max_store_bytes);
    let blobs = blobs.context("failed to open the store of variants")?;
    let listener = TcpListener::bind(args.listen).await;
    let listener = listener.with_context(|| format!("failed to listen on {}", args.listen))?;
    let address = listener.local_addr()?;
    let launcher = match &args.worker_emulator {
        Some(emulator) => {
            Launcher::emulated(emulator.clone()).context("failed to find this program")?
        }
        None => Launcher::default(),
    };
    let root = Root::new(&args.board_root);
    let security = args.identity.as_ref().map(|folder| {
        let clock = BoardClock::new(root.clone(), args.trust_clock);
        Security::open(folder, clock).map(Arc::new)
    });
    let security = security.transpose().context("failed to read this board's identity")?;
    let tls = if security.is_some() { "with TLS" } else { "without TLS" };
    let agent = AgentService::new(Config {
        root,
        blobs,
        launcher,
        order_deadline: Duration::from_secs(args.block_deadline_s),
        governor: Governor::new(args.governor_socket.clone()),
        shared_machine: args.shared_machine,
        security,
    })
    .with_leases(Leases::kept_in(&state_dir));
    if let Some(path) = args.metrics.clone() {
        tokio::spawn(agent.clone().write_metrics(path));
    }
    let ended = end(args.exit_with_parent)?;
    {
        let mut out = std::io::stdout();
        writeln!(out, "{}", serde_json::json!({ "listening": address }))?;
        out.flush()?;
    }
    tracing::info!("listening on {address} {tls}, variants in {}", state_dir.display());
    service::serve(listener, agent, ended).await?;
    if args.exit_with_parent {
        // A parent that lives may have been faster.
        if let Err(error) = Blobs::remove(&state_dir) {
            tracing::debug!("{} stays: {error}", state_dir.display());
        }
    }
    tracing::info!("ended");
    Ok(ExitCode::SUCCESS)
}

/// Ready when this program should end.
pub(super) fn end(exit_with_parent: bool) -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = end_of_input(), if exit_with_parent => {}
        }
    })
}

async fn end_of_input() {
    let mut input = tokio::io::stdin();
    let mut bytes = [0; 64];
    while input.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}

/// A directory that the next boot clears, in memory where the system has one.
fn default_state_dir() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let candidates = runtime.into_iter().chain([PathBuf::from("/run")]);
    let mut usable = candidates
        .map(|base| base.join("quantrack"))
        .filter(|directory| std::fs::create_dir_all(directory.join("blobs")).is_ok());
    let fallback =
        || std::env::temp_dir().join(format!("quantrack-{}", nix::unistd::Uid::current()));
    usable.next().unwrap_or_else(fallback)
}
