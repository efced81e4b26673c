//! Errors as gRPC statuses.

use tonic::{Code, Status};

use crate::blobs::BlobError;
use crate::lease::LeaseError;
use crate::worker::WorkerError;

impl From<LeaseError> for Status {
    fn from(error: LeaseError) -> Self {
        let code = match error {
            LeaseError::Busy(_) | LeaseError::QueueFull(_) => Code::ResourceExhausted,
            LeaseError::NotInTime { .. } => Code::DeadlineExceeded,
            LeaseError::Stale { .. } | LeaseError::Missing | LeaseError::Draining { .. } => {
                Code::FailedPrecondition
            }
            LeaseError::NoRandomness(_) | LeaseError::NotKept { .. } => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<BlobError> for Status {
    fn from(error: BlobError) -> Self {
        let code = match error {
            BlobError::BadDigest(_) => Code::InvalidArgument,
            BlobError::TooLarge { .. } | BlobError::DiskFull { .. } => Code::ResourceExhausted,
            BlobError::WrongSize { .. } | BlobError::WrongDigest { .. } => Code::DataLoss,
            BlobError::Unknown(_) => Code::NotFound,
            BlobError::Io { .. } => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}

impl From<WorkerError> for Status {
    fn from(error: WorkerError) -> Self {
        let code = match error {
            WorkerError::Start(_) | WorkerError::Memory { .. } => Code::ResourceExhausted,
            WorkerError::Refused(_) => Code::InvalidArgument,
            WorkerError::Deadline { .. } => Code::DeadlineExceeded,
            WorkerError::Ended { .. } => Code::Aborted,
            WorkerError::Protocol { .. } => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}
