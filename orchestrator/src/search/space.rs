//! The assignments that may be chosen at all, going by the table: those that meet the stages' own thresholds and the
//! constraints. Assignments are looked at stage by stage; what the first stages run already bounds the whole.

use super::problem::{Choice, Problem};

/// The assignments that a problem leaves.
#[derive(Debug)]
pub(crate) struct Space<'a> {
    problem: &'a Problem,
    /// Per stage the choices that meet its own threshold.
    allowed: Vec<Vec<usize>>,
    /// Per stage the least latency in microseconds of an allowed choice.
    fastest_us: Vec<f64>,
    /// Least bytes of files and of memory of all stages from one on.
    lightest: Vec<(u64, u64)>,
    /// Per stage the earlier ones whose level it must have.
    like: Vec<Vec<usize>>,
}

/// Whether a choice meets the threshold of its stage; one that was never measured alone does.
pub(super) fn meets(minimum: Option<f64>, choice: &Choice) -> bool {
    minimum.zip(choice.accuracy).is_none_or(|(minimum, accuracy)| accuracy >= minimum)
}

/// Bytes of the variant's file and of its memory.
pub(super) fn bytes(choice: &Choice) -> (u64, u64) {
    (choice.model_bytes, choice.memory_bytes.unwrap_or_default())
}

impl<'a> Space<'a> {
    /// Of a valid problem.
    pub(crate) fn new(problem: &'a Problem) -> Self {
        let stages = &problem.stages;
        let allowed: Vec<Vec<usize>> = stages
            .iter()
            .map(|stage| {
                let all = 0..stage.choices.len();
                all.filter(|&pick| meets(stage.min_accuracy, &stage.choices[pick])).collect()
            })
            .collect();
        let of = |stage: usize| allowed[stage].iter().map(move |&p| &stages[stage].choices[p]);
        let fastest = |stage| of(stage).map(|c| c.latency_us).fold(f64::INFINITY, f64::min);
        let mut lightest = vec![(0, 0); stages.len() + 1];
        for stage in (0..stages.len()).rev() {
            let files = of(stage).map(|choice| bytes(choice).0).min().unwrap_or_default();
            let memory = of(stage).map(|choice| bytes(choice).1).min().unwrap_or_default();
            let (after_files, after_memory) = lightest[stage + 1];
            lightest[stage] = (files + after_files, memory + after_memory);
        }
        let mut like = vec![Vec::new(); stages.len()];
        for group in &problem.constraints.same_level {
            for &stage in group {
                like[stage].extend(group.iter().copied().filter(|&other| other < stage));
            }
        }
        let fastest_us = (0..stages.len()).map(fastest).collect();
        Self { problem, fastest_us, lightest, like, allowed }
    }

    /// The choices of `stage` that meet its own threshold.
    pub(crate) fn allowed(&self, stage: usize) -> &[usize] {
        &self.allowed[stage]
    }

    /// Number of stages.
    pub(crate) fn stages(&self) -> usize {
        self.allowed.len()
    }

    /// Choices below their stage's own threshold, as (stage, choice).
    pub(crate) fn excluded(&self) -> Vec<(usize, usize)> {
        let stages = self.problem.stages.iter().enumerate();
        stages
            .flat_map(|(index, stage)| {
                let below = move |pick: &usize| !self.allowed[index].contains(pick);
                (0..stage.choices.len()).filter(below).map(move |pick| (index, pick))
            })
            .collect()
    }

    /// A lower bound on the latency in microseconds of all assignments that begin with `picks`; of a whole one its
    /// latency, to the bit.
    pub(crate) fn bound_us(&self, picks: &[usize]) -> f64 {
        let stages = &self.problem.stages;
        let picked = picks.iter().zip(stages).map(|(&pick, stage)| stage.choices[pick].latency_us);
        let open = self.fastest_us[picks.len()..].iter().copied();
        let stage_us: Vec<f64> = picked.chain(open).collect();
        self.problem.composition.latency_us(&stage_us, &|stage| {
            picks.get(stage).map(|&pick| stages[stage].choices[pick].level)
        })
    }

    /// Whether assignments that begin with `picks` can keep to the constraints; for a whole one, whether it does. All
    /// picks but the last are taken to have been checked.
    pub(crate) fn fits(&self, picks: &[usize]) -> bool {
        let choice = |stage: usize| &self.problem.stages[stage].choices[picks[stage]];
        let Some(last) = picks.len().checked_sub(1) else { return true };
        let same = self.like[last].iter().all(|&other| choice(other).level == choice(last).level);
        let (mut files, mut memory) = self.lightest[picks.len()];
        for stage in 0..picks.len() {
            let (of_files, of_memory) = bytes(choice(stage));
            (files, memory) = (files + of_files, memory + of_memory);
        }
        let limits = &self.problem.constraints;
        let within = |limit: Option<u64>, bytes: u64| limit.is_none_or(|limit| bytes <= limit);
        same && within(limits.max_model_bytes, files) && within(limits.max_memory_bytes, memory)
    }

    /// Whether `picks`, a whole assignment, may be chosen.
    pub(crate) fn contains(&self, picks: &[usize]) -> bool {
        picks.iter().zip(&self.allowed).all(|(pick, allowed)| allowed.contains(pick))
            && (1..=picks.len()).all(|length| self.fits(&picks[..length]))
    }
}
