//! Made-up boards that are checked night after night by the same functions that `check` calls. Everything follows from a
//! seed.
//!
//! A night has runs, a run has blocks, a block has samples. Each of them adds its own noise, as boards do: nights differ
//! by temperature and boot, runs by the memory layout of their process, blocks by what else the board does, samples by
//! interrupts.

use quantrack_orchestrator::nightly::effect::run_median;
use quantrack_orchestrator::nightly::floor::Noise;
use quantrack_orchestrator::nightly::suite::{BASELINE_RUNS, MIN_EFFECT, RUNS};
use quantrack_orchestrator::nightly::verdict::{
    Compared, Judged, Verdict, confirmed, look, needs_rerun, unconfirmed, within_noise,
};

const BLOCKS: usize = 6;
const BLOCK_SAMPLES: usize = 10;
/// Nights of a board before another one is looked at.
const NIGHTS: usize = 20;

/// Noise of one kind. Shares of the latency.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) name: &'static str,
    /// Standard deviations of nights, runs, blocks and samples.
    night: f64,
    run: f64,
    block: f64,
    sample: f64,
    /// How often a run, and a block, is in a slow mode, and by how much.
    slow_runs: (f64, f64),
    slow_blocks: (f64, f64),
    /// How often a run, and a sample, is late by a share that has no variance (Pareto with exponent 1.5), and its scale.
    late_runs: (f64, f64),
    late_samples: (f64, f64),
    /// Standard deviation of a drift that carries 95 % over from run to run.
    drift: f64,
    /// By how much a night warms up from its first run to its twelfth.
    warming: f64,
}

/// A quiet board, and each of the plagues of boards alone, much worse.
pub(crate) const KINDS: [Kind; 5] = [
    QUIET,
    Kind { name: "bimodal", slow_runs: (0.3, 0.04), slow_blocks: (0.3, 0.06), ..QUIET },
    Kind { name: "drifting", drift: 0.01, warming: 0.02, ..QUIET },
    Kind { name: "heavy-tailed", late_runs: (0.1, 0.02), late_samples: (0.2, 0.05), ..QUIET },
    Kind { name: "restless nights", night: 0.01, ..QUIET },
];

const QUIET: Kind = Kind {
    name: "quiet board",
    night: 0.003,
    run: 0.005,
    block: 0.006,
    sample: 0.01,
    slow_runs: (0.0, 0.0),
    slow_blocks: (0.02, 0.05),
    late_runs: (0.01, 0.01),
    late_samples: (0.05, 0.02),
    drift: 0.002,
    warming: 0.0,
};

/// Which comparison a night makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Against {
    /// The runs that were stored when the baseline was set.
    Stored,
    /// The baseline's own variant, measured in turns with the new one.
    Interleaved,
}

/// SplitMix64 (G. L. Steele, D. Lea, C. H. Flood, 2014).
struct Random(u64);

impl Random {
    /// Uniform, above 0 and at most 1.
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64 + f64::MIN_POSITIVE
    }

    /// Gaussian with that standard deviation (G. E. P. Box, M. E. Muller, 1958).
    fn gauss(&mut self, sd: f64) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        sd * radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    /// `amount` that often.
    fn sometimes(&mut self, (how_often, amount): (f64, f64)) -> f64 {
        if how_often > 0.0 && self.uniform() <= how_often { amount } else { 0.0 }
    }

    /// Late that often, by a Pareto-distributed share.
    fn late(&mut self, (how_often, scale): (f64, f64)) -> f64 {
        match self.sometimes((how_often, scale)) {
            0.0 => 0.0,
            scale => scale * self.uniform().powf(-1.0 / 1.5),
        }
    }
}

/// A board with noise of one kind.
struct Board {
    kind: Kind,
    random: Random,
    night: f64,
    drift: f64,
    runs_tonight: usize,
}

impl Board {
    fn new(kind: Kind, seed: u64) -> Self {
        Self { kind, random: Random(seed), night: 0.0, drift: 0.0, runs_tonight: 0 }
    }

    fn sleep(&mut self) {
        self.night = self.random.gauss(self.kind.night);
        self.runs_tonight = 0;
    }

    /// The median of one run of a model that is slower by `change`.
    fn run(&mut self, change: f64) -> f64 {
        let Kind { run, block, sample, slow_runs, slow_blocks, late_runs, late_samples, .. } =
            self.kind;
        let random = &mut self.random;
        self.drift =
            0.95 * self.drift + random.gauss(self.kind.drift * (1.0 - 0.95_f64.powi(2)).sqrt());
        let warm = self.kind.warming * self.runs_tonight as f64 / 12.0;
        self.runs_tonight += 1;
        let run = 1.0
            + self.night
            + self.drift
            + warm
            + random.gauss(run)
            + random.sometimes(slow_runs)
            + random.late(late_runs);
        let blocks: Vec<Vec<u64>> = (0..BLOCKS)
            .map(|_| {
                let block = run + random.gauss(block) + random.sometimes(slow_blocks);
                let one = |_| block + random.gauss(sample) + random.late(late_samples);
                let samples = (0..BLOCK_SAMPLES).map(one);
                samples.map(|factor| (1e7 * (1.0 + change) * factor) as u64).collect()
            })
            .collect();
        run_median(blocks.iter().map(Vec::as_slice)).expect("a run has blocks")
    }

    fn runs(&mut self, count: usize, change: f64) -> Vec<f64> {
        (0..count).map(|_| self.run(change)).collect()
    }

    /// The runs of a check: those of the new model, in turns with the baseline's where that is asked.
    fn measure(&mut self, against: Against, stored: &[f64], change: f64) -> Compared {
        match against {
            Against::Stored => Compared {
                baseline: stored.to_vec(),
                now: self.runs(RUNS, change),
                same_night: false,
            },
            Against::Interleaved => {
                let (mut baseline, mut now) = (Vec::new(), Vec::new());
                for _ in 0..RUNS {
                    baseline.push(self.run(0.0));
                    now.push(self.run(change));
                }
                Compared { baseline, now, same_night: true }
            }
        }
    }

    /// One night of `check`: what it comes to, and all runs.
    fn check(&mut self, against: Against, history: &[Vec<f64>], change: f64) -> (Judged, Compared) {
        self.sleep();
        let first = self.measure(against, &history[0], change);
        let tonight = (against == Against::Interleaved).then(|| first.baseline.clone());
        let noise = Noise::of(&history.iter().cloned().chain(tonight).collect::<Vec<_>>());
        let looked = look(&first, &noise, MIN_EFFECT);
        if !needs_rerun(&looked) {
            return (unconfirmed(looked), first);
        }
        let rerun = self.measure(against, &history[0], change);
        (confirmed(&first, &rerun, &noise, MIN_EFFECT), first.with(&rerun))
    }
}

/// How often nights came to which verdict.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) nights: usize,
    pub(crate) ok: usize,
    pub(crate) regression: usize,
    pub(crate) improved: usize,
    pub(crate) inconclusive: usize,
}

impl Counts {
    /// So many of the nights, as a share.
    pub(crate) fn share(&self, count: usize) -> f64 {
        count as f64 / self.nights as f64
    }
}

/// So many nights of boards with that noise, on which the model has become slower by `change`. Each board sets a baseline
/// and is checked for some nights, unchanged ones if `seasoned` before the model changes.
pub(crate) fn simulate(
    kind: Kind,
    against: Against,
    change: f64,
    seasoned: bool,
    nights: usize,
) -> Counts {
    let mut counts = Counts::default();
    for seed in 0..nights.div_ceil(NIGHTS) as u64 {
        let mut board = Board::new(kind, seed * 7919 + 1);
        board.sleep();
        let mut history = vec![board.runs(BASELINE_RUNS, 0.0)];
        let quiet = if seasoned { NIGHTS } else { 0 };
        for night in 0..quiet + NIGHTS {
            let change = if night < quiet { 0.0 } else { change };
            let (judged, runs) = board.check(against, &history, change);
            if night >= quiet {
                counts.nights += 1;
                *match judged.verdict {
                    Verdict::Ok => &mut counts.ok,
                    Verdict::Regression => &mut counts.regression,
                    Verdict::Improved => &mut counts.improved,
                    Verdict::Inconclusive | Verdict::LabFault => &mut counts.inconclusive,
                } += 1;
            }
            match against {
                Against::Interleaved => history.push(runs.baseline),
                Against::Stored if within_noise(&judged) => history.push(runs.now),
                Against::Stored => {}
            }
        }
    }
    counts
}
