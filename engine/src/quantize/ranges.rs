//! Choosing for each tensor the way in which its range is found, by what the model's outputs make of it.

use std::collections::BTreeMap;

use super::calibrate::Calibration;
use super::encodings::{Groups, encodings};
use super::error::CalibrateError;
use super::integer::{Blueprint, Exempt};
use super::noise::Judge;
use super::recipe::{Range, Recipe, Scheme};
use crate::Level;
use crate::graph::{Graph, ValueId};

/// What is tried, for all tensors and then for each.
const CANDIDATES: [Range; 5] =
    [Range::Mse, Range::MinMax, Range::Percentile(99.99), Range::Percentile(99.9), Range::Kl];
/// Samples by which ranges are judged: other ones than those that recipes fit to.
const SAMPLES: usize = 8;
/// A tensor leaves the way of all others only where that takes away so large a share of the noise: less is chance.
const LEAST_GAIN: f64 = 0.01;

/// The 8-bit encoding of each value of the fused `graph`: first the way is taken that serves all tensors together best, then
/// each set of tensors that share an encoding, in the order in which they are computed, gets the one that serves it best.
pub(super) fn best(
    graph: &Graph,
    calibration: &Calibration,
) -> Result<Vec<(f32, i8)>, CalibrateError> {
    let groups = Groups::of(graph);
    let judge = Judge::new(graph, calibration.kept.judging(SAMPLES), &calibration.cpu)?;
    let with = |common: Range, special: &BTreeMap<ValueId, Range>| {
        let range = |root: ValueId| special.get(&root).copied().unwrap_or(common);
        encodings(graph, &groups, calibration, range)
    };
    let noise = |encodings: Vec<(f32, i8)>| {
        let recipe = Recipe::Integer(Scheme::plain(Range::Best));
        let blueprint =
            Blueprint::new(graph.clone(), Level::Int8, &recipe, calibration, encodings)?;
        judge.noise(&blueprint.assemble(&Exempt::new()))
    };
    let mut special = BTreeMap::new();
    let mut best = (f64::INFINITY, Range::Mse);
    for range in CANDIDATES {
        let noise = noise(with(range, &special))?;
        if noise < best.0 {
            best = (noise, range);
        }
    }
    let (mut least, common) = best;
    for root in groups.computed(graph) {
        let plain = with(common, &special);
        for range in CANDIDATES.into_iter().filter(|range| *range != common) {
            let before = special.insert(root, range);
            let changed = with(common, &special);
            // Most ways agree on most tensors.
            let noise = if changed == plain { f64::INFINITY } else { noise(changed)? };
            if noise < least * (1.0 - LEAST_GAIN) {
                least = noise;
            } else {
                match before {
                    Some(before) => special.insert(root, before),
                    None => special.remove(&root),
                };
            }
        }
    }
    Ok(with(common, &special))
}
