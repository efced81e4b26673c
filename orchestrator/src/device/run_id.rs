//! The number of this run, by which logs of orchestrator and agents are brought together.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;

use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::{Request, Status};

/// Eight hexadecimal digits, drawn when they are first asked for: they tell runs apart, and need not be hard to guess.
static RUN_ID: LazyLock<String> =
    LazyLock::new(|| format!("{:08x}", RandomState::new().hash_one(std::process::id()) as u32));

/// The number of this run.
pub fn run_id() -> &'static str {
    &RUN_ID
}

/// Sends the number of the run with every call.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunHeader;

impl Interceptor for RunHeader {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let value = MetadataValue::from_static(run_id());
        request.metadata_mut().insert(quantrack_proto::RUN_HEADER, value);
        Ok(request)
    }
}
