//! Running scripts on a board.

use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::error::EnrollError;

/// ssh ends with this code when it fails itself.
const SSH_FAILED: i32 = 255;

/// A board that ssh reaches.
#[derive(Debug)]
pub struct Remote {
    target: String,
    /// Where ssh keeps the connection that all calls share, so that it asks for a password once.
    control: TempDir,
}

/// What a script printed.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) success: bool,
}

impl Remote {
    /// The board that `ssh target` reaches.
    ///
    /// # Errors
    /// When there is no place for a socket.
    pub fn new(target: &str) -> Result<Self, EnrollError> {
        let control = TempDir::with_prefix("quantrack-ssh-");
        Ok(Self { target: target.to_owned(), control: control.map_err(EnrollError::NoSsh)? })
    }

    /// As the user wrote it.
    pub fn target(&self) -> &str {
        &self.target
    }

    fn ssh(&self) -> Command {
        let mut ssh = Command::new("ssh");
        let socket = self.control.path().join("%C");
        ssh.args([
            "-o",
            "ControlMaster=auto",
            "-o",
            "ControlPersist=60",
            "-o",
            "ConnectTimeout=10",
        ])
        .arg("-o")
        .arg(format!("ControlPath={}", socket.display()))
        .kill_on_drop(true);
        ssh
    }

    /// The host that ssh's configuration makes of the target.
    ///
    /// # Errors
    /// When there is no ssh.
    pub async fn host(&self) -> Result<String, EnrollError> {
        let output = self.ssh().arg("-G").arg(&self.target).output().await;
        let output = output.map_err(EnrollError::NoSsh)?;
        let said = String::from_utf8_lossy(&output.stdout);
        let host = said.lines().find_map(|line| line.strip_prefix("hostname "));
        let own = || self.target.rsplit('@').next().unwrap_or_default().to_owned();
        Ok(host.map_or_else(own, str::to_owned))
    }

    /// Runs `script` with `input` on its standard input.
    pub(super) async fn ask(&self, script: &str, input: &[u8]) -> Result<Answer, EnrollError> {
        let mut ssh = self.ssh();
        ssh.arg(&self.target).arg(format!("exec sh -euc {}", quote(script)));
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = ssh.spawn().map_err(EnrollError::NoSsh)?;
        let stdin = child.stdin.take();
        let send = async move {
            if let Some(mut stdin) = stdin {
                // A script that has ended early says why by itself.
                let _ = stdin.write_all(input).await;
                let _ = stdin.shutdown().await;
            }
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), send);
        let output = output.map_err(EnrollError::NoSsh)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
        if output.status.code() == Some(SSH_FAILED) {
            let last = stderr.lines().last().unwrap_or("it says nothing").to_owned();
            return Err(EnrollError::Ssh { target: self.target.clone(), detail: last });
        }
        Ok(Answer { stdout, stderr, success: output.status.success() })
    }

    /// Runs `script`, which has to succeed.
    pub(super) async fn run(
        &self,
        doing: &'static str,
        script: &str,
        input: &[u8],
    ) -> Result<String, EnrollError> {
        let answer = self.ask(script, input).await?;
        if answer.success {
            return Ok(answer.stdout);
        }
        let detail = if answer.stderr.is_empty() { answer.stdout } else { answer.stderr };
        Err(EnrollError::Script { target: self.target.clone(), doing, detail })
    }
}

/// A text as one word for a shell.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_survive_a_shell() {
        let text = "echo \"$HOME\" 'it''s' \\ `x` \n;";
        let script = format!("printf %s {}", quote(text));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
}
