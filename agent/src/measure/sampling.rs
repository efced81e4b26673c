//! Which variant is sampled next, and when there is enough.

use std::time::Duration;

use super::cooling::CoolTo;
use super::interval::median_interval;

/// Bounds that no request can lift.
const MAX_SAMPLES: u32 = 100_000;
const MAX_THREADS: u32 = 64;
const MAX_VOIDED_IN_A_ROW: u32 = 20;

/// How to sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Threads of the engine.
    pub threads: u32,
    /// Cores to pin to; empty: the first ones.
    pub cores: Vec<u32>,
    /// Untimed runs of each variant before the first sample.
    pub warmup_runs: u32,
    /// Fewest samples of each variant.
    pub min_samples: u32,
    /// Most samples of each variant.
    pub max_samples: u32,
    /// Enough when every interval is narrower than this share of its median.
    pub target_relative_ci: f64,
    /// Enough after this long.
    pub max_duration: Duration,
    /// Consecutive samples before the next variant's turn.
    pub block_samples: u32,
    /// Most memory of the worker.
    pub memory_limit_bytes: u64,
    /// Whether to time layers as well.
    pub layers: bool,
    /// Seed of the random inputs.
    pub seed: u64,
    /// Whether the board is to cool before each block.
    pub cool_to: Option<CoolTo>,
}

impl Settings {
    /// Checks the bounds.
    ///
    /// # Errors
    /// Names the setting and what it may be.
    pub fn check(&self) -> Result<(), String> {
        let within = |name: &str, value: u32, low: u32, high: u32| {
            let fits = (low..=high).contains(&value);
            let wrong = || format!("{name} is {value}, it must be from {low} to {high}");
            if fits { Ok(()) } else { Err(wrong()) }
        };
        within("threads", self.threads, 1, MAX_THREADS)?;
        within("max_samples", self.max_samples, 1, MAX_SAMPLES)?;
        within("min_samples", self.min_samples, 0, self.max_samples)?;
        within("block_samples", self.block_samples, 1, self.max_samples)?;
        within("warmup_runs", self.warmup_runs, 0, MAX_SAMPLES)?;
        if !(self.target_relative_ci >= 0.0 && self.target_relative_ci.is_finite()) {
            let share = self.target_relative_ci;
            return Err(format!("target_relative_ci is {share}, it must be a share of at least 0"));
        }
        if self.cool_to.is_some_and(|cool| !(-40.0..=125.0).contains(&cool.celsius)) {
            return Err("cool_to_celsius must be from -40 to 125".to_owned());
        }
        if self.max_duration.is_zero() {
            return Err("max_duration_ms is 0, it must be at least 1".to_owned());
        }
        Ok(())
    }
}

/// The samples so far.
#[derive(Clone, Debug)]
pub struct Sampling {
    settings: Settings,
    samples: Vec<Vec<u64>>,
    next: usize,
    round: u32,
    /// Voided ones included.
    blocks: u32,
    voided_in_a_row: u32,
}

impl Sampling {
    /// Nothing sampled yet of `variants` variants.
    pub fn new(settings: Settings, variants: usize) -> Self {
        Self {
            settings,
            samples: vec![Vec::new(); variants],
            next: 0,
            round: 0,
            blocks: 0,
            voided_in_a_row: 0,
        }
    }

    /// Variant, number and samples of the next block; `None` when there is enough, or nothing can be had.
    pub fn next(&self, elapsed: Duration) -> Option<(usize, u32, u32)> {
        // The first round is completed however long it takes: every variant has samples, if only few.
        let time_is_up = self.round > 0 && elapsed >= self.settings.max_duration;
        if time_is_up || self.hopeless() {
            return None;
        }
        // Only at the end of a round, so that all variants have the same number of samples.
        if self.next == 0 && (self.converged() || self.fewest() >= self.settings.max_samples) {
            return None;
        }
        let taken = count(self.samples.get(self.next)?);
        let left = self.settings.max_samples.saturating_sub(taken);
        Some((self.next, self.blocks, self.settings.block_samples.min(left)))
    }

    /// Takes the block that was asked for; a voided one is asked for again.
    pub fn record(&mut self, durations_ns: &[u64], voided: bool) {
        self.blocks += 1;
        if voided {
            self.voided_in_a_row += 1;
            return;
        }
        self.voided_in_a_row = 0;
        self.samples[self.next].extend(durations_ns);
        self.next += 1;
        if self.next == self.samples.len() {
            self.next = 0;
            self.round += 1;
        }
    }

    /// Samples of the variant that has fewest.
    pub fn fewest(&self) -> u32 {
        self.samples.iter().map(|samples| count(samples)).min().unwrap_or(0)
    }

    /// Whether too many blocks in a row were voided to go on.
    pub fn hopeless(&self) -> bool {
        self.voided_in_a_row >= MAX_VOIDED_IN_A_ROW
    }

    /// The widest interval as a share of its median; `None` while a variant has too few samples for one.
    pub fn relative_ci(&self) -> Option<f64> {
        let widths = self.samples.iter().map(|of| median_interval(of).map(|i| i.relative_width()));
        widths.collect::<Option<Vec<f64>>>()?.into_iter().reduce(f64::max)
    }

    /// Whether every interval is as narrow as asked.
    pub fn converged(&self) -> bool {
        let narrow = |width| width <= self.settings.target_relative_ci;
        self.fewest() >= self.settings.min_samples && self.relative_ci().is_some_and(narrow)
    }
}

fn count(samples: &[u64]) -> u32 {
    u32::try_from(samples.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings {
            threads: 1,
            cores: Vec::new(),
            warmup_runs: 1,
            min_samples: 10,
            max_samples: 25,
            target_relative_ci: 0.05,
            max_duration: Duration::from_secs(10),
            block_samples: 10,
            memory_limit_bytes: 0,
            layers: false,
            seed: 0,
            cool_to: None,
        }
    }

    #[test]
    fn interleaves_and_stops_when_narrow() {
        let mut sampling = Sampling::new(settings(), 3);
        let mut order = Vec::new();
        while let Some((variant, block, runs)) = sampling.next(Duration::ZERO) {
            order.push((variant, block, runs));
            sampling.record(&vec![1000; runs as usize], false);
        }
        assert_eq!(order, [(0, 0, 10), (1, 1, 10), (2, 2, 10)]);
        assert!(sampling.converged());
    }

    #[test]
    fn stops_at_the_most_samples_when_wide() {
        let mut sampling = Sampling::new(settings(), 1);
        let mut taken = 0;
        while let Some((_, _, runs)) = sampling.next(Duration::ZERO) {
            sampling.record(&(1..=u64::from(runs)).map(|i| i * 1000).collect::<Vec<_>>(), false);
            taken += runs;
        }
        assert_eq!(taken, 25);
        assert!(!sampling.converged());
    }

    #[test]
    fn when_time_is_up_every_variant_still_has_its_first_block() {
        let mut sampling = Sampling::new(settings(), 3);
        let mut variants = Vec::new();
        while let Some((variant, _, runs)) = sampling.next(Duration::from_secs(10)) {
            variants.push(variant);
            sampling.record(&(1..=u64::from(runs)).map(|i| i * 1000).collect::<Vec<_>>(), false);
        }
        assert_eq!(variants, [0, 1, 2]);
    }

    #[test]
    fn a_voided_block_is_taken_again_but_not_for_ever() {
        let mut sampling = Sampling::new(settings(), 2);
        let mut tries = 0;
        while let Some((variant, block, _)) = sampling.next(Duration::ZERO) {
            assert_eq!((variant, block), (0, tries), "each has a number of its own");
            sampling.record(&[1; 10], true);
            tries += 1;
        }
        assert_eq!((tries, sampling.fewest()), (MAX_VOIDED_IN_A_ROW, 0));
        assert!(sampling.hopeless());
    }

    #[test]
    fn names_the_setting_that_is_out_of_bounds() {
        assert!(settings().check().is_ok());
        let error = Settings { threads: 0, ..settings() }.check().unwrap_err();
        assert!(error.contains("threads is 0"), "{error}");
        assert!(Settings { target_relative_ci: f64::NAN, ..settings() }.check().is_err());
        assert!(Settings { min_samples: 26, ..settings() }.check().is_err());
    }
}
