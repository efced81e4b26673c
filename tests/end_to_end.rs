//! The whole path on the real hand-gesture pipeline: orchestrator and agent as processes, on this machine and with the
//! agents of the boards under user-mode emulation.
//!
//! `tests/run` builds the programs and names the agents in `QUANTRACK_AGENT_AARCH64` and `QUANTRACK_AGENT_ARMV7`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use quantrack_tests::{data, emulated_agents, levels, program};
use serde_json::Value;
use tempfile::TempDir;

const PIPELINE: &str = include_str!("../orchestrator/pipelines/hand-gesture.toml");

/// A pipeline file with less to measure: emulation is slow, and its latencies mean nothing.
fn quick_pipeline(folder: &Path) -> PathBuf {
    let mut text = PIPELINE.to_owned();
    for (from, to) in [
        ("min-samples = 60", "min-samples = 2"),
        ("max-samples = 200", "max-samples = 2"),
        ("warmup = 3", "warmup = 1"),
        ("block = 10", "block = 2"),
        ("calibration-samples = 120", "calibration-samples = 24"),
    ] {
        assert!(text.contains(from), "{from} is no longer in hand-gesture.toml");
        text = text.replace(from, to);
    }
    let path = folder.join("quick.toml");
    std::fs::write(&path, text).unwrap();
    path
}

struct Lab {
    folder: TempDir,
    data: PathBuf,
    pipeline: PathBuf,
}

impl Lab {
    fn new(data: PathBuf) -> Self {
        let folder = TempDir::new().unwrap();
        let pipeline = quick_pipeline(folder.path());
        Self { folder, data, pipeline }
    }

    fn orchestrator(&self, agent: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(program("orchestrator"));
        command.args(arguments).arg("--pipeline").arg(&self.pipeline);
        command.arg("--data").arg(&self.data).arg("--agent-bin").arg(agent);
        command.arg("--store").arg(self.folder.path().join("store"));
        command.args(["--device", "local", "--format", "json"]).output().unwrap()
    }

    /// Tunes with `agent`, runs up to so many assignments in turns, and checks what must hold on any board.
    fn tune(&self, agent: &Path, finalists: &str) -> Value {
        let out = self.folder.path().join("report");
        let out_argument = out.to_str().unwrap();
        let arguments = ["tune", "--samples", "3", "--finalists", finalists, "--out", out_argument];
        // Two samples predict little: only the outputs are strictly judged here.
        let lenient = ["--max-latency-deviation", "1000"];
        let output = self.orchestrator(agent, &[&arguments[..], &lenient].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        let result: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}: {said}", output.status));
        let rows = result["profile"]["rows"].as_array().unwrap();
        assert_eq!(
            rows.len(),
            levels(PIPELINE).iter().sum::<usize>(),
            "every stage at every level: {rows:?}"
        );
        assert!(rows.iter().all(|row| row["median_us"].as_f64().unwrap() > 0.0));

        let search = &result["search"];
        let correct = |key: &str| search[key]["accuracy"]["correct"].as_u64().unwrap();
        assert!((120..=124).contains(&correct("baseline")), "fp32 has 122 ± 2 of 138 right");
        // 4 points of 138 are 5.5 images.
        assert!(correct("found") + 5 >= correct("baseline"), "{search}");
        let predicted = search["predicted_latency_us"].as_f64().unwrap();
        for uniform in search["uniform"].as_array().unwrap() {
            let reaches =
                uniform[1]["accuracy"]["correct"].as_u64().unwrap() + 5 >= correct("baseline");
            let latency = uniform[1]["latency_us"].as_f64().unwrap();
            assert!(!reaches || predicted <= latency, "{uniform} would have been faster");
        }
        assert_eq!(search["certificate"]["guarantee"], "A");
        self.certificate_is_accepted_and_a_changed_one_is_not(agent, &out.join("certificate.json"));

        let verify = &result["verify"];
        assert_eq!(verify["passed"], true, "{verify}");
        assert_eq!(verify["equal_outputs"], 3, "the board computes what the host computes");
        let confirm = &result["confirm"];
        assert_eq!(confirm["baseline"]["total"], 336, "the images that calibration leaves");
        assert!(confirm["chosen"]["correct"].as_u64().unwrap() > 250, "{confirm}");
        let code = match confirm["verdict"].as_str() {
            Some("meets") => 0,
            Some("misses") => 1,
            _ => 3,
        };
        assert_eq!(output.status.code(), Some(code), "what held-out images say counts: {confirm}");
        let page = std::fs::read_to_string(out.join("report.html")).unwrap();
        assert!(page.contains("Verified on the board") && page.contains("<svg"));
        result
    }

    fn certificate_is_accepted_and_a_changed_one_is_not(&self, agent: &Path, file: &Path) {
        let verify = |more: &[&str]| {
            let arguments = ["certificate", "verify", file.to_str().unwrap()];
            let output = self.orchestrator(agent, &[&arguments[..], more].concat());
            let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), shown["reasons"].to_string())
        };
        let table = self.folder.path().join("table.json");
        std::fs::write(&table, self.orchestrator(agent, &["table", "show"]).stdout).unwrap();
        let of_table = ["--table", table.to_str().unwrap()];
        assert_eq!(verify(&of_table), (Some(0), "[]".to_owned()));

        let mut other: Value = serde_json::from_slice(&std::fs::read(&table).unwrap()).unwrap();
        other["rows"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .for_each(|row| row["median_us"] = 1.5.into());
        std::fs::write(&table, other.to_string()).unwrap();
        let (code, reasons) = verify(&of_table);
        assert!(code == Some(1) && reasons.contains("1.5"), "{code:?}: {reasons}");

        let text = std::fs::read_to_string(file).unwrap();
        std::fs::write(file, text.replacen("\"correct\": 1", "\"correct\": 2", 1)).unwrap();
        let (code, reasons) = verify(&[]);
        assert!(
            code == Some(1) && reasons.contains("the proof was changed"),
            "{code:?}: {reasons}"
        );
    }
}

#[test]
fn the_whole_path_on_this_machine_and_on_both_emulated_architectures() {
    let Some(data) = data() else { return };
    let lab = Lab::new(data);
    let native = lab.tune(&program("agent"), "3");

    // Everything is in the store now: nothing is measured again, and the answer is the same.
    let again = lab.tune(&program("agent"), "3");
    assert_eq!(again["profile"]["measured"], 0);
    assert_eq!(again["search"]["assignment"], native["search"]["assignment"]);

    for agent in emulated_agents(lab.folder.path()) {
        let result = lab.tune(&agent, "1");
        let all: usize = levels(PIPELINE).iter().sum();
        assert_eq!(result["profile"]["measured"], all, "another board has rows of its own");
        let target = result["profile"]["device"]["facts"]["target"].as_str().unwrap();
        // As in agent-aarch64 and aarch64-unknown-linux-musl.
        let name = agent.file_name().unwrap().to_string_lossy();
        assert!(target.starts_with(&name["agent-".len()..][..3]), "{target} of {name}");
    }
}

#[test]
fn an_unreachable_board_is_a_lab_fault_with_a_next_step() {
    let Some(data) = data() else { return };
    let lab = Lab::new(data);
    let mut command = Command::new(program("orchestrator"));
    // Nothing listens on port 1 of this machine.
    let output = command.args(["device", "show", "--device", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("127.0.0.1:1") && said.contains("check that the board is on"), "{said}");
    let output = lab.orchestrator(Path::new("/nonexistent/agent"), &["profile"]);
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
}
