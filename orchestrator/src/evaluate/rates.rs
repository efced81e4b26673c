//! How often stages run: the share of the images in which the stage before finds something, by its level.

use std::collections::BTreeMap;

use quantrack_engine::Level;

use super::{EvaluateError, StoredEvaluator};
use crate::search::RateByLevel;
use crate::spec::Pipeline;
use crate::variants::StageVariant;

/// How often a stage runs.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredRate {
    /// Index of the stage.
    pub stage: usize,
    /// Its rate with all stages before it at fp32.
    pub rate: f64,
    /// Its rate by the level of the stage before it, those before that one at fp32.
    pub by: RateByLevel,
}

/// The rates of all stages whose rate is to be measured.
///
/// # Errors
/// When a variant cannot be evaluated.
pub fn measured_rates(
    pipeline: &Pipeline,
    variants: &[StageVariant],
    stored: &mut StoredEvaluator<'_>,
) -> Result<Vec<MeasuredRate>, EvaluateError> {
    let (sources, _) = pipeline.composition.sources(pipeline.stages.len());
    let mut all = Vec::new();
    for (stage, _) in pipeline.stages.iter().enumerate().filter(|(_, stage)| stage.measured_rate) {
        let &[before] = &sources[stage][..] else { continue };
        let mut rates: BTreeMap<Level, f64> = BTreeMap::new();
        let name = &pipeline.stages[before].name;
        for variant in variants.iter().filter(|variant| variant.stage == *name) {
            let share = stored.found_share(before, &variant.record.sha256)?;
            // Of several recipes at a level the one that lets the stage run most: latency is not promised too low.
            let rate = rates.entry(variant.record.level).or_default();
            *rate = rate.max(share);
        }
        let rate = rates.get(&Level::Fp32).copied().unwrap_or(1.0);
        all.push(MeasuredRate { stage, rate, by: RateByLevel { stage: before, rates } });
    }
    Ok(all)
}
