//! Changing the authority's key while boards are at work, with the programs that users have; and agents of the boards'
//! architectures.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use quantrack_orchestrator::authority::{Authority, days, save_credentials};
use quantrack_proto::identity::{Role, Subject};
use quantrack_tests::{Demo, emulated_agents, program};
use serde_json::Value;
use tempfile::TempDir;

use crate::json;

/// An agent in a process of its own, which ends with this.
struct Agent {
    address: String,
    _child: Child,
    _stdin: Option<ChildStdin>,
    _state: TempDir,
}

fn agent(program: &Path, identity: &Path) -> Agent {
    let state = TempDir::new().unwrap();
    let mut child = Command::new(program)
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--exit-with-parent",
            "--shared-machine",
            "--identity",
        ])
        .arg(identity)
        .arg("--state-dir")
        .arg(state.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let address = format!("pi3-a@{}", said["listening"].as_str().unwrap());
    Agent { address, _stdin: child.stdin.take(), _child: child, _state: state }
}

/// An authority, and the keys of whoever runs it.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let home = Self { folder: TempDir::new().unwrap() };
        json(&home.orchestrator(&["authority", "init"]).output().unwrap());
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has `command` use both.
    pub(crate) fn keys(&self, command: &mut Command) {
        command.env("QUANTRACK_AUTHORITY", self.path("authority"));
        command.env("QUANTRACK_IDENTITY", self.path("own"));
    }

    fn orchestrator(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("orchestrator"));
        command.args(arguments).args(["--format", "json", "--store"]).arg(self.path("store"));
        self.keys(&mut command);
        command
    }

    /// The certificate of a board of this name, and its key.
    pub(crate) fn issue(&self, name: &str) -> PathBuf {
        let folder = self.path("board");
        let mut authority = Authority::open(&self.path("authority")).unwrap();
        let subject = Subject::board(name).unwrap();
        save_credentials(&folder, &authority.issue(&subject, days(10), None).unwrap()).unwrap();
        folder
    }

    /// A board whose address the authority knows.
    fn board(&self, program: &Path) -> (PathBuf, Agent) {
        let folder = self.issue("pi3-a");
        let mut authority = Authority::open(&self.path("authority")).unwrap();
        let agent = agent(program, &folder);
        authority.set_address("pi3-a", &agent.address).unwrap();
        (folder, agent)
    }
}

#[test]
fn keys_rotate_while_a_board_measures() {
    let (home, demo) = (Home::new(), Demo::new());
    let (board, agent) = home.board(&program("agent"));
    let mut authority = Authority::open(&home.path("authority")).unwrap();
    let other = Subject::client("ci", Role::Measure).unwrap();
    let other = authority.issue(&other, days(10), None).unwrap();
    drop(authority);
    save_credentials(&home.path("ci"), &other).unwrap();
    let profile = |again: &[&str]| {
        let mut command = demo.orchestrator(&["profile", "--device", &agent.address]);
        command.args(again);
        home.keys(&mut command);
        command
    };
    let mut running = profile(&[]);
    let mut running = running.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("finder: started")));
    let rotated = json(&home.orchestrator(&["authority", "rotate"]).output().unwrap());
    assert_eq!(rotated["boards"][0]["failure"], Value::Null, "{rotated}");
    // Read to the end, or the program could not write on.
    let rest = std::thread::spawn(move || lines.collect::<Vec<_>>());
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}: {:?}", ended.status, rest.join());
    // Both keys count now.
    let show = |identity: &str| {
        let mut command = home.orchestrator(&["device", "show", "--device", &agent.address]);
        command.env("QUANTRACK_IDENTITY", home.path(identity)).output().unwrap()
    };
    json(&show("ci"));
    json(&show("own"));
    // It does not end while somebody would be left behind.
    let finish = ["authority", "rotate", "--finish"];
    let refused = home.orchestrator(&finish).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("client ci (measure)"), "{said}");
    let out = home.path("ci-new").display().to_string();
    let issue = ["authority", "issue", "ci", "--role", "measure", "--out", &out];
    json(&home.orchestrator(&issue).output().unwrap());
    let before = std::fs::read(board.join("certificate.pem")).unwrap();
    let finished = json(&home.orchestrator(&finish).output().unwrap());
    assert_eq!(
        (&finished["rotating"], &finished["boards"][0]["failure"]),
        (&false.into(), &Value::Null)
    );
    assert_eq!(
        std::fs::read(board.join("certificate.pem")).unwrap(),
        before,
        "renewed at the first attempt"
    );
    json(&show("ci-new"));
    json(&show("own"));
    let refused = show("ci");
    assert_eq!(refused.status.code(), Some(4));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("no authority that we believe"), "{said}");
}

#[test]
fn agents_of_the_boards_speak_tls() {
    let home = Home::new();
    let folder = TempDir::new().unwrap();
    for program in emulated_agents(folder.path()) {
        let (_, agent) = home.board(&program);
        let shown = home.orchestrator(&["device", "show", "--device", &agent.address]);
        let shown = json(&{ shown }.output().unwrap());
        assert!(shown["board"]["target"].as_str().unwrap().contains("linux"), "{shown}");
    }
}
