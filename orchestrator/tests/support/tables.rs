//! Made-up tables of six stages at six levels, as tunes record them: the latency of every variant, and whether each
//! assignment has each sample right. Everything follows from a seed.
//!
//! A sample is answered right when the errors of all stages together stay within its margin. Errors grow as bits fall, by
//! as much as the stage is sensitive to it; errors of two stages amplify each other or, at times, cancel, so accuracy
//! is not monotone and what a choice does alone does not tell what it does among others. The first two stages may also
//! find nothing, which ends the pipeline for the sample. Latencies are those of a board on which few stages take most
//! of the time, and fewer bits are mostly but not always faster.

use std::convert::Infallible;

use quantrack_engine::Level;
use quantrack_orchestrator::evaluate::looks;
use quantrack_orchestrator::search::{
    Choice, Composition, Constraints, Evaluate, Floor, Method, Objective, Problem, StageChoices,
    Stopping,
};

/// Stages of a table.
pub(crate) const STAGES: usize = 6;
/// Samples of a table.
pub(crate) const SAMPLES: usize = 400;
/// Assignments of a table.
pub(crate) const ASSIGNMENTS: usize = LEVELS.pow(STAGES as u32);

const LEVELS: usize = Level::ALL.len();

/// Errors of the levels relative to each other, and their latencies as shares of fp32's, as measured on an A53.
const ERROR: [f64; LEVELS] = [0.0, 0.004, 0.05, 0.22, 1.1, 1.7];
const SHARE: [f64; LEVELS] = [1.0, 1.05, 0.55, 0.5, 0.36, 0.26];

/// A recorded table.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The question that a tune asks of it: the fastest within 4 points.
    pub(crate) problem: Problem,
    /// By stage and level the size of its errors.
    errors: Vec<[f64; LEVELS]>,
    /// By pair of stages how their errors act on each other.
    couplings: [[f64; STAGES]; STAGES],
    samples: Vec<Sample>,
}

#[derive(Debug)]
struct Sample {
    /// How much error it bears; below 0: wrong even without.
    margin: f64,
    /// How much error the first stages bear before they find nothing.
    visible: [f64; 2],
    /// By stage and level the direction of the error.
    directions: [[f64; LEVELS]; STAGES],
}

impl Recorded {
    /// The table that follows from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        (0..20).for_each(|_| _ = random.uniform());
        let stages = (0..STAGES).map(|index| stage(&mut random, index)).collect();
        let errors = (0..STAGES)
            .map(|_| {
                let sensitivity = (0.6 * random.normal()).exp();
                ERROR.map(|error| error * sensitivity * (0.25 * random.normal()).exp())
            })
            .collect();
        let mut couplings = [[0.0; STAGES]; STAGES];
        for row in &mut couplings {
            row.iter_mut().for_each(|coupling| *coupling = 0.5 * random.normal() + 0.2);
        }
        let sample = |random: &mut Random| Sample {
            margin: 1.1 + 0.75 * random.normal(),
            visible: [1.6 + 0.4 * random.normal(), 2.0 + 0.5 * random.normal()],
            directions: std::array::from_fn(|_| std::array::from_fn(|_| random.normal())),
        };
        let samples = (0..SAMPLES).map(|_| sample(&mut random)).collect();
        let problem = Problem {
            stages,
            composition: Composition::chain(STAGES),
            objective: Objective::MinLatency,
            floor: Some(Floor::MaxDropPoints(4.0)),
            max_latency_us: None,
            constraints: Constraints::default(),
            method: Method::default(),
            max_evaluations: None,
        };
        Self { problem, errors, couplings, samples }
    }

    /// Whether the assignment has the sample right.
    pub(crate) fn is_right(&self, picks: &[usize], sample: usize) -> bool {
        if self.finds_nothing(picks, sample) {
            return false;
        }
        let sample = &self.samples[sample];
        let size = |stage: usize| self.errors[stage][picks[stage]];
        let mut error = 0.0;
        for (stage, &pick) in picks.iter().enumerate() {
            let own = size(stage) * (0.6 + 0.5 * sample.directions[stage][pick]);
            let act = |other: usize| self.couplings[stage][other] * size(other);
            error += own * (1.0 + (0..stage).map(act).sum::<f64>());
        }
        error < sample.margin && sample.margin > 0.0
            || (-0.05..0.0).contains(&(sample.margin - error))
    }

    /// Whether the first stages, running `picks`, end the pipeline for the sample.
    fn finds_nothing(&self, picks: &[usize], sample: usize) -> bool {
        let visible = self.samples[sample].visible;
        let sizes = picks.iter().take(2).enumerate().map(|(stage, &pick)| self.errors[stage][pick]);
        sizes.zip(visible).any(|(size, visible)| size > visible)
    }

    /// Samples that the assignment has right.
    pub(crate) fn correct(&self, picks: &[usize]) -> u64 {
        (0..SAMPLES).filter(|&sample| self.is_right(picks, sample)).count() as u64
    }

    /// Every assignment.
    pub(crate) fn all() -> impl Iterator<Item = Vec<usize>> {
        (0..ASSIGNMENTS).map(|index| {
            (0..STAGES as u32).map(|stage| index / LEVELS.pow(stage) % LEVELS).collect()
        })
    }

    /// The least latency in microseconds of an assignment that reaches the floor, by looking at all.
    pub(crate) fn optimum_us(&self) -> f64 {
        let total = SAMPLES as u64;
        let correct = self.correct(&self.problem.baseline());
        let baseline = quantrack_orchestrator::search::Accuracy { correct, total };
        let least = self.problem.floor.map_or(0, |floor| floor.min_correct(baseline));
        let mut all: Vec<(f64, Vec<usize>)> =
            Self::all().map(|picks| (self.problem.latency_us(&picks), picks)).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0));
        let fastest = all.iter().find(|(_, picks)| self.correct(picks) >= least);
        fastest.map_or(f64::NAN, |(latency_us, _)| *latency_us)
    }
}

fn stage(random: &mut Random, index: usize) -> StageChoices {
    let fp32_us = 1000.0 * (1.3 * random.normal()).exp();
    let choices = Level::ALL.iter().zip(SHARE).map(|(&level, share)| Choice {
        level,
        recipe: "made-up".to_owned(),
        variant_sha256: format!("{index}/{level}"),
        latency_us: fp32_us * share * (0.12 * random.normal()).exp(),
        interval_us: None,
        accuracy: None,
        model_bytes: 1_000_000 / (1 + level as u64),
        memory_bytes: Some(8_000_000),
    });
    StageChoices {
        name: format!("stage {index}"),
        choices: choices.collect(),
        baseline: 0,
        min_accuracy: None,
    }
}

/// Evaluates assignments of a table, and counts.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    /// The table.
    pub(crate) table: &'a Recorded,
    /// Samples that were run.
    pub(crate) samples: usize,
    /// Assignments that were looked at.
    pub(crate) assignments: usize,
}

impl Evaluate for Counted<'_> {
    type Error = Infallible;

    fn answers(
        &mut self,
        picks: &[usize],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Infallible> {
        let mut answers = Vec::new();
        for look in looks(SAMPLES) {
            answers.extend(look.map(|sample| self.table.is_right(picks, sample)));
            if stop.is_some_and(|stop| stop.hopeless(&answers).is_some()) {
                break;
            }
        }
        self.samples += answers.len();
        self.assignments += 1;
        Ok(answers)
    }

    /// As the evaluator does: gives up where that is not likely. All samples count, though their first stages ran before.
    fn reached(&mut self, picks: &[usize], needed: u64) -> Result<Option<u64>, Infallible> {
        let mut ended = 0;
        for look in looks(SAMPLES) {
            let seen = look.end;
            self.samples += look.len();
            ended += look.filter(|&sample| self.table.finds_nothing(picks, sample)).count();
            if 2 * ended < seen {
                return Ok(None);
            }
            if ((SAMPLES - ended) as u64) < needed {
                return Ok(Some((SAMPLES - ended) as u64));
            }
        }
        Ok(None)
    }
}

/// G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// By the sum of twelve: close enough to a normal distribution, and the same on every machine.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}
