//! Bringing boards, and our own identity, up to date with the authority.

use std::path::Path;
use std::time::Duration;

use quantrack_proto::identity::{Identity, KEY_FILE, Role, Subject};
use serde::Serialize;
use tokio::task::JoinSet;

use super::error::AuthorityError;
use super::keeper::{Authority, now_s};
use super::own::{own_name, save_credentials};
use super::record::Issued;
use crate::device::{Address, Connector, Device, DeviceError};

/// How long a client's certificate counts unless somebody says otherwise.
pub const CLIENT_DAYS: u64 = 365;
/// How long a board's counts: boards are enrolled anew when they are set up anew.
pub const BOARD_DAYS: u64 = 10 * 365;
/// Our own certificate is renewed so long before it ends.
const RENEW_DAYS: u64 = 30;

/// So many days.
pub fn days(count: u64) -> Duration {
    Duration::from_secs(count * 24 * 3600)
}

/// What became of a board.
#[derive(Clone, Debug, Serialize)]
pub struct Pushed {
    /// Its name.
    pub board: String,
    /// Where it is, if that is known.
    pub address: Option<String>,
    /// Why it is not up to date; `None` when it is.
    pub failure: Option<String>,
}

/// Gives whoever runs this program an identity of this authority's, or brings it up to date. Returns whether it is new.
///
/// # Errors
/// See [`AuthorityError`]; [`AuthorityError::Foreign`] when the identity there is another authority's.
pub fn refresh_own(authority: &mut Authority, folder: &Path) -> Result<bool, AuthorityError> {
    if !folder.join(KEY_FILE).exists() {
        let subject = Subject::client(&own_name(), Role::Admin)?;
        let credentials = authority.issue(&subject, days(CLIENT_DAYS), None)?;
        save_credentials(folder, &credentials)?;
        return Ok(true);
    }
    let issued = own(authority, folder)?;
    if issued.revoked_at_s.is_some() {
        return Err(AuthorityError::Revoked { folder: folder.to_owned() });
    }
    let ends_soon = issued.not_after_s < now_s() + days(RENEW_DAYS).as_secs();
    let credentials = if ends_soon {
        authority.renew(&issued, days(CLIENT_DAYS))?.0
    } else {
        authority.credentials(issued.certificate_pem.clone())?
    };
    save_credentials(folder, &credentials)?;
    Ok(false)
}

/// Our own certificate, as the authority has issued it.
fn own(authority: &Authority, folder: &Path) -> Result<Issued, AuthorityError> {
    let serial = Identity::load(folder)?.certificate()?.serial();
    let issued = authority.record().issued.iter().find(|issued| issued.serial == serial);
    issued.cloned().ok_or_else(|| AuthorityError::Foreign { folder: folder.to_owned() })
}

/// Renews our own certificate under the latest key.
///
/// # Errors
/// See [`AuthorityError`].
pub fn renew_own(authority: &mut Authority, folder: &Path) -> Result<(), AuthorityError> {
    let issued = own(authority, folder)?;
    if issued.generation != authority.generation() {
        let credentials = authority.renew(&issued, days(CLIENT_DAYS))?.0;
        save_credentials(folder, &credentials)?;
    }
    Ok(())
}

/// Tells all boards whom to believe and what is revoked; with `renew` also gives those whose certificate is of an earlier
/// key one of the latest.
///
/// # Errors
/// When the authority fails; boards that do not answer are in the result.
pub async fn push(
    authority: &mut Authority,
    connector: &Connector,
    renew: bool,
) -> Result<Vec<Pushed>, AuthorityError> {
    let mut connecting = JoinSet::new();
    for board in authority.boards() {
        let connector = connector.clone();
        connecting.spawn(async move {
            let device = connect(&connector, &board).await;
            (board, device)
        });
    }
    let mut all = Vec::new();
    while let Some(connected) = connecting.join_next().await {
        let Ok((board, device)) = connected else { continue };
        let failure = match device {
            Ok(device) => update(authority, &board, &device, renew).await?,
            Err(why) => Some(why),
        };
        all.push(Pushed { board: board.name, address: board.address, failure });
    }
    all.sort_by(|a, b| a.board.cmp(&b.board));
    Ok(all)
}

async fn connect(connector: &Connector, board: &Issued) -> Result<Device, String> {
    let unknown = "its address is not known: enrol it, or copy its files by hand";
    let address = board.address.as_deref().ok_or(unknown)?;
    let address: Address = address.parse().map_err(|error| format!("{error}"))?;
    connector.connect(&address.naming(&board.name)).await.map_err(|error| error.to_string())
}

async fn update(
    authority: &mut Authority,
    board: &Issued,
    device: &Device,
    renew: bool,
) -> Result<Option<String>, AuthorityError> {
    let renewed = if renew && board.generation != authority.generation() {
        Some(authority.renew(board, days(BOARD_DAYS))?)
    } else {
        None
    };
    let certificate = renewed.as_ref().map(|(credentials, _)| credentials.certificate.clone());
    let (authorities, revoked) = (authority.authorities_pem()?, authority.revoked_pem()?);
    let sent: Result<(), DeviceError> =
        device.set_trust(authorities, revoked, certificate.unwrap_or_default()).await;
    match (sent, renewed) {
        (Ok(()), _) => Ok(None),
        (Err(error), renewed) => {
            if let Some((_, serial)) = renewed {
                authority.revoke(&serial)?;
            }
            Ok(Some(error.to_string()))
        }
    }
}
