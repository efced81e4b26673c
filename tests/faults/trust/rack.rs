//! An authority, identities of it, and agents in this process whose clocks say what a test wants.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use quantrack_agent::blobs::Blobs;
use quantrack_agent::board::Root;
use quantrack_agent::governor::Governor;
use quantrack_agent::security::{BoardClock, Security};
use quantrack_agent::service::{AgentService, Config, serve};
use quantrack_agent::worker::Launcher;
use quantrack_orchestrator::authority::{Authority, Credentials, days, save_credentials};
use quantrack_orchestrator::device::{Connector, Device, DeviceError};
use quantrack_proto::identity::{Identity, Role, Subject, crypto, server_name};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, SanType};
use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::UnixTime;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What all agents of this process have logged.
static LOG: LazyLock<Arc<Mutex<Vec<u8>>>> = LazyLock::new(|| {
    let log = Arc::new(Mutex::new(Vec::new()));
    let writer = Arc::clone(&log);
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || Sink(Arc::clone(&writer)))
        .init();
    log
});

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Waits until the log has a line with all of these words.
pub(super) async fn logged(words: &[&str]) {
    for _ in 0..200 {
        let log = String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned();
        if log.lines().any(|line| words.iter().all(|word| line.contains(word))) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("no line with {words:?} in {}", String::from_utf8_lossy(&LOG.lock().unwrap()));
}

pub(super) struct Rack {
    folder: TempDir,
}

impl Rack {
    pub(super) fn new() -> Self {
        LazyLock::force(&LOG);
        let folder = TempDir::new().unwrap();
        Authority::init(&folder.path().join("authority")).unwrap();
        Self { folder }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(super) fn authority(&self) -> Authority {
        Authority::open(&self.path("authority")).unwrap()
    }

    pub(super) fn issue(&self, subject: &Subject) -> PathBuf {
        let credentials = self.authority().issue(subject, days(365), None).unwrap();
        self.save(subject.name(), &credentials)
    }

    pub(super) fn save(&self, name: &str, credentials: &Credentials) -> PathBuf {
        let folder = self.path(name);
        save_credentials(&folder, credentials).unwrap();
        folder
    }

    pub(super) fn client(&self, name: &str, role: Role) -> PathBuf {
        self.issue(&Subject::client(name, role).unwrap())
    }

    /// A certificate that the authority's key has signed and its commands would not have issued.
    pub(super) fn forged(
        &self,
        name: &str,
        dns_names: &[String],
        usage: ExtendedKeyUsagePurpose,
        validity: [i64; 2],
    ) -> PathBuf {
        let text = std::fs::read_to_string(self.path("authority/authority-1.key.pem")).unwrap();
        let mut issuer = CertificateParams::default();
        issuer.distinguished_name = rcgen::DistinguishedName::new();
        issuer.distinguished_name.push(rcgen::DnType::CommonName, "quantrack authority 1");
        let issuer = Issuer::new(issuer, KeyPair::from_pem(&text).unwrap());
        let mut params = CertificateParams::default();
        for name in dns_names {
            params.subject_alt_names.push(SanType::DnsName(name.as_str().try_into().unwrap()));
        }
        let at = |day: i64| time::OffsetDateTime::now_utc() + time::Duration::days(day);
        [params.not_before, params.not_after] = validity.map(at);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().pem();
        let authority = self.authority();
        let credentials = authority.credentials(certificate).unwrap();
        self.save(name, &Credentials { key: Some(key.serialize_pem()), ..credentials })
    }
}

/// What a board's clock says: days from now, and whether the system says that it is right.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    pub(super) days: i64,
    pub(super) set: bool,
}

pub(super) const RIGHT: Clock = Clock { days: 0, set: true };

/// An agent in this process.
pub(super) struct Board {
    pub(super) port: u16,
    runtime: Option<tokio::runtime::Runtime>,
    _state: TempDir,
}

impl Drop for Board {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Board {
    pub(super) async fn start(identity: &Path, clock: Clock) -> Self {
        let state = TempDir::new().unwrap();
        if clock.set {
            let folder = state.path().join("run/systemd/timesync");
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join("synchronized"), "").unwrap();
        }
        let root = Root::new(state.path());
        let now = move || {
            let seconds = UnixTime::now().as_secs().saturating_add_signed(clock.days * 86_400);
            UnixTime::since_unix_epoch(Duration::from_secs(seconds))
        };
        let clock = BoardClock::reading(root.clone(), false, Arc::new(now));
        let security = Arc::new(Security::open(identity, clock).unwrap());
        let service = AgentService::new(Config {
            root,
            blobs: Blobs::open(state.path(), 1 << 20).unwrap(),
            launcher: Launcher::default(),
            order_deadline: Duration::from_secs(5),
            governor: Governor::new(state.path().join("governor")),
            shared_machine: true,
            security: Some(security),
        });
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (send, bound) = tokio::sync::oneshot::channel();
        runtime.spawn(async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap().port()).unwrap();
            serve(listener, service, std::future::pending()).await.unwrap();
        });
        Self { port: bound.await.unwrap(), runtime: Some(runtime), _state: state }
    }

    pub(super) async fn connect(&self, identity: &Path) -> Result<Device, DeviceError> {
        self.connect_as("pi3-a", identity).await
    }

    pub(super) async fn connect_as(
        &self,
        board: &str,
        identity: &Path,
    ) -> Result<Device, DeviceError> {
        let connector = Connector { agent_program: None, identity: Some(identity.to_owned()) };
        let address = format!("{board}@127.0.0.1:{}", self.port);
        connector.connect(&address.parse().unwrap()).await
    }

    /// What a stranger hears who does not care whether its own certificate makes sense: the alert.
    pub(super) async fn alert(&self, identity: Option<&Path>, trusted: &Path) -> String {
        let trust = Identity::load(trusted).unwrap().trust;
        let roots = Arc::new(trust.roots().unwrap());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, crypto()).build();
        let config = ClientConfig::builder_with_provider(crypto())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_webpki_verifier(verifier.unwrap());
        let mut config = match identity {
            None => config.with_no_client_auth(),
            Some(folder) => {
                let identity = Identity::load(folder).unwrap();
                config.with_client_auth_cert(identity.chain, identity.key).unwrap()
            }
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let connected = connector.connect(server_name("pi3-a").unwrap(), stream).await;
        let mut stream = match connected {
            Ok(stream) => stream,
            Err(error) => return error.to_string(),
        };
        let _ = stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        let mut answer = [0; 64];
        match stream.read(&mut answer).await {
            Ok(_) => "let in".to_owned(),
            Err(error) => error.to_string(),
        }
    }
}
