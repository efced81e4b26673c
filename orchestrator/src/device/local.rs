//! An agent of our own on this machine, for the length of a run.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};

use super::error::DeviceError;

/// How long the agent may take until it listens.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A running agent. It ends when this is dropped, and also when this process dies: then its standard input closes.
#[derive(Debug)]
pub(super) struct LocalAgent {
    pub(super) port: u16,
    _child: Child,
    _stdin: Option<ChildStdin>,
    _state: TempDir,
}

/// What the agent prints when it listens.
#[derive(Deserialize)]
struct Listening {
    listening: std::net::SocketAddr,
}

/// The agent program: the one that was named, else the one beside this program.
fn program(named: Option<&Path>) -> Result<PathBuf, DeviceError> {
    if let Some(named) = named {
        let missing = || DeviceError::NoLocalAgent { place: named.display().to_string() };
        return named.is_file().then(|| named.to_owned()).ok_or_else(missing);
    }
    let name = format!("agent{}", std::env::consts::EXE_SUFFIX);
    let own = std::env::current_exe().unwrap_or_default();
    // Test programs lie one level deeper than those that they test.
    let places: Vec<PathBuf> = own.ancestors().skip(1).take(2).map(|dir| dir.join(&name)).collect();
    let place = || places.first().map_or(name.clone(), |place| place.display().to_string());
    places
        .iter()
        .find(|place| place.is_file())
        .cloned()
        .ok_or_else(|| DeviceError::NoLocalAgent { place: place() })
}

impl LocalAgent {
    pub(super) async fn start(named: Option<&Path>) -> Result<Self, DeviceError> {
        let program = program(named)?;
        let fault = |detail: String| DeviceError::LocalAgent {
            program: program.display().to_string(),
            detail,
        };
        let state = TempDir::with_prefix("quantrack-agent-").map_err(|e| fault(e.to_string()))?;
        // What it says is ours to say, unless somebody asks it.
        let log = std::env::var("RUST_LOG").unwrap_or_else(|_| "warn".to_owned());
        let mut child = Command::new(&program)
            .env("RUST_LOG", log)
            .args([
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--exit-with-parent",
                "--shared-machine",
                "--state-dir",
            ])
            .arg(state.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| fault(error.to_string()))?;
        let stdin = child.stdin.take();
        let Some(stdout) = child.stdout.take() else {
            return Err(fault("it has no standard output".to_owned()));
        };
        let mut lines = BufReader::new(stdout).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line())
            .await
            .map_err(|_| fault(format!("it does not listen after {START_TIMEOUT:?}")))?
            .map_err(|error| fault(error.to_string()))?;
        let Some(line) = line else {
            let status = child.wait().await.map_or_else(|e| e.to_string(), |s| s.to_string());
            return Err(fault(format!("it ended with {status}; its message is above")));
        };
        let listening: Listening = serde_json::from_str(&line).map_err(|error| {
            fault(format!("it printed {line:?} instead of its address: {error}"))
        })?;
        let port = listening.listening.port();
        Ok(Self { port, _child: child, _stdin: stdin, _state: state })
    }
}
