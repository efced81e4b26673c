//! Domain types to wire types and back; nothing else knows both.

use std::time::Duration;

use quantrack_proto::v1;
use tonic::Status;

use crate::board::{BoardFacts, Conditions};
use crate::lease::{LeaseError, Occupancy, Proof};
use crate::measure::{CoolTo, Settings};
use crate::worker::message;

pub(super) fn board(facts: BoardFacts) -> v1::Board {
    v1::Board {
        model: facts.model,
        revision: facts.revision,
        cpu: facts.cpu,
        cpu_id: facts.cpu_id,
        features: facts.features,
        cores: facts.cores,
        memory_bytes: facts.memory_bytes,
        kernel_release: facts.kernel_release,
        os: facts.os,
        userland_bits: facts.userland_bits,
        target: facts.target,
        hostname: facts.hostname,
    }
}

pub(super) fn conditions(now: Conditions) -> v1::Conditions {
    v1::Conditions {
        throttled_bits: now.throttled.map(|throttled| throttled.bits.0),
        throttled_source: now.throttled.map(|throttled| throttled.source.to_owned()),
        arm_clock_hz: now.arm_clock.map(|clock| clock.hz),
        arm_clock_source: now.arm_clock.map(|clock| clock.source.to_owned()),
        temperature_celsius: now.temperature_celsius,
        load_1m: now.load_1m,
        available_memory_bytes: now.available_memory_bytes,
        boot_id: now.boot_id,
        governor: now.governor,
        uptime_ms: now.uptime_ms,
        power_uw: now.power.microwatts,
        energy_uj: now.power.microjoules,
    }
}

pub(super) fn proof(lease: Option<v1::Lease>) -> Result<Proof, LeaseError> {
    let lease = lease.ok_or(LeaseError::Missing)?;
    Ok(Proof { epoch: lease.epoch, token: lease.token })
}

pub(super) fn lease(proof: &Proof) -> v1::Lease {
    v1::Lease { epoch: proof.epoch, token: proof.token.clone() }
}

pub(super) fn occupancy(now: Occupancy) -> v1::Occupancy {
    v1::Occupancy {
        holder: now.holder,
        epoch: now.epoch,
        held_ms: u64::try_from(now.held.as_millis()).unwrap_or(u64::MAX),
        waiting: u32::try_from(now.waiting).unwrap_or(u32::MAX),
        draining: now.draining,
    }
}

pub(super) fn settings(wire: Option<v1::MeasureSettings>) -> Result<Settings, Status> {
    let wire = wire.ok_or_else(|| Status::invalid_argument("the request carries no settings"))?;
    let settings = Settings {
        threads: wire.threads,
        cores: wire.cores,
        warmup_runs: wire.warmup_runs,
        min_samples: wire.min_samples,
        max_samples: wire.max_samples,
        target_relative_ci: wire.target_relative_ci,
        max_duration: Duration::from_millis(wire.max_duration_ms.into()),
        block_samples: wire.block_samples,
        memory_limit_bytes: wire.memory_limit_bytes,
        layers: wire.layers,
        seed: wire.seed,
        cool_to: wire.cool_to_celsius.map(|celsius| CoolTo {
            celsius,
            timeout: Duration::from_millis(wire.cool_timeout_ms.into()),
        }),
    };
    settings.check().map_err(Status::invalid_argument)?;
    Ok(settings)
}

pub(super) fn layers(variant: u32, layers: message::Layers) -> v1::LayerTimes {
    let layer = |layer: message::Layer| v1::LayerTime {
        name: layer.name,
        op: layer.op,
        level: layer.level,
        kernel: layer.kernel,
        macs: layer.macs,
        duration_ns: layer.duration_ns,
    };
    v1::LayerTimes { variant, layers: layers.layers.into_iter().map(layer).collect() }
}

pub(super) fn inputs(set: v1::TensorSet) -> message::Tensors {
    let tensor = |tensor: v1::Tensor| message::Tensor {
        name: tensor.name,
        shape: tensor.shape,
        f32_le: tensor.f32_le,
    };
    let tensors = set.tensors.into_iter().map(tensor).collect();
    message::Tensors { tensors, duration_ns: 0 }
}

pub(super) fn outputs(run: message::Tensors) -> v1::RunResponse {
    let tensor = |tensor: message::Tensor| v1::Tensor {
        name: tensor.name,
        shape: tensor.shape,
        f32_le: tensor.f32_le,
    };
    let outputs = v1::TensorSet { tensors: run.tensors.into_iter().map(tensor).collect() };
    v1::RunResponse { outputs: Some(outputs), duration_ns: run.duration_ns }
}
