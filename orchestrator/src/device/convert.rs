//! Between wire types and ours: the only place that knows both.

use ndarray::{ArrayD, IxDyn};
use quantrack_proto::v1;

use super::run::NamedTensor;
use crate::measurement::{BoardFacts, Conditions, Health, LayerRow, Occupancy, Resources};
use crate::spec::Measure;

pub(super) fn board(board: v1::Board) -> BoardFacts {
    BoardFacts {
        model: board.model,
        revision: board.revision,
        cpu: board.cpu,
        cpu_id: board.cpu_id,
        features: board.features,
        cores: board.cores,
        memory_bytes: board.memory_bytes,
        kernel_release: board.kernel_release,
        os: board.os,
        userland_bits: board.userland_bits,
        target: board.target,
        hostname: board.hostname,
    }
}

pub(super) fn health(health: v1::Health) -> Health {
    Health {
        clock_unix_ms: health.clock_unix_ms,
        clock_set: health.clock_set,
        free_bytes: health.free_bytes,
        governor_settable: health.governor_settable,
    }
}

pub(super) fn conditions(now: v1::Conditions) -> Conditions {
    Conditions {
        throttled_bits: now.throttled_bits,
        throttled_source: now.throttled_source,
        arm_clock_hz: now.arm_clock_hz,
        arm_clock_source: now.arm_clock_source,
        temperature_celsius: now.temperature_celsius,
        load_1m: now.load_1m,
        available_memory_bytes: now.available_memory_bytes,
        boot_id: now.boot_id,
        governor: now.governor,
        uptime_ms: now.uptime_ms,
        power_uw: now.power_uw,
        energy_uj: now.energy_uj,
        foreign_load: None,
    }
}

pub(super) fn occupancy(now: v1::Occupancy) -> Occupancy {
    Occupancy {
        holder: now.holder,
        epoch: now.epoch,
        held_s: now.held_ms / 1000,
        waiting: now.waiting,
        draining: now.draining,
    }
}

pub(super) fn settings(measure: &Measure) -> v1::MeasureSettings {
    v1::MeasureSettings {
        threads: measure.threads,
        cores: measure.cores.clone(),
        warmup_runs: measure.warmup,
        min_samples: measure.min_samples,
        max_samples: measure.max_samples,
        target_relative_ci: measure.target_ci,
        max_duration_ms: measure.max_seconds.saturating_mul(1000),
        block_samples: measure.block,
        memory_limit_bytes: memory_limit_bytes(measure),
        layers: measure.layers,
        seed: 1,
        cool_to_celsius: measure.cool_to,
        cool_timeout_ms: measure.cool_seconds.saturating_mul(1000),
    }
}

pub(super) fn memory_limit_bytes(measure: &Measure) -> u64 {
    u64::from(measure.memory_mb) << 20
}

pub(super) fn resources(summary: v1::VariantSummary) -> Resources {
    Resources {
        peak_memory_bytes: summary.peak_memory_bytes,
        arena_bytes: summary.arena_bytes,
        weight_bytes: summary.weight_bytes,
        kernels: summary.kernels,
    }
}

pub(super) fn layer(layer: v1::LayerTime) -> LayerRow {
    LayerRow {
        name: layer.name,
        op: layer.op,
        level: layer.level,
        kernel: layer.kernel,
        macs: layer.macs,
        duration_ns: layer.duration_ns,
    }
}

pub(super) fn to_wire(named: &NamedTensor) -> v1::Tensor {
    v1::Tensor {
        name: named.name.clone(),
        shape: named.tensor.shape().iter().map(|&extent| extent as u64).collect(),
        f32_le: named.tensor.iter().flat_map(|value| value.to_le_bytes()).collect(),
    }
}

/// The tensor of a message; the error says what is wrong with it.
pub(super) fn from_wire(wire: v1::Tensor) -> Result<NamedTensor, String> {
    let (values, rest) = wire.f32_le.as_chunks::<4>();
    let shape: Option<Vec<usize>> =
        wire.shape.iter().map(|&extent| usize::try_from(extent).ok()).collect();
    let elements = shape
        .as_ref()
        .and_then(|shape| shape.iter().try_fold(1usize, |all, &extent| all.checked_mul(extent)));
    match shape {
        Some(shape) if rest.is_empty() && elements == Some(values.len()) => {
            let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            let tensor = ArrayD::from_shape_vec(IxDyn(&shape), values)
                .map_err(|error| format!("tensor {:?}: {error}", wire.name))?;
            Ok(NamedTensor { name: wire.name, tensor })
        }
        _ => Err(format!(
            "tensor {:?} has {} bytes for the shape {:?}",
            wire.name,
            wire.f32_le.len(),
            wire.shape
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_survive_the_wire_and_wrong_sizes_do_not() {
        let tensor = ArrayD::from_shape_fn(IxDyn(&[2, 3]), |i| i[0] as f32 - 0.5 * i[1] as f32);
        let named = NamedTensor { name: "x".to_owned(), tensor };
        let wire = to_wire(&named);
        assert_eq!(from_wire(wire.clone()), Ok(named));
        let short = v1::Tensor { f32_le: wire.f32_le[..23].to_vec(), ..wire.clone() };
        assert!(from_wire(short).unwrap_err().contains("23 bytes"));
        let huge = v1::Tensor { shape: vec![u64::MAX, 2], ..wire };
        assert!(from_wire(huge).is_err());
    }
}
