//! Running a variant on given inputs.

use quantrack_proto::v1;
use quantrack_proto::v1::run_request::Part;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::agent::AgentService;
use super::convert;
use super::upload::stale;
use crate::blobs::{Digest, Pin};
use crate::board::quiet_cores;
use crate::worker::Worker;
use crate::worker::message::{Load, Setup};

/// Most threads of the engine.
const MAX_THREADS: u32 = 64;

type Outputs = mpsc::Sender<Result<v1::RunResponse, Status>>;

pub(super) async fn start(
    service: &AgentService,
    mut requests: Streaming<v1::RunRequest>,
) -> Result<ReceiverStream<Result<v1::RunResponse, Status>>, Status> {
    let first = requests.message().await?.and_then(|message| message.part);
    let Some(Part::Header(header)) = first else {
        return Err(Status::invalid_argument("the first message of a run must be its header"));
    };
    let proof = convert::proof(header.lease)?;
    let over = service.leases.check(&proof)?;
    if !(1..=MAX_THREADS).contains(&header.threads) {
        let text = format!("threads is {}, it must be from 1 to {MAX_THREADS}", header.threads);
        return Err(Status::invalid_argument(text));
    }
    let pin = service.config.blobs.pin(&Digest::parse(&header.variant_sha256)?)?;
    let slot = service.slot().await?;
    let (outputs, receiver) = mpsc::channel(2);
    let setup = Setup {
        threads: header.threads,
        cores: quiet_cores(&service.config.root, header.threads),
        memory_limit_bytes: service.memory_limit_bytes(header.memory_limit_bytes),
        seed: 0,
    };
    let service = service.clone();
    tokio::spawn(async move {
        let _performance = service.performance().await;
        // Dropping the run kills its worker.
        let ended = tokio::select! {
            ended = run(&service, setup, &pin, &mut requests, &outputs) => ended,
            () = outputs.closed() => Ok(()),
            () = over.ended() => Err(stale(proof.epoch)),
        };
        service.metrics.ended(ended.is_err());
        if let Err(status) = ended {
            let _ = outputs.send(Err(status)).await;
        }
        drop(slot);
    });
    Ok(ReceiverStream::new(receiver))
}

async fn run(
    service: &AgentService,
    setup: Setup,
    pin: &Pin,
    requests: &mut Streaming<v1::RunRequest>,
    outputs: &Outputs,
) -> Result<(), Status> {
    let deadline = service.config.order_deadline;
    let mut worker = Worker::start(&service.config.launcher, setup).await?;
    let sha256 = pin.digest().as_str().to_owned();
    worker.load(Load { path: pin.path().display().to_string(), sha256 }, deadline).await?;
    while let Some(request) = requests.message().await? {
        let Some(Part::Inputs(set)) = request.part else {
            return Err(Status::invalid_argument("only inputs may follow the header"));
        };
        let result = worker.run(convert::inputs(set), deadline).await?;
        if outputs.send(Ok(convert::outputs(result))).await.is_err() {
            break;
        }
    }
    worker.kill().await;
    Ok(())
}
