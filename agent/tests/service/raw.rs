//! Calls with bytes in place of messages.

use prost::Message as _;
use prost::bytes::{Buf as _, BufMut as _};
use quantrack_proto::v1;
use quantrack_proto::v1::upload_blob_request::Part;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// All methods of the service but `Drain`, which would do as any message without a reason asks.
pub(crate) const METHODS: [&str; 8] = [
    "GetCapabilities",
    "GetConditions",
    "AcquireLease",
    "FindMissingBlobs",
    "UploadBlob",
    "Measure",
    "Run",
    "UpdateTrust",
];

/// Messages of every kind that need care, as they ought to be.
pub(crate) fn valid(
    lease: &v1::Lease,
    variant: &str,
    settings: v1::MeasureSettings,
) -> Vec<Vec<u8>> {
    let lease = Some(lease.clone());
    let measure = v1::MeasureRequest {
        lease: lease.clone(),
        variant_sha256: vec![variant.to_owned()],
        settings: Some(settings),
    };
    let run = v1::RunHeader {
        lease: lease.clone(),
        variant_sha256: variant.to_owned(),
        threads: 1,
        memory_limit_bytes: 0,
    };
    let run = v1::RunRequest { part: Some(v1::run_request::Part::Header(run)) };
    let blob = v1::BlobHeader { lease, sha256: variant.to_owned(), size_bytes: 6 };
    let upload = v1::UploadBlobRequest { part: Some(Part::Header(blob)) };
    vec![measure.encode_to_vec(), run.encode_to_vec(), upload.encode_to_vec()]
}

/// Sends the messages to a method, and takes what comes until the answer ends, but no more than a few.
pub(crate) async fn call(channel: Channel, method: &str, messages: Vec<Vec<u8>>) -> Status {
    let mut client = tonic::client::Grpc::new(channel);
    if let Err(error) = client.ready().await {
        return Status::unknown(error.to_string());
    }
    let path = format!("/quantrack.v1.Agent/{method}");
    let path = PathAndQuery::from_maybe_shared(path).unwrap();
    let request = Request::new(tokio_stream::iter(messages));
    let mut answers = match client.streaming(request, path, Bytes).await {
        Ok(answers) => answers.into_inner(),
        Err(status) => return status,
    };
    for _ in 0..3 {
        match answers.message().await {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(status) => return status,
        }
    }
    Status::ok("")
}

/// Bytes as they are.
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut bytes = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut bytes);
        Ok(Some(bytes))
    }
}
