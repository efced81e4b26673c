//! Why a board could not be enrolled.

use std::path::PathBuf;

/// The cause, with the remedy.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// There is no ssh.
    #[error("failed to start ssh: {0}; install an ssh client (Debian: apt install openssh-client)")]
    NoSsh(std::io::Error),
    /// ssh does not get there.
    #[error("failed to reach {target} by ssh: {detail}; make `ssh {target} true` work first")]
    Ssh {
        /// Where.
        target: String,
        /// What ssh said.
        detail: String,
    },
    /// A script failed on the board.
    #[error("failed at {doing} on {target}: {detail}")]
    Script {
        /// Where.
        target: String,
        /// What was being done.
        doing: &'static str,
        /// What it said.
        detail: String,
    },
    /// The board's answer makes no sense.
    #[error("{target} does not say its {what}; its shell may print something of its own at login")]
    Silent {
        /// Where.
        target: String,
        /// What.
        what: &'static str,
    },
    /// The user may not install.
    #[error(
        "{user} on {target} may not become root without a password; enrol as root, or allow it: \
         echo '{user} ALL=(ALL) NOPASSWD:ALL' | sudo tee /etc/sudoers.d/quantrack (and remove that file afterwards)"
    )]
    NoRoot {
        /// Where.
        target: String,
        /// Who.
        user: String,
    },
    /// There is no systemd.
    #[error("{target} does not run systemd; install the agent by hand, as deploy/README.md says")]
    NoSystemd {
        /// Where.
        target: String,
    },
    /// No agent runs there.
    #[error(
        "no agent runs on {machine} with a userland of {bits} bits: it needs 64-bit ARM, ARMv7 with NEON, or x86-64"
    )]
    Unsupported {
        /// As `uname -m` says.
        machine: String,
        /// As `getconf LONG_BIT` says.
        bits: u32,
    },
    /// There is no agent for it.
    #[error(
        "found no agent for {architecture} ({places}); build it (deploy/build-agent.sh {architecture}), and name it with \
         --agent, or its folder with --agents"
    )]
    NoAgent {
        /// For what.
        architecture: &'static str,
        /// Where it was looked for.
        places: String,
    },
    /// The agent is one for other boards.
    #[error("{} is {found}, and this board needs one for {needed}", path.display())]
    WrongAgent {
        /// The file.
        path: PathBuf,
        /// What it is.
        found: String,
        /// What the board needs.
        needed: &'static str,
    },
    /// A file of ours.
    #[error("failed to read {}: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Little room.
    #[error(
        "{target} has {free_kib} KiB free in /usr, and the agent needs {needed_kib}; free some"
    )]
    Full {
        /// Where.
        target: String,
        /// What is free.
        free_kib: u64,
        /// What is needed.
        needed_kib: u64,
    },
    /// Kernels compute something else there.
    #[error(
        "the agent fails its self-test on {target}, so nothing was installed: {detail}\n`agent self-test` there shows more; \
         please report it"
    )]
    SelfTest {
        /// Where.
        target: String,
        /// What it said.
        detail: String,
    },
}
