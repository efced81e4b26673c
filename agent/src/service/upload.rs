//! Receiving a blob.

use quantrack_proto::v1;
use quantrack_proto::v1::upload_blob_request::Part;
use tonic::{Status, Streaming};

use super::agent::AgentService;
use super::convert;
use crate::blobs::Digest;

/// Longest piece of a blob.
const MAX_CHUNK_BYTES: usize = 1 << 20;

pub(super) async fn receive(
    service: &AgentService,
    mut parts: Streaming<v1::UploadBlobRequest>,
) -> Result<v1::UploadBlobResponse, Status> {
    let first = parts.message().await?.and_then(|message| message.part);
    let Some(Part::Header(header)) = first else {
        return Err(Status::invalid_argument("the first message of an upload must be its header"));
    };
    let proof = convert::proof(header.lease)?;
    let over = service.leases.check(&proof)?.ended();
    tokio::pin!(over);
    let digest = Digest::parse(&header.sha256)?;
    let mut upload = service.config.blobs.receive(digest, header.size_bytes)?;
    loop {
        let part = tokio::select! {
            part = parts.message() => part?,
            () = &mut over => return Err(stale(proof.epoch)),
        };
        match part.map(|message| message.part) {
            Some(Some(Part::Chunk(chunk))) if chunk.len() <= MAX_CHUNK_BYTES => {
                upload.write(&chunk)?;
            }
            Some(Some(Part::Chunk(chunk))) => {
                let size = chunk.len();
                let text = format!("a chunk of {size} bytes is longer than {MAX_CHUNK_BYTES}");
                return Err(Status::invalid_argument(text));
            }
            Some(_) => return Err(Status::invalid_argument("only chunks may follow the header")),
            None => break,
        }
    }
    let sha256 = upload.finish()?.as_str().to_owned();
    Ok(v1::UploadBlobResponse { sha256 })
}

/// The status of a request whose lease has ended.
pub(super) fn stale(epoch: u64) -> Status {
    crate::lease::LeaseError::Stale { epoch }.into()
}
