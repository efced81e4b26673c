//! Connecting to a board.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quantrack_proto::identity::KEY_FILE;
use tonic::transport::{Channel, Endpoint};

use super::address::{Address, board_of_host, resolve};
use super::client::Device;
use super::error::{DeviceError, causes};
use super::local::LocalAgent;
use super::tls::{Credentials, CredentialsError};
use crate::authority::identity_folder;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(6);
/// How often a silent connection is probed, and how long an answer may take until the board counts as gone.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(20));

/// Connects to boards.
#[derive(Clone, Debug, Default)]
pub struct Connector {
    /// The agent program for `local`; `None`: the one beside this program.
    pub agent_program: Option<PathBuf>,
    /// The folder of our identity, for boards beyond loopback; `None`: the usual one.
    pub identity: Option<PathBuf>,
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
                let place = SocketAddr::from(([127, 0, 0, 1], local.port));
                let channel = plain(place).await?;
                Device::greet(channel, address.to_string(), Some(local)).await
            }
            Address::Remote { host, port, board } => {
                let mut last = None;
                for place in resolve(host, *port).await? {
                    let opened = if place.ip().is_loopback() && board.is_none() {
                        self.without_tls(place, address).await
                    } else {
                        let board = board.clone().or_else(|| board_of_host(host));
                        self.with_tls(place, address, board).await
                    };
                    match opened {
                        Err(
                            error
                            @ (DeviceError::Unreachable { .. } | DeviceError::NoAnswer { .. }),
                        ) => last = Some(error),
                        opened => return opened,
                    }
                }
                Err(last.unwrap_or_else(|| DeviceError::Unreachable {
                    address: address.to_string(),
                    detail: "it has no address".to_owned(),
                }))
            }
        }
    }

    async fn without_tls(
        &self,
        place: SocketAddr,
        address: &Address,
    ) -> Result<Device, DeviceError> {
        Device::greet(plain(place).await?, address.to_string(), None).await
    }

    async fn with_tls(
        &self,
        place: SocketAddr,
        address: &Address,
        board: Option<String>,
    ) -> Result<Device, DeviceError> {
        let shown = address.to_string();
        let board = board.ok_or_else(|| DeviceError::Unnamed { address: shown.clone() })?;
        let credentials = self.credentials(&shown)?;
        let tls = |fault| DeviceError::Tls { address: shown.clone(), fault };
        let opened = credentials.connect(endpoint(place)?, place, &board);
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, opened).await;
        let channel = opened.map_err(|_| no_answer(place))?.map_err(|error| {
            credentials.fault(&error, &board).map_or_else(|| unreachable(place, &error), tls)
        })?;
        // A board tells that it refuses a certificate when it is asked for something.
        let device = Device::greet(channel, shown.clone(), None).await.map_err(|error| {
            let fault = match &error {
                DeviceError::Vanished { status, .. } => credentials.fault(status.as_ref(), &board),
                _ => None,
            };
            fault.map_or(error, tls)
        })?;
        let lists = device.exchange_lists(credentials.lists_pem()).await;
        let learnt = lists.map(|lists| credentials.learn(&lists));
        match learnt {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!("the board's lists of revoked certificates: {error}"),
            Err(error) => tracing::warn!("{error}"),
        }
        Ok(device.secured())
    }

    fn credentials(&self, address: &str) -> Result<Credentials, DeviceError> {
        let folder = self.identity.clone().or_else(identity_folder).unwrap_or_default();
        if !folder.join(KEY_FILE).exists() {
            return Err(DeviceError::NoIdentity { address: address.to_owned(), folder });
        }
        Credentials::load(&folder).map_err(|error| match error {
            CredentialsError::Tls(fault) => DeviceError::Tls { address: address.to_owned(), fault },
            CredentialsError::Identity(error) => DeviceError::Identity(error),
        })
    }
}

fn endpoint(place: SocketAddr) -> Result<Endpoint, DeviceError> {
    let endpoint = Endpoint::from_shared(format!("http://{place}"));
    let endpoint = endpoint.map_err(|error| unreachable(place, &error))?;
    Ok(endpoint
        .http2_keep_alive_interval(KEEP_ALIVE.0)
        .keep_alive_timeout(KEEP_ALIVE.1)
        .keep_alive_while_idle(true))
}

async fn plain(place: SocketAddr) -> Result<Channel, DeviceError> {
    match tokio::time::timeout(CONNECT_TIMEOUT, endpoint(place)?.connect()).await {
        Ok(connected) => connected.map_err(|error| unreachable(place, &error)),
        Err(_) => Err(no_answer(place)),
    }
}

fn unreachable(place: SocketAddr, error: &tonic::transport::Error) -> DeviceError {
    DeviceError::Unreachable { address: place.to_string(), detail: causes(error) }
}

fn no_answer(place: SocketAddr) -> DeviceError {
    DeviceError::NoAnswer { address: place.to_string(), waited: CONNECT_TIMEOUT }
}
