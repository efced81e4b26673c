//! What others computed while samples were taken.

use std::time::Duration;

/// More than this share of a core, and the samples do not count: a background task that runs now and then takes less,
/// one that computes takes a core.
pub const MAX_LOAD: f64 = 0.25;

/// The kernel counts CPU time in hundredths of a second, so shorter times say nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// CPU time of others, over blocks that are too short to tell one by one.
#[derive(Clone, Debug, Default)]
pub struct ForeignLoad {
    elapsed: Duration,
    others: Duration,
    /// Of the last time that was long enough.
    told: Option<f64>,
}

impl ForeignLoad {
    /// Adds a block: how long it took, what everybody computed meanwhile, and what of it the worker did. Returns the cores
    /// that others keep busy, by this block or the last ones; `None` while they were too short altogether.
    pub fn add(&mut self, elapsed: Duration, all: Duration, worker: Duration) -> Option<f64> {
        self.elapsed += elapsed;
        self.others += all.saturating_sub(worker);
        if self.elapsed >= SHORTEST {
            let load = self.others.as_secs_f64() / self.elapsed.as_secs_f64();
            *self = Self { told: Some(load), ..Self::default() };
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn what_the_worker_did_is_no_foreign_load() {
        let mut load = ForeignLoad::default();
        assert_eq!(load.add(ms(400), ms(1600), ms(1600)), Some(0.0), "four threads of its own");
        assert_eq!(load.add(ms(400), ms(600), ms(400)), Some(0.5));
        assert_eq!(load.add(ms(400), ms(390), ms(398)), Some(0.0), "ticks are coarse");
    }

    #[test]
    fn short_blocks_are_judged_together() {
        let mut load = ForeignLoad::default();
        for _ in 0..3 {
            assert_eq!(load.add(ms(50), ms(75), ms(50)), None);
        }
        assert_eq!(load.add(ms(50), ms(75), ms(50)), Some(0.5));
        assert_eq!(load.add(ms(50), ms(50), ms(50)), Some(0.5), "as far as is known");
        assert_eq!(load.add(ms(150), ms(150), ms(150)), Some(0.0));
    }
}
