//! How the latencies of stages make the latency of the pipeline.

use std::collections::BTreeMap;

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};

/// A series-parallel composition of stages. Leaves are indices of stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// One stage, run on a share `rate` of the frames (a palm detector that runs only when tracking is lost:
    /// 0.1). Its latency counts `rate` times, which gives the mean over frames.
    Stage {
        /// Index of the stage.
        stage: usize,
        /// Between 0 and 1.
        rate: f64,
        /// Rates that replace `rate` by the level of another stage: the worse that one's findings are, the more often
        /// this one may have to run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<RateByLevel>,
    },
    /// One after the other: latencies add.
    Chain(Vec<Composition>),
    /// At the same time: the slowest branch counts.
    Parallel(Vec<Composition>),
}

/// How the rate of a stage depends on the level of another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RateByLevel {
    /// Index of the other stage.
    pub stage: usize,
    /// Rates by its level, each between 0 and 1; levels that are not named leave the stage its own rate.
    pub rates: BTreeMap<Level, f64>,
}

impl RateByLevel {
    /// The rate where the other stage runs at `level`; where that is open, the least that it can become. `own` is the
    /// stage's own rate.
    fn rate(&self, own: f64, level: Option<Level>) -> f64 {
        match level {
            Some(level) => self.rates.get(&level).copied().unwrap_or(own),
            None => self.rates.values().copied().fold(own, f64::min),
        }
    }
}

/// A composition that does not fit the stages.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompositionError {
    /// A leaf names a stage that does not exist.
    #[error("the composition names stage {0}, but there are only {1}")]
    UnknownStage(usize, usize),
    /// Some stage is missing or named twice.
    #[error("the composition has stage {0} {1} times; every stage must be in it exactly once")]
    NotOnce(usize, usize),
    /// A rate outside 0..=1.
    #[error("stage {0} has rate {1}; a rate is a share of the frames, between 0 and 1")]
    Rate(usize, f64),
    /// A rate that depends on a stage that does not exist, or on its own.
    #[error("the rate of stage {0} depends on stage {1}, which is not another stage")]
    Dependence(usize, usize),
}

impl Composition {
    /// All stages one after the other, each on every frame.
    pub fn chain(stages: usize) -> Self {
        Self::Chain((0..stages).map(|stage| Self::stage(stage, 1.0)).collect())
    }

    /// One stage, on a share of the frames.
    pub fn stage(stage: usize, rate: f64) -> Self {
        Self::Stage { stage, rate, by: None }
    }

    /// The rate of `stage`, and what it depends on.
    pub fn rate(&self, stage: usize) -> Option<(f64, Option<&RateByLevel>)> {
        match self {
            Self::Stage { stage: own, rate, by } => (*own == stage).then_some((*rate, by.as_ref())),
            Self::Chain(parts) | Self::Parallel(parts) => {
                parts.iter().find_map(|part| part.rate(stage))
            }
        }
    }

    /// Gives `stage` another rate.
    pub fn set_rate(&mut self, stage: usize, rate: f64, by: Option<RateByLevel>) {
        match self {
            Self::Stage { stage: own, rate: own_rate, by: own_by } if *own == stage => {
                (*own_rate, *own_by) = (rate, by);
            }
            Self::Stage { .. } => {}
            Self::Chain(parts) | Self::Parallel(parts) => {
                parts.iter_mut().for_each(|part| part.set_rate(stage, rate, by.clone()));
            }
        }
    }

    /// Whether the rate of some stage depends on the level of another.
    pub fn has_dependent_rates(&self) -> bool {
        match self {
            Self::Stage { by, .. } => by.is_some(),
            Self::Chain(parts) | Self::Parallel(parts) => {
                parts.iter().any(Self::has_dependent_rates)
            }
        }
    }

    /// The stages in it, in the order of the composition.
    pub fn stages(&self) -> Vec<usize> {
        match self {
            Self::Stage { stage, .. } => vec![*stage],
            Self::Chain(parts) | Self::Parallel(parts) => {
                parts.iter().flat_map(Self::stages).collect()
            }
        }
    }

    /// Checks that each of `stages` stages is in the composition exactly once, and that rates are shares.
    pub fn validate(&self, stages: usize) -> Result<(), CompositionError> {
        let mut seen = vec![0usize; stages];
        self.count(&mut seen)?;
        match seen.iter().position(|&times| times != 1) {
            Some(stage) => Err(CompositionError::NotOnce(stage, seen[stage])),
            None => Ok(()),
        }
    }

    fn count(&self, seen: &mut [usize]) -> Result<(), CompositionError> {
        match self {
            Self::Stage { stage, rate, by } => {
                let total = seen.len();
                let times =
                    seen.get_mut(*stage).ok_or(CompositionError::UnknownStage(*stage, total))?;
                *times += 1;
                if let Some(by) = by.as_ref().filter(|by| by.stage == *stage || by.stage >= total) {
                    return Err(CompositionError::Dependence(*stage, by.stage));
                }
                let mut rates = by.iter().flat_map(|by| by.rates.values()).chain([rate]);
                match rates.find(|rate| !(0.0..=1.0).contains(*rate)) {
                    Some(rate) => Err(CompositionError::Rate(*stage, *rate)),
                    None => Ok(()),
                }
            }
            Self::Chain(parts) | Self::Parallel(parts) => {
                parts.iter().try_for_each(|part| part.count(seen))
            }
        }
    }

    /// Which stages feed each of `stages` stages, in order; none: it sees the image. With them, the stages that the
    /// composition ends with. Parts of a chain are fed by the part before them, branches by what comes before all of them.
    pub fn sources(&self, stages: usize) -> (Vec<Vec<usize>>, Vec<usize>) {
        let mut sources = vec![Vec::new(); stages];
        let ends = self.feed(&[], &mut sources);
        (sources, ends)
    }

    /// Notes that `before` feed this part; returns the stages that it ends with.
    fn feed(&self, before: &[usize], sources: &mut [Vec<usize>]) -> Vec<usize> {
        match self {
            Self::Stage { stage, .. } => {
                if let Some(of_stage) = sources.get_mut(*stage) {
                    *of_stage = before.to_vec();
                }
                vec![*stage]
            }
            Self::Chain(parts) => {
                let first = before.to_vec();
                parts.iter().fold(first, |before, part| part.feed(&before, sources))
            }
            Self::Parallel(parts) => {
                parts.iter().flat_map(|part| part.feed(before, sources)).collect()
            }
        }
    }

    /// Latency of the pipeline in microseconds, given that of each stage and the level that it runs at. Where the level
    /// is open, rates that depend on it are the least that they can become: the latency is then a lower bound.
    pub fn latency_us(&self, stage_us: &[f64], level: &dyn Fn(usize) -> Option<Level>) -> f64 {
        match self {
            Self::Stage { stage, rate, by } => {
                let rate = by.as_ref().map_or(*rate, |by| by.rate(*rate, level(by.stage)));
                stage_us[*stage] * rate
            }
            Self::Chain(parts) => parts.iter().map(|part| part.latency_us(stage_us, level)).sum(),
            Self::Parallel(parts) => {
                parts.iter().map(|part| part.latency_us(stage_us, level)).fold(0.0, f64::max)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_add_and_parallel_branches_take_the_slowest() {
        let leaf = |stage| Composition::stage(stage, 1.0);
        let tree = Composition::Chain(vec![
            Composition::stage(0, 0.25),
            Composition::Parallel(vec![leaf(1), Composition::Chain(vec![leaf(2), leaf(3)])]),
        ]);
        tree.validate(4).unwrap();
        assert_eq!(tree.latency_us(&[100.0, 40.0, 30.0, 20.0], &|_| None), 25.0 + 50.0);
    }

    #[test]
    fn a_rate_follows_the_level_of_the_stage_it_depends_on() {
        let rates = BTreeMap::from([(Level::Int4, 0.5), (Level::Bin1, 0.0)]);
        let by = Some(RateByLevel { stage: 1, rates });
        let palm = Composition::Stage { stage: 0, rate: 0.25, by };
        let tree = Composition::Chain(vec![palm, Composition::stage(1, 1.0)]);
        tree.validate(2).unwrap();
        assert!(tree.has_dependent_rates());
        let at = |level| tree.latency_us(&[100.0, 10.0], &|_| level);
        assert_eq!(at(Some(Level::Int8)), 35.0);
        assert_eq!(at(Some(Level::Int4)), 60.0);
        assert_eq!(at(None), 10.0, "open: the least");
        let Composition::Chain(mut parts) = tree else { unreachable!() };
        let Composition::Stage { by: Some(by), .. } = &mut parts[0] else { unreachable!() };
        by.stage = 0;
        let wrong = Composition::Chain(parts).validate(2);
        assert_eq!(wrong, Err(CompositionError::Dependence(0, 0)));
    }

    #[test]
    fn branches_see_what_comes_before_and_the_next_part_sees_all_branches() {
        let leaf = |stage| Composition::stage(stage, 1.0);
        let tree = Composition::Chain(vec![
            leaf(0),
            Composition::Parallel(vec![leaf(1), Composition::Chain(vec![leaf(2), leaf(3)])]),
            leaf(4),
        ]);
        let (sources, ends) = tree.sources(5);
        assert_eq!(sources, [vec![], vec![0], vec![0], vec![2], vec![1, 3]]);
        assert_eq!(ends, [4]);
        assert_eq!(Composition::Parallel(vec![leaf(0), leaf(1)]).sources(2).1, [0, 1]);
        assert_eq!(Composition::chain(2).sources(2), (vec![vec![], vec![0]], vec![1]));
    }

    #[test]
    fn a_missing_doubled_or_unknown_stage_is_named() {
        let leaf = |stage| Composition::stage(stage, 1.0);
        let missing = Composition::Chain(vec![leaf(0)]);
        assert_eq!(missing.validate(2), Err(CompositionError::NotOnce(1, 0)));
        let doubled = Composition::Chain(vec![leaf(0), leaf(1), leaf(0)]);
        assert_eq!(doubled.validate(2), Err(CompositionError::NotOnce(0, 2)));
        assert_eq!(leaf(5).validate(2), Err(CompositionError::UnknownStage(5, 2)));
        let rate = Composition::stage(0, 1.5);
        assert_eq!(rate.validate(1), Err(CompositionError::Rate(0, 1.5)));
    }
}
