//! What the whole path does when it is killed, meets a disk that is full or read-only, or another of its kind.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

mod board;
mod enroll;
mod trust;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use quantrack_tests::{Demo, program};
use serde_json::Value;

/// Emulation or a busy machine must not decide these tests: latencies may be off by as much as they like.
const TUNE: [&str; 3] = ["tune", "--max-latency-deviation", "100000"];

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The rows of the latency table by variant, with when and what was measured.
fn table(demo: &Demo) -> BTreeMap<String, String> {
    let shown = json(&demo.orchestrator(&["table", "show"]).output().unwrap());
    let rows = shown["rows"].as_array().unwrap().iter();
    let key = |row: &Value| row["variant_sha256"].as_str().unwrap().to_owned();
    rows.map(|row| (key(row), format!("{} {}", row["measured_at"], row["median_us"]))).collect()
}

/// Starts `tune` and kills it, so that it can do nothing more, when it says `marker`.
fn kill_at(demo: &Demo, marker: &str) {
    kill(demo.orchestrator(&TUNE), marker);
}

/// Starts `command` and kills it when it says `marker`.
fn kill(mut command: Command, marker: &str) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        let line = line.unwrap();
        said.push_str(&line);
        said.push('\n');
        if line.contains(marker) {
            child.kill().unwrap();
            break;
        }
    }
    assert!(!child.wait().unwrap().success(), "it never said {marker:?}: {said}");
}

#[test]
fn a_killed_tune_resumes_and_neither_loses_nor_repeats_what_it_measured() {
    let demo = Demo::new();
    let stages = demo.variants();
    let all: usize = stages.iter().sum();
    let mut known = BTreeMap::new();
    for marker in [
        "built, 0 from before",
        "finder: started",
        "finder: measured",
        "landmarks: measured",
        "accuracy: started",
        "search: started",
        "verify: started",
    ] {
        kill_at(&demo, marker);
        let now = table(&demo);
        for (variant, row) in &known {
            assert_eq!(now.get(variant), Some(row), "{marker}: a row was lost or measured again");
        }
        if marker == "landmarks: measured" {
            assert_eq!(now.len(), stages[0] + stages[1]);
        }
        known = now;
    }
    assert_eq!(known.len(), all);
    let resumed = json(&demo.orchestrator(&TUNE).output().unwrap());
    assert_eq!(resumed["profile"]["measured"], 0);
    assert_eq!(resumed["profile"]["reused"], all);
    assert_eq!(table(&demo), known);
    // What was evaluated in pieces is what is evaluated at once.
    let undisturbed = json(&Demo::new().orchestrator(&["evaluate"]).output().unwrap());
    assert_eq!(resumed["evaluate"]["rows"], undisturbed["rows"]);
    assert_eq!(resumed["evaluate"]["end_to_end"], undisturbed["end_to_end"]);
}

/// Copies the store of one demo to another.
fn copy_store(from: &Demo, to: &Demo) {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let target = to.join(entry.file_name());
            match entry.file_type().unwrap().is_dir() {
                true => copy(&entry.path(), &target),
                false => drop(std::fs::copy(entry.path(), target).unwrap()),
            }
        }
    }
    copy(&from.store(), &to.store());
}

/// What `search` prints and the certificate that it writes, to the byte.
fn searched(demo: &Demo, threads: &str) -> (Vec<u8>, Vec<u8>) {
    let arguments = ["search", "--certificate", "proof.json", "--host-threads", threads];
    let output = demo.orchestrator(&arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let proof = demo.pipeline().with_file_name("proof.json");
    (output.stdout, std::fs::read(proof).unwrap())
}

#[test]
fn a_search_killed_anywhere_ends_with_the_bytes_of_one_that_was_not() {
    // The whole trade-off, which takes many evaluations.
    let demos = [Demo::new(), Demo::new()];
    for demo in &demos {
        demo.change("kind = \"min-latency\"", "kind = \"pareto\"");
    }
    let [undisturbed, killed] = &demos;
    let profiled = undisturbed.orchestrator(&["profile"]).output().unwrap();
    assert!(profiled.status.success(), "{}", String::from_utf8_lossy(&profiled.stderr));
    copy_store(undisturbed, killed);
    let started = Instant::now();
    let expected = searched(undisturbed, "2");
    let took = started.elapsed();
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut kills = 0;
    for _ in 0..12 {
        let mut command = killed.orchestrator(&["search", "--certificate", "proof.json"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        std::thread::sleep(took.mul_f64((random >> 40) as f64 / (1_u64 << 24) as f64));
        child.kill().unwrap();
        kills += usize::from(!child.wait().unwrap().success());
    }
    assert!(kills >= 2, "only {kills} searches were killed before they ended");
    assert_eq!(searched(killed, "1"), expected);
    assert_eq!(searched(killed, "2"), expected);
}

#[test]
fn the_agent_of_a_killed_tune_ends_and_leaves_nothing_behind() {
    let demo = Demo::new();
    let temporary = tempfile::TempDir::new().unwrap();
    let mut command = demo.orchestrator(&TUNE);
    command.env("TMPDIR", temporary.path());
    kill(command, "finder: measured");
    let started = Instant::now();
    let left = || std::fs::read_dir(temporary.path()).unwrap().count();
    while left() > 0 {
        assert!(started.elapsed() < Duration::from_secs(30), "its agent's folder is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn two_at_once_on_one_store_do_not_disturb_each_other() {
    let demo = Demo::new();
    let spawn = || {
        let mut command = demo.orchestrator(&TUNE);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both = [spawn(), spawn()].map(|child| child.wait_with_output().unwrap());
    let finished = both.iter().filter(|output| output.status.success()).count();
    assert!(finished >= 1, "{both:?}");
    for output in both.iter().filter(|output| !output.status.success()) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("another orchestrator (process") && said.contains("wait"), "{said}");
    }
    assert_eq!(table(&demo).len(), demo.variants().iter().sum::<usize>());
    // The one that was turned away finds everything done.
    assert_eq!(json(&demo.orchestrator(&TUNE).output().unwrap())["profile"]["measured"], 0);
}

/// `sh` in a world of its own, where `script` has `folder` in `$1`.
fn unshare(script: &str, folder: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["--map-root-user", "--mount", "sh", "-c", script, "sh"]).arg(folder);
    command
}

/// Whether this user may not mount, which is said aloud.
fn mounts_are_refused(mount: &str, folder: &Path) -> bool {
    let refused = !unshare(mount, folder).output().is_ok_and(|output| output.status.success());
    if refused {
        eprintln!("skipped: `unshare --mount` and `{mount}` are not allowed here");
    }
    refused
}

/// Runs `orchestrator` with the store on a file system made by `mount`, a shell command that has it in `$1`. `None`,
/// said aloud, where this user may not mount.
fn on_mount(demo: &Demo, mount: &str, arguments: &[&str]) -> Option<Output> {
    std::fs::create_dir_all(demo.store()).unwrap();
    if mounts_are_refused(mount, &demo.store()) {
        return None;
    }
    let script = format!("{mount} && shift && exec \"$@\"");
    let mut command = unshare(&script, &demo.store());
    command.arg(program("orchestrator")).args(arguments).args(demo.arguments());
    Some(command.output().unwrap())
}

fn fails(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn a_full_disk_is_named_and_what_to_do() {
    let demo = Demo::new();
    // Not room enough for the variants.
    let small = "mount -t tmpfs -o size=1m none \"$1\"";
    let Some(output) = on_mount(&demo, small, &["tune"]) else { return };
    fails(&output, &["is full", "free some space", "resumes"]);
    // Not even for the database.
    let tiny = "mount -t tmpfs -o size=12k none \"$1\"";
    let Some(output) = on_mount(&demo, tiny, &["tune"]) else { return };
    fails(&output, &["is full", "free some space"]);
}

#[test]
fn a_disk_that_fills_up_while_measuring_loses_nothing() {
    let demo = Demo::new();
    json(&demo.orchestrator(&["profile"]).output().unwrap());
    let before = table(&demo);
    // The store as it is, with 16 KiB to spare.
    let crowded = "a=$(mktemp -d) && cp -r \"$1\"/. \"$a\" && size=$(du -sk \"$a\" | cut -f1) && \
                   mount -t tmpfs -o size=$((size + 16))k none \"$1\" && cp -r \"$a\"/. \"$1\"; rm -r \"$a\"";
    let Some(output) = on_mount(&demo, crowded, &["profile", "--remeasure"]) else { return };
    fails(&output, &["is full", "run the same command again"]);
    assert_eq!(table(&demo), before);
}

#[test]
fn a_read_only_store_is_named_and_what_to_do() {
    let demo = Demo::new();
    let read_only = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\"";
    let Some(output) = on_mount(&demo, read_only, &["table", "show"]) else { return };
    fails(&output, &["read-only", "store.sqlite", "--store"]);
    json(&demo.orchestrator(&["profile"]).output().unwrap());
    let Some(output) = on_mount(&demo, read_only, &["table", "show"]) else { return };
    assert_eq!(
        json(&output)["rows"].as_array().map(Vec::len),
        Some(demo.variants().iter().sum::<usize>()),
        "reading needs no writing"
    );
    for arguments in [&["profile", "--remeasure"][..], &["tune"]] {
        let Some(output) = on_mount(&demo, read_only, arguments) else { return };
        fails(&output, &["read-only", "make it writable", "--store"]);
    }
}

/// Killed when a file grows beyond a limit: by the kernel, in the middle of whatever is written then.
#[test]
fn a_database_whose_writer_is_killed_at_any_write_loses_no_row_and_gains_no_wrong_one() {
    let (demo, board) = (Demo::new(), board::Board::new());
    // Its files are not limited.
    let (_agent, address) = board.agent();
    let profile = ["profile", "--device", &address];
    json(&demo.orchestrator(&profile).output().unwrap());
    let before = table(&demo);
    let wal = demo.store().join("store.sqlite-wal");
    let mut killed = 0;
    for kib in [4, 16, 40, 72, 120, 200, 320] {
        // In units of 512 bytes.
        let script = format!("ulimit -f {} && shift && exec \"$@\"", 2 * kib);
        let mut command = Command::new("sh");
        command.args(["-c", &script, "sh", "store"]).arg(program("orchestrator"));
        command.args(profile).arg("--remeasure").args(demo.arguments());
        let output = command.current_dir(demo.folder()).output().unwrap();
        killed += usize::from(!output.status.success());
        let after = table(&demo);
        assert!(before.keys().eq(after.keys()), "killed at {kib} KiB: {after:?}");
        assert!(!wal.exists() || std::fs::metadata(&wal).unwrap().len() < 4 << 20);
    }
    assert!(killed >= 3, "only {killed} writers were killed");
    let again = json(&demo.orchestrator(&profile).output().unwrap());
    assert_eq!((&again["measured"], &again["reused"]), (&0.into(), &before.len().into()));
}
