//! Helpers of the end-to-end tests.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A program of this workspace, beside the running test's own.
///
/// # Panics
/// When it was not built.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.ancestors().nth(2).unwrap().join(name);
    assert!(program.is_file(), "{} is missing: cargo build first", program.display());
    program
}

/// The folder with models and images; `None`, said on stderr, where it may be missing.
///
/// # Panics
/// When it is missing where it may not: in CI.
pub fn data() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hand-gesture");
    let folder = std::env::var_os("QUANTRACK_DATA").map_or(beside, PathBuf::from);
    present(folder, "QUANTRACK_DATA")
}

fn present(path: PathBuf, variable: &str) -> Option<PathBuf> {
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
    eprintln!("skipped: {} is missing, set {variable}", path.display());
    None
}

/// An emulator of this machine's own architecture, under which workers are slow; `None`, said on stderr, where it may be
/// missing.
///
/// # Panics
/// When it is missing in CI.
pub fn slow_emulator() -> Option<&'static Path> {
    let emulator = Path::new("/usr/bin/qemu-x86_64");
    if emulator.is_file() && cfg!(target_arch = "x86_64") {
        return Some(emulator);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing", emulator.display());
    eprintln!("skipped: {} is missing", emulator.display());
    None
}

/// Scripts in `folder` that run the boards' agents as if they were of this architecture: `agent-aarch64` and `agent-arm`.
/// Those of which the environment does not name the agent are left out, and said on stderr.
///
/// # Panics
/// When an agent is missing in CI, or a script cannot be written.
pub fn emulated_agents(folder: &Path) -> Vec<PathBuf> {
    let boards = [("QUANTRACK_AGENT_AARCH64", "aarch64"), ("QUANTRACK_AGENT_ARMV7", "arm")];
    let script = |(variable, board): (&str, &str)| {
        let agent = PathBuf::from(std::env::var_os(variable).unwrap_or_default());
        let agent = std::path::absolute(present(agent, variable)?).unwrap();
        let path = folder.join(format!("agent-{board}"));
        let emulator = format!("qemu-{board}");
        let script = format!(
            "#!/bin/sh\nQUANTRACK_WORKER_EMULATOR=$(command -v {emulator}) exec {emulator} {} \"$@\"\n",
            agent.display()
        );
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Some(path)
    };
    boards.into_iter().filter_map(script).collect()
}

/// How many levels the stages of a pipeline file have, stage by stage.
pub fn levels(pipeline: &str) -> Vec<usize> {
    let lines = pipeline.lines().filter(|line| line.starts_with("levels = "));
    lines.map(|line| line.matches('"').count() / 2).collect()
}

/// The demo pipeline with little to measure, and a store of its own. Everything takes a few seconds.
#[derive(Debug)]
pub struct Demo {
    folder: TempDir,
}

impl Default for Demo {
    fn default() -> Self {
        Self::new()
    }
}

impl Demo {
    /// A pipeline file in a new folder, and no store yet.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn new() -> Self {
        let demo = Self { folder: TempDir::new().unwrap() };
        std::fs::copy(Self::data().join("demo.toml"), demo.pipeline()).unwrap();
        for (from, to) in [
            ("min-samples = 60", "min-samples = 10"),
            ("max-samples = 200", "max-samples = 10"),
            ("block = 10", "block = 5"),
            ("calibration-samples = 40", "calibration-samples = 8"),
        ] {
            demo.change(from, to);
        }
        demo
    }

    /// Writes `to` wherever the pipeline file has `from`.
    ///
    /// # Panics
    /// When it is nowhere.
    pub fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.pipeline()).unwrap();
        assert!(text.contains(from), "{from} is no longer in demo.toml");
        std::fs::write(self.pipeline(), text.replace(from, to)).unwrap();
    }

    /// The folder with the demo's models and images.
    pub fn data() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo")
    }

    /// The pipeline file.
    pub fn pipeline(&self) -> PathBuf {
        self.folder.path().join("quick.toml")
    }

    /// The folder that all of it is in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the store.
    pub fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    /// How many variants each stage has.
    ///
    /// # Panics
    /// When the pipeline file cannot be read.
    pub fn variants(&self) -> Vec<usize> {
        levels(&std::fs::read_to_string(self.pipeline()).unwrap())
    }

    /// The arguments that every command gets.
    pub fn arguments(&self) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let mut all = vec!["--pipeline".to_owned(), path(self.pipeline())];
        all.extend(["--data".to_owned(), path(Self::data())]);
        all.extend(["--store".to_owned(), path(self.store())]);
        all.extend(["--agent-bin".to_owned(), path(program("agent"))]);
        all.extend(["--format", "json"].map(str::to_owned));
        all
    }

    /// `orchestrator` with these arguments and those that every command gets. Reports go to the demo's own folder.
    pub fn orchestrator(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program("orchestrator"));
        command.args(arguments).args(self.arguments()).current_dir(self.folder.path());
        command
    }
}
