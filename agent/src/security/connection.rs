//! Accepting connections.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use quantrack_proto::identity::{Role, Subject};
use rustls::{CertificateError, Error, InvalidMessage};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

use super::identity::Security;

/// How long a peer may take to show its certificate.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a peer that was refused may take to hang up.
const LINGER: Duration = Duration::from_secs(1);
/// How many peers may be at it at the same time.
const HANDSHAKES: usize = 32;
/// How long to wait when the system has nothing to connect with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Who sends requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on this machine, without TLS, who may do everything.
    Loopback,
    /// Somebody with a certificate.
    Client {
        /// The name in it.
        name: String,
        /// The role in it.
        role: Role,
    },
}

impl Peer {
    /// What the peer may do.
    pub fn role(&self) -> Role {
        match self {
            Self::Loopback => Role::Admin,
            Self::Client { role, .. } => *role,
        }
    }
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection that has been let in.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    peer: Peer,
    /// Set when the peer's certificate is revoked.
    cut: Arc<AtomicBool>,
}

/// Connections from `listener`, with TLS unless there is no `security`.
pub fn incoming(
    listener: TcpListener,
    security: Option<Arc<Security>>,
) -> ReceiverStream<io::Result<Connection>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(accept(listener, security, sender));
    ReceiverStream::new(receiver)
}

async fn accept(
    listener: TcpListener,
    security: Option<Arc<Security>>,
    accepted: mpsc::Sender<io::Result<Connection>>,
) {
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
    loop {
        let next = tokio::select! {
            next = listener.accept() => next,
            () = accepted.closed() => return,
        };
        let (stream, from) = match next {
            Ok(next) => next,
            Err(error) => {
                tracing::warn!("failed to accept a connection: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Only costs latency where it fails.
        let _ = stream.set_nodelay(true);
        let Some(security) = security.clone() else {
            let _ = accepted.send(Ok(Connection::plain(stream))).await;
            continue;
        };
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            tracing::warn!("refused a connection from {from}: too many at once");
            continue;
        };
        let accepted = accepted.clone();
        tokio::spawn(async move {
            match handshake(stream, from, &security).await {
                Ok(connection) => drop(accepted.send(Ok(connection)).await),
                Err(cause) => tracing::warn!("refused a connection from {from}: {cause}"),
            }
            drop(permit);
        });
    }
}

async fn handshake(
    stream: TcpStream,
    from: SocketAddr,
    security: &Security,
) -> Result<Connection, String> {
    let acceptor = TlsAcceptor::from(security.config());
    let accepting = acceptor.accept(stream).into_fallible();
    let waited = tokio::time::timeout(HANDSHAKE_TIMEOUT, accepting).await;
    let waited = waited.map_err(|_| format!("no handshake within {HANDSHAKE_TIMEOUT:?}"))?;
    let stream = match waited {
        Ok(stream) => stream,
        Err((error, stream)) => {
            linger(stream).await;
            return Err(cause(&error));
        }
    };
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let chain = chain.iter().map(|certificate| certificate.clone().into_owned()).collect();
    let (subject, cut) = security.watch(chain).map_err(|refusal| refusal.to_string())?;
    let Subject::Client { name, role } = subject else {
        return Err("its certificate names no client".to_owned());
    };
    tracing::debug!("{name} ({role}) connected from {from}");
    let peer = Peer::Client { name, role };
    Ok(Connection { stream: Stream::Tls(Box::new(stream)), peer, cut })
}

/// Lets the peer read that it was refused: closed at once, with bytes of it unread, the connection would be reset.
async fn linger(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(&mut stream, &mut nowhere);
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// Why a handshake failed, for the log.
fn cause(error: &io::Error) -> String {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match inner {
        Some(Error::InvalidCertificate(CertificateError::Other(refusal))) => refusal.0.to_string(),
        Some(Error::NoCertificatesPresented) => "it shows no certificate".to_owned(),
        Some(Error::AlertReceived(alert)) => {
            format!("it does not believe this board's certificate ({alert:?})")
        }
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "it does not speak TLS".to_owned()
        }
        Some(other) => other.to_string(),
        None => error.to_string(),
    }
}

impl Connection {
    fn plain(stream: TcpStream) -> Self {
        Self { stream: Stream::Plain(stream), peer: Peer::Loopback, cut: Arc::default() }
    }

    fn check(&self) -> io::Result<()> {
        if self.cut.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Ok(())
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
