//! What happens to a board, and to what was measured on it, when a process on either side is stopped or killed, or the
//! network between them falls silent.

mod network;

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use quantrack_tests::{Demo, program};
use serde_json::Value;
use tempfile::TempDir;

use super::{copy_store, fails, mounts_are_refused, table, unshare};

/// A silent peer counts as gone after 30 seconds; nothing may take much longer.
const BOUND: Duration = Duration::from_secs(60);
const GOVERNOR: &str = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";

/// A process that is killed when this is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &line]).status().unwrap().success());
    }
}

/// The files of a Raspberry Pi 3, and an agent's on it.
pub(super) struct Board {
    folder: TempDir,
}

impl Board {
    pub(super) fn new() -> Self {
        let board = Self { folder: TempDir::new().unwrap() };
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/boards/pi3b/.");
        let copied = Command::new("cp").arg("-r").arg(files).arg(board.folder.path()).status();
        assert!(copied.unwrap().success());
        board
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn governor(&self) -> String {
        std::fs::read_to_string(self.path(GOVERNOR)).unwrap().trim().to_owned()
    }

    fn becomes(&self, governor: &str) {
        let begin = Instant::now();
        while self.governor() != governor {
            assert!(begin.elapsed() < BOUND, "the governor is {}", self.governor());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// An agent, and where it listens.
    pub(super) fn agent(&self) -> (Running, String) {
        listening(self.serve(program("agent").as_ref(), "127.0.0.1:0"))
    }

    /// The command of an agent that is started by `program`.
    fn serve(&self, program: &Path, listen: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["serve", "--listen", listen, "--state-dir"]).arg(self.path("state"));
        command.arg("--board-root").arg(self.folder.path());
        command.arg("--governor-socket").arg(self.path("socket"));
        command
    }

    fn helper(&self, more: &[&str]) -> Command {
        let mut command = Command::new(program("agent"));
        command.arg("governor").arg("--socket").arg(self.path("socket"));
        command.arg("--journal").arg(self.path("journal"));
        command.arg("--board-root").arg(self.folder.path()).args(more).stderr(Stdio::null());
        command
    }
}

fn listening(mut command: Command) -> (Running, String) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running(child);
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    let address = said["listening"].as_str().unwrap().to_owned();
    (running, address)
}

/// A demo that has been measured once, so that what follows does not build its variants again.
fn measured() -> Demo {
    static FIRST: LazyLock<Demo> = LazyLock::new(|| {
        let demo = Demo::new();
        super::json(&demo.orchestrator(&["profile"]).output().unwrap());
        demo
    });
    let demo = Demo::new();
    copy_store(&FIRST, &demo);
    demo
}

/// As [`measured`], but to measure it again takes minutes.
fn long() -> Demo {
    let demo = measured();
    demo.change("samples = 10\n", "samples = 90000\n");
    // Or it would be over by time, however few samples there are.
    demo.change("max-seconds = 10\n", "max-seconds = 600\n");
    demo
}

fn profile(demo: &Demo, address: &str) -> Command {
    demo.orchestrator(&["profile", "--remeasure", "--device", address])
}

fn said(demo: &Demo) -> PathBuf {
    demo.folder().join("said")
}

/// Starts to measure, and returns when samples arrive.
fn measuring(demo: &Demo, address: &str) -> Running {
    measured_by(profile(demo, address), demo)
}

/// As [`measuring`], with this command.
fn measured_by(mut command: Command, demo: &Demo) -> Running {
    command.stdout(Stdio::null()).stderr(File::create(said(demo)).unwrap());
    let running = Running(command.spawn().unwrap());
    let begin = Instant::now();
    while !std::fs::read_to_string(said(demo)).unwrap().contains("finder: started") {
        assert!(begin.elapsed() < BOUND, "nothing is measured");
        std::thread::sleep(Duration::from_millis(10));
    }
    std::thread::sleep(Duration::from_millis(500));
    running
}

/// How it ends, which must be soon.
fn ended(mut running: Running, demo: &Demo) -> Output {
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = running.0.try_wait().unwrap() {
            break status;
        }
        assert!(begin.elapsed() < BOUND, "it has not ended after {BOUND:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    Output { status, stdout: Vec::new(), stderr: std::fs::read(said(demo)).unwrap() }
}

/// Another orchestrator gets the board soon, and measures all of it.
fn is_free(address: &str) {
    let demo = measured();
    succeeds_soon(&mut profile(&demo, address));
}

/// Runs a command until it no longer finds the board busy.
fn succeeds_soon(command: &mut Command) {
    let begin = Instant::now();
    loop {
        let output = command.output().unwrap();
        if output.status.success() {
            return;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("busy"), "{said}");
        assert!(begin.elapsed() < BOUND, "the board was not freed: {said}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_governor_is_restored_whoever_is_killed() {
    let (board, demo) = (Board::new(), long());
    std::fs::write(board.path(GOVERNOR), "ondemand\n").unwrap();
    let helper = Running(board.helper(&[]).spawn().unwrap());
    while !board.path("socket").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The agent, and with it its connection to the helper.
    let (agent, address) = board.agent();
    let running = measuring(&demo, &address);
    board.becomes("performance");
    drop(agent);
    board.becomes("ondemand");
    fails(&ended(running, &demo), &["vanished while measuring"]);
    // The orchestrator.
    let (_agent, address) = board.agent();
    let running = measuring(&demo, &address);
    board.becomes("performance");
    drop(running);
    board.becomes("ondemand");
    // The helper, whose next start repairs it.
    let running = measuring(&demo, &address);
    board.becomes("performance");
    drop(helper);
    drop(running);
    assert_eq!(board.governor(), "performance");
    assert!(board.helper(&["--restore"]).status().unwrap().success());
    assert_eq!(board.governor(), "ondemand");
    assert!(!board.path("journal").exists());
    is_free(&address);
}

/// Carries what is said to `address` until it is cut; from then on nothing arrives, and no connection ends.
fn wire(address: String) -> (String, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let cut = Arc::new(AtomicBool::new(false));
    let carry = |mut from: TcpStream, mut to: TcpStream, cut: Arc<AtomicBool>| {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if cut.load(Ordering::SeqCst) {
                // Both sockets stay open for as long as the test may take.
                std::thread::sleep(4 * BOUND);
            }
            if to.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
    };
    let known = Arc::clone(&cut);
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (client, cut) = (client.unwrap(), Arc::clone(&known));
            let Ok(server) = TcpStream::connect(&address) else { continue };
            let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let cut_too = Arc::clone(&cut);
            std::thread::spawn(move || carry(client, server, cut));
            std::thread::spawn(move || carry(back.0, back.1, cut_too));
        }
    });
    (place, cut)
}

fn the_agent_is_stopped() {
    let (board, demo) = (Board::new(), long());
    let before = table(&demo);
    let (agent, address) = board.agent();
    let running = measuring(&demo, &address);
    agent.signal("STOP");
    fails(&ended(running, &demo), &["vanished while measuring", "run the same command again"]);
    assert_eq!(table(&demo), before, "half a measurement is no row");
    agent.signal("CONT");
    is_free(&address);
}

fn the_orchestrator_is_stopped() {
    let (board, demo) = (Board::new(), long());
    let before = table(&demo);
    let (_agent, address) = board.agent();
    let running = measuring(&demo, &address);
    running.signal("STOP");
    is_free(&address);
    // It comes back and finds that the board is no longer its own.
    running.signal("CONT");
    fails(&ended(running, &demo), &[address.as_str()]);
    assert_eq!(table(&demo), before, "half a measurement is no row");
    is_free(&address);
}

fn the_network_falls_silent() {
    let (board, demo) = (Board::new(), long());
    let before = table(&demo);
    let (_agent, address) = board.agent();
    let (place, cut) = wire(address.clone());
    let running = measuring(&demo, &place);
    cut.store(true, Ordering::SeqCst);
    fails(&ended(running, &demo), &["vanished while measuring", "run the same command again"]);
    is_free(&address);
    assert_eq!(table(&demo), before, "half a measurement is no row");
}

/// All at the same time, since each of them waits for half a minute and does nothing.
#[test]
fn whoever_falls_silent_loses_the_board_and_whoever_waits_for_it_is_told() {
    let faults = [the_agent_is_stopped, the_orchestrator_is_stopped, the_network_falls_silent];
    std::thread::scope(|scope| {
        let all = faults.map(|fault| scope.spawn(fault));
        all.map(|fault| fault.join().unwrap())
    });
}

#[test]
fn a_board_without_room_says_so_and_goes_on() {
    let (board, demo) = (Board::new(), Demo::new());
    std::fs::create_dir(board.path("state")).unwrap();
    // What follows `sh -c` are its own name, the folder, and the agent.
    let script = "mount -t tmpfs -o size=24k none \"$1\" && shift && exec \"$@\"";
    if mounts_are_refused("mount -t tmpfs none \"$1\"", &board.path("state")) {
        return;
    }
    let mut command = unshare(script, &board.path("state"));
    command.arg(program("agent")).args(board.serve(Path::new("agent"), "127.0.0.1:0").get_args());
    let (_agent, address) = listening(command);
    let output = profile(&demo, &address).output().unwrap();
    fails(&output, &["is full", "--state-dir"]);
    // It serves still, and the board is nobody's.
    let output = profile(&demo, &address).output().unwrap();
    fails(&output, &["is full", "--state-dir"]);
    let shown = demo.orchestrator(&["device", "show", "--device", &address]).output().unwrap();
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
}
