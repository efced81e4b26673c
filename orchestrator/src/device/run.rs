//! Running variants on a board with given inputs.

use std::time::Duration;

use quantrack_engine::Tensor;
use quantrack_proto::v1;
use quantrack_proto::v1::run_request::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;

use super::client::Device;
use super::convert;
use super::error::DeviceError;
use super::lease::Lease;
use crate::spec::Measure;

const DOING: &str = "running a variant";

/// A tensor with the name that it has in the model.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedTensor {
    /// The name.
    pub name: String,
    /// The values.
    pub tensor: Tensor,
}

/// One inference on the board.
#[derive(Clone, Debug, PartialEq)]
pub struct Inference {
    /// Outputs in the order of the model.
    pub outputs: Vec<NamedTensor>,
    /// How long the board took, without transfers.
    pub duration: Duration,
}

/// A variant that is loaded on the board and takes inputs. Dropping it unloads it.
#[derive(Debug)]
pub struct RunStream<'a> {
    device: &'a Device,
    inputs: mpsc::Sender<v1::RunRequest>,
    outputs: Streaming<v1::RunResponse>,
}

impl Device {
    /// Loads a variant that the agent has.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn run(
        &self,
        lease: &Lease,
        sha256: &str,
        settings: &Measure,
    ) -> Result<RunStream<'_>, DeviceError> {
        let (inputs, requests) = mpsc::channel(1);
        let header = v1::RunHeader {
            lease: Some(lease.wire()),
            variant_sha256: sha256.to_owned(),
            threads: settings.threads,
            memory_limit_bytes: convert::memory_limit_bytes(settings),
        };
        // The channel has room for it, so this cannot wait or fail.
        let _ = inputs.send(v1::RunRequest { part: Some(Part::Header(header)) }).await;
        let answer = self.client.clone().run(ReceiverStream::new(requests)).await;
        let outputs = answer.map_err(self.fault(DOING))?.into_inner();
        Ok(RunStream { device: self, inputs, outputs })
    }
}

impl RunStream<'_> {
    /// Runs the variant once.
    ///
    /// # Errors
    /// See [`DeviceError`].
    pub async fn infer(&mut self, inputs: &[NamedTensor]) -> Result<Inference, DeviceError> {
        let tensors = inputs.iter().map(convert::to_wire).collect();
        let part = Some(Part::Inputs(v1::TensorSet { tensors }));
        // When the agent has hung up, the answer below says why.
        let _ = self.inputs.send(v1::RunRequest { part }).await;
        let answer = self.outputs.message().await.map_err(self.device.fault(DOING))?;
        let fault = |detail: String| self.device.protocol(DOING, detail);
        let Some(answer) = answer else {
            return Err(fault("it ended before the outputs came".to_owned()));
        };
        let tensors = answer.outputs.unwrap_or_default().tensors.into_iter();
        let outputs = tensors.map(convert::from_wire).collect::<Result<_, _>>().map_err(fault)?;
        Ok(Inference { outputs, duration: Duration::from_nanos(answer.duration_ns) })
    }
}
