//! TLS with a board: who we are, whom we expect, and what to say when it does not come about.

use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use quantrack_proto::identity::{Identity, IdentityError, Trust, crypto, date, server_name};
use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

/// Why a board and we do not believe each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// Our own certificate has ended.
    #[error(
        "our own certificate expired at {not_after} and this machine's clock says {now}; get a new one from whoever keeps \
         the authority (`orchestrator authority issue`), or set the clock"
    )]
    OwnExpired {
        /// When.
        not_after: String,
        /// What time it is here.
        now: String,
    },
    /// Our own certificate has not begun.
    #[error(
        "our own certificate is not valid before {not_before} and this machine's clock says {now}; set the clock"
    )]
    OwnEarly {
        /// When it begins.
        not_before: String,
        /// What time it is here.
        now: String,
    },
    /// The board's certificate is somebody else's.
    #[error(
        "its certificate is that of {shown}, not of board {expected}; check the address, or say NAME@HOST if the board's \
         name is another than that of its host"
    )]
    OtherName {
        /// Whom we expected.
        expected: String,
        /// Whom it names.
        shown: String,
    },
    /// The board's certificate is not of an authority of ours.
    #[error(
        "no authority that we believe has signed its certificate; enrol the board with our authority (`orchestrator \
         device enroll`), or name the folder of the identity that belongs to its rack with --identity"
    )]
    OtherAuthority,
    /// The board's certificate has ended.
    #[error(
        "its certificate expired at {not_after} and this machine's clock says {now}; enrol it again, or set the clock"
    )]
    Expired {
        /// When.
        not_after: String,
        /// What time it is here.
        now: String,
    },
    /// The board's certificate has not begun.
    #[error(
        "its certificate is not valid before {not_before} and this machine's clock says {now}; set the clock"
    )]
    Early {
        /// When it begins.
        not_before: String,
        /// What time it is here.
        now: String,
    },
    /// The board's certificate was revoked.
    #[error("its certificate is revoked; if the board is to be used again, enrol it again")]
    Revoked,
    /// The board has refused us.
    #[error(
        "the board refuses our certificate and tells the cause only to its own log: see `journalctl -u quantrack-agent` \
         there. It may be revoked, or of another authority{hint}"
    )]
    Refused {
        /// What we can know by ourselves.
        hint: String,
    },
    /// The other end does something else.
    #[error("it speaks no TLS; check the port, and that the board is enrolled")]
    NoTls,
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// Our identity, ready for connections.
#[derive(Clone)]
pub(super) struct Credentials {
    config: Arc<ClientConfig>,
    trust: Trust,
    folder: PathBuf,
    /// Whether our own lists name our own certificate.
    own_revoked: bool,
}

impl Credentials {
    pub(super) fn load(folder: &Path) -> Result<Self, CredentialsError> {
        let identity = Identity::load(folder)?;
        let own = identity.certificate()?;
        let now = UnixTime::now();
        if own.not_after() < now {
            let (not_after, now) = (date(own.not_after()), date(now));
            return Err(TlsFault::OwnExpired { not_after, now }.into());
        }
        if now < own.not_before() {
            let (not_before, now) = (date(own.not_before()), date(now));
            return Err(TlsFault::OwnEarly { not_before, now }.into());
        }
        let own_revoked = identity.trust.revokes(&own);
        let trust = identity.trust.clone();
        let other = |error: &dyn ToString| TlsFault::Other(error.to_string());
        let mut config = ClientConfig::builder_with_provider(crypto())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(|error| other(&error))?
            .with_webpki_verifier(trust.server_verifier()?)
            .with_client_auth_cert(identity.chain, identity.key)
            .map_err(|error| other(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec()];
        config.resumption = Resumption::disabled();
        // The name would go over the network in the clear, and a board has one certificate only.
        config.enable_sni = false;
        Ok(Self { config: Arc::new(config), trust, folder: folder.to_owned(), own_revoked })
    }

    /// Opens a channel to the board of this name at `place`; it connects again by itself.
    pub(super) async fn connect(
        &self,
        endpoint: Endpoint,
        place: SocketAddr,
        board: &str,
    ) -> Result<Channel, tonic::transport::Error> {
        let (config, board) = (Arc::clone(&self.config), board.to_owned());
        let connector = tower::service_fn(move |_: Uri| {
            let (config, board) = (Arc::clone(&config), board.clone());
            async move {
                let name = server_name(&board).map_err(io::Error::other)?;
                Ok::<_, io::Error>(TokioIo::new(handshake(config, place, name).await?))
            }
        });
        endpoint.connect_with_connector(connector).await
    }

    /// The lists of what is revoked that we know.
    pub(super) fn lists_pem(&self) -> String {
        self.trust.lists_pem()
    }

    /// Keeps the lists that a board has sent, if they are later than ours.
    pub(super) fn learn(&self, revoked: &str) -> Result<(), IdentityError> {
        if self.trust.learn(revoked, &self.folder)? {
            tracing::info!("learnt from the board which certificates are revoked");
        }
        Ok(())
    }

    /// What a broken connection means, if it is about certificates. `board` is whom we expected.
    pub(super) fn fault(&self, error: &(dyn StdError + 'static), board: &str) -> Option<TlsFault> {
        let mut next = Some(error);
        while let Some(cause) = next {
            let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<Error>()) {
                return Some(self.explain(error, board));
            }
            // By the time that HTTP/2 tells of it, an alert is a text.
            if cause.to_string().contains("received fatal alert") {
                return Some(self.refused());
            }
            next = cause.source();
        }
        None
    }

    fn refused(&self) -> TlsFault {
        let hint = if self.own_revoked {
            "; by what we know ourselves, it is revoked"
        } else {
            ", or the board's clock may be wrong"
        };
        TlsFault::Refused { hint: hint.to_owned() }
    }

    fn explain(&self, error: &Error, board: &str) -> TlsFault {
        match error {
            Error::InvalidCertificate(error) => certificate_fault(error, board),
            Error::AlertReceived(_) => self.refused(),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => TlsFault::NoTls,
            other => TlsFault::Other(other.to_string()),
        }
    }
}

/// Why our identity is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error(transparent)]
    Tls(#[from] TlsFault),
}

async fn handshake(
    config: Arc<ClientConfig>,
    place: SocketAddr,
    name: ServerName<'static>,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(place).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(config).connect(name, stream).await
}

fn certificate_fault(error: &CertificateError, board: &str) -> TlsFault {
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            TlsFault::OtherAuthority
        }
        CertificateError::Revoked => TlsFault::Revoked,
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().map(|name| shown_name(name)).collect();
            TlsFault::OtherName { expected: board.to_owned(), shown: names.join(", ") }
        }
        CertificateError::ExpiredContext { time, not_after } => {
            TlsFault::Expired { not_after: date(*not_after), now: date(*time) }
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            TlsFault::Early { not_before: date(*not_before), now: date(*time) }
        }
        other => TlsFault::Other(other.to_string()),
    }
}

/// "pi3-a" from `DnsName("pi3-a.board.quantrack.internal")`.
fn shown_name(presented: &str) -> &str {
    let inner = presented.split_once('"').map_or(presented, |(_, rest)| rest);
    inner.split_once('.').map_or(inner, |(name, _)| name)
}
