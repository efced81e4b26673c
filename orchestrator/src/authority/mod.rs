//! The rack's own authority: it signs the certificates of boards and clients, and the lists of those that no longer count.
//!
//! * [`Authority`] is its folder on the machine of whoever keeps it; [`Record`] is what it has issued.
//! * `signer` makes the certificates and lists.
//! * `own` is the identity of the person at this machine; `push` brings it and the boards up to date.

mod error;
mod keeper;
mod own;
mod push;
mod record;
mod signer;

pub use error::AuthorityError;
pub use keeper::{Authority, Credentials};
pub use own::{identity_folder, own_name, save_credentials};
pub use push::{BOARD_DAYS, CLIENT_DAYS, Pushed, days, push, refresh_own, renew_own};
pub use record::{Issued, Record};
