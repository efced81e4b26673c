//! Whom the board believes.

use quantrack_proto::v1;
use tonic::Status;

use super::agent::AgentService;
use crate::security::{Peer, SecurityError, Update};

pub(super) fn update(
    service: &AgentService,
    peer: Option<&Peer>,
    request: v1::UpdateTrustRequest,
) -> Result<v1::UpdateTrustResponse, Status> {
    let without = || Status::failed_precondition("this agent speaks no TLS; enrol the board first");
    let security = service.config.security.as_ref().ok_or_else(without)?;
    let role = peer.ok_or_else(without)?.role();
    let update = Update {
        revoked: request.revoked_pem,
        authorities: request.authorities_pem,
        certificate: request.certificate_pem,
    };
    let revoked_pem = security.update(&update, role)?;
    Ok(v1::UpdateTrustResponse { revoked_pem })
}

impl From<SecurityError> for Status {
    fn from(error: SecurityError) -> Self {
        let code = match error {
            SecurityError::NotAdmin => tonic::Code::PermissionDenied,
            SecurityError::Older => tonic::Code::FailedPrecondition,
            SecurityError::Identity(_) | SecurityError::Unusable(_) => tonic::Code::InvalidArgument,
        };
        Self::new(code, error.to_string())
    }
}
