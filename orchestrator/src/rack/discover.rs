//! Agents that announce themselves in the local network, by DNS service discovery over multicast.

use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceEvent};
use serde::Serialize;

/// The service as which boards announce their agents (`deploy/avahi`).
const SERVICE: &str = "_quantrack._tcp.local.";

/// An agent that has announced itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Found {
    /// The name of the announcement: that of the board.
    pub name: String,
    /// HOST:PORT.
    pub address: String,
}

/// Listens for announcements for so long.
///
/// # Errors
/// When there is no network to listen in.
pub async fn discover(time: Duration) -> Result<Vec<Found>, mdns_sd::Error> {
    let daemon = ServiceDaemon::new()?;
    let events = daemon.browse(SERVICE)?;
    let mut found = Vec::new();
    let listening = async {
        while let Ok(event) = events.recv_async().await {
            if let ServiceEvent::ServiceResolved(service) = event {
                let name = service.fullname.trim_end_matches(SERVICE).trim_end_matches('.');
                let host = service.host.trim_end_matches('.');
                let address = format!("{host}:{}", service.port);
                found.push(Found { name: name.to_owned(), address });
            }
        }
    };
    let _ = tokio::time::timeout(time, listening).await;
    // The daemon's thread ends by itself if it does not get this message.
    let _ = daemon.shutdown();
    found.sort();
    found.dedup();
    Ok(found)
}
