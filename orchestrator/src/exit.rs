//! How a command ends: its exit code, and the failure that it reports.

use std::fmt;
use std::process::ExitCode;

use crate::device::DeviceError;
use crate::spec::SpecError;
use crate::store::StoreError;

/// The exit codes of `orchestrator`. They are documented API: scripts and CI jobs branch on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well and every target was met.
    Ok = 0,
    /// A target was missed, or something got worse.
    TargetMissed = 1,
    /// The command line, a file that it names, or its content is wrong.
    Usage = 2,
    /// The evidence does not allow a verdict.
    Inconclusive = 3,
    /// The device, the connection to it, or the store failed.
    Lab = 4,
    /// Somebody else has the board.
    Busy = 5,
    /// The board is drained: it gives no leases.
    Draining = 6,
    /// The board is off its own history.
    Quarantined = 7,
    /// Ctrl-C or SIGTERM. What has been measured is kept.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command could not do its work: a chain of causes, and what to do next.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    error: anyhow::Error,
    next: Option<String>,
}

/// What a command returns.
pub type CommandResult = Result<Exit, Failure>;

impl Failure {
    /// A failure that ends with `exit`.
    pub fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self { exit, error: error.into(), next: None }
    }

    /// The user's input is wrong.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Usage, error)
    }

    /// Device, connection or store failed.
    pub fn lab(error: impl Into<anyhow::Error>) -> Self {
        Self::new(Exit::Lab, error)
    }

    /// Says what was being done, for the reader of the message: "failed to …".
    #[must_use]
    pub fn context(mut self, doing: impl fmt::Display + Send + Sync + 'static) -> Self {
        self.error = self.error.context(doing.to_string());
        self
    }

    /// Says what to do about it.
    #[must_use]
    pub fn next(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// The error of this kind that it is about.
    pub fn cause<E: fmt::Display + fmt::Debug + Send + Sync + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The step to take, if the failure knows one.
    pub fn next_step(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

impl From<SpecError> for Failure {
    fn from(error: SpecError) -> Self {
        Self::usage(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::lab(error)
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        match error {
            DeviceError::Address(_) => Self::usage(error),
            DeviceError::Busy { .. } | DeviceError::NotInTime { .. } => {
                Self::new(Exit::Busy, error)
            }
            DeviceError::Draining { .. } => Self::new(Exit::Draining, error),
            _ => Self::lab(error),
        }
    }
}

impl fmt::Display for Failure {
    /// One line per cause, the outermost first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.error)?;
        for cause in self.error.chain().skip(1) {
            write!(f, "\n  because: {cause}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes_in_order() {
        let failure = Failure::lab(anyhow::anyhow!("no route")).context("failed to reach pi3");
        assert_eq!(failure.to_string(), "failed to reach pi3\n  because: no route");
        assert_eq!(failure.exit as u8, 4);
    }
}
