//! Nightly checks across processes: an agent on an imitated Raspberry Pi, and the orchestrator as CI runs it.
//!
//! The board's state is files (`--board-root`), and the board is made slower by running its worker under an emulator.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use quantrack_tests::{Demo, program, slow_emulator};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Everything here takes seconds; what takes longer than this hangs.
const BOUND: Duration = Duration::from_secs(120);

/// A small model, and one that takes many times as long.
const SMALL: &str = "gesture.tflite";
const LARGE: &str = "finder.tflite";

/// Machines that run tests are noisy: only a model that takes more than ten times as long is asked for.
const SUITE: &str = r#"
min-effect = 9.0
runs = 5
baseline-runs = 5

[measure]
min-samples = 30
max-samples = 30

[[model]]
name = "net"
file = "net.tflite"
"#;

const GOLDEN: &str = "\n[golden]\nname = \"golden\"\nfile = \"golden.tflite\"\n";

/// A folder with a suite, the models that it names, a store, and the files of an imitated board.
struct Lab {
    folder: TempDir,
}

impl Lab {
    fn new(suite: &str) -> Self {
        let lab = Self { folder: TempDir::new().unwrap() };
        std::fs::write(lab.path("nightly.toml"), suite).unwrap();
        lab.model("net.tflite", SMALL);
        lab.model("golden.tflite", SMALL);
        let board = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests/boards/pi3b");
        copy(&board, &lab.path("board"));
        lab
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes `name` that model.
    fn model(&self, name: &str, of_demo: &str) {
        std::fs::copy(Demo::data().join("models").join(of_demo), self.path(name)).unwrap();
    }

    /// Writes a file of the imitated board.
    fn board(&self, file: &str, content: &str) {
        std::fs::write(self.path("board").join(file), content).unwrap();
    }

    fn agent(&self) -> Agent {
        self.agent_on("board", &[])
    }

    /// An agent on the board whose files are in that folder.
    fn agent_on(&self, board: &str, more: &[&str]) -> Agent {
        let state = TempDir::new().unwrap();
        let mut command = Command::new(program("agent"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--state-dir"]);
        command.arg(state.path()).arg("--board-root").arg(self.path(board)).args(more);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        Agent { child, address: said["listening"].as_str().unwrap().to_owned(), _state: state }
    }

    fn command(&self, agents: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(program("orchestrator"));
        command.args(arguments).arg("--store").arg(self.path("store"));
        command.args(agents.iter().flat_map(|agent| ["--device", agent]));
        command.current_dir(self.folder.path()).env_remove("QUANTRACK_DATA");
        command
    }

    fn run(&self, agents: &[&str], arguments: &[&str]) -> Output {
        let started = Instant::now();
        let output = self.command(agents, arguments).output().unwrap();
        assert!(started.elapsed() < BOUND, "{arguments:?} took {:?}", started.elapsed());
        output
    }

    /// Sets the baseline `main` of these boards.
    fn set(&self, boards: &[&str]) {
        let (code, output) = settled(|| {
            let output = self.run(&[], &[&["baseline", "set", "main"], boards].concat());
            (output.status.code().unwrap(), output)
        });
        assert_eq!(code, 0, "{}", said(&output));
    }

    /// The exit code and the report of a check.
    fn check(&self, agents: &[&str], more: &[&str]) -> (i32, Value) {
        let arguments = [&["check", "--baseline", "main", "--format", "json"], more].concat();
        let output = self.run(agents, &arguments);
        let report = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), report.unwrap_or_else(|_| panic!("{}", said(&output))))
    }

    /// As [`Lab::check`], settled.
    fn settled(&self, agents: &[&str], more: &[&str]) -> (i32, Value) {
        settled(|| self.check(agents, more))
    }
}

/// What is measured, a few times while its exit code says inconclusive, which the load of other tests can be the cause of.
fn settled<T>(measure: impl Fn() -> (i32, T)) -> (i32, T) {
    let mut last = measure();
    for _ in 0..4 {
        if last.0 == 3 {
            last = measure();
        }
    }
    last
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}: {}{}", output.status, text(&output.stdout), text(&output.stderr))
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) =
            (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// A running agent; dropping it kills it.
struct Agent {
    child: Child,
    address: String,
    _state: TempDir,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The only model of the only board in a report.
fn only(report: &Value) -> &Value {
    let models = report["boards"][0]["models"].as_array().unwrap();
    assert_eq!(models.len(), 1, "{report}");
    &models[0]
}

const THROTTLED: &str = "sys/devices/platform/soc/soc:firmware/get_throttled";
const KERNEL: &str = "proc/sys/kernel/osrelease";

#[test]
fn a_slower_model_is_a_regression_and_the_same_one_is_not() {
    let lab = Lab::new(SUITE);
    let agent = lab.agent();
    lab.set(&["--device", &agent.address]);
    let (code, report) = lab.settled(&[&agent.address], &[]);
    assert_eq!((code, &only(&report)["verdict"]), (0, &"ok".into()), "{report}");
    assert_eq!(only(&report)["interleaved"], false);
    let runs = only(&report)["runs"].as_array().unwrap();
    // A first look that was not clearly "no slower" is followed by as many runs again.
    assert_eq!(runs.len(), if only(&report)["rerun"] == true { 10 } else { 5 });
    assert_eq!(runs[0]["blocks"][0]["duration_ns"].as_array().unwrap().len(), 10, "raw samples");

    // Another model under the same name: its old variant meets the same night.
    lab.model("net.tflite", LARGE);
    let (junit, page) = (lab.path("junit.xml"), lab.path("summary.md"));
    let files = ["--junit", junit.to_str().unwrap(), "--markdown", page.to_str().unwrap()];
    let (code, report) = lab.settled(&[&agent.address], &files);
    let model = only(&report);
    assert_eq!((code, &model["verdict"]), (1, &"regression".into()), "{report}");
    assert_eq!((&model["interleaved"], &model["rerun"]), (&true.into(), &true.into()));
    assert!(model["effect"]["low"].as_f64().unwrap() > 0.0);
    let junit = std::fs::read_to_string(junit).unwrap();
    assert!(junit.contains("<failure message=\"slower than the baseline"), "{junit}");
    assert!(std::fs::read_to_string(page).unwrap().contains("net on pi3: regression"));

    // What was found does not become noise, nor is it forgotten.
    assert_eq!(lab.settled(&[&agent.address], &[]).0, 1);
    let history = lab.run(&[], &["history"]);
    let text = said(&history);
    assert!(text.contains("net on pi3") && text.matches("regression").count() == 2, "{text}");
    assert!(said(&lab.run(&[], &["baseline", "list"])).contains("net"));
    assert!(said(&lab.run(&[], &["baseline", "show", "main"])).contains("Raspberry Pi 3"));
}

#[test]
fn a_faster_model_is_no_fault_and_two_files_can_be_compared() {
    let lab = Lab::new(SUITE);
    lab.model("net.tflite", LARGE);
    lab.model("small.tflite", SMALL);
    let agent = lab.agent();
    let compare = |a: &str, b: &str| {
        let arguments = ["compare", a, b, "--min-effect", "9", "--runs", "5", "--format", "json"];
        let output = lab.run(&[&agent.address], &arguments);
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let verdict = only(&report)["verdict"].as_str().unwrap().to_owned();
        (output.status.code().unwrap(), verdict)
    };
    let compared = |a, b| settled(|| compare(a, b));
    assert_eq!(compared("net.tflite", "small.tflite"), (0, "improved".to_owned()));
    assert_eq!(compared("small.tflite", "net.tflite"), (1, "regression".to_owned()));
    let same = lab.run(&[&agent.address], &["compare", "net.tflite", "net.tflite@fp32"]);
    assert_eq!(same.status.code(), Some(2), "{}", said(&same));
}

#[test]
fn a_throttled_board_is_inconclusive_and_says_why() {
    let lab = Lab::new(SUITE);
    let agent = lab.agent();
    lab.set(&["--device", &agent.address]);
    lab.board(THROTTLED, "50005\n");
    let (code, report) = lab.check(&[&agent.address], &[]);
    let model = only(&report);
    assert_eq!((code, &model["verdict"]), (3, &"inconclusive".into()), "{report}");
    let why = model["reason"].as_str().unwrap();
    assert!(
        why.contains("100 % of the samples were voided") && why.contains("under-voltage"),
        "{why}"
    );
    let baseline = lab.run(&[&agent.address], &["baseline", "set", "main"]);
    assert_eq!(baseline.status.code(), Some(3), "{}", said(&baseline));
    assert!(said(&baseline).contains("not kept: net on pi3"), "{}", said(&baseline));
    // What was throttled is no noise of the board, and the old baseline is still there.
    lab.board(THROTTLED, "0\n");
    let (code, report) = lab.settled(&[&agent.address], &[]);
    assert_eq!(code, 0, "{report}");
}

#[test]
fn a_board_with_another_kernel_is_not_compared() {
    let lab = Lab::new(SUITE);
    let agent = lab.agent();
    lab.set(&["--device", &agent.address]);
    drop(agent);
    lab.board(KERNEL, "6.99.0-new\n");
    let agent = lab.agent();
    let (code, report) = lab.check(&[&agent.address], &[]);
    let model = only(&report);
    assert_eq!((code, &model["verdict"]), (3, &"inconclusive".into()), "{report}");
    let difference = &model["differences"][0];
    assert_eq!((&difference["what"], &difference["now"]), (&"kernel".into(), &"6.99.0-new".into()));
    assert_eq!(lab.settled(&[&agent.address], &["--across", "kernel"]).0, 0);
    let text = said(&lab.run(&[&agent.address], &["check", "--baseline", "main"]));
    assert!(text.contains("kernel") && text.contains("now 6.99.0-new"), "{text}");
}

#[test]
fn an_agent_that_is_gone_or_goes_is_a_lab_fault() {
    let lab = Lab::new(SUITE);
    let agent = lab.agent();
    lab.set(&["--device", &agent.address]);
    let address = agent.address.clone();

    // Killed in the middle.
    let suite = SUITE.replace("runs = 5\nb", "runs = 900\nb");
    assert_ne!(suite, SUITE);
    std::fs::write(lab.path("nightly.toml"), suite).unwrap();
    let mut command =
        lab.command(&[&address], &["check", "--baseline", "main", "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("pi3: started"), "{line}");
    std::thread::sleep(Duration::from_millis(300));
    drop(agent);
    let gone = Instant::now();
    let output = child.wait_with_output().unwrap();
    assert!(gone.elapsed() < Duration::from_secs(60), "{:?}", gone.elapsed());
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let cause = report["boards"][0]["fault"]["cause"].as_str().unwrap();
    assert!(cause.contains("vanished"), "{cause}");

    // Gone from the beginning.
    let (code, report) = lab.check(&[&address], &[]);
    assert_eq!((code, &report["verdict"]), (4, &"lab-fault".into()), "{report}");
    let cause = report["boards"][0]["fault"]["cause"].as_str().unwrap();
    assert!(cause.contains("failed to reach an agent"), "{cause}");
}

#[test]
fn a_board_without_a_baseline_is_a_mistake_and_measured_boards_are_told_apart() {
    let lab = Lab::new(SUITE);
    let agent = lab.agent();
    let output = lab.run(&[&agent.address], &["check", "--baseline", "main"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("baseline set main"), "{}", said(&output));
    // Two boards of one name.
    let twin = lab.agent();
    let output = lab.run(&[&agent.address, &twin.address], &["baseline", "set", "main"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let text = said(&output);
    assert!(text.contains("call themselves \"pi3\""), "{text}");
    assert!(text.contains(&agent.address) && text.contains(&twin.address), "{text}");
}

#[test]
fn a_slow_board_is_quarantined_and_does_not_pass_for_a_regression() {
    let Some(emulator) = slow_emulator() else { return };
    let lab = Lab::new(&format!("{SUITE}{GOLDEN}"));
    let agent = lab.agent();
    lab.set(&["--device", &agent.address]);
    drop(agent);
    // The same board, on which everything takes many times as long.
    let slow = lab.agent_on("board", &["--worker-emulator", emulator.to_str().unwrap()]);
    // An emulator leaves no say in addresses, which is a difference of its own: no verdict, unless it is meant.
    let (code, report) = lab.check(&[&slow.address], &[]);
    let difference = &only(&report)["differences"][0];
    assert_eq!((code, &difference["what"]), (3, &"precautions".into()), "{report}");
    let now = only(&report)["missing_precautions"]["now"].to_string();
    assert!(now.contains("addresses are random"), "{now}");
    let across = ["--across", "precautions"];
    let (code, report) = lab.settled(&[&slow.address], &across);
    let board = &report["boards"][0];
    assert_eq!((code, &board["fault"]["state"]), (4, &"quarantined".into()), "{report}");
    assert!(board["fault"]["cause"].as_str().unwrap().contains("golden is slower"), "{report}");
    assert_eq!(board["models"].as_array().unwrap().len(), 0);

    // Beside a board that is well, it changes nothing.
    copy(&lab.path("board"), &lab.path("other"));
    std::fs::write(lab.path("other/proc/sys/kernel/hostname"), "well\n").unwrap();
    let well = lab.agent_on("other", &[]);
    lab.set(&["--device", &well.address]);
    let (code, report) = lab.settled(&[&slow.address, &well.address], &across);
    assert_eq!((code, &report["verdict"]), (0, &"ok".into()), "{report}");

    // It stays so until its golden model is as it was, and shows in the history.
    let show = |agent: &Agent| lab.run(&[&agent.address], &["device", "show"]);
    assert_eq!(show(&slow).status.code(), Some(7), "{}", said(&show(&slow)));
    assert_eq!(show(&well).status.code(), Some(0), "{}", said(&show(&well)));
    drop(slow);
    let mended = lab.agent();
    let (code, report) = lab.settled(&[&mended.address], &[]);
    assert_eq!(code, 0, "{report}");
    assert_eq!(show(&mended).status.code(), Some(0));
    let page = lab.path("history.html");
    let output = lab.run(&[], &["history", "--html", page.to_str().unwrap()]);
    assert!(output.status.success(), "{}", said(&output));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("golden on pi3") && page.contains("Quarantined from"), "{page}");
}

impl Lab {
    /// Runs an orchestrator on no board in particular, and reads its JSON.
    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let output = self.run(&[], &[arguments, &["--format", "json"]].concat());
        let shown = serde_json::from_slice(&output.stdout);
        (output.status.code().unwrap(), shown.unwrap_or_else(|_| panic!("{}", said(&output))))
    }

    /// Another board of that name.
    fn other_board(&self, folder: &str, name: &str) {
        copy(&self.path("board"), &self.path(folder));
        std::fs::write(self.path(folder).join("proc/sys/kernel/hostname"), name).unwrap();
        std::fs::write(self.path(folder).join("proc/sys/kernel/random/boot_id"), name).unwrap();
    }

    /// Starts a check that takes long, and waits until it has the board.
    fn long_check(&self, agent: &Agent) -> Child {
        let suite = SUITE.replace("runs = 5\nb", "runs = 900\nb");
        std::fs::write(self.path("long.toml"), suite).unwrap();
        let arguments = ["check", "--baseline", "main", "--suite", "long.toml"];
        let mut command = self.command(&[&agent.address], &arguments);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("pi3: started")));
        std::thread::spawn(move || lines.count());
        child
    }
}

#[test]
fn boards_of_the_rack_are_told_apart_by_name_label_and_state() {
    let lab = Lab::new(SUITE);
    let first = lab.agent();
    lab.other_board("second", "pi3-b\n");
    let second = lab.agent_on("second", &[]);
    let added = |agent: &Agent, label: &str| {
        lab.json(&["device", "add", &agent.address, "--label", label]).0
    };
    assert_eq!((added(&first, "pi3"), added(&second, "pi3")), (0, 0));
    // A board that comes up elsewhere has moved; another one of its name is refused.
    drop(second);
    let second = lab.agent_on("second", &[]);
    assert_eq!(added(&second, "spare"), 0);
    lab.other_board("twin", "pi3\n");
    let twin = lab.agent_on("twin", &[]);
    let output = lab.run(&[], &["device", "add", &twin.address]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains(&first.address) && text.contains(&twin.address), "{text}");

    // One baseline and one check for the pool. What a noisy machine lets it say of the model is no matter here.
    let measured = |code: Option<i32>| matches!(code, Some(0 | 3));
    lab.set(&["--pool", "pi3"]);
    let metrics = lab.path("quantrack.prom");
    let check = ["check", "--baseline", "main", "--pool", "pi3", "--metrics"];
    let (code, report) = lab.json(&[&check[..], &[metrics.to_str().unwrap()]].concat());
    let names: Vec<&Value> =
        report["boards"].as_array().unwrap().iter().map(|board| &board["board"]).collect();
    assert!(measured(Some(code)), "{report}");
    assert_eq!(names, ["pi3", "pi3-b"], "{report}");
    let metrics = std::fs::read_to_string(metrics).unwrap();
    assert!(metrics.contains("quantrack_board_state{board=\"pi3-b\",state=\"ok\"} 1"), "{metrics}");
    let nobody = lab.run(&[], &["check", "--baseline", "main", "--pool", "pi4"]);
    assert_eq!(nobody.status.code(), Some(2), "{}", said(&nobody));

    // Busy, drained, offline: each looks different.
    let state = |name: &str| {
        let (_, listed) = lab.json(&["device", "list"]);
        let mut boards = listed["boards"].as_array().unwrap().iter();
        let board = boards.find(|board| board["name"] == name).unwrap().clone();
        let code = lab.run(&[], &["device", "show", name]).status.code().unwrap();
        (board["state"].as_str().unwrap().to_owned(), code)
    };
    assert_eq!(state("pi3"), ("ok".to_owned(), 0));
    let mut busy = lab.long_check(&first);
    assert_eq!(state("pi3"), ("busy".to_owned(), 5));
    let (code, report) = lab.check(&[&first.address], &[]);
    let fault = &report["boards"][0]["fault"];
    assert_eq!((code, &fault["state"]), (4, &"busy".into()), "{report}");
    assert!(fault["cause"].as_str().unwrap().contains("--wait"), "{report}");
    let (code, report) = lab.check(&[&first.address], &["--wait", "1s"]);
    assert_eq!(code, 4, "{report}");
    let cause = report["boards"][0]["fault"]["cause"].as_str().unwrap();
    assert!(cause.contains("place 1") && cause.contains("held by"), "{cause}");
    // A holder that is killed gives way to the one that waits.
    let waiting = lab.command(&[&first.address], &["check", "--baseline", "main", "--wait", "60s"]);
    let waiting = std::thread::spawn(move || {
        let mut waiting = waiting;
        waiting.output().unwrap()
    });
    std::thread::sleep(Duration::from_millis(500));
    busy.kill().unwrap();
    busy.wait().unwrap();
    let output = waiting.join().unwrap();
    assert!(measured(output.status.code()), "{}", said(&output));
    assert!(said(&output).contains("place 1, held by"), "{}", said(&output));

    let drained = lab.run(&[], &["device", "drain", "pi3-b", "--reason", "a new fan"]);
    assert!(drained.status.success(), "{}", said(&drained));
    assert_eq!(state("pi3-b"), ("draining".to_owned(), 6));
    // The pool goes on without it.
    let (code, report) = lab.json(&["check", "--baseline", "main", "--pool", "pi3"]);
    assert!(measured(Some(code)), "{report}");
    assert_eq!(report["boards"][1]["fault"]["state"], "draining", "{report}");
    assert!(lab.run(&[], &["device", "undrain", "pi3-b"]).status.success());
    assert_eq!(state("pi3-b"), ("ok".to_owned(), 0));
    drop(second);
    assert_eq!(state("pi3-b"), ("offline".to_owned(), 4));
    let label = lab.run(&[], &["device", "label", "pi3-b", "--remove", "pi3"]);
    assert!(said(&label).contains("pi3-b: spare"), "{}", said(&label));
    assert!(lab.run(&[], &["device", "remove", "pi3-b"]).status.success());
    let (_, listed) = lab.json(&["device", "list"]);
    assert_eq!(listed["boards"].as_array().unwrap().len(), 1, "{listed}");
}

#[test]
fn bisect_names_the_first_version_that_is_slower_and_resumes() {
    let lab = Lab::new(SUITE);
    lab.model("same.tflite", SMALL);
    lab.model("large.tflite", LARGE);
    let agent = lab.agent();
    let versions = ["net.tflite", "same.tflite", "large.tflite@fp16", "large.tflite"];
    let bisect = |versions: &[&str]| {
        let arguments = [&["bisect"], versions, &["--min-effect", "9", "--runs", "5"]].concat();
        let output = lab.run(&[&agent.address], &[&arguments[..], &["--format", "json"]].concat());
        let shown = serde_json::from_slice::<Value>(&output.stdout);
        let shown = shown.unwrap_or_else(|_| panic!("{}", said(&output)));
        (output.status.code().unwrap(), shown)
    };
    let (code, shown) = settled(|| bisect(&versions));
    assert_eq!((code, &shown["first_slower"]), (1, &"large.tflite@fp16".into()), "{shown}");
    // Nothing is measured twice.
    let nights = || {
        let (_, shown) = lab.json(&["history"]);
        let series = shown["series"].as_array().unwrap().iter();
        series.map(|series| series["nights"].as_array().unwrap().len()).sum::<usize>()
    };
    let measured = nights();
    let (code, again) = bisect(&versions);
    assert_eq!((code, &again["first_slower"]), (1, &shown["first_slower"]), "{again}");
    assert_eq!(nights(), measured);
    assert_eq!(settled(|| bisect(&versions[..2])).0, 0);
}

#[test]
fn lost_accuracy_is_a_regression_and_names_the_images() {
    let suite = |level: &str| {
        format!(
            "[[accuracy]]\nname = \"demo\"\nlevels = {{ finder = \"fp32\", gesture = \"{level}\" }}\n"
        )
    };
    let lab = Lab::new(&suite("fp32"));
    let demo = Demo::new();
    let (pipeline, data) = (demo.pipeline(), Demo::data());
    let more = ["--pipeline", pipeline.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let check = || lab.check(&[], &more);
    let missing = lab.run(&[], &[&["check", "--baseline", "main"], &more[..]].concat());
    assert_eq!(missing.status.code(), Some(2), "{}", said(&missing));
    let set = lab.run(&[], &[&["baseline", "set", "main"], &more[..]].concat());
    assert!(set.status.success(), "{}", said(&set));
    let (code, report) = check();
    assert_eq!((code, &report["accuracy"][0]["verdict"]), (0, &"ok".into()), "{report}");
    std::fs::write(lab.path("nightly.toml"), suite("bin1")).unwrap();
    let (code, report) = check();
    let one = &report["accuracy"][0];
    assert_eq!((code, &one["verdict"]), (1, &"regression".into()), "{report}");
    assert!(one["interval"][1].as_f64().unwrap() < 0.0, "{one}");
    assert!(!one["lost"].as_array().unwrap().is_empty(), "{one}");
}

/// Builds are told apart by the content of the program, so scripts that start the same agent will do.
#[test]
fn bisect_names_the_first_engine_build_that_is_slower_and_resumes() {
    let Some(emulator) = slow_emulator() else { return };
    let lab = Lab::new(SUITE);
    let slow = format!("export QUANTRACK_WORKER_EMULATOR={}\n", emulator.display());
    let builds = [("v1", ""), ("v2", "# as fast\n"), ("v3", &slow), ("v4", &format!("{slow}#\n"))];
    for (name, line) in builds {
        let agent = program("agent");
        let board = lab.path("board");
        let (agent, board) = (agent.display(), board.display());
        let script = format!("#!/bin/sh\n{line}exec {agent} \"$@\" --board-root {board}\n");
        std::fs::write(lab.path(name), script).unwrap();
        std::fs::set_permissions(lab.path(name), Permissions::from_mode(0o755)).unwrap();
    }
    let bisect = |builds: &[&str]| {
        let engines = builds.iter().flat_map(|build| ["--engine", build]);
        let mut arguments = vec!["bisect", "net.tflite", "--min-effect", "4", "--runs", "5"];
        arguments.extend(["--format", "json"]);
        arguments.extend(engines);
        let output = lab.run(&[], &arguments);
        let shown = serde_json::from_slice::<Value>(&output.stdout);
        let shown = shown.unwrap_or_else(|_| panic!("{}", said(&output)));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), (shown, told))
    };
    let (code, (shown, told)) = settled(|| bisect(&["v1", "v2", "v3", "v4"]));
    assert_eq!((code, &shown["first_slower"]), (1, &"v3".into()), "{shown}");
    assert!(told.contains("v4 compared with v1: regression"), "{told}");
    // Nothing is measured twice.
    let (code, (again, told)) = bisect(&["v1", "v2", "v3", "v4"]);
    assert_eq!((code, &again["versions"]), (1, &shown["versions"]), "{again}");
    assert!(!told.contains("measured"), "{told}");
    let (code, (shown, _)) = bisect(&["v1", "v2"]);
    assert_eq!((code, &shown["first_slower"]), (0, &Value::Null), "{shown}");
    // A build that does not start is gone around, and told where it could be the one.
    std::fs::write(lab.path("bad"), "#!/bin/sh\nexit 3\n").unwrap();
    std::fs::set_permissions(lab.path("bad"), Permissions::from_mode(0o755)).unwrap();
    let (code, (shown, told)) = bisect(&["v1", "bad", "v2", "v3", "v4"]);
    assert_eq!((code, &shown["first_slower"]), (1, &"v3".into()), "{shown}");
    assert!(!told.contains("bad cannot be tried") || told.contains("exit status: 3"), "{told}");
    let (code, (shown, told)) = bisect(&["v1", "bad", "v4"]);
    assert_eq!((code, &shown["candidates"]), (3, &json!(["bad", "v4"])), "{shown}");
    assert_eq!(shown["versions"][1]["compared"]["verdict"], "lab-fault", "{shown}");
    assert!(told.contains("bad cannot be tried") && told.contains("exit status: 3"), "{told}");
    let (code, (shown, _)) = bisect(&["v1", "v2", "bad"]);
    assert_eq!((code, &shown["open"]), (3, &json!(["bad"])), "{shown}");
    assert_eq!(bisect(&["v1", "v4", "bad"]).0, 1, "what comes before the bad one says so");
    // All are compared with the first, so without it there is nothing.
    let engines = ["--engine", "bad", "--engine", "v1"];
    let none = lab.run(&[], &[&["bisect", "net.tflite"], &engines[..]].concat());
    assert_eq!(none.status.code(), Some(4), "{}", said(&none));
    assert!(said(&none).contains("failed to put bad on the board"), "{}", said(&none));
    // What cannot be put anywhere is said before anything is measured.
    for (arguments, words) in [
        (&["bisect", "net.tflite", "--engine", "v1"][..], "two or more"),
        (&["bisect", "net.tflite", "--engine", "v1", "--engine", "v9"], "failed to read v9"),
        (
            &["bisect", "net.tflite", "--engine", "v1", "--engine", "v2", "--device", "pi3.local"],
            "--enroll pi@pi3.local",
        ),
    ] {
        let output = lab.run(&[], arguments);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}
