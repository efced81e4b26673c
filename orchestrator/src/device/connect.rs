//! Connecting to a board.

use std::path::PathBuf;
use std::time::Duration;

use tonic::transport::{Channel, Endpoint};

use super::address::{Address, resolve};
use super::client::Device;
use super::error::{DeviceError, causes};
use super::local::LocalAgent;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a silent connection is probed, and how long an answer may take until the board counts as gone.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// Connects to boards.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// The agent program for `local`; `None`: the one beside this program.
    pub agent_program: Option<PathBuf>,
}

impl Connector {
    /// Connects to the board at `address`, for `local` after starting an agent.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn connect(&self, address: &Address) -> Result<Device, DeviceError> {
        match address {
            Address::Local => {
                let local = LocalAgent::start(self.agent_program.as_deref()).await?;
                let channel = channel(&format!("127.0.0.1:{}", local.port)).await?;
                Device::greet(channel, address.to_string(), Some(local)).await
            }
            Address::Remote { host, port } => {
                let mut last = None;
                for place in resolve(host, *port).await? {
                    match channel(&place.to_string()).await {
                        Ok(channel) => {
                            return Device::greet(channel, address.to_string(), None).await;
                        }
                        Err(error) => last = Some(error),
                    }
                }
                Err(last.unwrap_or_else(|| DeviceError::Unreachable {
                    address: address.to_string(),
                    detail: "it has no address".to_owned(),
                }))
            }
        }
    }
}

async fn channel(place: &str) -> Result<Channel, DeviceError> {
    let fault = |detail: String| DeviceError::Unreachable { address: place.to_owned(), detail };
    let endpoint = Endpoint::from_shared(format!("http://{place}"))
        .map_err(|error| fault(error.to_string()))?
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .keep_alive_while_idle(true);
    match tokio::time::timeout(CONNECT_TIMEOUT, endpoint.connect()).await {
        Ok(connected) => connected.map_err(|error| fault(causes(&error))),
        Err(_) => {
            let address = place.to_owned();
            Err(DeviceError::NoAnswer { address, waited: CONNECT_TIMEOUT })
        }
    }
}
