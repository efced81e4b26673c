//! Any bytes as every message that an agent, a worker or an orchestrator decodes: no panic, bounded memory, and what was
//! decoded says the same when encoded and decoded again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use prost::Message;
use quantrack_agent::worker::message::{Command, Reply};
use quantrack_proto::v1;

/// Compares encodings, because NaN is not equal to itself.
fn survives<M: Message + Default>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        let encoded = message.encode_to_vec();
        let again = M::decode(encoded.as_slice()).expect("a message survives its encoding");
        assert_eq!(again.encode_to_vec(), encoded);
    }
}

fuzz_target!(|bytes: &[u8]| {
    survives::<Command>(bytes);
    survives::<Reply>(bytes);
    survives::<v1::FindMissingBlobsRequest>(bytes);
    survives::<v1::UploadBlobRequest>(bytes);
    survives::<v1::MeasureRequest>(bytes);
    survives::<v1::MeasureResponse>(bytes);
    survives::<v1::RunRequest>(bytes);
    survives::<v1::RunResponse>(bytes);
});
