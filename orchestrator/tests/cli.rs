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
}

#[test]
fn wrong_pipelines_end_with_2_and_name_the_place() {
    refused(&["table", "show", "--pipeline", "nothing.toml"], 2, &["nothing.toml", "hand-gesture"]);
    let home = TempDir::new().unwrap();
    let file = home.path().join("p.toml");
    let text = include_str!("../pipelines/hand-gesture.toml").replace("\"int8\"", "\"int7\"");
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    refused(&["table", "show", "--pipeline", file], 2, &["p.toml:41:", "int7", "did you mean"]);
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
