//! What can go wrong with a board.

use std::path::PathBuf;
use std::time::Duration;

use quantrack_proto::identity::IdentityError;
use tonic::{Code, Status};

use super::address::AddressError;
use super::tls::TlsFault;

/// A board that cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The address makes no sense.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// No address belongs to the name.
    #[error("failed to resolve {host}: {detail}; check the name, or give the board's IP address")]
    Resolve {
        /// The name.
        host: String,
        /// Why.
        detail: String,
    },
    /// Nobody answers.
    #[error(
        "failed to reach an agent at {address}: {detail}; check that the board is on, and that \
         `agent serve` runs there and listens on that port"
    )]
    Unreachable {
        /// Where.
        address: String,
        /// Why.
        detail: String,
    },
    /// Nobody answers in time.
    #[error(
        "failed to reach an agent at {address} within {} s; check that the board is on and in this \
         network",
        waited.as_secs()
    )]
    NoAnswer {
        /// Where.
        address: String,
        /// How long.
        waited: Duration,
    },
    /// Somebody else has the board.
    #[error(
        "the board at {address} is busy: {detail}; wait in its queue with --wait 30m, or ask its \
         holder to stop"
    )]
    Busy {
        /// Where.
        address: String,
        /// What the agent said; it names the holder.
        detail: String,
    },
    /// Somebody else had the board for as long as we waited.
    #[error("the board at {address} did not become free: {detail}; wait longer with --wait")]
    NotInTime {
        /// Where.
        address: String,
        /// What the agent said; it names the holder and our place.
        detail: String,
    },
    /// The board gives no leases.
    #[error("the agent at {address} refuses: {detail}")]
    Draining {
        /// Where.
        address: String,
        /// What the agent said; it names the reason.
        detail: String,
    },
    /// Orchestrator and agent speak different versions.
    #[error(
        "the agent at {address} speaks version {theirs} of the interface, this orchestrator {ours}; \
         install the same release on both sides"
    )]
    Incompatible {
        /// Where.
        address: String,
        /// What the agent speaks.
        theirs: String,
        /// What we speak.
        ours: String,
    },
    /// The connection broke.
    #[error(
        "the board at {address} vanished while {doing}: {}; check its power and network, then \
         run the same command again: it resumes",
        causes(status.as_ref())
    )]
    Vanished {
        /// Where.
        address: String,
        /// What we were doing.
        doing: &'static str,
        /// What the connection said, with its causes.
        status: Box<Status>,
    },
    /// TLS does not come about.
    #[error("failed to speak with the board at {address} in trust: {fault}")]
    Tls {
        /// Where.
        address: String,
        /// Why.
        fault: TlsFault,
    },
    /// We have no certificate.
    #[error(
        "the board at {address} is beyond this machine and needs a client certificate, and there is none in {}; make an \
         authority with `orchestrator authority init`, or put there what whoever keeps the rack's authority has issued",
        folder.display()
    )]
    NoIdentity {
        /// Where the board is.
        address: String,
        /// Where our identity should be.
        folder: PathBuf,
    },
    /// Our certificate is unusable.
    #[error("failed to read our own certificate: {0}")]
    Identity(#[from] IdentityError),
    /// An IP address says nothing of whose certificate to expect.
    #[error("which board is at {address}? say whose certificate to expect, as in pi3-a@{address}")]
    Unnamed {
        /// Where.
        address: String,
    },
    /// The agent answered that it cannot.
    #[error("the agent at {address} failed at {doing}: {detail}")]
    Refused {
        /// Where.
        address: String,
        /// What we asked for.
        doing: &'static str,
        /// What the agent said, with its next step.
        detail: String,
    },
    /// The agent answered nonsense.
    #[error(
        "the agent at {address} broke the protocol while {doing}: {detail}; install the same release \
         on both sides"
    )]
    Protocol {
        /// Where.
        address: String,
        /// What we were doing.
        doing: &'static str,
        /// What was wrong.
        detail: String,
    },
    /// No agent program to start on this machine.
    #[error(
        "failed to find the agent program at {place}; build it (cargo build -p quantrack-agent), or \
         name it with --agent-bin or QUANTRACK_AGENT"
    )]
    NoLocalAgent {
        /// Where it was expected.
        place: String,
    },
    /// The agent that we started did not come up.
    #[error("failed to start a local agent from {program}: {detail}")]
    LocalAgent {
        /// The program.
        program: String,
        /// Why.
        detail: String,
    },
}

impl DeviceError {
    /// Names the cause of a failed call.
    pub(super) fn from_status(address: &str, doing: &'static str, status: &Status) -> Self {
        let address = address.to_owned();
        // A status with a source was made here, from a broken connection; the others were sent by the agent.
        let broken = std::error::Error::source(status).is_some();
        let vanished = match status.code() {
            Code::Unavailable | Code::Cancelled => true,
            Code::Unknown | Code::Internal | Code::DeadlineExceeded => broken,
            _ => false,
        };
        match status.code() {
            _ if vanished => Self::Vanished { address, doing, status: Box::new(status.clone()) },
            Code::Unimplemented => Self::Incompatible {
                address,
                theirs: format!("that lacks {doing}"),
                ours: quantrack_proto::API_VERSION.to_string(),
            },
            _ => Self::Refused { address, doing, detail: status.message().to_owned() },
        }
    }
}

/// An error and its causes on one line.
pub(super) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = match error.downcast_ref::<Status>() {
        Some(status) => status.message().to_owned(),
        None => error.to_string(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
