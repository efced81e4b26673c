//! A program of the user's, run with limits on its time and its output.

use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

/// Most bytes of results that are read.
pub(super) const MOST_OUTPUT: usize = 4 << 20;

/// Last bytes of its messages that are told.
const MOST_MESSAGE: usize = 1000;

/// How often it is looked whether the program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Why a program gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// It is not there, or may not be run.
    #[error("{program} cannot be started; install it, or correct the command in the pipeline file")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The system does not tell how it is.
    #[error("its processes cannot be watched")]
    Watch(#[source] std::io::Error),
    /// It did not end in time, and was killed with all that it had started.
    #[error(
        "it did not end within {seconds} seconds and was killed; make it faster, or raise timeout-s{}",
        said(messages)
    )]
    TimedOut {
        /// The limit.
        seconds: f64,
        /// What it said on standard error.
        messages: String,
    },
    /// It ended with a failure.
    #[error(
        "it ended with {status}; run it by hand on the same input to mend it{}",
        said(messages)
    )]
    Failed {
        /// How.
        status: ExitStatus,
        /// What it said on standard error.
        messages: String,
    },
    /// It printed without end.
    #[error("it printed more than {MOST_OUTPUT} bytes; print the scores alone to standard output")]
    TooMuch,
}

fn said(messages: &str) -> String {
    match messages.trim() {
        "" => String::new(),
        messages => format!("; it said: {messages}"),
    }
}

/// A program with all that it has started; whatever of that is left is killed when this is dropped.
struct Group {
    child: Child,
    id: i32,
    waited: bool,
}

impl Group {
    fn start(command: &mut Command) -> Result<Self, ProcessError> {
        let program = command.get_program().to_string_lossy().into_owned();
        // A group of its own, so that it can be killed with whatever it starts.
        let child = command.process_group(0).spawn();
        let child = child.map_err(|source| ProcessError::Start { program, source })?;
        let id = i32::try_from(child.id()).unwrap_or(i32::MAX);
        Ok(Self { child, id, waited: false })
    }

    /// Whether the program has ended. It is not waited for yet: until then its number belongs to nobody else.
    fn has_ended(&self) -> Result<bool, ProcessError> {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(Pid::from_raw(self.id)), flags);
        let status = status.map_err(|errno| ProcessError::Watch(errno.into()))?;
        Ok(status != WaitStatus::StillAlive)
    }

    fn kill(&self) {
        let _ = killpg(Pid::from_raw(self.id), Signal::SIGKILL);
    }

    /// Waits for the program, after which its number may be another's.
    fn wait(&mut self) -> Result<ExitStatus, ProcessError> {
        self.waited = true;
        self.child.wait().map_err(ProcessError::Watch)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.waited {
            self.kill();
            let _ = self.wait();
        }
    }
}

/// What a stream has given.
enum Streamed {
    Results(Vec<u8>),
    Messages(Vec<u8>),
}

/// Runs a command in `folder`, gives it `input`, and returns what it prints. It may take as long as `timeout`; then it, or what
/// it leaves behind when it ends, is killed with all that it has started.
///
/// # Errors
/// See [`ProcessError`].
pub(super) fn run(
    command: &[String],
    folder: &Path,
    input: Vec<u8>,
    timeout: Duration,
) -> Result<Vec<u8>, ProcessError> {
    let deadline = Instant::now() + timeout;
    let mut group = Group::start(&mut prepared(command, folder))?;
    let streams = watch(&mut group.child, input);
    let (mut results, mut messages) = (None, None);
    let mut ended = false;
    while results.is_none() || messages.is_none() || !ended {
        match streams.recv_timeout(LOOK) {
            Ok(Streamed::Results(bytes)) if bytes.len() > MOST_OUTPUT => {
                return Err(ProcessError::TooMuch);
            }
            Ok(Streamed::Results(bytes)) => results = Some(bytes),
            Ok(Streamed::Messages(bytes)) => messages = Some(bytes),
            Err(RecvTimeoutError::Timeout) => {}
            // Both streams have ended, but not the program.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(LOOK),
        }
        if !ended && group.has_ended()? {
            ended = true;
            // What it has left behind would keep the streams open.
            group.kill();
        }
        if Instant::now() >= deadline && !(ended && results.is_some() && messages.is_some()) {
            group.kill();
            let messages = messages.or_else(|| late(&streams));
            let messages = text(&messages.unwrap_or_default());
            return Err(ProcessError::TimedOut { seconds: timeout.as_secs_f64(), messages });
        }
    }
    let status = group.wait()?;
    if !status.success() {
        return Err(ProcessError::Failed { status, messages: text(&messages.unwrap_or_default()) });
    }
    Ok(results.unwrap_or_default())
}

fn prepared(command: &[String], folder: &Path) -> Command {
    let program = command.first().map_or("", String::as_str);
    // A path is meant from the folder; a name alone is looked for where programs are.
    let mut prepared = match program.contains('/') {
        true => Command::new(folder.join(program)),
        false => Command::new(program),
    };
    prepared.args(command.iter().skip(1)).current_dir(folder);
    prepared.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    prepared
}

/// Feeds and reads the streams, each on a thread of its own: a program may fill one while it does not look at another.
fn watch(child: &mut Child, input: Vec<u8>) -> Receiver<Streamed> {
    let (sender, receiver) = channel();
    if let Some(mut stdin) = child.stdin.take() {
        // A program need not read what it is given.
        std::thread::spawn(move || drop(stdin.write_all(&input)));
    }
    if let Some(stdout) = child.stdout.take() {
        let sender: Sender<Streamed> = sender.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What cannot be read any more is not there.
            let _ = stdout.take(MOST_OUTPUT as u64 + 1).read_to_end(&mut bytes);
            sender.send(Streamed::Results(bytes))
        });
    }
    if let Some(stderr) = child.stderr.take() {
        std::thread::spawn(move || sender.send(Streamed::Messages(last_bytes(stderr))));
    }
    receiver
}

/// The messages of a program that was killed, if they come at once.
fn late(streams: &Receiver<Streamed>) -> Option<Vec<u8>> {
    (0..2).find_map(|_| match streams.recv_timeout(Duration::from_millis(200)) {
        Ok(Streamed::Messages(bytes)) => Some(bytes),
        _ => None,
    })
}

/// The last bytes of a stream, which is read to its end.
fn last_bytes(mut stream: impl Read) -> Vec<u8> {
    let (mut last, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        last.extend_from_slice(&buffer[..count]);
        let surplus = last.len().saturating_sub(MOST_MESSAGE);
        last.drain(..surplus);
    }
    last
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, input: &[u8], timeout: Duration) -> Result<String, ProcessError> {
        let command = ["sh", "-c", script].map(str::to_owned);
        let output = run(&command, Path::new("/"), input.to_vec(), timeout)?;
        Ok(String::from_utf8(output).unwrap())
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn input_comes_in_and_output_comes_out_however_much_it_is() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(shell("cat", &input, LONG).unwrap().len(), input.len());
        assert_eq!(shell("echo 0.5", &input, LONG).unwrap(), "0.5\n", "input may be left unread");
    }

    #[test]
    fn failures_tell_what_the_program_said() {
        let failed = shell("echo 'no such layer' >&2; exit 3", b"", LONG).unwrap_err().to_string();
        assert!(failed.contains("exit status: 3") && failed.contains("no such layer"), "{failed}");
        let killed = shell("kill -SEGV $$", b"", LONG).unwrap_err().to_string();
        assert!(killed.contains("signal: 11"), "{killed}");
        let command = ["no-such-program-anywhere".to_owned()];
        let missing = run(&command, Path::new("/"), Vec::new(), LONG).unwrap_err();
        assert!(missing.to_string().contains("no-such-program-anywhere"), "{missing}");
    }

    /// Whether a process with that number, in a file, runs.
    fn runs(file: &Path) -> bool {
        let id = std::fs::read_to_string(file).unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim()));
        // Killed, but not yet waited for by whoever inherits it.
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn ends(file: &Path) {
        let started = Instant::now();
        while runs(file) {
            assert!(started.elapsed() < Duration::from_secs(10), "what it started still runs");
            std::thread::sleep(LOOK);
        }
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let script = format!(
            "sleep 600 & echo $! > {0}.new; mv {0}.new {0}; echo waiting >&2; wait",
            file.display()
        );
        let started = Instant::now();
        let error = shell(&script, b"", Duration::from_secs(2)).unwrap_err().to_string();
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(error.contains("within 2 seconds") && error.contains("waiting"), "{error}");
        ends(&file);
    }

    #[test]
    fn what_a_program_leaves_behind_is_killed_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("id");
        let script = format!("sleep 600 & echo $! > {}; echo 1", file.display());
        let started = Instant::now();
        assert_eq!(shell(&script, b"", LONG).unwrap(), "1\n");
        assert!(started.elapsed() < Duration::from_secs(30));
        ends(&file);
    }

    #[test]
    fn output_without_end_is_cut_off() {
        let started = Instant::now();
        assert!(matches!(shell("yes 0.5", b"", LONG), Err(ProcessError::TooMuch)));
        let chatty = shell("yes noise | head -c 9000000 >&2; echo 1", b"", LONG).unwrap();
        assert_eq!(chatty, "1\n", "messages are read, whatever their length");
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
