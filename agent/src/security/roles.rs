//! Which requests a client may make.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use quantrack_proto::identity::Role;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::connection::Peer;

/// The role that a request needs. What is not listed needs the highest.
pub fn required_role(path: &str) -> Role {
    listed_role(path).unwrap_or(Role::Admin)
}

/// The role that a request is listed with.
pub fn listed_role(path: &str) -> Option<Role> {
    let Some(method) = path.strip_prefix("/quantrack.v1.Agent/") else {
        let public = ["/grpc.health.v1.", "/grpc.reflection."];
        return public.iter().any(|prefix| path.starts_with(prefix)).then_some(Role::Read);
    };
    match method {
        // Lists of revoked certificates prove themselves; whatever else it brings is checked by itself.
        "GetCapabilities" | "GetConditions" | "UpdateTrust" => Some(Role::Read),
        "AcquireLease" | "FindMissingBlobs" | "UploadBlob" | "Measure" | "Run" => {
            Some(Role::Measure)
        }
        // Takes the board from everybody.
        "Drain" => Some(Role::Admin),
        _ => None,
    }
}

/// Lets requests through whose peer has the role that they need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Authorize<S = ()>(S);

impl<S> Layer<S> for Authorize {
    type Service = Authorize<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Authorize(inner)
    }
}

impl<S, B> Service<http::Request<B>> for Authorize<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let path = request.uri().path();
        let needed = required_role(path);
        let peer = request.extensions().get::<Peer>();
        if peer.is_some_and(|peer| peer.role() >= needed) {
            return Box::pin(self.0.call(request));
        }
        tracing::warn!("refused {path} to {peer:?}: it needs the role {needed}");
        let status = Status::permission_denied(format!(
            "this needs a certificate with the role {needed}; ask whoever keeps the authority for one"
        ));
        Box::pin(std::future::ready(Ok(status.into_http())))
    }
}
