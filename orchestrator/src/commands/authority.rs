//! `authority`: the certificates of the rack.

use std::path::PathBuf;

use anyhow::anyhow;
use quantrack_proto::identity::{Role, Subject, date};
use rustls::pki_types::UnixTime;
use serde::Serialize;

use crate::authority::{
    Authority, AuthorityError, BOARD_DAYS, CLIENT_DAYS, Issued, Pushed, days, identity_folder,
    push, refresh_own, renew_own, save_credentials,
};
use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::text_table;

/// Options and subcommands of `authority`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    keeper: Keeper,
    #[command(subcommand)]
    command: Command,
}

/// Where the authority is.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Keeper {
    /// Folder of the authority's keys [default: quantrack/authority in the XDG data directory].
    #[arg(long, global = true, env = "QUANTRACK_AUTHORITY", value_name = "DIR")]
    pub authority: Option<PathBuf>,
}

/// The subcommands of `authority`.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make an authority on this machine, and an identity with the role admin for yourself.
    Init,
    /// Issue a certificate, and write it with its key and whom to believe into a folder.
    Issue(IssueArgs),
    /// What was issued, and what still counts.
    List,
    /// Revoke what has this name or serial number, and tell all boards.
    Revoke {
        /// A name, or a serial number as `authority list` shows it.
        what: String,
    },
    /// Replace the authority's key: begin now, and end with --finish when all clients have new certificates.
    Rotate(RotateArgs),
    /// Tell all boards whom to believe and what is revoked, with today's date.
    Push,
}

/// Options of `authority issue`.
#[derive(Debug, clap::Args)]
struct IssueArgs {
    /// Name of the client, or of the board with --board.
    name: String,
    /// What the client may do: `read` asks boards what they are and do, `measure` also takes and uses them, `admin` also
    /// changes whom they believe.
    #[arg(long, required_unless_present = "board", conflicts_with = "board")]
    role: Option<Role>,
    /// For a board that is not reached by ssh: put the folder on it, and start `agent serve --identity` with it.
    #[arg(long)]
    board: bool,
    /// For so many days [default: 365 for clients, 3650 for boards].
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=36_500))]
    days: Option<u64>,
    /// Folder to write to.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Options of `authority rotate`.
#[derive(Debug, clap::Args)]
struct RotateArgs {
    /// End the rotation: boards get certificates of the new key and stop believing the old one.
    #[arg(long)]
    finish: bool,
    /// End it even where boards or clients are left behind, which then no longer count.
    #[arg(long, requires = "finish")]
    force: bool,
}

/// What the commands print.
#[derive(Debug, Default, Serialize)]
struct Shown {
    authority: PathBuf,
    rotating: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<Row>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    boards: Vec<Pushed>,
    /// For people.
    #[serde(skip)]
    said: String,
}

/// One certificate.
#[derive(Debug, Serialize)]
struct Row {
    name: String,
    kind: String,
    serial: String,
    generation: u32,
    expires_at: String,
    state: &'static str,
}

impl Keeper {
    /// Opens the authority.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(&self) -> Result<Authority, Failure> {
        Ok(Authority::open(&self.folder()?)?)
    }

    fn folder(&self) -> Result<PathBuf, Failure> {
        let folder = self.authority.clone().or_else(Authority::default_folder);
        Ok(folder.ok_or(AuthorityError::NoFolder { option: "--authority" })?)
    }
}

impl From<AuthorityError> for Failure {
    fn from(error: AuthorityError) -> Self {
        Self::usage(error)
    }
}

/// Runs a subcommand.
///
/// # Errors
/// When the authority's files cannot be used, or boards are left as they were.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let own = own_folder(context)?;
    let mut authority = match args.command {
        Command::Init => Authority::init(&args.keeper.folder()?)?,
        _ => args.keeper.open()?,
    };
    let mut shown = Shown { authority: authority.folder().to_owned(), ..Shown::default() };
    let name = match args.command {
        Command::Init => {
            let new = refresh_own(&mut authority, &own)?;
            let yours = if new { "Your identity" } else { "Your identity, as it was," };
            shown.said = format!(
                "The authority is in {}: keep a copy of that folder in a safe place.\n{yours} is in {}.",
                shown.authority.display(),
                own.display()
            );
            "authority init"
        }
        Command::Issue(args) => {
            shown.said = issue(&mut authority, &args)?;
            "authority issue"
        }
        Command::List => {
            let now = UnixTime::now().as_secs();
            shown.certificates = authority.record().issued.iter().map(|i| row(i, now)).collect();
            "authority list"
        }
        Command::Revoke { what } => {
            let revoked = authority.revoke(&what)?;
            let names: Vec<String> = revoked.iter().map(describe).collect();
            shown.said = format!("Revoked: {}.", names.join(", "));
            shown.boards = spread(&mut authority, context, &own, false).await?;
            "authority revoke"
        }
        Command::Push => {
            authority.sign_lists()?;
            shown.boards = spread(&mut authority, context, &own, false).await?;
            "authority push"
        }
        Command::Rotate(RotateArgs { finish: false, .. }) => {
            authority.rotate()?;
            shown.said = format!(
                "Certificates are now signed by a new key (generation {}); those of the old one count until \
                 `orchestrator authority rotate --finish`. Issue new ones to clients on other machines before that.",
                authority.generation()
            );
            shown.boards = spread(&mut authority, context, &own, false).await?;
            "authority rotate"
        }
        Command::Rotate(RotateArgs { force, .. }) => {
            shown.boards = finish(&mut authority, context, &own, force).await?;
            shown.said = "The old key no longer counts, and is erased.".to_owned();
            "authority rotate"
        }
    };
    shown.rotating = authority.is_rotating();
    context.print(name, &shown, human)?;
    let missed = shown.boards.iter().filter(|board| board.failure.is_some()).count();
    if missed > 0 {
        let error = anyhow!("{missed} of {} boards are not up to date", shown.boards.len());
        return Err(Failure::lab(error).next("run `orchestrator authority push` when they answer"));
    }
    Ok(Exit::Ok)
}

/// The folder of the user's own identity.
///
/// # Errors
/// When nothing says where it is.
pub fn own_folder(context: &Context) -> Result<PathBuf, Failure> {
    let folder = context.options.identity.clone().or_else(identity_folder);
    Ok(folder.ok_or(AuthorityError::NoFolder { option: "--identity" })?)
}

fn issue(authority: &mut Authority, args: &IssueArgs) -> Result<String, Failure> {
    let (subject, usual) = match args.role {
        Some(role) => (Subject::client(&args.name, role), CLIENT_DAYS),
        None => (Subject::board(&args.name), BOARD_DAYS),
    };
    let subject = subject.map_err(AuthorityError::from)?;
    let valid = days(args.days.unwrap_or(usual));
    let credentials = authority.issue(&subject, valid, None)?;
    if args.board {
        authority.supersede(&args.name)?;
    }
    save_credentials(&args.out, &credentials)?;
    let out = args.out.display();
    Ok(match subject {
        Subject::Board { name } => format!(
            "{out} is the identity of board {name}: put it on the board and start `agent serve --identity` with it."
        ),
        Subject::Client { name, role } => format!(
            "{out} is the identity of {name} ({role}): there, name it with --identity or QUANTRACK_IDENTITY. Whoever has \
             it is {name}."
        ),
    })
}

/// Brings our own identity and the boards up to date.
async fn spread(
    authority: &mut Authority,
    context: &Context,
    own: &std::path::Path,
    renew: bool,
) -> Result<Vec<Pushed>, Failure> {
    refresh_own(authority, own)?;
    Ok(push(authority, &context.connector(), renew).await?)
}

/// Ends a rotation. Interrupted anywhere, it goes on when it is started again.
async fn finish(
    authority: &mut Authority,
    context: &Context,
    own: &std::path::Path,
    force: bool,
) -> Result<Vec<Pushed>, Failure> {
    if !authority.is_rotating() {
        return Err(AuthorityError::NotRotating.into());
    }
    let pushed = spread(authority, context, own, true).await?;
    renew_own(authority, own)?;
    let left: Vec<String> = authority.left_behind().iter().map(describe).collect();
    if !left.is_empty() && !force {
        let failures: Vec<String> = pushed
            .iter()
            .filter_map(|board| Some(format!("\n  {}: {}", board.board, board.failure.as_ref()?)))
            .collect();
        let error = anyhow!(
            "these have certificates of the old key only: {}{}",
            left.join(", "),
            failures.concat()
        );
        return Err(Failure::lab(error).next(
            "issue new ones to the clients, switch the boards on, revoke what is no longer used; or end the rotation \
             without them: --force",
        ));
    }
    authority.retire()?;
    spread(authority, context, own, false).await
}

fn describe(issued: &Issued) -> String {
    issued.subject().map_or_else(|_| issued.name.clone(), |subject| subject.to_string())
}

fn row(issued: &Issued, now_s: u64) -> Row {
    let ends = UnixTime::since_unix_epoch(std::time::Duration::from_secs(issued.not_after_s));
    let state = match issued.revoked_at_s {
        Some(_) => "revoked",
        None if now_s >= issued.not_after_s => "expired",
        None => "valid",
    };
    Row {
        name: issued.name.clone(),
        kind: issued.role.clone().unwrap_or_else(|| "board".to_owned()),
        serial: issued.serial.clone(),
        generation: issued.generation,
        expires_at: date(ends),
        state,
    }
}

fn human(shown: &Shown) -> String {
    let mut parts = Vec::new();
    if !shown.said.is_empty() {
        parts.push(shown.said.clone());
    }
    if !shown.certificates.is_empty() {
        let rows = shown.certificates.iter().map(|row| {
            let generation = row.generation.to_string();
            let state = row.state.to_owned();
            let (name, kind, serial) = (row.name.clone(), row.kind.clone(), row.serial.clone());
            vec![name, kind, state, row.expires_at.clone(), generation, serial]
        });
        let header = ["name", "is", "state", "expires", ">key", "serial"];
        parts.push(text_table(&header, rows));
    }
    if !shown.boards.is_empty() {
        let rows = shown.boards.iter().map(|board| {
            let outcome = board.failure.clone().unwrap_or_else(|| "up to date".to_owned());
            vec![board.board.clone(), board.address.clone().unwrap_or_default(), outcome]
        });
        parts.push(text_table(&["board", "address", "state"], rows));
    }
    parts.join("\n\n")
}
