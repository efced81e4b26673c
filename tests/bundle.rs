//! From an answer to a product: `orchestrator export` writes a bundle, and `agent run` does the same with it on every
//! architecture.
//!
//! `tests/run` builds the programs and names the agents in `QUANTRACK_AGENT_AARCH64` and `QUANTRACK_AGENT_ARMV7`.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use quantrack_orchestrator::dataset::decode;
use quantrack_tests::{Demo, emulated_agents, program};
use serde_json::Value;

/// Evaluation images that are run, and how many of them must be named as their labels say: 96 % are on the whole.
const IMAGES: usize = 20;
const RIGHT: usize = 17;

struct Exported {
    demo: Demo,
    bundle: PathBuf,
}

impl Exported {
    fn new() -> Self {
        let demo = Demo::new();
        for command in [&["profile"][..], &["search"], &["export", "--output", "first.bundle"]] {
            succeeded(demo.orchestrator(command).output().unwrap());
        }
        let bundle = demo.pipeline().with_file_name("first.bundle");
        Self { demo, bundle }
    }

    fn run(&self, agent: &Path, frames: &[u8], more: &[&str]) -> Output {
        let mut command = Command::new(agent);
        command.arg("run").arg(&self.bundle).args(["-", "--format", "json"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // An agent that refuses the bundle does not read.
        let _ = child.stdin.take().unwrap().write_all(frames);
        child.wait_with_output().unwrap()
    }

    /// What is found in each frame, without the times.
    fn findings(&self, agent: &Path, frames: &[u8]) -> Vec<Value> {
        let output = succeeded(self.run(agent, frames, &[]));
        let lines = output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let mut lines: Vec<Value> =
            lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
        let summary = lines.pop().unwrap();
        assert_eq!(summary["summary"]["frames"], lines.len());
        for line in &mut lines {
            assert!(line["total_us"].take().as_f64().unwrap() > 0.0);
            for stage in line["stages"].as_array_mut().unwrap() {
                assert!(stage["model_us"].take().is_f64() && stage["glue_us"].take().is_f64());
            }
        }
        lines
    }
}

fn succeeded(output: Output) -> Output {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The first evaluation images as PPM, one after the other, with their labels.
fn frames() -> (Vec<u8>, Vec<String>) {
    let images = Demo::data().join("images");
    let table = std::fs::read_to_string(images.join("evaluation.csv")).unwrap();
    let (mut frames, mut labels) = (Vec::new(), Vec::new());
    let header: Vec<&str> = table.lines().next().unwrap().split(',').collect();
    let column = |name: &str| header.iter().position(|&title| title == name).unwrap();
    for row in table.lines().skip(1).take(IMAGES) {
        let cells: Vec<&str> = row.split(',').collect();
        let file = images.join("evaluation").join(cells[column("file")]);
        let image = decode(&std::fs::read(file).unwrap()).unwrap();
        write!(frames, "P6\n{} {}\n255\n", image.width(), image.height()).unwrap();
        frames.extend(image.bytes());
        labels.push(cells[column("gesture")].to_owned());
    }
    (frames, labels)
}

#[test]
fn a_bundle_finds_the_same_on_every_architecture() {
    let exported = Exported::new();
    let (frames, labels) = frames();
    let native = exported.findings(&program("agent"), &frames);
    assert_eq!(native.len(), IMAGES);
    let named = native.iter().map(|frame| frame["stages"][2]["found"]["class"].as_str());
    let right = named.zip(&labels).filter(|(found, label)| *found == Some(label.as_str())).count();
    assert!(right >= RIGHT, "{right} of {IMAGES} as labelled: {native:?}");
    for agent in emulated_agents(exported.demo.folder()) {
        assert_eq!(exported.findings(&agent, &frames), native, "{}", agent.display());
    }
}

#[test]
fn exporting_again_writes_the_same_bytes_which_common_tools_read() {
    let exported = Exported::new();
    succeeded(
        exported.demo.orchestrator(&["export", "--output", "second.bundle"]).output().unwrap(),
    );
    let second = exported.demo.pipeline().with_file_name("second.bundle");
    assert_eq!(std::fs::read(&exported.bundle).unwrap(), std::fs::read(second).unwrap());
    let script = "tar xf first.bundle && sha256sum --check --quiet SHA256SUMS";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).current_dir(exported.demo.folder());
    succeeded(shell.output().unwrap());
    let certificate = exported.demo.folder().join("certificate.json");
    let verify = ["certificate", "verify", certificate.to_str().unwrap()];
    succeeded(exported.demo.orchestrator(&verify).output().unwrap());
}

#[test]
fn what_cannot_be_run_is_refused_with_the_reason() {
    let mut exported = Exported::new();
    let refused = |exported: &Exported, frames: &[u8], more: &[&str]| {
        let output = exported.run(&program("agent"), frames, more);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let (frames, _) = frames();
    let said = refused(&exported, &frames[..frames.len() - 1], &[]);
    assert!(said.contains("frame 19 of -") && said.contains("end within the frame"), "{said}");
    let said = refused(&exported, b"\xff\xd8\xff\xe0", &[]);
    assert!(said.contains("a JPEG image") && said.contains("djpeg"), "{said}");
    let said = refused(&exported, &[0; 100], &["--frames", "rgb24:160x120"]);
    assert!(said.contains("check the pixels and the size in --frames"), "{said}");

    let mut bytes = std::fs::read(&exported.bundle).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    exported.bundle.set_file_name("changed.bundle");
    std::fs::write(&exported.bundle, bytes).unwrap();
    let said = refused(&exported, &frames, &[]);
    assert!(said.contains("changed.bundle cannot be used"), "{said}");
    assert!(said.contains("is not what it was when the bundle was made"), "{said}");
}

#[test]
fn nothing_is_exported_before_a_search() {
    let demo = Demo::new();
    succeeded(demo.orchestrator(&["profile"]).output().unwrap());
    let output = demo.orchestrator(&["export"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("run `orchestrator search`"), "{said}");
}
