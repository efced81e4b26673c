//! The agent's side.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::journal::PERFORMANCE;
use crate::board::Conditions;

/// How long the helper may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// No answer is longer; more is cut off.
const ANSWER_BYTES: u64 = 512;

/// Where the helper listens.
#[derive(Clone, Debug)]
pub struct Governor(PathBuf);

/// The governor is performance while this lives.
#[derive(Debug)]
pub struct Performance {
    /// The helper restores when it ends; `None` where there is no helper, nor anything to change.
    _connection: Option<UnixStream>,
}

impl Governor {
    /// The helper that listens on this socket.
    pub fn new(socket: PathBuf) -> Self {
        Self(socket)
    }

    /// Whether there seems to be a helper.
    pub fn is_there(&self) -> bool {
        self.0.exists()
    }

    /// Asks for the performance governor. Without a helper that is no loss where the board's `conditions` say that it is in
    /// force anyway.
    ///
    /// # Errors
    /// Why the board stays as it is.
    pub async fn performance(&self, conditions: &Conditions) -> Result<Performance, String> {
        match conditions.governor.as_deref() {
            None => Err("the board has no frequency governor".to_owned()),
            Some(now) => {
                let asked = tokio::time::timeout(TIMEOUT, self.ask()).await;
                match asked.unwrap_or_else(|_| Err("the helper does not answer".to_owned())) {
                    Ok(connection) => Ok(Performance { _connection: Some(connection) }),
                    Err(_) if now == PERFORMANCE => Ok(Performance { _connection: None }),
                    Err(why) => Err(format!("the governor stays {now}: {why}")),
                }
            }
        }
    }

    async fn ask(&self) -> Result<UnixStream, String> {
        let fault = |error: std::io::Error| {
            format!("no helper at {} ({error}); start quantrack-governor", self.0.display())
        };
        let mut stream = UnixStream::connect(&self.0).await.map_err(fault)?;
        stream.write_all(format!("{PERFORMANCE}\n").as_bytes()).await.map_err(fault)?;
        let mut answer = String::new();
        let mut bytes = [0; 1];
        while (answer.len() as u64) < ANSWER_BYTES
            && stream.read(&mut bytes).await.map_err(fault)? > 0
            && bytes != *b"\n"
        {
            answer.push(char::from(bytes[0]));
        }
        if answer == "ok" { Ok(stream) } else { Err(answer) }
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;
    use tokio::net::UnixListener;

    use super::super::helper;
    use super::super::journal::tests::{board, governors};
    use super::*;

    fn under(governor: &str) -> Conditions {
        Conditions { governor: Some(governor.to_owned()), ..Conditions::default() }
    }

    async fn until(folder: &TempDir, expected: &str) {
        for _ in 0..500 {
            if governors(folder) == [expected; 2] {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the governors are {:?}, not {expected}", governors(folder));
    }

    #[tokio::test]
    async fn the_governor_is_raised_while_somebody_holds_it_and_restored_afterwards() {
        let (folder, switch) = board("ondemand");
        // As a helper leaves it that was killed.
        switch.raise().unwrap();
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let serving = tokio::spawn(helper::serve(listener, switch, async {
            let _ = stopped.await;
        }));
        until(&folder, "ondemand").await;

        let governor = Governor::new(socket.clone());
        let first = governor.performance(&under("ondemand")).await.unwrap();
        assert_eq!(governors(&folder), ["performance"; 2]);
        let second = governor.performance(&under("ondemand")).await.unwrap();
        drop(first);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(governors(&folder), ["performance"; 2], "the second holds it still");
        drop(second);
        until(&folder, "ondemand").await;

        // Nothing else is understood, and the end of the helper restores.
        let mut other = UnixStream::connect(&socket).await.unwrap();
        other.write_all(b"powersave\n").await.unwrap();
        let mut answer = String::new();
        other.read_to_string(&mut answer).await.unwrap();
        assert!(answer.contains("only `performance`"), "{answer}");
        let _held = governor.performance(&under("ondemand")).await.unwrap();
        stop.send(()).unwrap();
        serving.await.unwrap().unwrap();
        assert_eq!(governors(&folder), ["ondemand"; 2]);
    }

    #[tokio::test]
    async fn without_a_helper_the_board_stays_as_it_is_and_it_is_said() {
        let governor = Governor::new("/nonexistent/socket".into());
        let why = governor.performance(&under("ondemand")).await.unwrap_err();
        assert!(why.contains("stays ondemand") && why.contains("/nonexistent/socket"), "{why}");
        assert!(governor.performance(&under("performance")).await.is_ok());
        let why = governor.performance(&Conditions::default()).await.unwrap_err();
        assert!(why.contains("no frequency governor"), "{why}");
    }
}
