//! A copy of the demo pipeline that a test may change.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The demo with eight images in each set.
pub(crate) struct Copy {
    folder: TempDir,
}

impl Copy {
    pub(crate) fn new() -> Self {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo");
        let folder = TempDir::new().unwrap();
        let copy = |name: &str| {
            let to = folder.path().join(name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(demo.join(name), to).unwrap();
        };
        copy("demo.toml");
        for entry in fs::read_dir(demo.join("models")).unwrap() {
            copy(&format!("models/{}", entry.unwrap().file_name().to_str().unwrap()));
        }
        for set in ["calibration", "evaluation"] {
            let labels = format!("images/{set}.csv");
            let text = fs::read_to_string(demo.join(&labels)).unwrap();
            let rows: Vec<&str> = text.lines().take(9).collect();
            for row in &rows[1..] {
                copy(&format!("images/{set}/{}", row.split(',').next().unwrap()));
            }
            fs::write(folder.path().join(&labels), rows.join("\n")).unwrap();
        }
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from:?}");
        self.write(name, text.replace(from, to));
    }

    /// `orchestrator` with these arguments, a pipeline file of the folder, and a store there.
    pub(crate) fn command(&self, pipeline: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command.args(arguments).arg("--pipeline").arg(self.path(pipeline));
        command.arg("--data").arg(self.folder.path()).arg("--store").arg(self.path("store"));
        command.current_dir(self.folder.path());
        command
    }

    /// What it prints.
    pub(crate) fn run(&self, pipeline: &str, arguments: &[&str]) -> Output {
        self.command(pipeline, arguments).output().unwrap()
    }
}

/// The program must have ended with 2, printed no result, and told all of `words`.
pub(crate) fn refused(output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
    assert!(output.stdout.is_empty(), "a result was printed");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}
