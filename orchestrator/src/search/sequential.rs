//! When an evaluation may stop: a test after every sample, on samples paired with the baseline's.
//!
//! Samples come in an order that has nothing to do with what is in them, so what was seen is a sample without
//! replacement of the whole set. The null hypothesis is that the assignment has at least the answers that it needs. Bets
//! against it pay off when it is wrong more often than that allows; as the wealth of someone who bets is a
//! supermartingale under the hypothesis, it passes `1 / α` with a probability of at most `α`, however often one looks (J.
//! Ville; for samples without replacement: I. Waudby-Smith, A. Ramdas, "Confidence sequences for sampling without
//! replacement", NeurIPS 2020). How the baseline did on a sample shifts the bet by what is known exactly, the share of
//! the samples to come that it has right: for assignments that differ from the baseline in few samples the variance of
//! the difference is what counts. Wealth is the mean over several sizes of bets, paired and not.

/// Sizes of bets as shares of the largest that cannot ruin, each paired with the baseline or not.
const BETS: [(f64, f64); 8] = [
    (0.1, 0.0),
    (0.3, 0.0),
    (0.6, 0.0),
    (0.9, 0.0),
    (0.1, 1.0),
    (0.3, 1.0),
    (0.6, 1.0),
    (0.9, 1.0),
];

/// What an assignment must reach to matter, and how certain it must be that it does not.
#[derive(Clone, Copy, Debug)]
pub struct Stopping<'a> {
    /// The right answers that it needs.
    pub needed: u64,
    /// Whether the baseline has each sample right; as many as there are samples.
    pub baseline: &'a [bool],
    /// The probability with which an assignment that has what it needs may be stopped; 0: never.
    pub false_rejection: f64,
}

/// What shows that an assignment has too few right answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hopeless {
    /// All samples that are left would not be enough.
    Certain,
    /// The sequential test.
    Tested,
}

impl Stopping<'_> {
    /// What the first `answers` show; `None`: the evaluation must go on.
    pub fn hopeless(&self, answers: &[bool]) -> Option<Hopeless> {
        let total = self.baseline.len();
        let wrong = answers.iter().filter(|&&right| !right).count();
        if (total - wrong.min(total)) < self.needed as usize {
            return Some(Hopeless::Certain);
        }
        let tested = self.false_rejection > 0.0 && self.rejects(answers);
        tested.then_some(Hopeless::Tested)
    }

    /// Whether the wealth of the bets passed `1 / false_rejection` at some answer.
    fn rejects(&self, answers: &[bool]) -> bool {
        let mut left = self.needed as f64;
        let mut baseline_left = self.baseline.iter().filter(|&&right| right).count() as f64;
        let mut wealth = [1.0; BETS.len()];
        for (at, (&answer, &baseline)) in answers.iter().zip(self.baseline).enumerate() {
            if left <= 0.0 {
                return false;
            }
            let samples_left = (self.baseline.len() - at) as f64;
            // Of the samples to come, the least share that is right under the hypothesis, and the baseline's share.
            let (share, baseline_share) = (left / samples_left, baseline_left / samples_left);
            let (answer, baseline) = (f64::from(u8::from(answer)), f64::from(u8::from(baseline)));
            for (wealth, (size, paired)) in wealth.iter_mut().zip(BETS) {
                let surplus = paired * (baseline - baseline_share);
                let most = 1.0 - share + paired * baseline_share;
                if most > 0.0 {
                    *wealth *= 1.0 + size * (share - answer + surplus) / most;
                }
            }
            left -= answer;
            baseline_left -= baseline;
            let mean = wealth.iter().sum::<f64>() / BETS.len() as f64;
            if mean * self.false_rejection >= 1.0 {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G. Marsaglia, "Xorshift RNGs", Journal of Statistical Software 8(14), 2003.
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            ((self.0 >> 11) % end as u64) as usize
        }

        /// `right` of `total`, in any order.
        fn answers(&mut self, right: usize, total: usize) -> Vec<bool> {
            let mut all: Vec<bool> = (0..total).map(|at| at < right).collect();
            self.shuffle(&mut all);
            all
        }

        fn shuffle<T>(&mut self, all: &mut [T]) {
            for at in (1..all.len()).rev() {
                all.swap(at, self.below(at + 1));
            }
        }
    }

    /// After how many answers it is stopped, if it is.
    fn stops(stopping: &Stopping<'_>, answers: &[bool]) -> Option<usize> {
        (1..=answers.len()).find(|&seen| stopping.hopeless(&answers[..seen]).is_some())
    }

    /// The least favourable cases: assignments that have just what they need, unrelated to the baseline's answers, much
    /// like them, or the worst of them.
    #[test]
    fn of_assignments_that_pass_at_most_one_in_a_hundred_is_stopped() {
        let (mut random, runs) = (Random(7), 4000);
        for (total, baseline_right, needed) in
            [(138, 122, 117), (138, 138, 130), (400, 380, 364), (60, 40, 30), (1000, 900, 860)]
        {
            for related in [false, true] {
                let mut stopped = 0;
                for _ in 0..runs {
                    let mut pairs: Vec<(bool, bool)> = if related {
                        // As the baseline, but for the answers that it may lose.
                        (0..total).map(|at| (at < baseline_right, at < needed)).collect()
                    } else {
                        let baseline = random.answers(baseline_right, total);
                        baseline.into_iter().zip(random.answers(needed, total)).collect()
                    };
                    random.shuffle(&mut pairs);
                    let (baseline, answers): (Vec<bool>, Vec<bool>) = pairs.into_iter().unzip();
                    let needed = needed as u64;
                    let stopping = Stopping { needed, baseline: &baseline, false_rejection: 0.01 };
                    stopped += usize::from(stopping.hopeless(&answers).is_some());
                }
                let share = stopped as f64 / runs as f64;
                assert!(share <= 0.01, "{share} of {total}, {needed} needed, related {related}");
            }
        }
    }

    #[test]
    fn collapsed_assignments_are_stopped_after_a_few_samples() {
        let mut random = Random(3);
        let baseline = random.answers(122, 138);
        let stopping = Stopping { needed: 117, baseline: &baseline, false_rejection: 0.01 };
        assert!(stops(&stopping, &[false; 138]).unwrap() <= 6);
        let certain = Stopping { false_rejection: 0.0, ..stopping };
        assert_eq!(stops(&certain, &[false; 138]), Some(22));
        let mut seen = 0;
        for _ in 0..200 {
            seen += stops(&stopping, &random.answers(70, 138)).unwrap();
        }
        assert!(seen / 200 <= 20, "half right: {} samples", seen / 200);
        // Few differences from the baseline, and yet too many.
        let mut close = baseline.clone();
        let losses = close.iter_mut().filter(|right| **right).step_by(6).take(20);
        losses.for_each(|right| *right = false);
        let paired = stops(&stopping, &close).unwrap();
        assert!(paired < stops(&certain, &close).unwrap(), "{paired}");
    }

    #[test]
    fn without_a_risk_only_what_cannot_pass_is_stopped() {
        let stopping = Stopping { needed: 3, baseline: &[true; 5], false_rejection: 0.0 };
        assert_eq!(stopping.hopeless(&[false, false]), None);
        assert_eq!(stopping.hopeless(&[false, false, true, true, true]), None);
        assert_eq!(stopping.hopeless(&[false; 3]), Some(Hopeless::Certain));
        assert_eq!(stopping.hopeless(&[]), None);
        let all = Stopping { needed: 6, ..stopping };
        assert_eq!(all.hopeless(&[]), Some(Hopeless::Certain));
    }
}
