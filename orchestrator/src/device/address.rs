//! How the user names a board, and which socket addresses that means.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use mdns_sd::{HostnameResolutionEvent, ServiceDaemon};
use quantrack_proto::DEFAULT_PORT;
use quantrack_proto::identity::Subject;

use super::error::DeviceError;

/// How long names of the local network are asked for.
const MDNS_TIMEOUT: Duration = Duration::from_secs(4);

/// A board as the user names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This machine: an agent of our own is started for the run.
    Local,
    /// An agent that is running somewhere.
    Remote {
        /// Name or IP address.
        host: String,
        /// Port.
        port: u16,
        /// Name in the board's certificate, where it is said.
        board: Option<String>,
    },
}

/// Text that names no board.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} names no device ({why}); use `local`, HOST, HOST:PORT or BOARD@HOST:PORT")]
pub struct AddressError {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault = |why| AddressError { text: text.to_owned(), why };
        if text == "local" {
            return Ok(Self::Local);
        }
        let (board, text) = match text.split_once('@') {
            Some((board, rest)) => {
                let named = Subject::board(board).map(|_| board.to_owned());
                (Some(named.map_err(|_| fault("no board can have that name"))?), rest)
            }
            None => (None, text),
        };
        if text.parse::<Ipv6Addr>().is_ok() {
            return Ok(Self::Remote { host: text.to_owned(), port: DEFAULT_PORT, board });
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        let (host, port) = match (text.strip_prefix('['), port) {
            // "[::1]" without a port ends in a bracket that the split has torn apart.
            (Some(rest), Some(port)) if port.ends_with(']') => {
                (rest.strip_suffix(']').unwrap_or(rest), None)
            }
            (Some(_), port) => {
                let inner = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
                (inner.ok_or_else(|| fault("the bracket is not closed"))?, port)
            }
            (None, port) => (host, port),
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| fault("the port is no number up to 65535"))?,
            None => DEFAULT_PORT,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-_:%".contains(c);
        if host.is_empty() || !host.chars().all(plain) {
            return Err(fault("the host is not a name or an IP address"));
        }
        if port == 0 {
            return Err(fault("port 0 is no port"));
        }
        Ok(Self::Remote { host: host.to_owned(), port, board })
    }
}

impl Address {
    /// The same place, where this board is expected.
    #[must_use]
    pub fn naming(self, name: &str) -> Self {
        match self {
            Self::Local => Self::Local,
            Self::Remote { host, port, .. } => {
                Self::Remote { host, port, board: Some(name.to_owned()) }
            }
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local => f.write_str("local"),
            Self::Remote { host, port, board } => {
                if let Some(board) = board {
                    write!(f, "{board}@")?;
                }
                if host.contains(':') {
                    write!(f, "[{host}]:{port}")
                } else {
                    write!(f, "{host}:{port}")
                }
            }
        }
    }
}

/// The name in the certificate of a board that is only called by its host: what the board calls itself.
pub(super) fn board_of_host(host: &str) -> Option<String> {
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    host.split('.').next().map(str::to_ascii_lowercase)
}

/// The socket addresses of a name, in the order to try them.
///
/// Names in `.local` are asked for by multicast DNS directly: the resolver of a static binary does not know them.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DeviceError> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let fault = |detail: String| DeviceError::Resolve { host: host.to_owned(), detail };
    let mut found = if host.to_ascii_lowercase().trim_end_matches('.').ends_with(".local") {
        resolve_mdns(host, port).await.map_err(fault)?
    } else {
        let found = tokio::net::lookup_host((host, port)).await;
        found.map_err(|error| fault(error.to_string()))?.collect()
    };
    if found.is_empty() {
        return Err(fault("nobody answers to that name".to_owned()));
    }
    // IPv4 first: link-local IPv6 addresses, which multicast DNS likes to give, need a scope to be reached.
    found.sort_by_key(|address| (address.is_ipv6(), *address));
    found.dedup();
    Ok(found)
}

async fn resolve_mdns(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let name = format!("{}.", host.trim_end_matches('.'));
    let daemon = ServiceDaemon::new().map_err(|error| error.to_string())?;
    let timeout_ms = u64::try_from(MDNS_TIMEOUT.as_millis()).unwrap_or(u64::MAX);
    let events =
        daemon.resolve_hostname(&name, Some(timeout_ms)).map_err(|error| error.to_string())?;
    let search = async {
        while let Ok(event) = events.recv_async().await {
            match event {
                HostnameResolutionEvent::AddressesFound(_, found) => {
                    let addresses = found.iter().map(|ip| SocketAddr::new(ip.to_ip_addr(), port));
                    return addresses.collect();
                }
                HostnameResolutionEvent::SearchTimeout(_)
                | HostnameResolutionEvent::SearchStopped(_) => break,
                _ => {}
            }
        }
        Vec::new()
    };
    let found = tokio::time::timeout(MDNS_TIMEOUT + Duration::from_secs(1), search).await;
    // The daemon's thread ends by itself if it does not get this message.
    let _ = daemon.shutdown();
    Ok(found.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_parse_with_and_without_ports() {
        for (text, shown) in [
            ("local", "local"),
            ("pi3.local", "pi3.local:50051"),
            ("10.0.0.7:99", "10.0.0.7:99"),
            ("::1", "[::1]:50051"),
            ("[::1]", "[::1]:50051"),
            ("[::1]:99", "[::1]:99"),
            ("pi3-a@10.0.0.7", "pi3-a@10.0.0.7:50051"),
            ("pi3-a@[::1]:99", "pi3-a@[::1]:99"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
        for text in [
            "",
            ":1",
            "pi3:",
            "pi3:http",
            "pi3:70000",
            "a b",
            "http://pi3",
            "[::1",
            "pi3:0",
            "A@pi3",
            "@pi3",
            "a@",
        ] {
            let message = text.parse::<Address>().unwrap_err().to_string();
            assert!(message.contains("HOST:PORT"), "{message}");
        }
    }

    #[tokio::test]
    async fn numbers_need_no_resolver_and_unknown_names_are_named() {
        let found = resolve("127.0.0.1", 7).await.unwrap();
        assert_eq!(found, ["127.0.0.1:7".parse().unwrap()]);
        let message = resolve("no-such-host.invalid", 7).await.unwrap_err().to_string();
        assert!(message.contains("no-such-host.invalid"), "{message}");
    }
}
