//! Which few layers are worth running one level higher.

use std::collections::BTreeMap;

use super::calibrate::Calibration;
use super::error::CalibrateError;
use super::integer::{Blueprint, Exempt};
use super::noise::{Judge, decibels};

/// Samples by which layers are judged.
const SAMPLES: usize = 8;

/// What a layer does at the variant's level.
struct Sensitivity {
    layer: usize,
    /// Noise that it alone adds to the outputs, in shares of their signal.
    noise: f64,
    /// Its share of the multiply-accumulates.
    cost: f64,
}

/// The layers that hurt most: of those that run at the level of `blueprint` the ones whose noise is largest for what they
/// cost, as many as have up to `percent` of the model's multiply-accumulates together.
pub(super) fn choose(
    blueprint: &Blueprint<'_>,
    calibration: &Calibration,
    percent: u8,
) -> Result<Exempt, CalibrateError> {
    let mut layers = sensitivities(blueprint, calibration)?;
    let total: f64 = layers.iter().map(|layer| layer.noise).sum();
    let worth = |layer: &Sensitivity| layer.noise / layer.cost.max(1e-9);
    layers.sort_by(|a, b| worth(b).total_cmp(&worth(a)).then(a.layer.cmp(&b.layer)));
    let mut left = f64::from(percent) / 100.0;
    let mut exempt = BTreeMap::new();
    for layer in layers.iter().filter(|layer| layer.noise > 0.0) {
        if layer.cost <= left {
            left -= layer.cost;
            exempt.insert(layer.layer, reason(layer, total));
        }
    }
    Ok(exempt)
}

fn reason(layer: &Sensitivity, total: f64) -> String {
    format!(
        "alone it leaves {:.1} dB of the outputs and makes {:.1} % of the noise of all layers; it has {:.2} % of the \
         multiply-accumulates",
        decibels(layer.noise),
        100.0 * layer.noise / total,
        100.0 * layer.cost
    )
}

/// What each layer does alone, all others one level higher.
fn sensitivities(
    blueprint: &Blueprint<'_>,
    calibration: &Calibration,
) -> Result<Vec<Sensitivity>, CalibrateError> {
    let graph = blueprint.graph();
    let judge = Judge::new(graph, calibration.kept.judging(SAMPLES), &calibration.cpu)?;
    let layers = blueprint.lowered();
    let all: Exempt = layers.iter().map(|&layer| (layer, String::new())).collect();
    // What the rest of the model adds is no fault of any layer's.
    let rest = judge.noise(&blueprint.assemble(&all))?;
    let total = graph.macs().max(1) as f64;
    let alone = |&layer: &usize| {
        let mut others = all.clone();
        others.remove(&layer);
        Ok(Sensitivity {
            layer,
            noise: (judge.noise(&blueprint.assemble(&others))? - rest).max(0.0),
            cost: graph.node_macs(&graph.nodes[layer]) as f64 / total,
        })
    };
    layers.iter().map(alone).collect()
}
