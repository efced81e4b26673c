//! What would be better than what is known.

use super::outcome::Evaluated;
use super::problem::Objective;

/// What a walk looks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Goal<'a> {
    pub(super) objective: Objective,
    /// The least number of right answers that passes.
    pub(super) min_correct: u64,
    /// The latency limit in microseconds.
    pub(super) limit_us: f64,
    /// All stages at fp32.
    pub(super) baseline: &'a Evaluated,
}

impl Goal<'_> {
    /// Samples of a whole evaluation.
    pub(super) fn total(&self) -> u64 {
        self.baseline.accuracy.total
    }

    /// Whether an assignment that takes `latency_us` and has `correct` right answers passes and is better than `best`. Of
    /// a trade-off `best` must not be slower.
    fn improves(&self, latency_us: f64, correct: u64, best: Option<&Evaluated>) -> bool {
        if latency_us > self.limit_us || correct < self.min_correct {
            return false;
        }
        let Some(best) = best else { return true };
        match self.objective {
            Objective::MinLatency => latency_us < best.latency_us,
            Objective::MaxAccuracy => {
                (correct, best.latency_us) > (best.accuracy.correct, latency_us)
            }
            Objective::ParetoFront => correct > best.accuracy.correct,
            Objective::Weighted { accuracy_weight: weight } => {
                let of = |latency_us, correct| self.score(weight, latency_us, correct);
                of(latency_us, correct) < of(best.latency_us, best.accuracy.correct)
            }
        }
    }

    /// The weighted objective: smaller is better.
    fn score(&self, weight: f64, latency_us: f64, correct: u64) -> f64 {
        let share = |correct: u64| correct as f64 / self.total() as f64;
        let drop = share(self.baseline.accuracy.correct) - share(correct);
        latency_us / self.baseline.latency_us + weight * drop
    }

    /// The fewest right answers with which an assignment that takes `latency_us` passes and is better than `best`; `None`:
    /// it is not, whatever its answers, and neither is any slower one.
    pub(super) fn needed(&self, latency_us: f64, best: Option<&Evaluated>) -> Option<u64> {
        let (mut low, mut high) = (0, self.total() + 1);
        while low < high {
            let middle = (low + high) / 2;
            match self.improves(latency_us, middle, best) {
                true => high = middle,
                false => low = middle + 1,
            }
        }
        (low <= self.total()).then_some(low)
    }

    /// Whether `seen` passes and is better than `best`.
    pub(super) fn accepts(&self, seen: &Evaluated, best: Option<&Evaluated>) -> bool {
        let complete = seen.is_complete(self.total());
        complete && self.improves(seen.latency_us, seen.accuracy.correct, best)
    }
}
