//! The server around the service: health, reflection, limits, an orderly end.

use std::future::Future;
use std::time::Duration;

use quantrack_proto::FILE_DESCRIPTOR_SET;
use quantrack_proto::v1::agent_server::AgentServer;
use tokio::net::TcpListener;
use tonic::transport::Server;

use super::agent::AgentService;
use crate::security::{Authorize, incoming};

/// Longest gRPC message.
const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// How long after the signal streams may go on before they are cut.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// Why the server ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The network failed.
    #[error("failed to serve: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The contract is not what reflection can describe.
    #[error("failed to describe the service: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown` is ready, then lets calls end for a moment.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    listener: TcpListener,
    service: AgentService,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let connections = incoming(listener, service.config.security.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<AgentServer<AgentService>>().await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let agent = AgentServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::builder()
        .http2_keepalive_interval(Some(Duration::from_secs(10)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .layer(Authorize::<()>::default())
        .add_service(health_service)
        .add_service(reflection)
        .add_service(agent)
        .serve_with_incoming_shutdown(connections, async {
            let _ = stopped.await;
        });
    tokio::pin!(server, shutdown);
    tokio::select! {
        ended = &mut server => return Ok(ended?),
        () = &mut shutdown => drop(stop),
    }
    // A lease's stream has no end of its own; whatever still runs then is cut.
    match tokio::time::timeout(END_TIMEOUT, server).await {
        Ok(ended) => Ok(ended?),
        Err(_) => Ok(()),
    }
}
