//! Kernels that an experiment asks for by name.

use anyhow::bail;
use quantrack_engine::kernels::{CpuFeatures, registry};

use crate::board::{detect_features, isa_name};

/// What this CPU can do, and which kernels to take wherever they can run.
pub(super) fn features(asked: &[String]) -> anyhow::Result<CpuFeatures> {
    let cpu = detect_features();
    for name in asked {
        let Some((_, isa)) = registry::all().into_iter().find(|(known, _)| known == name) else {
            bail!("no kernel is named {name:?}: `agent capabilities` lists those of this CPU");
        };
        if !cpu.has(isa) {
            bail!("kernel {name} needs {}, which this CPU lacks", isa_name(isa));
        }
    }
    Ok(cpu.preferring(asked.iter().cloned()))
}
