//! Decisions that rest on intervals: whether an accuracy meets its target, or how many samples would tell.

use serde::{Deserialize, Serialize};

use super::SampleResult;
use super::interval::wilson_at;
use crate::search::Floor;

/// Most samples that a decision asks for; where more would be needed the difference is too small to be found.
const MOST_SAMPLES: u64 = 10_000_000;

/// What the evidence says about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The target is met, at the confidence asked for.
    Meets,
    /// The target is missed, at the confidence asked for.
    Misses,
    /// Neither can be told.
    Inconclusive {
        /// About how many more samples would tell, if they are like those seen; `None` where the accuracy lies on the
        /// target and no reasonable number would.
        more: Option<u64>,
    },
}

impl std::fmt::Display for Verdict {
    /// As in "inconclusive: 250 more samples needed".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Meets => f.write_str("meets the target"),
            Self::Misses => f.write_str("misses the target"),
            Self::Inconclusive { more: Some(more) } => {
                write!(f, "inconclusive: {more} more samples needed")
            }
            Self::Inconclusive { more: None } => {
                f.write_str("inconclusive: too near the target to be told by more samples")
            }
        }
    }
}

/// Answers of two assignments for the same samples, by whether they are right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// Both are right.
    pub both: u64,
    /// Only the reference is right: what the candidate loses.
    pub lost: u64,
    /// Only the candidate is right: what it gains.
    pub gained: u64,
    /// Both are wrong.
    pub neither: u64,
}

impl Paired {
    /// Of the results for the same samples in the same order.
    pub fn of(reference: &[SampleResult], candidate: &[SampleResult]) -> Self {
        let mut paired = Self::default();
        for (reference, candidate) in reference.iter().zip(candidate) {
            let right = |result: &SampleResult| result.value == Some(1.0);
            let count = match (right(reference), right(candidate)) {
                (true, true) => &mut paired.both,
                (true, false) => &mut paired.lost,
                (false, true) => &mut paired.gained,
                (false, false) => &mut paired.neither,
            };
            *count += 1;
        }
        paired
    }

    /// Samples.
    pub fn total(&self) -> u64 {
        self.both + self.lost + self.gained + self.neither
    }

    /// Share of right answers of the candidate less that of the reference.
    pub fn difference(&self) -> f64 {
        (self.gained as f64 - self.lost as f64) / self.total().max(1) as f64
    }

    /// The two-sided interval of the difference at a confidence such as 0.95: Wald's with one more pair of each kind
    /// (D. G. Bonett, R. M. Price, "Adjusted Wald confidence interval for a difference of binomial proportions based on
    /// paired data", 2012). As McNemar's test it looks at the samples that differ; without samples everything is possible.
    pub fn interval(&self, confidence: f64) -> (f64, f64) {
        self.interval_at(normal_quantile(0.5 + confidence / 2.0))
    }

    fn interval_at(&self, z: f64) -> (f64, f64) {
        if self.total() == 0 {
            return (-1.0, 1.0);
        }
        bonett_price(self.lost as f64, self.gained as f64, self.total() as f64, z)
    }

    /// Whether the candidate loses at most `max_drop` (a share), with this confidence on the side that matters.
    pub fn decide(&self, max_drop: f64, confidence: f64) -> Verdict {
        let z = normal_quantile(confidence);
        settle(self.total(), -max_drop, |factor| {
            let scaled = |count: u64| count as f64 * factor;
            match self.total() {
                0 => (-1.0, 1.0),
                total => bonett_price(scaled(self.lost), scaled(self.gained), scaled(total), z),
            }
        })
    }
}

fn bonett_price(lost: f64, gained: f64, total: f64, z: f64) -> (f64, f64) {
    let (lost, gained) = ((lost + 1.0) / (total + 2.0), (gained + 1.0) / (total + 2.0));
    let centre = gained - lost;
    let half = z * ((lost + gained - centre * centre) / (total + 2.0)).max(0.0).sqrt();
    ((centre - half).max(-1.0), (centre + half).min(1.0))
}

/// Whether a share of `correct` in `total` is at least `floor`, with this confidence on the side that matters.
pub fn decide_share(correct: u64, total: u64, floor: f64, confidence: f64) -> Verdict {
    let z = normal_quantile(confidence);
    settle(total, floor, |factor| wilson_at(correct as f64 * factor, total as f64 * factor, z))
}

/// Whether the candidate of `paired` reaches `floor`, compared with the reference where the floor is a drop.
pub fn decide(floor: Floor, paired: &Paired, confidence: f64) -> Verdict {
    match floor {
        Floor::MaxDropPoints(points) => paired.decide(points / 100.0, confidence),
        Floor::MinAccuracy(share) => {
            decide_share(paired.both + paired.gained, paired.total(), share, confidence)
        }
    }
}

/// Where the interval of so many times the samples lies. Bounds that touch the floor meet it.
pub(super) fn settle(total: u64, floor: f64, interval: impl Fn(f64) -> (f64, f64)) -> Verdict {
    // What rounding of the floor adds is nobody's difference.
    let floor = floor - 1e-12;
    let settled = |factor: f64| {
        let (low, high) = interval(factor);
        if low >= floor { Some(Verdict::Meets) } else { (high < floor).then_some(Verdict::Misses) }
    };
    if let Some(verdict) = settled(1.0) {
        return verdict;
    }
    let samples = total.max(1);
    let enough = |count: u64| settled(count as f64 / samples as f64).is_some();
    let mut most = samples;
    while !enough(most) {
        most *= 2;
        if most > MOST_SAMPLES {
            return Verdict::Inconclusive { more: None };
        }
    }
    let mut least = samples;
    while least + 1 < most {
        let middle = least + (most - least) / 2;
        if enough(middle) { most = middle } else { least = middle }
    }
    Verdict::Inconclusive { more: Some(most - total) }
}

/// The quantile of the standard normal distribution, for shares from 0.5 on (P. J. Acklam's rational approximation, to 1e-9).
pub fn normal_quantile(share: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] = [
        7.784_695_709_041_462e-3,
        3.224_671_290_700_398e-1,
        2.445_134_137_142_996,
        3.754_408_661_907_416,
    ];
    let polynomial = |coefficients: &[f64], x: f64| {
        coefficients.iter().fold(0.0, |sum, coefficient| sum * x + coefficient)
    };
    let share = share.clamp(0.5, 1.0 - 1e-12);
    if share > 0.975_75 {
        let q = (-2.0 * (1.0 - share).ln()).sqrt();
        return -polynomial(&C, q) / (polynomial(&D, q) * q + 1.0);
    }
    let q = share - 0.5;
    let r = q * q;
    polynomial(&A, r) * q / (polynomial(&B, r) * r + 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table = [
            (0.5, 0.0),
            (0.9, 1.281_551_565_5),
            (0.95, 1.644_853_626_9),
            (0.975, 1.959_963_984_5),
            (0.995, 2.575_829_303_5),
        ];
        for (share, quantile) in table {
            let found = normal_quantile(share);
            assert!((found - quantile).abs() < 2e-8, "{share}: {found}");
        }
    }

    /// The probability of every outcome of `total` pairs of which a share loses and a share gains.
    fn outcomes(total: u64, lost: f64, gained: f64, mut see: impl FnMut(Paired, f64)) {
        let logarithm: Vec<f64> = (0..=total)
            .scan(0.0, |sum, n| {
                *sum += if n == 0 { 0.0 } else { (n as f64).ln() };
                Some(*sum)
            })
            .collect();
        let factorial = |n: u64| logarithm[n as usize];
        for losses in 0..=total {
            for gains in 0..=total - losses {
                let same = total - losses - gains;
                let ways =
                    factorial(total) - factorial(losses) - factorial(gains) - factorial(same);
                let power = |count: u64, share: f64| count as f64 * share.ln();
                let each =
                    power(losses, lost) + power(gains, gained) + power(same, 1.0 - lost - gained);
                let paired = Paired { both: same, lost: losses, gained: gains, neither: 0 };
                see(paired, (ways + each).exp());
            }
        }
    }

    #[test]
    fn intervals_of_differences_cover_the_truth_as_often_as_they_say() {
        for total in [30, 138] {
            for (lost, gained) in [(0.02, 0.02), (0.1, 0.02), (0.3, 0.05), (0.01, 0.005)] {
                let mut covered = 0.0;
                outcomes(total, lost, gained, |paired, probability| {
                    let (low, high) = paired.interval(0.95);
                    let truth = gained - lost;
                    covered += if low <= truth && truth <= high { probability } else { 0.0 };
                });
                assert!((0.94..=1.0).contains(&covered), "{total} {lost} {gained}: {covered}");
            }
        }
    }

    #[test]
    fn a_candidate_worse_than_allowed_rarely_meets_the_target() {
        // It loses 6 points where 4 are allowed.
        let mut accepted = 0.0;
        outcomes(138, 0.07, 0.01, |paired, probability| {
            accepted += if paired.decide(0.04, 0.95) == Verdict::Meets { probability } else { 0.0 };
        });
        assert!(accepted < 0.05, "{accepted}");
    }

    #[test]
    fn more_samples_like_those_seen_tell() {
        let paired = Paired { both: 115, lost: 4, gained: 3, neither: 16 };
        let Verdict::Inconclusive { more: Some(more) } = paired.decide(0.01, 0.95) else {
            panic!("{:?}", paired.decide(0.01, 0.95))
        };
        let factor = (138 + more) as f64 / 138.0;
        let scaled = |count: u64| (count as f64 * factor).round() as u64;
        let grown = Paired {
            both: scaled(paired.both),
            lost: scaled(paired.lost),
            gained: scaled(paired.gained),
            neither: scaled(paired.neither),
        };
        assert_eq!(grown.decide(0.0105, 0.95), Verdict::Meets, "{more}");
        assert_eq!(paired.decide(0.1, 0.95), Verdict::Meets);
        let worse = Paired { lost: 60, both: 59, ..paired };
        assert_eq!(worse.decide(0.04, 0.95), Verdict::Misses);
    }

    #[test]
    fn what_lies_on_the_target_is_never_told() {
        let on_it = decide_share(500, 1000, 0.5, 0.95);
        assert_eq!(on_it, Verdict::Inconclusive { more: None });
        assert_eq!(decide_share(0, 0, 0.5, 0.95), Verdict::Inconclusive { more: None });
        assert_eq!(decide_share(95, 100, 0.8, 0.95), Verdict::Meets);
        assert_eq!(decide_share(60, 100, 0.8, 0.95), Verdict::Misses);
        let text = Verdict::Inconclusive { more: Some(250) }.to_string();
        assert_eq!(text, "inconclusive: 250 more samples needed");
    }

    #[test]
    fn pairs_are_counted_by_who_is_right() {
        let results = |values: &[Option<f64>]| -> Vec<SampleResult> {
            let one = |&value: &Option<f64>| SampleResult { value, ..SampleResult::default() };
            values.iter().map(one).collect()
        };
        let reference = results(&[Some(1.0), Some(1.0), Some(0.0), None]);
        let candidate = results(&[Some(1.0), Some(0.0), Some(1.0), Some(0.0)]);
        let paired = Paired::of(&reference, &candidate);
        assert_eq!(paired, Paired { both: 1, lost: 1, gained: 1, neither: 1 });
        assert_eq!(paired.difference(), 0.0);
        assert_eq!(Paired::default().interval(0.95), (-1.0, 1.0));
    }
}
