//! The program itself: exit codes, messages, and what goes to which stream.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// Runs the program with a store in `home`.
fn orchestrator(home: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_orchestrator"))
        .args(args)
        .arg("--store")
        .arg(home)
        .env_remove("QUANTRACK_DATA")
        .env_remove("QUANTRACK_AGENT")
        .output()
        .unwrap()
}

/// The program must end with `code`, print no result, and tell all of `words` on standard error.
fn refused(args: &[&str], code: i32, words: &[&str]) {
    let home = TempDir::new().unwrap();
    let output = orchestrator(home.path(), args);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {message}");
    assert!(output.stdout.is_empty(), "{args:?} printed a result");
    for word in words {
        assert!(message.contains(word), "{args:?}: no {word:?} in {message}");
    }
}

#[test]
fn wrong_command_lines_end_with_2() {
    refused(&["no-such-command"], 2, &["no-such-command"]);
    refused(&["device", "show", "--device", "a b"], 2, &["a b", "HOST:PORT"]);
    refused(&["table", "show", "--threads", "0"], 2, &["0", "256"]);
    refused(&["table", "show", "--format", "xml"], 2, &["xml", "json"]);
    refused(&["compare", "a.tflite", "b.tflite", "--min-effect", "30"], 2, &["0.03 for 3 %"]);
    refused(&["check", "--baseline", "b", "--across", "weather"], 2, &["weather", "kernel"]);
    refused(
        &["check", "--baseline", "b", "--suite", "none.toml"],
        2,
        &["none.toml", "No such file"],
    );
    refused(
        &["search", "--method", "table", "--certificate", "proof.json"],
        2,
        &["--certificate does not go with --method table"],
    );
    refused(&["search", "--best", "5"], 2, &["--best", "add --method table"]);
    refused(&["search", "--method", "table", "--best", "0"], 2, &["0", "1000"]);
    let two = ["device", "show", "--device", "a", "--device", "b"];
    refused(&two, 2, &["takes one --device"]);
}

#[test]
fn wrong_pipelines_end_with_2_and_name_the_place() {
    refused(&["table", "show", "--pipeline", "nothing.toml"], 2, &["nothing.toml", "hand-gesture"]);
    let home = TempDir::new().unwrap();
    let file = home.path().join("p.toml");
    let text = include_str!("../pipelines/hand-gesture.toml").replace("\"int8\"", "\"int7\"");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    refused(&["table", "show", "--pipeline", file], 2, &["p.toml:43:", "int7", "did you mean"]);
}

#[test]
fn wrong_models_end_with_2_and_name_the_file() {
    refused(&["model", "show", "missing.tflite"], 2, &["missing.tflite", "No such file"]);
    let home = TempDir::new().unwrap();
    let file = home.path().join("junk.tflite");
    std::fs::write(&file, b"\x1c\0\0\0TFL3 and nothing that makes sense").unwrap();
    refused(&["model", "show", file.to_str().unwrap()], 2, &["junk.tflite", "because:"]);
    std::fs::write(&file, b"").unwrap();
    refused(&["model", "show", file.to_str().unwrap()], 2, &["junk.tflite"]);
}

#[test]
fn unreachable_boards_end_with_4_and_say_what_to_check() {
    // A port that was free a moment ago: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    refused(&["device", "show", "--device", &address], 4, &[&address, "refused", "agent serve"]);
    let name = "no-such-board.invalid";
    refused(&["device", "show", "--device", name], 4, &[name, "resolve"]);
    let agent = "--agent-bin=/nonexistent/agent";
    refused(&["device", "show", agent], 4, &["/nonexistent/agent", "QUANTRACK_AGENT"]);
    refused(&["device", "show", "--agent-bin=/bin/false"], 4, &["/bin/false", "exit status: 1"]);
}

#[test]
fn unusable_stores_end_with_4_and_name_the_file() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("store.sqlite");
    std::fs::write(&file, "no database at all, but long enough to be looked at".repeat(50))
        .unwrap();
    let output = orchestrator(&file, &["table", "show"]);
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{message}");
    assert!(message.contains("store.sqlite") && message.contains("move it away"), "{message}");
}

#[test]
fn an_empty_table_is_a_result() {
    let home = TempDir::new().unwrap();
    let output = orchestrator(home.path(), &["table", "show", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["schema_version"], 1);
    assert_eq!(json["rows"].as_array().map(Vec::len), Some(0));
    assert!(home.path().join("store.sqlite").is_file());
    let output = orchestrator(home.path(), &["table", "show"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("orchestrator profile"));
    refused(&["table", "show", "--device", "pi3.local"], 2, &["pi3.local:50051", "profile"]);
}

#[test]
fn the_help_documents_the_exit_codes() {
    let home = TempDir::new().unwrap();
    let output = orchestrator(home.path(), &["--help"]);
    let help = String::from_utf8_lossy(&output.stdout).replace('\n', " ");
    for code in ["0 ok", "1 target missed", "2 wrong usage", "3 inconclusive", "4 device", "130"] {
        assert!(help.contains(code), "{code}: {help}");
    }
}

/// Where the real models are; `None`, said aloud, when they are not there.
fn real_data() -> Option<std::path::PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/hand-gesture");
    let data = std::env::var_os("QUANTRACK_DATA").map_or(beside, Into::into);
    if data.join("models").is_dir() {
        return Some(data);
    }
    assert!(std::env::var_os("CI").is_none(), "{} has no models", data.display());
    skipped(&data);
    None
}

#[expect(clippy::print_stderr, reason = "a skipped test must be seen")]
fn skipped(data: &Path) {
    eprintln!("skipped: {} has no models", data.display());
}

#[test]
fn real_models_show_what_they_are() {
    let Some(data) = real_data() else { return };
    let home = TempDir::new().unwrap();
    let model = data.join("models/gesture_embedder.tflite");
    let output =
        orchestrator(home.path(), &["model", "show", model.to_str().unwrap(), "--format", "json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let inputs: Vec<&str> =
        json["inputs"].as_array().unwrap().iter().filter_map(|i| i["name"].as_str()).collect();
    assert_eq!(inputs, ["hand", "handedness", "world_hand"]);
    assert_eq!(json["outputs"][0]["shape"], serde_json::json!([1, 128]));
    assert!(json["levels"].as_array().unwrap().contains(&"bin1".into()));
}

/// One sample of the reference as `model run` wants it: arrays named as in the model.
fn reference_sample(data: &Path, home: &Path) -> ndarray::ArrayD<f32> {
    let file = std::fs::File::open(data.join("reference/canned_gesture_classifier.npz")).unwrap();
    let mut reference = ndarray_npy::NpzReader::new(file).unwrap();
    let names = reference.names().unwrap();
    let mut sample =
        ndarray_npy::NpzWriter::new(std::fs::File::create(home.join("x.npz")).unwrap());
    for full in names.iter().filter(|name| name.starts_with("input.")) {
        let name = full.trim_end_matches(".npy").trim_start_matches("input.");
        if let Some(name) = name.strip_suffix(".0") {
            let array: ndarray::ArrayD<f32> = reference.by_name(full).unwrap();
            sample.add_array(name, &array).unwrap();
        }
    }
    sample.finish().unwrap();
    let first = |name: &&String| name.starts_with("output.") && name.contains(".0");
    let output = names.iter().find(first).unwrap();
    reference.by_name(output).unwrap()
}

#[test]
fn a_model_runs_on_arrays_named_as_in_the_model() {
    let Some(data) = real_data() else { return };
    let home = TempDir::new().unwrap();
    let expected = reference_sample(&data, home.path());
    let model = data.join("models/canned_gesture_classifier.tflite");
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (x, y, model) = (path("x.npz"), path("y.npz"), model.to_str().unwrap().to_owned());
    let run = |more: &[&str]| {
        let args = ["model", "run", &model, "--input", &x, "--output", &y];
        orchestrator(home.path(), &[&args[..], more].concat())
    };
    for (more, tolerance) in [
        (&["--level", "fp32"][..], 1e-5),
        (&["--level", "fp-16"], 1e-2),
        (&["--level", "int8", "--calibration", &x], 5e-2),
    ] {
        let output = run(more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {message}");
        let mut written = ndarray_npy::NpzReader::new(std::fs::File::open(&y).unwrap()).unwrap();
        let result: ndarray::ArrayD<f32> = written.by_index(0).unwrap();
        let error = (&result - &expected).fold(0.0_f32, |most, e| most.max(e.abs()));
        assert!(error <= tolerance, "{more:?}: off by {error}");
    }
    for (more, word) in [
        (&["--level", "int8"][..], "--calibration"),
        (&["--level", "int7"], "unknown level"),
        (&["--level", "int2"], "--calibration"),
        (&["--recipe", "minmax"], "does not reach level fp32"),
    ] {
        let output = run(more);
        let message = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {message}");
        assert!(message.contains(word), "{more:?}: {message}");
    }
    let other = data.join("models/gesture_embedder.tflite");
    let output = orchestrator(
        home.path(),
        &["model", "run", other.to_str().unwrap(), "--input", &x, "--output", &y],
    );
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2));
    assert!(message.contains("no array \"hand\""), "{message}");
}
