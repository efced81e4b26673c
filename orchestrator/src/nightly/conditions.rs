//! Gate one: whether the board was in a state in which times mean anything.

use std::collections::BTreeSet;

use crate::measurement::{Block, ConditionsSummary};

/// More voided blocks than this share, and those that are left are not to be trusted.
const MAX_VOIDED: f64 = 0.25;
/// Clocks further apart than this share are two clocks.
const CLOCK_TOLERANCE: f64 = 0.02;

/// Why `blocks`, measured on a board with so many cores, cannot be compared with what was measured under the conditions
/// of the baseline; `None` when nothing speaks against it. What the board does not tell cannot speak against it; reports
/// say that it is unknown.
pub fn unclean(blocks: &[Block], baseline: &ConditionsSummary, cores: u32) -> Option<String> {
    let voided = blocks.iter().filter(|block| block.voided.is_some());
    let share = voided.clone().count() as f64 / blocks.len().max(1) as f64;
    if share > MAX_VOIDED {
        let reasons: BTreeSet<&str> = voided.filter_map(|block| block.voided.as_deref()).collect();
        let reasons: Vec<&str> = reasons.into_iter().collect();
        let share = 100.0 * share;
        return Some(format!("{share:.0} % of the samples were voided: {}", reasons.join("; ")));
    }
    let now = ConditionsSummary::of(blocks);
    if let (Some((least, most)), Some((low, high))) = (now.arm_clock_hz, baseline.arm_clock_hz) {
        let apart = |a: u64, b: u64| a.abs_diff(b) as f64 > a.max(b) as f64 * CLOCK_TOLERANCE;
        let mhz = |(low, high): (u64, u64)| match (low / 1_000_000, high / 1_000_000) {
            (low, high) if low == high => format!("{low} MHz"),
            (low, high) => format!("{low} to {high} MHz"),
        };
        if apart(least, low) || apart(most, high) {
            let (then, now) = (mhz((low, high)), mhz((least, most)));
            return Some(format!("the ARM clock is {now}, for the baseline it was {then}"));
        }
    }
    if let (Some(then), Some(now)) = (&baseline.governor, &now.governor)
        && then != now
    {
        return Some(format!("the governor is {now}, for the baseline it was {then}"));
    }
    // More runnable tasks than cores all the time: somebody else computes.
    let loads = blocks.iter().filter_map(|block| block.before.load_1m);
    let least = loads.reduce(f64::min)?;
    (least > f64::from(cores.max(1)) + 1.0)
        .then(|| format!("foreign load: {least:.1} runnable tasks on {cores} cores"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measurement::Conditions;

    fn block(clock_mhz: u64, load: f64, voided: Option<&str>) -> Block {
        let now = Conditions {
            arm_clock_hz: Some(clock_mhz * 1_000_000),
            load_1m: Some(load),
            governor: Some("performance".to_owned()),
            ..Conditions::default()
        };
        Block {
            sha256: String::new(),
            round: 0,
            duration_ns: vec![1],
            before: now.clone(),
            after: now,
            voided: voided.map(str::to_owned),
        }
    }

    #[test]
    fn each_cause_is_named() {
        let fine = [block(1200, 1.0, None), block(1200, 1.1, None)];
        let baseline = ConditionsSummary::of(&fine);
        let why = |blocks: &[Block]| unclean(blocks, &baseline, 4);
        assert_eq!(why(&fine), None);
        assert_eq!(why(&[]), None);
        let throttled = [block(1200, 1.0, Some("under-voltage, throttled")), fine[0].clone()];
        let said = why(&throttled).unwrap();
        assert_eq!(said, "50 % of the samples were voided: under-voltage, throttled");
        let said = why(&[block(600, 1.0, None)]).unwrap();
        assert_eq!(said, "the ARM clock is 600 MHz, for the baseline it was 1200 MHz");
        let said = why(&[block(1200, 7.25, None)]).unwrap();
        assert_eq!(said, "foreign load: 7.2 runnable tasks on 4 cores");
        let other = ConditionsSummary { governor: Some("ondemand".to_owned()), ..baseline.clone() };
        assert!(unclean(&fine, &other, 4).unwrap().contains("governor is performance"));
        assert_eq!(
            unclean(&fine, &ConditionsSummary::default(), 4),
            None,
            "the baseline did not tell"
        );
    }
}
