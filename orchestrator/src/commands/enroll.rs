//! `device enroll`: from a board that ssh reaches to one whose agent answers with a certificate.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use quantrack_proto::identity::Subject;
use quantrack_proto::{DEFAULT_PORT, NAMELESS};
use rustls::pki_types::UnixTime;
use serde::Serialize;

use super::authority::{Keeper, own_folder};
use super::rack;
use crate::authority::{Authority, AuthorityError, BOARD_DAYS, Credentials, days, refresh_own};
use crate::context::Context;
use crate::device::{Address, Connector, Device, DeviceError};
use crate::enroll::{
    self, Board, Change, EnrollError, Identity, Remote, certificate, clean, install, probe,
    self_test, stage,
};
use crate::exit::{CommandResult, Exit, Failure};
use crate::rack::enter;

/// What to do about a name that cannot be used.
const NAME_IT: &str =
    "give the board another name: `sudo hostnamectl set-hostname pi3-a` there, or --name here";
/// How long the agent may take until it answers.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Options of `device enroll`.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// The board as `ssh` knows it, as in pi@pi3.local.
    pub(super) target: String,
    #[command(flatten)]
    pub(super) keeper: Keeper,
    /// The board's name [default: what it calls itself].
    #[arg(long)]
    pub(super) name: Option<String>,
    /// The agent to install.
    #[arg(long, value_name = "FILE", conflicts_with = "agents")]
    pub(super) agent: Option<PathBuf>,
    /// Folder with agent-aarch64, agent-armv7 and agent-x86_64 [default: agents beside this program, and where
    /// deploy/build-agent.sh puts what it builds].
    #[arg(long, env = "QUANTRACK_AGENTS", value_name = "DIR")]
    pub(super) agents: Option<PathBuf>,
    /// Where orchestrators reach the board, when that is not where ssh does.
    #[arg(long, value_name = "HOST")]
    pub(super) address: Option<String>,
    /// The agent's port [default: what it has, or 50051].
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: Option<u16>,
    /// Its labels, which make pools.
    #[arg(long = "label", value_name = "LABEL", value_parser = rack::label)]
    pub(super) labels: Vec<String>,
}

/// What is printed.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    board: String,
    address: String,
    fingerprint: String,
    model: String,
    architecture: &'static str,
    agent_version: String,
    pub(super) changes: Vec<Change>,
}

impl From<EnrollError> for Failure {
    fn from(error: EnrollError) -> Self {
        Self::lab(error)
    }
}

/// Runs the command.
///
/// # Errors
/// When a step fails: what had changed until then is said.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let (shown, _device) = enrol(&args, context).await?;
    context.print("device enroll", &shown, human)?;
    Ok(Exit::Ok)
}

/// A board that ssh reaches, and what it will be called.
struct Found {
    remote: Remote,
    board: Board,
    subject: Subject,
    port: u16,
    address: Address,
}

async fn look(args: &Args) -> Result<Found, Failure> {
    let remote = Remote::new(&args.target)?;
    let board = probe(&remote).await?;
    let name = match &args.name {
        Some(name) => name,
        None if NAMELESS.contains(&board.name.as_str()) => {
            let (target, name) = (&args.target, &board.name);
            let error = anyhow!("the board at {target} has no host name: it calls itself {name:?}");
            return Err(Failure::usage(error).next(NAME_IT));
        }
        None => &board.name,
    };
    let subject = Subject::board(name).map_err(AuthorityError::from);
    let subject = subject.map_err(|error| Failure::from(error).next(NAME_IT))?;
    let host = match &args.address {
        Some(address) => address.clone(),
        None => remote.host().await?,
    };
    let port = args.port.or(board.port).unwrap_or(DEFAULT_PORT);
    let address = address(name, &host, port)?;
    Ok(Found { remote, board, subject, port, address })
}

/// The address at which the board will answer, or does so already.
///
/// # Errors
/// When ssh does not get there, or the board has no name.
pub(super) async fn whereabouts(args: &Args) -> Result<Address, Failure> {
    Ok(look(args).await?.address)
}

/// Enrols a board, or puts another agent on one, and connects to it.
///
/// # Errors
/// As [`run`].
pub(super) async fn enrol(args: &Args, context: &Context) -> Result<(Shown, Device), Failure> {
    let own = own_folder(context)?;
    let mut authority = args.keeper.open()?;
    refresh_own(&mut authority, &own)?;
    let Found { remote, board, subject, port, address } = look(args).await?;
    let name = subject.name().to_owned();
    let architecture = board.architecture()?;
    let (program, agent) =
        enroll::choose(architecture, args.agent.as_deref(), args.agents.as_deref())?;
    tracing::info!("{name} takes {} ({})", program.display(), architecture.name());
    let credentials = credentials(&mut authority, &remote, &board, &subject, &address).await?;
    let identity = Identity { credentials, port };
    let changes = put(&remote, &board, &agent, &identity).await?;
    let device = answer(&context.connector(), &address).await.map_err(|error| {
        let left = names(&changes);
        Failure::from(error)
            .context(format!("the agent runs on {name} but does not answer here (changed on the board: {left})"))
            .next(format!(
                "`orchestrator device doctor --device {address}` looks further; a firewall on the board has to let port \
                 {port} through"
            ))
    })?;
    authority.supersede(&name)?;
    authority.set_address(&name, &address.to_string())?;
    let store = context.store().await?;
    store.save_device(&device.record()).await?;
    enter(&device, &args.labels, &context.connector(), &store).await?;
    let shown = Shown {
        board: name,
        address: device.address().to_owned(),
        fingerprint: device.facts().fingerprint(),
        model: device.facts().name(),
        architecture: architecture.name(),
        agent_version: device.agent_version().to_owned(),
        changes,
    };
    Ok((shown, device))
}

/// The address that the board will be called by: without its name where the host tells it.
fn address(name: &str, host: &str, port: u16) -> Result<Address, Failure> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let plain: Address = format!("{host}:{port}").parse().map_err(DeviceError::from)?;
    let is_ip = host.parse::<std::net::IpAddr>().is_ok() || host.starts_with('[');
    let told = !is_ip && host.split('.').next() == Some(name);
    Ok(if told { plain } else { plain.naming(name) })
}

/// The board's certificate if it has a good one, else a new one with a new key.
async fn credentials(
    authority: &mut Authority,
    remote: &Remote,
    board: &Board,
    subject: &Subject,
    address: &Address,
) -> Result<Credentials, Failure> {
    let has = certificate(remote, board).await?;
    let (now_s, generation) = (UnixTime::now().as_secs(), authority.generation());
    let good = authority.record().issued.iter().find(|issued| {
        issued.certificate_pem.trim() == has
            && issued.is_board()
            && issued.name == subject.name()
            && issued.is_valid(now_s)
            && issued.generation == generation
    });
    Ok(match good.cloned() {
        Some(issued) => authority.credentials(issued.certificate_pem)?,
        None => authority.issue(subject, days(BOARD_DAYS), Some(address.to_string()))?,
    })
}

/// Sends, tests and installs the agent.
async fn put(
    remote: &Remote,
    board: &Board,
    agent: &[u8],
    identity: &Identity,
) -> Result<Vec<Change>, Failure> {
    let folder = stage(remote, board, agent).await?;
    let done = async {
        self_test(remote, &folder).await?;
        tracing::info!("the agent has passed its self-test there");
        install(remote, board, &folder, identity).await.map_err(|(error, changes)| {
            let undo = format!(
                "enrol again when it is mended: it goes on from here. To undo it: ssh {} sudo systemctl disable --now \
                 quantrack-agent",
                remote.target()
            );
            let left = format!("failed to enrol; changed on the board: {}", names(&changes));
            Failure::from(error).context(left).next(undo)
        })
    };
    let done = done.await;
    clean(remote, &folder).await;
    done
}

async fn answer(connector: &Connector, address: &Address) -> Result<Device, DeviceError> {
    let begin = Instant::now();
    loop {
        match connector.connect(address).await {
            Err(error) if begin.elapsed() > ANSWER_TIMEOUT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(300)).await,
            Ok(device) => return Ok(device),
        }
    }
}

fn names(changes: &[Change]) -> String {
    let names: Vec<&str> = changes.iter().map(|change| change.name()).collect();
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

fn human(shown: &Shown) -> String {
    format!(
        "{} ({}) answers at {} with agent {} for {}.\nChanged on the board: {}.\nUse it with --device {}.",
        shown.board,
        shown.model,
        shown.address,
        shown.agent_version,
        shown.architecture,
        names(&shown.changes),
        shown.address
    )
}
