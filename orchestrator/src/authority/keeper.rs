//! The authority's folder.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use quantrack_proto::identity::{Certificate, Subject, read_pem, write_file};
use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;

use super::error::AuthorityError;
use super::record::{Issued, Record, SCHEMA};
use super::signer::{Order, PublicKey, Signer};
use crate::clock::since_1970;
use crate::user;

const RECORD_FILE: &str = "authority.json";

/// What a board or a client needs, as PEM.
#[derive(Clone)]
pub struct Credentials {
    /// The private key; `None` where its holder keeps the one that it has.
    pub key: Option<String>,
    /// Its certificate.
    pub certificate: String,
    /// Whom to believe.
    pub authorities: String,
    /// What they have revoked.
    pub revoked: String,
}

/// An authority, which nobody else uses until this is dropped.
#[derive(Debug)]
pub struct Authority {
    folder: PathBuf,
    record: Record,
    _lock: Flock<fs::File>,
}

impl Authority {
    /// Where it is unless somebody says otherwise.
    pub fn default_folder() -> Option<PathBuf> {
        user::data_folder().map(|data| data.join("authority"))
    }

    /// Makes one.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn init(folder: &Path) -> Result<Self, AuthorityError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
        made.map_err(fault(folder))?;
        let lock = lock(folder)?;
        if folder.join(RECORD_FILE).exists() {
            return Err(AuthorityError::Exists { folder: folder.to_owned() });
        }
        let record = Record {
            schema: SCHEMA,
            generations: Vec::new(),
            last_serial: 0,
            listed_at_s: 0,
            issued: Vec::new(),
        };
        let mut authority = Self { folder: folder.to_owned(), record, _lock: lock };
        authority.add_generation(1)?;
        Ok(authority)
    }

    /// Opens the one in `folder`, waiting for whoever else uses it.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn open(folder: &Path) -> Result<Self, AuthorityError> {
        let path = folder.join(RECORD_FILE);
        if !path.exists() {
            return Err(AuthorityError::Missing { folder: folder.to_owned() });
        }
        let lock = lock(folder)?;
        let text = fs::read_to_string(&path).map_err(fault(&path))?;
        let damaged = |detail: String| AuthorityError::Record { path: path.clone(), detail };
        let record: Record =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if record.schema != SCHEMA || record.generations.is_empty() {
            return Err(damaged(format!("it is of version {}", record.schema)));
        }
        Ok(Self { folder: folder.to_owned(), record, _lock: lock })
    }

    /// What it has issued.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether its keys are being rotated.
    pub fn is_rotating(&self) -> bool {
        self.record.generations.len() > 1
    }

    /// The key that signs now.
    pub fn generation(&self) -> u32 {
        self.record.generations.last().copied().unwrap_or_default()
    }

    /// The certificates that boards and clients should believe.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn authorities_pem(&self) -> Result<String, AuthorityError> {
        self.record.generations.iter().map(|&number| self.read(&certificate_file(number))).collect()
    }

    /// The lists of what is revoked.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn revoked_pem(&self) -> Result<String, AuthorityError> {
        self.record.generations.iter().map(|&number| self.read(&list_file(number))).collect()
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn issue(
        &mut self,
        subject: &Subject,
        valid: Duration,
        address: Option<String>,
    ) -> Result<Credentials, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate = self.sign(subject, valid, address, &key)?;
        Ok(Credentials { key: Some(key.serialize_pem()), ..self.credentials(certificate)? })
    }

    /// Issues a certificate for the key of one that is valid; returns its serial number too.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn renew(
        &mut self,
        old: &Issued,
        valid: Duration,
    ) -> Result<(Credentials, String), AuthorityError> {
        let ders =
            read_pem::<CertificateDer<'static>>("the old certificate", &old.certificate_pem)?;
        let der = ders.first().ok_or_else(|| AuthorityError::Unknown(old.name.clone()))?;
        let key =
            PublicKey(Certificate::from_der("the old certificate", der)?.public_key().to_vec());
        let certificate = self.sign(&old.subject()?, valid, old.address.clone(), &key)?;
        let serial = self.record.issued.last().map(|issued| issued.serial.clone());
        Ok((self.credentials(certificate)?, serial.unwrap_or_default()))
    }

    /// What the holder of this certificate should have now.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn credentials(&self, certificate: String) -> Result<Credentials, AuthorityError> {
        let (authorities, revoked) = (self.authorities_pem()?, self.revoked_pem()?);
        Ok(Credentials { key: None, certificate, authorities, revoked })
    }

    fn sign(
        &mut self,
        subject: &Subject,
        valid: Duration,
        address: Option<String>,
        key: &impl rcgen::PublicKeyData,
    ) -> Result<String, AuthorityError> {
        let now = since_1970();
        // Unlike a counter, time does not run again when the folder is restored from a backup.
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let serial = nanoseconds.max(self.record.last_serial + 1);
        let (from_s, to_s) = (now.as_secs(), now.as_secs() + valid.as_secs());
        let order = Order { subject, serial, from_s, to_s };
        let generation = self.generation();
        let certificate_pem = self.signer(generation)?.sign(&order, key)?;
        self.record.last_serial = serial;
        let role = match subject {
            Subject::Board { .. } => None,
            Subject::Client { role, .. } => Some(role.to_string()),
        };
        self.record.issued.push(Issued {
            name: subject.name().to_owned(),
            role,
            serial: format!("{serial:016x}"),
            generation,
            issued_at_s: from_s,
            not_after_s: to_s,
            revoked_at_s: None,
            address,
            certificate_pem: certificate_pem.clone(),
        });
        self.save()?;
        Ok(certificate_pem)
    }

    /// Revokes what is valid and has this name or serial number, and returns it.
    ///
    /// # Errors
    /// [`AuthorityError::Unknown`] when there is none.
    pub fn revoke(&mut self, what: &str) -> Result<Vec<Issued>, AuthorityError> {
        let revoked = self.revoke_where(|issued| issued.name == what || issued.serial == what)?;
        if revoked.is_empty() {
            return Err(AuthorityError::Unknown(what.to_owned()));
        }
        Ok(revoked)
    }

    /// Revokes all certificates of a board but the latest: a board has one.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn supersede(&mut self, board: &str) -> Result<(), AuthorityError> {
        let of_it = |issued: &&Issued| issued.is_board() && issued.name == board;
        let latest = self.record.issued.iter().rfind(of_it).map(|issued| issued.serial.clone());
        let old = |issued: &Issued| {
            issued.is_board() && issued.name == board && Some(&issued.serial) != latest.as_ref()
        };
        self.revoke_where(old).map(drop)
    }

    fn revoke_where(
        &mut self,
        which: impl Fn(&Issued) -> bool,
    ) -> Result<Vec<Issued>, AuthorityError> {
        let now_s = now_s();
        let mut revoked = Vec::new();
        for issued in &mut self.record.issued {
            if issued.is_valid(now_s) && which(issued) {
                issued.revoked_at_s = Some(now_s);
                revoked.push(issued.clone());
            }
        }
        if !revoked.is_empty() {
            self.sign_lists()?;
        }
        Ok(revoked)
    }

    /// Remembers where a board is.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn set_address(&mut self, board: &str, address: &str) -> Result<(), AuthorityError> {
        for issued in &mut self.record.issued {
            if issued.is_board() && issued.name == board {
                issued.address = Some(address.to_owned());
            }
        }
        self.save()
    }

    /// The latest valid certificate of each board.
    pub fn boards(&self) -> Vec<Issued> {
        let now_s = now_s();
        let mut boards: Vec<Issued> = Vec::new();
        for issued in self.record.issued.iter().filter(|i| i.is_board() && i.is_valid(now_s)) {
            boards.retain(|board| board.name != issued.name);
            boards.push(issued.clone());
        }
        boards
    }

    /// What is valid of earlier keys only: it no longer counts when the rotation ends.
    pub fn left_behind(&self) -> Vec<Issued> {
        let now_s = now_s();
        let latest = self.generation();
        let valid = |issued: &&Issued| issued.is_valid(now_s);
        let all: Vec<&Issued> = self.record.issued.iter().filter(valid).collect();
        let renewed = |old: &Issued| {
            all.iter().any(|new| {
                new.generation == latest && (&new.name, &new.role) == (&old.name, &old.role)
            })
        };
        let old = all.iter().filter(|issued| issued.generation != latest && !renewed(issued));
        old.map(|issued| (*issued).clone()).collect()
    }

    /// Signs the lists again, which tells boards without a clock what time it is.
    ///
    /// # Errors
    /// See [`AuthorityError`].
    pub fn sign_lists(&mut self) -> Result<(), AuthorityError> {
        self.record.listed_at_s = now_s().max(self.record.listed_at_s + 1);
        for &number in &self.record.generations {
            let of_it = |issued: &&Issued| issued.generation == number;
            let revoked = self.record.issued.iter().filter(of_it);
            let serial = |one: &Issued| u64::from_str_radix(&one.serial, 16).unwrap_or_default();
            let revoked = revoked.filter_map(|one| Some((serial(one), one.revoked_at_s?)));
            let list = self.signer(number)?.list(self.record.listed_at_s, revoked)?;
            write_file(&self.folder.join(list_file(number)), &list)?;
        }
        self.save()
    }

    /// Begins a rotation: a new key signs from now on, and the old one counts until it ends.
    ///
    /// # Errors
    /// [`AuthorityError::Rotating`] when one is under way.
    pub fn rotate(&mut self) -> Result<(), AuthorityError> {
        if self.is_rotating() {
            return Err(AuthorityError::Rotating);
        }
        self.add_generation(self.generation() + 1)
    }

    /// Ends a rotation: what the old key has signed no longer counts. The key itself is erased.
    ///
    /// # Errors
    /// [`AuthorityError::NotRotating`] when none is under way.
    pub fn retire(&mut self) -> Result<(), AuthorityError> {
        if !self.is_rotating() {
            return Err(AuthorityError::NotRotating);
        }
        let latest = self.generation();
        let old: Vec<u32> = self.record.generations.drain(..).filter(|&n| n != latest).collect();
        self.record.generations.push(latest);
        self.save()?;
        for number in old {
            let path = self.folder.join(key_file(number));
            fs::remove_file(&path).map_err(fault(&path))?;
        }
        Ok(())
    }

    fn add_generation(&mut self, number: u32) -> Result<(), AuthorityError> {
        let signer = Signer::new(number)?;
        write_file(&self.folder.join(key_file(number)), &signer.key_pem())?;
        let certificate = signer.certificate(now_s())?;
        write_file(&self.folder.join(certificate_file(number)), &certificate)?;
        self.record.generations.push(number);
        self.sign_lists()
    }

    fn signer(&self, number: u32) -> Result<Signer, AuthorityError> {
        Signer::from_pem(number, &self.read(&key_file(number))?)
    }

    fn read(&self, name: &str) -> Result<String, AuthorityError> {
        let path = self.folder.join(name);
        fs::read_to_string(&path).map_err(fault(&path))
    }

    fn save(&self) -> Result<(), AuthorityError> {
        let path = self.folder.join(RECORD_FILE);
        let text = serde_json::to_string_pretty(&self.record);
        let damaged = |error: serde_json::Error| {
            let detail = error.to_string();
            AuthorityError::Record { path: path.clone(), detail }
        };
        Ok(write_file(&path, &text.map_err(damaged)?)?)
    }
}

fn key_file(number: u32) -> String {
    format!("authority-{number}.key.pem")
}

fn certificate_file(number: u32) -> String {
    format!("authority-{number}.pem")
}

fn list_file(number: u32) -> String {
    format!("revoked-{number}.pem")
}

/// Seconds since 1970.
pub(super) fn now_s() -> u64 {
    since_1970().as_secs()
}

fn lock(folder: &Path) -> Result<Flock<fs::File>, AuthorityError> {
    let path = folder.join("lock");
    let file = fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let locked = Flock::lock(file.map_err(fault(&path))?, FlockArg::LockExclusive);
    locked.map_err(|(_, errno)| fault(&path)(errno.into()))
}

fn fault(path: &Path) -> impl Fn(std::io::Error) -> AuthorityError + '_ {
    |error| match error.kind() {
        ErrorKind::NotFound if path.ends_with(RECORD_FILE) => {
            AuthorityError::Missing { folder: path.parent().unwrap_or(path).to_owned() }
        }
        _ => AuthorityError::Io { path: path.to_owned(), error },
    }
}
