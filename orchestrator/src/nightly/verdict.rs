//! The verdict, by four gates: clean conditions; a change above what was asked and above the board's noise; an interval
//! that excludes zero; a rerun that says the same. What fails at a gate is inconclusive, and says at which.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::effect::{Effect, effect};
use super::floor::Noise;

/// Of the slow-down that is to be found, the share from which on a clear one is said, even where noise could be it.
const NOTICED: f64 = 0.4;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A slow-down of what was asked is ruled out.
    Ok,
    /// Confirmed to be slower.
    Regression,
    /// Confirmed to be faster.
    Improved,
    /// The evidence does not allow a verdict.
    Inconclusive,
    /// The board, its agent or the connection failed.
    LabFault,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Regression => "regression",
            Self::Improved => "improved",
            Self::Inconclusive => "inconclusive",
            Self::LabFault => "lab fault",
        })
    }
}

/// Runs that are compared: their medians, in any unit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Compared {
    /// Of the baseline.
    pub baseline: Vec<f64>,
    /// Of tonight.
    pub now: Vec<f64>,
    /// Whether both were measured in turns in the same night.
    pub same_night: bool,
}

impl Compared {
    /// These runs and those of a rerun. Stored runs of a baseline are in both, and count once.
    #[must_use]
    pub fn with(&self, rerun: &Self) -> Self {
        let both = |a: &[f64], b: &[f64]| [a, b].concat();
        Self {
            baseline: match self.same_night {
                true => both(&self.baseline, &rerun.baseline),
                false => self.baseline.clone(),
            },
            now: both(&self.now, &rerun.now),
            same_night: self.same_night,
        }
    }
}

/// What runs look like, before they are confirmed.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The change; absent with too few runs.
    pub effect: Option<Effect>,
    /// The floor of this comparison, as a share.
    pub floor: f64,
    /// What it seems to be.
    pub seen: Seen,
}

/// What a look sees.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// Slower by more than was asked, beyond the noise.
    Slower,
    /// Faster by as much.
    Faster,
    /// No slower than was asked.
    Same,
    /// No telling, and why.
    Unclear(String),
}

/// What a comparison came to, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Why it is inconclusive; absent for the others.
    pub reason: Option<String>,
    /// The change over all runs.
    pub effect: Option<Effect>,
    /// The floor, as a share.
    pub floor: f64,
    /// Whether there was a rerun.
    pub rerun: bool,
}

/// Looks at runs: gates two and three. `min_effect` is the slow-down that is to be found, as a share.
pub fn look(compared: &Compared, noise: &Noise, min_effect: f64) -> Look {
    let Compared { baseline, now, same_night } = compared;
    let floor = noise.floor(baseline.len(), now.len(), *same_night);
    let Some(effect) = effect(baseline, now) else {
        let why = format!("{} and {} runs are too few to compare", baseline.len(), now.len());
        return Look { effect: None, floor, seen: Seen::Unclear(why) };
    };
    let bar = min_effect.max(floor);
    // As much faster as `bar` is slower: the ratio is inverted.
    let seen = if effect.low > 0.0 && effect.change > bar {
        Seen::Slower
    } else if effect.high < 0.0 && effect.change < -bar / (1.0 + bar) {
        Seen::Faster
    } else {
        doubt(&effect, floor, min_effect).map_or(Seen::Same, Seen::Unclear)
    };
    Look { effect: Some(effect), floor, seen }
}

/// Why a change that is no candidate is not simply none.
fn doubt(effect: &Effect, floor: f64, min_effect: f64) -> Option<String> {
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let Effect { change, low, high } = *effect;
    if floor > min_effect {
        let (floor, asked) = (percent(floor), percent(min_effect));
        return Some(format!(
            "this board's own noise is {floor}, more than the {asked} that were to be found"
        ));
    }
    if low > 0.0 && change > floor.min(NOTICED * min_effect) {
        let (change, asked) = (percent(change), percent(min_effect));
        return Some(format!("slower by {change}, below the {asked} that were to be found"));
    }
    // What noise may have hidden, that within tonight's runs or that between nights.
    let most = high.max(change + floor);
    (most >= min_effect).then(|| {
        let (most, asked) = (percent(most), percent(min_effect));
        format!("a slow-down of up to {most} cannot be ruled out, and {asked} were to be found")
    })
}

/// Whether the runs of a comparison count as the board's noise in later nights: only where nothing was found, or every
/// change would hide behind itself from the next night on.
pub fn within_noise(judged: &Judged) -> bool {
    let inside = |effect: &Effect| {
        let significant = effect.low > 0.0 || effect.high < 0.0;
        !significant || effect.change.abs() <= judged.floor
    };
    matches!(judged.verdict, Verdict::Ok | Verdict::Inconclusive)
        && judged.effect.as_ref().is_some_and(inside)
}

/// Whether a first look should be followed by a rerun: all but a clear "no slower".
pub fn needs_rerun(first: &Look) -> bool {
    first.seen != Seen::Same
}

/// The verdict of a first look that needs no rerun or gets none.
pub fn unconfirmed(first: Look) -> Judged {
    let (verdict, reason) = match first.seen {
        Seen::Same => (Verdict::Ok, None),
        Seen::Unclear(why) => (Verdict::Inconclusive, Some(why)),
        Seen::Slower | Seen::Faster => {
            (Verdict::Inconclusive, Some("it was not measured a second time".to_owned()))
        }
    };
    Judged { verdict, reason, effect: first.effect, floor: first.floor, rerun: false }
}

/// The verdict of runs and a rerun: gate four. A change counts when both see it; what was unclear may become clear with
/// the runs of both, though never a change.
pub fn confirmed(first: &Compared, rerun: &Compared, noise: &Noise, min_effect: f64) -> Judged {
    let look = |compared: &Compared| look(compared, noise, min_effect);
    let all = look(&first.with(rerun));
    let (verdict, reason) = match (look(first).seen, look(rerun).seen) {
        (Seen::Slower, Seen::Slower) => (Verdict::Regression, None),
        (Seen::Faster, Seen::Faster) => (Verdict::Improved, None),
        (Seen::Slower, _) => (Verdict::Inconclusive, Some(not_confirmed("slower"))),
        (Seen::Faster, _) => (Verdict::Inconclusive, Some(not_confirmed("faster"))),
        _ => match all.seen {
            Seen::Same => (Verdict::Ok, None),
            Seen::Unclear(why) => (Verdict::Inconclusive, Some(why)),
            Seen::Slower => (Verdict::Inconclusive, Some(not_at_first("slower"))),
            Seen::Faster => (Verdict::Inconclusive, Some(not_at_first("faster"))),
        },
    };
    Judged { verdict, reason, effect: all.effect, floor: all.floor, rerun: true }
}

fn not_confirmed(how: &str) -> String {
    format!("it was {how} at first, and the rerun did not confirm it")
}

fn not_at_first(how: &str) -> String {
    format!("it is {how} in all runs together, but not clearly in the first ones alone")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOISE: Noise = Noise { run_sd: 0.004, run_freedom: 40, night_sd: 0.003, nights: 8 };

    fn runs(count: usize, centre: f64) -> Vec<f64> {
        (0..count).map(|i| centre * (1.0 + 0.001 * (i as f64 - count as f64 / 2.0))).collect()
    }

    fn compared(now: f64) -> Compared {
        Compared { baseline: runs(10, 1000.0), now: runs(6, now), same_night: false }
    }

    fn judged(first: f64, rerun: f64) -> (Verdict, String) {
        let judged = confirmed(&compared(first), &compared(rerun), &NOISE, 0.03);
        (judged.verdict, judged.reason.unwrap_or_default())
    }

    #[test]
    fn a_change_counts_when_the_rerun_sees_it_too() {
        assert_eq!(judged(1050.0, 1050.0).0, Verdict::Regression);
        assert_eq!(judged(950.0, 950.0).0, Verdict::Improved);
        let (verdict, why) = judged(1050.0, 1000.0);
        assert!(verdict == Verdict::Inconclusive && why.contains("did not confirm"), "{why}");
        assert_eq!(judged(1050.0, 950.0).0, Verdict::Inconclusive);
        assert_eq!(judged(1000.0, 1000.0).0, Verdict::Ok);
    }

    #[test]
    fn what_is_below_the_asked_effect_is_said_and_not_passed_over() {
        let (verdict, why) = judged(1020.0, 1020.0);
        assert!(
            verdict == Verdict::Inconclusive && why.contains("below the 3.0 % that were"),
            "{why}"
        );
        assert_eq!(judged(980.0, 980.0).0, Verdict::Ok, "no slow-down");
        let first = look(&compared(1000.0), &NOISE, 0.03);
        assert!(!needs_rerun(&first));
        assert_eq!(unconfirmed(first).verdict, Verdict::Ok);
    }

    #[test]
    fn a_restless_board_and_too_few_runs_are_named() {
        let restless = Noise { night_sd: 0.02, ..NOISE };
        let Seen::Unclear(why) = look(&compared(1040.0), &restless, 0.03).seen else { panic!() };
        assert!(why.contains("this board's own noise is"), "{why}");
        let few = Compared { now: runs(2, 1000.0), ..compared(1000.0) };
        let Seen::Unclear(why) = look(&few, &NOISE, 0.03).seen else { panic!() };
        assert!(why.contains("10 and 2 runs are too few"), "{why}");
        let wide = Compared { now: vec![900.0, 950.0, 1000.0, 1001.0, 1050.0, 1100.0], ..few };
        let Seen::Unclear(why) = look(&wide, &NOISE, 0.03).seen else { panic!() };
        assert!(why.contains("cannot be ruled out"), "{why}");
    }
}
