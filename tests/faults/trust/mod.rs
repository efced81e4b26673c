//! Certificates that are right, and all ways in which they are not.

mod rack;
mod rotation;

pub(crate) use rotation::Home;

use std::path::PathBuf;

use prost::Message as _;
use prost_types::FileDescriptorSet;
use quantrack_agent::security::{listed_role, required_role};
use quantrack_orchestrator::device::{DeviceError, TlsFault};
use quantrack_proto::identity::{Role, Subject};
use rack::{Board, Clock, RIGHT, Rack, logged};
use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};

fn board_subject() -> Subject {
    Subject::board("pi3-a").unwrap()
}

fn fault(error: DeviceError) -> TlsFault {
    match error {
        DeviceError::Tls { fault, .. } => fault,
        other => panic!("{other}"),
    }
}

/// Names as in the certificate of a client.
fn named(name: &str) -> Vec<String> {
    Subject::client(name, Role::Admin).unwrap().dns_names()
}

#[tokio::test]
async fn the_right_certificate_works_and_roles_bound_it() {
    let rack = Rack::new();
    let board = Board::start(&rack.issue(&board_subject()), RIGHT).await;
    let reader = board.connect(&rack.client("reader", Role::Read)).await.unwrap();
    assert!(reader.is_secure());
    reader.conditions().await.unwrap();
    let refused = reader.lease().await.unwrap_err().to_string();
    assert!(refused.contains("the role measure"), "{refused}");
    logged(&["reader", "AcquireLease", "it needs the role measure"]).await;
    let measurer = board.connect(&rack.client("measurer", Role::Measure)).await.unwrap();
    drop(measurer.lease().await.unwrap());
    let authority = rack.authority();
    let (authorities, revoked) =
        (authority.authorities_pem().unwrap(), authority.revoked_pem().unwrap());
    drop(authority);
    let change = |device| {
        let (authorities, revoked) = (authorities.clone(), revoked.clone());
        async move {
            let device: quantrack_orchestrator::device::Device = device;
            device.set_trust(authorities, revoked, String::new()).await
        }
    };
    let refused = change(measurer).await.unwrap_err().to_string();
    assert!(refused.contains("the role admin"), "{refused}");
    let admin = board.connect(&rack.client("admin", Role::Admin)).await.unwrap();
    change(admin).await.unwrap();
}

#[tokio::test]
async fn wrong_certificates_are_refused_and_only_the_log_says_why() {
    let (rack, other) = (Rack::new(), Rack::new());
    let board_folder = rack.issue(&board_subject());
    let good = rack.client("good", Role::Admin);
    let revoked = rack.client("gone", Role::Admin);
    rack.authority().revoke("gone").unwrap();
    let admin = rack.client("teller", Role::Admin);
    let board = Board::start(&board_folder, RIGHT).await;
    // Whoever connects brings the list.
    drop(board.connect(&admin).await.unwrap());
    let cases: [(PathBuf, &[&str]); 6] = [
        (other.client("foreign", Role::Admin), &["client foreign", "no authority that this board"]),
        (revoked, &["client gone", "has revoked it"]),
        (
            rack.forged("stale", &named("stale"), ClientAuth, [-40, -10]),
            &["stale", "it expired at"],
        ),
        (
            rack.forged("early", &named("early"), ClientAuth, [10, 40]),
            &["early", "not valid before"],
        ),
        (
            rack.forged("server", &named("server"), ServerAuth, [-1, 40]),
            &["server", "not for clients"],
        ),
        (
            rack.forged("nobody", &["nobody.example.com".to_owned()], ClientAuth, [-1, 40]),
            &["of no board or client", "names no client"],
        ),
    ];
    for (identity, words) in &cases {
        let heard = board.alert(Some(identity), &good).await;
        assert_eq!(heard, "received fatal alert: CertificateUnknown", "{words:?}");
        logged(words).await;
    }
    // A board's certificate opens no other board.
    let heard = board.alert(Some(&board_folder), &good).await;
    assert_eq!(heard, "received fatal alert: CertificateUnknown");
    let heard = board.alert(None, &good).await;
    assert_eq!(heard, "received fatal alert: CertificateRequired");
    logged(&["it shows no certificate"]).await;
    assert_eq!(board.alert(Some(&good), &good).await, "let in");
}

#[tokio::test]
async fn a_client_says_what_it_can_know() {
    let (rack, other) = (Rack::new(), Rack::new());
    let board_folder = rack.issue(&board_subject());
    let good = rack.client("good", Role::Measure);
    let board = Board::start(&board_folder, RIGHT).await;
    let cases: [(&str, PathBuf, &str); 5] = [
        ("pi3-b", good.clone(), "that of pi3-a, not of board pi3-b"),
        ("pi3-a", other.client("foreign", Role::Read), "no authority that we believe has signed"),
        (
            "pi3-a",
            rack.forged("mine-old", &named("mine-old"), ClientAuth, [-40, -10]),
            "our own certificate expired at",
        ),
        (
            "pi3-a",
            rack.forged("mine-early", &named("mine-early"), ClientAuth, [10, 40]),
            "our own certificate is not valid before",
        ),
        ("pi3-a", rack.path("nothing"), "there is none in"),
    ];
    for (name, identity, text) in &cases {
        let error = board.connect_as(name, identity).await.unwrap_err().to_string();
        assert!(error.contains(text), "{text}: {error}");
    }
    // The board has it first, and tells others.
    let revoked = rack.client("gone", Role::Measure);
    let early = std::fs::read_to_string(good.join("revoked.pem")).unwrap();
    rack.authority().revoke("gone").unwrap();
    drop(board.connect(&rack.client("teller", Role::Admin)).await.unwrap());
    let refused = fault(board.connect(&revoked).await.unwrap_err());
    assert!(matches!(refused, TlsFault::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("journalctl"), "{refused}");
    drop(board.connect(&good).await.unwrap());
    assert_ne!(std::fs::read_to_string(good.join("revoked.pem")).unwrap(), early);
    // Boards are revoked too.
    rack.authority().revoke("pi3-a").unwrap();
    let knowing = rack.client("knowing", Role::Read);
    assert_eq!(fault(board.connect(&knowing).await.unwrap_err()), TlsFault::Revoked);
    // And their certificates end.
    let names = board_subject().dns_names();
    let ended = rack.forged("ended", &names, ServerAuth, [-40, -10]);
    let board = Board::start(&ended, RIGHT).await;
    let expired = fault(board.connect(&knowing).await.unwrap_err());
    assert!(matches!(expired, TlsFault::Expired { .. }), "{expired}");
    let address = format!("127.0.0.2:{}", board.port);
    let connector = quantrack_orchestrator::device::Connector::default();
    // Without a name an address beyond loopback says nothing of whom to expect.
    let unnamed = connector.connect(&"10.255.255.1:9".parse().unwrap()).await.unwrap_err();
    assert!(matches!(unnamed, DeviceError::Unnamed { .. }), "{unnamed} {address}");
}

#[tokio::test]
async fn certificates_survive_a_wrong_clock_and_are_safe_with_one() {
    let rack = Rack::new();
    let folder = rack.issue(&board_subject());
    let good = rack.client("good", Role::Measure);
    let stale = rack.forged("dated", &named("dated"), ClientAuth, [-40, -10]);
    let short = rack.forged("short", &named("short"), ClientAuth, [-1, 30]);
    let gone = rack.client("gone", Role::Measure);
    rack.authority().revoke("gone").unwrap();
    let teller = rack.client("teller", Role::Measure);
    for days in [-20_000, -1, 1, 3_650] {
        for set in [false, true] {
            let board = Board::start(&folder, Clock { days, set }).await;
            let ahead = days > 365 && set;
            let case = format!("{days} days, set: {set}");
            // A clock that the system vouches for and that is years ahead is the one that locks out, and says so.
            assert_eq!(board.connect(&good).await.is_ok(), !ahead, "{case}");
            assert_eq!(board.alert(Some(&short), &good).await == "let in", !ahead, "{case}");
            // Whatever the clock says, what has expired when the list was signed has expired.
            assert_ne!(board.alert(Some(&stale), &good).await, "let in", "{case}");
            if !ahead {
                drop(board.connect(&teller).await.unwrap());
            }
            assert_ne!(board.alert(Some(&gone), &good).await, "let in", "{case}");
        }
    }
    logged(&["good", "it expired at", "takes the time from its clock"]).await;
}

#[tokio::test]
async fn revocation_cuts_a_connection_that_stands() {
    let rack = Rack::new();
    let board = Board::start(&rack.issue(&board_subject()), RIGHT).await;
    let thief = board.connect(&rack.client("thief", Role::Measure)).await.unwrap();
    let lease = thief.lease().await.unwrap();
    let admin = rack.client("admin", Role::Admin);
    let device = board.connect(&admin).await.unwrap();
    rack.authority().revoke("thief").unwrap();
    let authority = rack.authority();
    let lists = authority.revoked_pem().unwrap();
    device.set_trust(authority.authorities_pem().unwrap(), lists, String::new()).await.unwrap();
    logged(&["cut a connection", "client thief", "has revoked it"]).await;
    assert!(thief.conditions().await.is_err());
    drop(lease);
    // The board is free again, and lists do not go back.
    let mut free = false;
    for _ in 0..100 {
        free = free || device.lease().await.is_ok();
        tokio::time::sleep(std::time::Duration::from_millis(if free { 0 } else { 50 })).await;
    }
    assert!(free);
}

#[test]
fn every_method_of_the_contract_has_a_role_of_its_own() {
    let set = FileDescriptorSet::decode(quantrack_proto::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "quantrack.v1").unwrap();
    for method in file.service.iter().flat_map(|service| &service.method) {
        let role = listed_role(&format!("/quantrack.v1.Agent/{}", method.name()));
        assert!(role.is_some(), "{} is missing in listed_role", method.name());
    }
    assert_eq!(required_role("/quantrack.v1.Agent/Unheard"), Role::Admin);
    assert_eq!(required_role("/other.Service/Method"), Role::Admin);
}
