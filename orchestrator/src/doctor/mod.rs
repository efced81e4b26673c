//! What can be wrong with a board, from its name to its clock, each with its remedy.

mod checks;

use std::time::Duration;

use serde::Serialize;
use tokio::net::TcpStream;

use crate::device::{Address, Connector, DeviceError, resolve};

pub use checks::judge;

/// How long a port may take to answer.
const PORT_TIMEOUT: Duration = Duration::from_secs(6);

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// As it should be.
    Ok,
    /// The board does not say.
    Unknown,
    /// Measurements are worse for it.
    Warning,
    /// The board cannot be used.
    Failed,
}

/// What one check has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: &'static str,
    /// How bad it is.
    pub state: State,
    /// What was found.
    pub found: String,
    /// What to do about it.
    pub remedy: Option<String>,
}

impl Finding {
    fn new(check: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { check, state, found: found.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// Looks at a board until something stands in the way of looking further.
pub async fn examine(connector: &Connector, address: &Address) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Address::Remote { host, port, .. } = address {
        let places = match resolve(host, *port).await {
            Ok(places) => places,
            Err(error) => {
                findings.push(Finding::new("name", State::Failed, error.to_string()).remedy(
                    "switch the board on and connect it to this network; names in .local need multicast, which some \
                     routers and VPNs keep back: its IP address, as in NAME@10.0.0.7, does without",
                ));
                return findings;
            }
        };
        let shown: Vec<String> = places.iter().map(|place| place.ip().to_string()).collect();
        findings.push(Finding::new("name", State::Ok, shown.join(", ")));
        let port = port_finding(&places).await;
        let closed = port.state == State::Failed;
        findings.push(port);
        if closed {
            return findings;
        }
    }
    match connector.connect(address).await {
        Ok(device) => {
            let tls = if device.is_secure() {
                "with certificates on both sides"
            } else {
                "loopback, without TLS"
            };
            findings.push(Finding::new("tls", State::Ok, tls));
            findings.extend(checks::of_device(&device).await);
        }
        Err(error) => findings.push(refused(&error)),
    }
    findings
}

async fn port_finding(places: &[std::net::SocketAddr]) -> Finding {
    let mut causes = Vec::new();
    for place in places {
        let opened = tokio::time::timeout(PORT_TIMEOUT, TcpStream::connect(place)).await;
        let cause = match opened {
            Ok(Ok(_)) => return Finding::new("port", State::Ok, format!("{place} is open")),
            Ok(Err(error)) => format!("{place}: {error}"),
            Err(_) => format!("{place}: no answer within {} s", PORT_TIMEOUT.as_secs()),
        };
        causes.push(cause);
    }
    Finding::new("port", State::Failed, causes.join("; ")).remedy(
        "`systemctl status quantrack-agent` on the board tells whether the agent runs, `cat /etc/quantrack/agent.env` where \
         it listens; `orchestrator device enroll` sets both right; no answer at all points to a firewall, or to a board \
         that is off",
    )
}

/// Why a board whose port is open cannot be used. These errors bring their remedies themselves.
fn refused(error: &DeviceError) -> Finding {
    let check = match error {
        DeviceError::Tls { .. }
        | DeviceError::NoIdentity { .. }
        | DeviceError::Identity(_)
        | DeviceError::Unnamed { .. } => "tls",
        DeviceError::Incompatible { .. } => "version",
        _ => "agent",
    };
    Finding::new(check, State::Failed, error.to_string())
}
