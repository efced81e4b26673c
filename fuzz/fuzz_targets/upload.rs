//! Any bytes as the messages of an upload (length-delimited protobuf) and any order of them: nothing panics, the store
//! never holds more than it may, and holds only blobs whose bytes have the digest that they are named after.
#![no_main]

use std::cell::OnceCell;

use libfuzzer_sys::fuzz_target;
use prost::Message;
use quantrack_agent::blobs::{Blobs, Digest, Upload};
use quantrack_proto::v1::UploadBlobRequest;
use quantrack_proto::v1::upload_blob_request::Part;
use tempfile::TempDir;

const MAX_STORE_BYTES: u64 = 4096;

thread_local! {
    static STORE: OnceCell<(TempDir, Blobs)> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    STORE.with(|store| {
        let (folder, blobs) = store.get_or_init(|| {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let blobs = Blobs::open(folder.path(), MAX_STORE_BYTES).expect("an empty store");
            (folder, blobs)
        });
        receive(blobs, bytes);
        check(folder);
    });
});

/// What the service does with a stream of messages, several uploads one after the other.
fn receive(blobs: &Blobs, mut bytes: &[u8]) {
    let mut upload: Option<Upload> = None;
    while let Ok(message) = UploadBlobRequest::decode_length_delimited(&mut bytes) {
        match (message.part, upload.as_mut()) {
            (Some(Part::Header(header)), None) => {
                // No fuzzer finds a SHA-256: one that is not given is that of as many zeros as announced.
                let sha256 = match header.sha256.as_str() {
                    "" => {
                        let zeros = vec![0; header.size_bytes.min(MAX_STORE_BYTES) as usize];
                        Digest::of(&zeros).as_str().to_owned()
                    }
                    given => given.to_owned(),
                };
                let digest = Digest::parse(&sha256);
                upload = digest.and_then(|digest| blobs.receive(digest, header.size_bytes)).ok();
            }
            (Some(Part::Chunk(chunk)), Some(receiving)) => {
                if receiving.write(&chunk).is_err() {
                    upload = None;
                }
            }
            _ => {
                if let Some(Ok(digest)) = upload.take().map(Upload::finish) {
                    assert!(blobs.contains(&digest) && blobs.pin(&digest).is_ok());
                }
            }
        }
    }
}

fn check(folder: &TempDir) {
    let mut total = 0;
    for entry in std::fs::read_dir(folder.path().join("blobs")).expect("the store").flatten() {
        let content = std::fs::read(entry.path()).expect("a blob");
        assert_eq!(entry.file_name().to_string_lossy(), Digest::of(&content).as_str());
        total += content.len() as u64;
    }
    assert!(total <= MAX_STORE_BYTES, "{total} bytes");
}
