//! What others computed while samples were taken.

use std::time::Duration;

/// More than this share of a core, and the samples do not count: a background task that runs now and then takes less,
/// one that computes takes a core.
pub const MAX_LOAD: f64 = 0.25;

/// The kernel counts CPU time in hundredths of a second, so shorter times say nothing.
const SHORTEST: Duration = Duration::from_millis(200);

/// CPU time up to a moment.
#[derive(Clone, Copy, Debug)]
pub struct CpuTimes {
    /// The moment, from any beginning.
    pub at: Duration,
    /// What everybody has computed, in ticks of the kernel.
    pub all: Duration,
    /// What of it agent and worker have computed.
    pub own: Duration,
}

/// CPU time of others. It is counted without gaps, from one moment to another that is long enough after it: of blocks that are
/// shorter than a tick alone, some would meet a whole tick and most none.
#[derive(Clone, Debug, Default)]
pub struct ForeignLoad {
    since: Option<CpuTimes>,
    /// Of the last time that was long enough.
    told: Option<f64>,
}

impl ForeignLoad {
    /// Looks on before and after each block. Returns the cores that others keep busy, during this block or the last ones and
    /// what lay between; `None` while that was too short altogether.
    pub fn at(&mut self, now: CpuTimes) -> Option<f64> {
        let since = *self.since.get_or_insert(now);
        let elapsed = now.at.saturating_sub(since.at);
        if elapsed >= SHORTEST {
            let own = now.own.saturating_sub(since.own);
            let others = now.all.saturating_sub(since.all).saturating_sub(own);
            self.told = Some(others.as_secs_f64() / elapsed.as_secs_f64());
            self.since = Some(now);
        }
        self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(at_ms: u64, all_ms: u64, own_ms: u64) -> CpuTimes {
        let [at, all, own] = [at_ms, all_ms, own_ms].map(Duration::from_millis);
        CpuTimes { at, all, own }
    }

    #[test]
    fn what_agent_and_worker_did_is_no_foreign_load() {
        let mut load = ForeignLoad::default();
        assert_eq!(load.at(times(0, 1000, 0)), None);
        assert_eq!(load.at(times(400, 2600, 1600)), Some(0.0), "four threads of its own");
        assert_eq!(load.at(times(800, 3200, 2000)), Some(0.5));
        assert_eq!(load.at(times(1200, 3590, 2398)), Some(0.0), "ticks are coarse");
    }

    #[test]
    fn short_blocks_are_judged_together() {
        let mut load = ForeignLoad::default();
        for moment in 0..4 {
            assert_eq!(load.at(times(50 * moment, 75 * moment, 50 * moment)), None);
        }
        assert_eq!(load.at(times(200, 300, 200)), Some(0.5));
        assert_eq!(load.at(times(250, 350, 250)), Some(0.5), "as far as is known");
        assert_eq!(load.at(times(400, 500, 400)), Some(0.0));
    }

    #[test]
    fn blocks_shorter_than_a_tick_are_not_taken_for_foreign() {
        // A millisecond in which the worker is busy, again and again; the kernel counts every tenth whole.
        let mut load = ForeignLoad::default();
        let told: Vec<f64> =
            (0..1000).filter_map(|ms| load.at(times(ms, ms / 10 * 10, ms))).collect();
        assert!(!told.is_empty() && told.iter().all(|&load| load < 0.06), "{told:?}");
    }
}
