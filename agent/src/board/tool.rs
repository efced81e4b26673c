//! Asking programs of the board.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// No answer that we ask for is longer; more is cut off.
const MAX_BYTES: u64 = 4096;

/// How often a running program is looked at: an answer comes within a few milliseconds.
const POLL: Duration = Duration::from_millis(2);

/// What a program prints, without the blanks at its ends. `None` when it cannot be started, fails, prints no text, or has
/// not ended after `timeout`; then it is killed.
pub(super) fn answer(command: &mut Command, timeout: Duration) -> Option<String> {
    let started = Instant::now();
    let silent = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = silent.spawn().ok()?;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if started.elapsed() < timeout => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                // It may have ended just now; what counts is that it is gone and waited for.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    };
    let mut text = String::new();
    child.stdout.take()?.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    status.success().then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, timeout: Duration) -> Option<String> {
        answer(Command::new("sh").args(["-c", script]), timeout)
    }

    #[test]
    fn answers_are_taken_and_failures_are_none() {
        let patient = Duration::from_secs(20);
        assert_eq!(
            shell("echo ' frequency(48)=600000000 '", patient).unwrap(),
            "frequency(48)=600000000"
        );
        assert_eq!(shell("echo half; exit 1", patient), None);
        assert_eq!(answer(&mut Command::new("/nonexistent/tool"), patient), None);
    }

    #[test]
    fn a_program_that_hangs_is_not_waited_for() {
        let started = Instant::now();
        assert_eq!(shell("exec sleep 60", Duration::from_millis(100)), None);
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
