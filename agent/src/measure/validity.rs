//! Whether a block's samples count.

use super::foreign::MAX_LOAD;
use crate::board::Conditions;

/// Clocks further apart than this share are two clocks.
const CLOCK_TOLERANCE: f64 = 0.02;

/// Why samples taken between these conditions do not count; `None` when nothing speaks against them. What the board
/// does not tell cannot speak against them either; the conditions go with the samples and say so.
pub fn void_reason(before: &Conditions, after: &Conditions) -> Option<String> {
    if before.boot_id != after.boot_id {
        return Some("the board was restarted".to_owned());
    }
    let mut throttling: Vec<&str> = Vec::new();
    for moment in [before, after] {
        throttling.extend(moment.throttled.iter().flat_map(|now| now.bits.active()));
    }
    if let (Some(before), Some(after)) = (before.throttled, after.throttled) {
        throttling.extend(after.bits.happened_since(before.bits));
    }
    if !throttling.is_empty() {
        throttling.sort_unstable();
        throttling.dedup();
        return Some(throttling.join(", "));
    }
    let (from, to) = (before.arm_clock?.hz, after.arm_clock?.hz);
    let changed = from.abs_diff(to) as f64 > from.max(to) as f64 * CLOCK_TOLERANCE;
    let mhz = |hz: u64| hz / 1_000_000;
    changed.then(|| format!("the ARM clock changed from {} to {} MHz", mhz(from), mhz(to)))
}

/// Why samples taken beside so much foreign load, as a number of cores, do not count.
pub fn foreign_reason(load: Option<f64>) -> Option<String> {
    let load = load.filter(|load| *load > MAX_LOAD)?;
    Some(format!("foreign load: others kept {load:.1} cores busy"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Root;

    fn on_a_pi() -> Conditions {
        Conditions::read(&Root::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/boards/pi3b")))
    }

    fn with_bits(bits: u32) -> Conditions {
        let mut conditions = on_a_pi();
        conditions.throttled.as_mut().unwrap().bits.0 = bits;
        conditions
    }

    #[test]
    fn throttling_before_during_or_after_voids() {
        let (fine, bad) = (on_a_pi(), with_bits(0x1_0001));
        assert_eq!(void_reason(&fine, &fine), None);
        assert_eq!(void_reason(&fine, &bad).as_deref(), Some("under-voltage"));
        assert_eq!(void_reason(&bad, &fine).as_deref(), Some("under-voltage"));
        let (long_ago, during) = (with_bits(0x1_0000), with_bits(0x5_0000));
        assert_eq!(void_reason(&long_ago, &long_ago), None);
        assert_eq!(void_reason(&long_ago, &during).as_deref(), Some("throttled"));
    }

    #[test]
    fn a_busy_neighbour_voids_and_a_quiet_or_unknown_one_does_not() {
        assert_eq!(foreign_reason(Some(0.1)), None);
        assert_eq!(foreign_reason(None), None);
        let reason = foreign_reason(Some(0.96)).unwrap();
        assert_eq!(reason, "foreign load: others kept 1.0 cores busy");
    }

    #[test]
    fn another_clock_or_boot_voids_and_silence_does_not() {
        let (fine, mut other) = (on_a_pi(), on_a_pi());
        other.arm_clock.as_mut().unwrap().hz = 600_000_000;
        let reason = void_reason(&fine, &other).unwrap();
        assert_eq!(reason, "the ARM clock changed from 1200 to 600 MHz");
        other.arm_clock = None;
        assert_eq!(void_reason(&fine, &other), None);
        other.boot_id = Some("another".to_owned());
        assert_eq!(void_reason(&fine, &other).as_deref(), Some("the board was restarted"));
    }
}
