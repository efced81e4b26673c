//! `agent governor`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::net::UnixListener;

use super::serve::end;
use crate::board::Root;
use crate::governor::{SOCKET, Switch, helper};

/// Arguments.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Socket to listen on, for its owner and group.
    #[arg(long, default_value = SOCKET, value_name = "FILE")]
    socket: PathBuf,
    /// File that says how the governor was before it was changed.
    #[arg(long, default_value = "/run/quantrack-governor/journal", value_name = "FILE")]
    journal: PathBuf,
    /// Directory below which /sys is found.
    #[arg(long, default_value = "/", value_name = "DIR")]
    board_root: PathBuf,
    /// Restore what a helper has left behind, and end.
    #[arg(long)]
    restore: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let switch = Switch::new(Root::new(&args.board_root), args.journal.clone());
    if args.restore {
        let restored = switch.restore()?;
        tracing::info!("restored {restored} governors");
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("failed to start")?.block_on(async {
        let listener = listen(&args.socket)?;
        tracing::info!("listening on {}", args.socket.display());
        helper::serve(listener, switch, end(false)?).await?;
        anyhow::Ok(ExitCode::SUCCESS)
    })
}

/// Listens where an earlier helper may have left its socket.
fn listen(socket: &Path) -> anyhow::Result<UnixListener> {
    if let Err(error) = std::fs::remove_file(socket)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("failed to replace {}", socket.display()));
    }
    let listener = UnixListener::bind(socket);
    let listener = listener.with_context(|| format!("failed to listen on {}", socket.display()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}
