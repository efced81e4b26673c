//! The board's identity: its files, and those who are connected because of them.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use quantrack_proto::identity::{
    AUTHORITIES_FILE, CERTIFICATE_FILE, Identity, IdentityError, KEY_FILE, REVOKED_FILE, Role,
    Subject, Trust, crypto, read_pem, server_name, write_file, write_trust,
};
use rustls::ServerConfig;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::pki_types::CertificateDer;
use rustls::server::NoServerSessionStorage;

use super::clock::BoardClock;
use super::verifier::{ClientVerifier, Refusal};

/// Why the board's identity cannot be used or changed.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// A file, or what was sent.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The certificates do not fit together.
    #[error("the board's certificates are unusable: {0}")]
    Unusable(String),
    /// The caller may not do this.
    #[error("changing whom a board believes needs a certificate with the role admin")]
    NotAdmin,
    /// What was sent would undo a revocation.
    #[error("the list of revoked certificates is older than the one that this board has")]
    Older,
}

/// A change of whom the board believes, in PEM; what is empty stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Update {
    /// Lists of revoked certificates.
    pub revoked: String,
    /// All authorities to believe.
    pub authorities: String,
    /// A new certificate for the board's key and name.
    pub certificate: String,
}

/// What tells whether files have changed: their modification times and lengths.
type Stamp = Vec<Option<(SystemTime, u64)>>;

/// A connection that stands, and the certificate that it was let in with.
#[derive(Debug)]
struct Open {
    cut: Weak<AtomicBool>,
    chain: Vec<CertificateDer<'static>>,
}

#[derive(Debug)]
struct State {
    stamp: Stamp,
    config: Arc<ServerConfig>,
    verifier: Arc<ClientVerifier>,
    open: Vec<Open>,
}

/// The board's identity.
#[derive(Debug)]
pub struct Security {
    folder: PathBuf,
    clock: Arc<BoardClock>,
    state: Mutex<State>,
}

impl Security {
    /// Reads the identity in `folder`.
    ///
    /// # Errors
    /// See [`SecurityError`].
    pub fn open(folder: &Path, clock: BoardClock) -> Result<Self, SecurityError> {
        let clock = Arc::new(clock);
        let stamp = stamp(folder);
        let (config, verifier) = read(folder, &clock)?;
        let state = Mutex::new(State { stamp, config, verifier, open: Vec::new() });
        Ok(Self { folder: folder.to_owned(), clock, state })
    }

    /// How to speak TLS now. Files that have changed are read again; those that cannot be used leave things as they are.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        let mut state = self.lock();
        let stamp = stamp(&self.folder);
        if stamp != state.stamp {
            self.renew(&mut state);
            state.stamp = stamp;
        }
        Arc::clone(&state.config)
    }

    /// Keeps an eye on a connection: what this returns becomes true when its certificate is revoked.
    pub(super) fn watch(
        &self,
        chain: Vec<CertificateDer<'static>>,
    ) -> Result<(Subject, Arc<AtomicBool>), Refusal> {
        let mut state = self.lock();
        let subject = state.verifier.judge(&chain)?;
        let cut = Arc::new(AtomicBool::new(false));
        state.open.retain(|open| open.cut.strong_count() > 0);
        state.open.push(Open { cut: Arc::downgrade(&cut), chain });
        Ok((subject, cut))
    }

    /// Changes whom the board believes, and returns the lists that it has then.
    ///
    /// # Errors
    /// See [`SecurityError`]; then nothing has changed.
    pub fn update(&self, update: &Update, role: Role) -> Result<String, SecurityError> {
        let mut state = self.lock();
        let identity = Identity::load(&self.folder)?;
        if !(update.authorities.is_empty() && update.certificate.is_empty()) {
            if role < Role::Admin {
                return Err(SecurityError::NotAdmin);
            }
            self.check(&identity, update)?;
            if !update.authorities.is_empty() {
                write_trust(&self.folder, &update.authorities, &update.revoked)?;
            }
            if !update.certificate.is_empty() {
                write_file(&self.folder.join(CERTIFICATE_FILE), &update.certificate)?;
            }
            self.renew(&mut state);
        } else if identity.trust.learn(&update.revoked, &self.folder)? {
            self.renew(&mut state);
        }
        state.stamp = stamp(&self.folder);
        Ok(self.text(REVOKED_FILE)?)
    }

    /// Checks a change by an administrator: the board must still be believed by those whom it believes itself.
    fn check(&self, identity: &Identity, update: &Update) -> Result<(), SecurityError> {
        let trust = if update.authorities.is_empty() {
            identity.trust.clone()
        } else {
            let trust = Trust::from_pem(&update.authorities, &update.revoked)?;
            if trust.is_older_than(&identity.trust) {
                return Err(SecurityError::Older);
            }
            trust
        };
        let mut chain = identity.chain.clone();
        if !update.certificate.is_empty() {
            identity.check_renewal(&update.certificate)?;
            chain = read_pem("the new certificate", &update.certificate)?;
        }
        let subject = identity.certificate()?.subject();
        let name = subject.as_ref().map_or("", Subject::name);
        let verifier = trust.server_verifier()?;
        let now = self.clock.time().max(trust.newest_date());
        let valid =
            verifier.verify_server_cert(&chain[0], &chain[1..], &server_name(name)?, &[], now);
        valid.map(drop).map_err(|error| {
            SecurityError::Unusable(format!(
                "the board's own would not be believed by these authorities: {error}"
            ))
        })
    }

    /// Reads the files again and cuts the connections of those who are revoked now.
    fn renew(&self, state: &mut State) {
        match read(&self.folder, &self.clock) {
            Ok((config, verifier)) => {
                (state.config, state.verifier) = (config, verifier);
                tracing::info!("read the certificates in {} again", self.folder.display());
            }
            Err(error) => {
                tracing::error!("the certificates stay as they were: {error}");
                return;
            }
        }
        state.open.retain(|open| open.cut.strong_count() > 0);
        for open in &state.open {
            if let (Err(refusal), Some(cut)) =
                (state.verifier.judge(&open.chain), open.cut.upgrade())
            {
                // Whatever else has changed, a connection that stands may finish its work.
                if refusal.revoked && !cut.swap(true, Ordering::Relaxed) {
                    tracing::warn!("cut a connection: {refusal}");
                }
            }
        }
    }

    fn text(&self, name: &str) -> Result<String, IdentityError> {
        let path = self.folder.join(name);
        std::fs::read_to_string(&path).map_err(|error| IdentityError::Io { path, error })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stamp(folder: &Path) -> Stamp {
    let names = [KEY_FILE, CERTIFICATE_FILE, AUTHORITIES_FILE, REVOKED_FILE];
    let of = |name| {
        let metadata = std::fs::metadata(folder.join(name)).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    names.into_iter().map(of).collect()
}

fn read(
    folder: &Path,
    clock: &Arc<BoardClock>,
) -> Result<(Arc<ServerConfig>, Arc<ClientVerifier>), SecurityError> {
    let identity = Identity::load(folder)?;
    let unusable = |error: &dyn ToString| SecurityError::Unusable(error.to_string());
    if !matches!(identity.certificate()?.subject(), Some(Subject::Board { .. })) {
        return Err(unusable(&format!("{CERTIFICATE_FILE} is not that of a board")));
    }
    clock.raise(identity.newest_date());
    let verifier = Arc::new(ClientVerifier::new(&identity.trust, Arc::clone(clock))?);
    let mut config = ServerConfig::builder_with_details(crypto(), Arc::clone(clock) as _)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| unusable(&error))?
        .with_client_cert_verifier(Arc::clone(&verifier) as _)
        .with_single_cert(identity.chain, identity.key)
        .map_err(|error| unusable(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    // A session that is resumed would not be judged again.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok((Arc::new(config), verifier))
}
