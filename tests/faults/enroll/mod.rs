//! Enrolment of a board that a stand-in for `ssh` plays: scripts run on this machine, below a folder.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use quantrack_orchestrator::device::{Connector, Device, Lease};
use quantrack_tests::{Demo, program, slow_emulator};
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::json;

const SSH: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in
        -o) shift 2 ;;
        -G) echo "hostname 127.0.0.1"; exit 0 ;;
        *) break ;;
    esac
done
if [ -f "$BOARD/unreachable" ]; then
    echo "ssh: connect to host $1 port 22: No route to host" >&2
    exit 255
fi
shift
echo "Welcome to the board"
mkdir -p "$BOARD/tmp" "$BOARD/root/usr"
export QUANTRACK_ROOT="$BOARD/root" TMPDIR="$BOARD/tmp" PATH="$BOARD/bin:$PATH"
exec sh -c "$*"
"#;

const SYSTEMCTL: &str = r#"#!/bin/sh
echo "$*" >>"$BOARD/systemctl.log"
# As systemd does, until it has ended.
stop() {
    [ -f "$BOARD/pid" ] || return
    kill "$(cat "$BOARD/pid")" 2>/dev/null
    waited=0
    while [ -e "/proc/$(cat "$BOARD/pid")/exe" ] && [ $waited -lt 400 ]; do
        /bin/sleep 0.05
        waited=$((waited + 1))
    done
}
case $1 in
    restart)
        stop
        . "$QUANTRACK_ROOT/etc/quantrack/agent.env"
        export QUANTRACK_LISTEN=127.0.0.1:${QUANTRACK_LISTEN##*:}
        export QUANTRACK_IDENTITY="$QUANTRACK_ROOT/var/lib/private/quantrack/identity"
        if grep -q quantrack-slow "$QUANTRACK_ROOT/usr/bin/agent"; then
            export QUANTRACK_WORKER_EMULATOR=/usr/bin/qemu-x86_64
        fi
        if [ -f "$BOARD/broken" ]; then echo "cannot bind" >"$BOARD/agent.log"; exit 0; fi
        setsid "$QUANTRACK_ROOT/usr/bin/agent" serve --state-dir "$BOARD/state" --board-root "$BOARD/sys" \
            </dev/null >/dev/null 2>"$BOARD/agent.log" &
        echo $! >"$BOARD/pid"
        # Somebody may be faster than whoever starts it.
        if [ -f "$BOARD/thief" ]; then
            : >"$BOARD/started"
            waited=0
            while [ -f "$BOARD/thief" ] && [ $waited -lt 400 ]; do
                /bin/sleep 0.05
                waited=$((waited + 1))
            done
        fi
        ;;
    is-active) [ -f "$BOARD/pid" ] && kill -0 "$(cat "$BOARD/pid")" 2>/dev/null ;;
    stop) stop ;;
esac
"#;

/// A board below a folder.
struct Played {
    folder: TempDir,
    port: u16,
}

impl Drop for Played {
    fn drop(&mut self) {
        let _ = self.command(&self.path("bin/systemctl")).arg("stop").status();
    }
}

impl Played {
    fn new() -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let board = Self { folder: TempDir::new().unwrap(), port };
        let scripts = [
            ("host/ssh", SSH),
            ("bin/systemctl", SYSTEMCTL),
            ("bin/hostname", "#!/bin/sh\necho PI3-A.lan\n"),
            ("bin/journalctl", "#!/bin/sh\ncat \"$BOARD/agent.log\"\n"),
            ("bin/sudo", "#!/bin/sh\n[ ! -f \"$BOARD/no-root\" ] || exit 1\nshift\nexec \"$@\"\n"),
            ("bin/sleep", "#!/bin/sh\n"),
        ];
        for (name, text) in scripts {
            board.script(name, text);
        }
        json(&board.orchestrator(&["authority", "init"]));
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        let own = std::env::var("PATH").unwrap();
        command.env("PATH", format!("{}:{own}", self.path("host").display()));
        command.env("BOARD", self.folder.path());
        command.env("QUANTRACK_ROOT", self.path("root"));
        command.env("QUANTRACK_AUTHORITY", self.path("keys/authority"));
        command.env("QUANTRACK_IDENTITY", self.path("keys/own"));
        command.env("QUANTRACK_STORE", self.path("store"));
        command
    }

    fn orchestrator(&self, arguments: &[&str]) -> Output {
        let mut command = self.command(&program("orchestrator"));
        command.env_remove("QUANTRACK_ROOT");
        command.args(arguments).args(["--format", "json"]).output().unwrap()
    }

    fn enroll(&self, agent: &Path) -> Output {
        let (agent, port) = (agent.display().to_string(), self.port.to_string());
        self.orchestrator(&["device", "enroll", "pi@pi3", "--agent", &agent, "--port", &port])
    }

    /// Somebody else who has the board until this is dropped.
    fn lease(&self, device: &str) -> (Runtime, Device, Lease) {
        let runtime = Runtime::new().unwrap();
        let connector = Connector { agent_program: None, identity: Some(self.path("keys/own")) };
        let (device, lease) = runtime.block_on(async {
            let address = device.parse().unwrap();
            // It may have been started just now.
            let begin = Instant::now();
            let device = loop {
                match connector.connect(&address).await {
                    Ok(device) => break device.patient(Duration::from_secs(20)),
                    Err(error) => assert!(begin.elapsed() < Duration::from_secs(10), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            };
            let lease = device.lease().await.unwrap();
            (device, lease)
        });
        (runtime, device, lease)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("systemctl.log")).unwrap_or_default()
    }

    /// Nothing stays in the folder for things in passing.
    fn assert_clean(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_board_is_enrolled_once_and_again_without_a_change() {
    let board = Played::new();
    let first = json(&board.enroll(&program("agent")));
    assert_eq!((&first["board"], &first["architecture"]), (&"pi3-a".into(), &"x86_64".into()));
    let changes = first["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 8, "{first}");
    let key = board.path("root/var/lib/private/quantrack/identity/key.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let second = json(&board.enroll(&program("agent")));
    assert_eq!(second["changes"], Value::Array(Vec::new()), "{second}");
    assert_eq!(board.log().matches("restart").count(), 1, "{}", board.log());
    board.assert_clean();
    // It is a board like any other.
    let address = first["address"].as_str().unwrap();
    json(&board.orchestrator(&["device", "show", "--device", address]));
    let examined = board.orchestrator(&["device", "doctor", "--device", address]);
    // This machine is no Raspberry Pi, but nothing keeps it from measuring.
    assert!(matches!(examined.status.code(), Some(0 | 1)), "{examined:?}");
    let examined: Value = serde_json::from_slice(&examined.stdout).unwrap();
    let findings = examined["boards"][0]["findings"].as_array().unwrap();
    let states: Vec<_> = findings
        .iter()
        .map(|f| (f["check"].as_str().unwrap(), f["state"].as_str().unwrap()))
        .collect();
    for check in ["name", "port", "tls", "version", "clock", "lease"] {
        assert!(states.contains(&(check, "ok")), "{check}: {states:?}");
    }
    // A board whose certificate was revoked gets another one.
    json(&board.orchestrator(&["authority", "revoke", "pi3-a"]));
    let refused = board.orchestrator(&["device", "doctor", "--device", address]);
    assert_eq!(refused.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("is revoked"), "{refused:?}");
    let third = json(&board.enroll(&program("agent")));
    assert!(third["changes"].as_array().unwrap().contains(&"key".into()), "{third}");
    json(&board.orchestrator(&["device", "show", "--device", address]));
}

#[test]
fn an_enrolment_that_fails_names_the_cause_and_what_is_left() {
    let board = Played::new();
    let agent = program("agent");
    let fails = |agent: &Path, words: &[&str]| {
        let output = board.enroll(agent);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(4), "{said}");
        for word in words {
            assert!(said.contains(word), "no {word:?} in {said}");
        }
    };
    let while_there_is = |name: &str, agent: &Path, words: &[&str]| {
        fs::write(board.path(name), "").unwrap();
        fails(agent, words);
        fs::remove_file(board.path(name)).unwrap();
    };
    while_there_is("unreachable", &agent, &["No route to host", "make `ssh pi@pi3 true` work"]);
    board.script(
        "bin/id",
        "#!/bin/sh\ncase $1 in -u) echo 1000 ;; -g) echo 1000 ;; *) echo pi ;; esac\n",
    );
    while_there_is("no-root", &agent, &["pi on pi@pi3 may not become root", "NOPASSWD"]);
    fs::remove_file(board.path("bin/id")).unwrap();
    board.script("bin/uname", "#!/bin/sh\necho armv6l\n");
    fails(&agent, &["no agent runs on armv6l"]);
    board.script("bin/uname", "#!/bin/sh\necho aarch64\n");
    fails(&agent, &["is an agent for x86_64", "one for aarch64"]);
    fs::remove_file(board.path("bin/uname")).unwrap();
    board.script("bin/hostname", "#!/bin/sh\necho '(none)'\n");
    let nameless = board.enroll(&agent);
    let said = String::from_utf8_lossy(&nameless.stderr).into_owned();
    assert_eq!(nameless.status.code(), Some(2), "{said}");
    assert!(said.contains("calls itself \"(none)\"") && said.contains("--name"), "{said}");
    board.script("bin/hostname", "#!/bin/sh\necho PI3-A.lan\n");
    fails(Path::new("/bin/false"), &["fails its self-test", "nothing was installed"]);
    assert!(!board.path("root/usr/bin/agent").exists());
    board.assert_clean();
    let words = ["cannot bind", "changed on the board: program, unit", "enrol again"];
    while_there_is("broken", &agent, &words);
    board.assert_clean();
    json(&board.enroll(&agent));
}

/// A program works as before with something behind its end, from which the board that is played knows to be slow.
#[test]
fn engine_builds_are_put_on_a_board_in_turns_and_the_last_one_stays() {
    // What the board that is played uses.
    if slow_emulator().is_none() {
        return;
    }
    let board = Played::new();
    let agent = program("agent").display().to_string();
    let slow = board.path("slow");
    fs::copy(&agent, &slow).unwrap();
    let mut file = fs::OpenOptions::new().append(true).open(&slow).unwrap();
    file.write_all(b"quantrack-slow").unwrap();
    drop(file);
    let model = Demo::data().join("models/gesture.tflite").display().to_string();
    let (slow, port) = (slow.display().to_string(), board.port.to_string());
    let device = format!("pi3-a@127.0.0.1:{port}");
    let bisect = |builds: [&str; 2]| {
        let mut arguments = vec!["bisect", &model, "--enroll", "pi@pi3", "--device", &device];
        arguments.extend(builds.iter().flat_map(|build| ["--engine", build]));
        arguments.extend(["--min-effect", "4", "--runs", "5"]);
        board.orchestrator(&arguments)
    };
    let found = bisect([&agent, &slow]);
    let said = String::from_utf8_lossy(&found.stderr).into_owned();
    assert_eq!(found.status.code(), Some(1), "{said}");
    let shown: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(shown["first_slower"], slow);
    let installed = || fs::read(board.path("root/usr/bin/agent")).unwrap();
    assert!(installed() == fs::read(&slow).unwrap(), "the last build stays");
    board.assert_clean();
    // A build that cannot run there is not the end, and the board goes back to one that can.
    let open = bisect([&agent, "/bin/false"]);
    let said = String::from_utf8_lossy(&open.stderr).into_owned();
    assert_eq!(open.status.code(), Some(3), "{said}");
    assert!(
        said.contains("/bin/false cannot be tried") && said.contains("fails its self-test"),
        "{said}"
    );
    let shown: Value = serde_json::from_slice(&open.stdout).unwrap();
    assert_eq!(shown["open"], serde_json::json!(["/bin/false"]), "{shown}");
    assert!(installed() == fs::read(&agent).unwrap());
    board.assert_clean();
    // A board that somebody has is not taken from under them.
    let restarts = board.log().matches("restart").count();
    let theirs = board.lease(&device);
    let other = board.path("other").display().to_string();
    fs::copy(&slow, &other).unwrap();
    fs::OpenOptions::new().append(true).open(&other).unwrap().write_all(b"!").unwrap();
    let busy = bisect([&other, &slow]);
    let said = String::from_utf8_lossy(&busy.stderr).into_owned();
    assert_eq!(busy.status.code(), Some(5), "{said}");
    assert!(said.contains("is busy") || said.contains("did not become free"), "{said}");
    assert_eq!(board.log().matches("restart").count(), restarts, "{}", board.log());
    drop(theirs);
    // Who is faster when the agent is exchanged has the board, and then there is no verdict.
    fs::write(board.path("thief"), "").unwrap();
    let stolen = std::thread::scope(|scope| {
        let thief = scope.spawn(|| {
            while !board.path("started").exists() {
                std::thread::sleep(Duration::from_millis(10));
            }
            drop(board.lease(&device));
            fs::remove_file(board.path("thief")).unwrap();
        });
        let stolen = bisect([&agent, &other]);
        thief.join().unwrap();
        stolen
    });
    let said = String::from_utf8_lossy(&stolen.stderr).into_owned();
    assert_eq!(stolen.status.code(), Some(3), "{said}");
    assert!(said.contains("somebody else had the board"), "{said}");
}
