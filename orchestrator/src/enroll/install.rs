//! Putting an agent on a board.

use quantrack_proto::identity::{AUTHORITIES_FILE, CERTIFICATE_FILE, KEY_FILE, REVOKED_FILE};
use serde::Serialize;
use tar::{Builder, Header};

use super::error::EnrollError;
use super::probe::Board;
use super::remote::{Remote, quote};
use crate::authority::Credentials;

/// The units that run the agent and its helper, and the group that the agent's names: without it systemd does not start it.
const UNITS: [(&str, &str); 3] = [
    ("quantrack-agent.service", include_str!("../../../deploy/quantrack-agent.service")),
    ("quantrack-governor.service", include_str!("../../../deploy/quantrack-governor.service")),
    ("quantrack.sysusers", include_str!("../../../deploy/quantrack.sysusers")),
];
/// Cases of each kernel in the self-test: on the slowest boards it takes a few seconds.
const SELF_TEST_CASES: u32 = 20;

/// Unpacks what comes on standard input into a new folder that only the user can look into, and prints its name.
const STAGE: &str = r#"
umask 077
folder=$(mktemp -d "${TMPDIR:-/tmp}/quantrack-enroll.XXXXXX")
trap 'rm -rf "$folder"' EXIT
tar -xf - -C "$folder"
chmod 755 "$folder/agent"
trap - EXIT
printf 'quantrack:%s\n' "$folder"
"#;

/// Run as root with the folder as $1 and the name of the unit's environment as content of it. Each change is printed
/// when it has been made. Files are put in place by renaming, so that a running agent is not disturbed by half of one.
const INSTALL: &str = r#"
root=${QUANTRACK_ROOT:-}
from=$1
changed=
say() { printf 'quantrack:%s\n' "$1"; changed=yes; }
place() { # FILE MODE TARGET WHAT
    cmp -s "$from/$1" "$3" && return
    install -D -m "$2" "$from/$1" "$3.new"
    mv "$3.new" "$3"
    say "$4"
}
umask 022
place agent 755 "$root/usr/bin/agent" program
place quantrack-agent.service 644 "$root/etc/systemd/system/quantrack-agent.service" unit
place quantrack-governor.service 644 "$root/etc/systemd/system/quantrack-governor.service" unit
place quantrack.sysusers 644 "$root/usr/lib/sysusers.d/quantrack.conf" unit
# Below another root the system makes the group when it starts.
[ -n "$root" ] || systemd-sysusers /usr/lib/sysusers.d/quantrack.conf
place agent.env 644 "$root/etc/quantrack/agent.env" settings
state=$root/var/lib/private/quantrack
install -d -m 700 "$root/var/lib/private"
install -d -m 700 "$state" "$state/identity"
if [ -f "$from/key.pem" ]; then place key.pem 600 "$state/identity/key.pem" key; fi
place certificate.pem 600 "$state/identity/certificate.pem" certificate
place revoked.pem 600 "$state/identity/revoked.pem" revocations
place authorities.pem 600 "$state/identity/authorities.pem" authorities
if [ -n "$changed" ] || ! systemctl is-active --quiet quantrack-agent.service; then
    # systemd gives the folder and all in it to the agent's user when the folder itself is somebody else's.
    chown "$(id -u):$(id -g)" "$state"
    systemctl daemon-reload
    systemctl enable quantrack-governor.service quantrack-agent.service
    systemctl restart quantrack-governor.service quantrack-agent.service
    say service
fi
i=0
until systemctl is-active --quiet quantrack-agent.service; do
    i=$((i + 1))
    if [ $i -gt 20 ]; then
        echo "the agent does not start; its log says:" >&2
        journalctl -u quantrack-agent.service -n 15 --no-pager -o cat >&2 || true
        exit 1
    fi
    sleep 0.5
done
"#;

/// Prints the certificate that the board has, if any.
const CERTIFICATE: &str = r#"
cat "${QUANTRACK_ROOT:-}/var/lib/private/quantrack/identity/certificate.pem" 2>/dev/null || true
"#;

/// What the board gets to prove who it is.
#[derive(Clone)]
pub struct Identity {
    /// Certificates, and the key where it is new.
    pub credentials: Credentials,
    /// Where the agent listens.
    pub port: u16,
}

/// Something that enrolment has changed on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// `/usr/bin/agent`.
    Program,
    /// The systemd units, and the group that they need.
    Unit,
    /// `/etc/quantrack/agent.env`.
    Settings,
    /// The board's key.
    Key,
    /// The board's certificate.
    Certificate,
    /// The list of what is revoked.
    Revocations,
    /// Whom the board believes.
    Authorities,
    /// The service was started anew.
    Service,
}

impl Change {
    const ALL: [(Self, &'static str); 8] = [
        (Self::Program, "program"),
        (Self::Unit, "unit"),
        (Self::Settings, "settings"),
        (Self::Key, "key"),
        (Self::Certificate, "certificate"),
        (Self::Revocations, "revocations"),
        (Self::Authorities, "authorities"),
        (Self::Service, "service"),
    ];

    /// For people.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(change, _)| *change == self).map_or("", |(_, name)| name)
    }

    /// What a script has said, each change once.
    fn read(said: &str) -> Vec<Self> {
        let marked: Vec<&str> =
            said.lines().filter_map(|line| line.strip_prefix("quantrack:")).collect();
        let made = Self::ALL.iter().filter(|(_, name)| marked.contains(name));
        made.map(|(change, _)| *change).collect()
    }
}

/// The certificate that the board has; empty when it has none.
///
/// # Errors
/// When ssh fails.
pub async fn certificate(remote: &Remote, board: &Board) -> Result<String, EnrollError> {
    let script = as_root(board, CERTIFICATE, "");
    let said = remote.run("reading its certificate", &script, b"").await?;
    // The user's shell may print something of its own before.
    Ok(said.find("-----BEGIN").map_or_else(String::new, |begin| said[begin..].to_owned()))
}

/// Sends a folder with `agent` in it to the board, and returns where it is.
///
/// # Errors
/// When ssh fails or the board has no room.
pub async fn stage(remote: &Remote, board: &Board, agent: &[u8]) -> Result<String, EnrollError> {
    let needed_kib = 2 * agent.len() as u64 / 1024;
    if board.free_kib < needed_kib {
        let target = remote.target().to_owned();
        return Err(EnrollError::Full { target, free_kib: board.free_kib, needed_kib });
    }
    let archive = archive(&[("agent", agent)]);
    let said = remote.run("sending the agent", STAGE, &archive).await?;
    let folder = said.lines().find_map(|line| line.strip_prefix("quantrack:"));
    let silent = || EnrollError::Silent { target: remote.target().to_owned(), what: "folder" };
    folder.map(str::to_owned).ok_or_else(silent)
}

/// Runs the agent's self-test in the staged folder.
///
/// # Errors
/// When the agent does not run there, or computes something else.
pub async fn self_test(remote: &Remote, folder: &str) -> Result<(), EnrollError> {
    let script = format!("exec {}/agent self-test --cases {SELF_TEST_CASES}", quote(folder));
    let answer = remote.ask(&script, b"").await?;
    if answer.success {
        return Ok(());
    }
    let failed: Vec<&str> = answer.stdout.lines().filter(|line| line.contains("FAILED")).collect();
    let detail = if failed.is_empty() { answer.stderr } else { failed.join("\n") };
    Err(EnrollError::SelfTest { target: remote.target().to_owned(), detail })
}

/// Removes the staged folder.
pub async fn clean(remote: &Remote, folder: &str) {
    if let Err(error) = remote.run("cleaning up", &format!("rm -rf {}", quote(folder)), b"").await {
        tracing::warn!("{folder} is left on the board: {error}");
    }
}

/// Installs what is staged with its identity, and starts it. Returns what has changed; with an error, what had changed until
/// then.
///
/// # Errors
/// When a step fails on the board.
pub async fn install(
    remote: &Remote,
    board: &Board,
    folder: &str,
    identity: &Identity,
) -> Result<Vec<Change>, (EnrollError, Vec<Change>)> {
    let credentials = &identity.credentials;
    let settings = format!(
        "# Written by `orchestrator device enroll`.\nQUANTRACK_LISTEN=0.0.0.0:{}\n\
         QUANTRACK_IDENTITY=/var/lib/quantrack/identity\n",
        identity.port
    );
    let mut files = UNITS.map(|(name, text)| (name, text.as_bytes())).to_vec();
    files.extend([
        ("agent.env", settings.as_bytes()),
        (CERTIFICATE_FILE, credentials.certificate.as_bytes()),
        (AUTHORITIES_FILE, credentials.authorities.as_bytes()),
        (REVOKED_FILE, credentials.revoked.as_bytes()),
    ]);
    if let Some(key) = &credentials.key {
        files.push((KEY_FILE, key.as_bytes()));
    }
    let unpack = format!("umask 077; tar -xf - -C {}", quote(folder));
    let sent = remote.run("sending its certificate", &unpack, &archive(&files)).await;
    sent.map_err(|error| (error, Vec::new()))?;
    let script = as_root(board, INSTALL, folder);
    let answer = remote.ask(&script, b"").await.map_err(|error| (error, Vec::new()))?;
    let changes = Change::read(&answer.stdout);
    if answer.success {
        return Ok(changes);
    }
    let (target, detail) = (remote.target().to_owned(), answer.stderr);
    Err((EnrollError::Script { target, doing: "installing the agent", detail }, changes))
}

/// A call of `script` as root, with one argument.
fn as_root(board: &Board, script: &str, argument: &str) -> String {
    // What a test or an image to be prepared has as its root must survive sudo.
    let root = r#"QUANTRACK_ROOT="${QUANTRACK_ROOT:-}""#;
    let (script, argument) = (quote(script), quote(argument));
    format!("exec {} env {root} sh -euc {script} sh {argument}", board.sudo)
}

/// An archive of small files, private to their owner.
fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // Writing to memory fails for names only that are longer than these.
        let _ = builder.append_data(&mut header, name, *bytes);
    }
    builder.into_inner().unwrap_or_default()
}
