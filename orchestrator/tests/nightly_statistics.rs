//! The statistics of nightly checks, held against made-up boards. `cargo run --release --example nightly_figures` prints
//! the table of docs/reliability.md, for all of this and more.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "support/nights.rs"]
mod nights;

use nights::{Against, KINDS, Kind, simulate};

const NIGHTS: usize = 10_000;

/// Nothing has changed: at most one night in a hundred may say otherwise.
fn unchanged(kind: Kind) {
    for against in [Against::Stored, Against::Interleaved] {
        let counts = simulate(kind, against, 0.0, false, NIGHTS);
        let false_alarms = counts.share(counts.regression + counts.improved);
        assert!(counts.nights >= NIGHTS, "{counts:?}");
        assert!(false_alarms <= 0.01, "{} against {against:?}: {counts:?}", kind.name);
    }
}

#[test]
fn a_quiet_board_raises_no_false_alarms() {
    unchanged(KINDS[0]);
    // And most nights are told to be fine, or nobody would look at the others.
    let counts = simulate(KINDS[0], Against::Stored, 0.0, false, 2_000);
    assert!(counts.share(counts.ok) > 0.9, "{counts:?}");
}

#[test]
fn bimodal_noise_raises_no_false_alarms() {
    unchanged(KINDS[1]);
}

#[test]
fn drift_raises_no_false_alarms() {
    unchanged(KINDS[2]);
}

#[test]
fn heavy_tails_raise_no_false_alarms() {
    unchanged(KINDS[3]);
}

/// Where nights differ by one percent, runs of another night are a poor standard, and checks say so: the floor rises above
/// what was asked for. Measured in turns, nights do not matter.
#[test]
fn restless_nights_are_mostly_inconclusive_and_no_matter_in_turns() {
    let stored = simulate(KINDS[4], Against::Stored, 0.0, true, NIGHTS);
    assert!(stored.share(stored.inconclusive) > 0.7, "{stored:?}");
    assert!(stored.share(stored.regression + stored.improved) < 0.025, "{stored:?}");
    let turns = simulate(KINDS[4], Against::Interleaved, 0.0, true, NIGHTS);
    assert!(turns.share(turns.regression + turns.improved) <= 0.01, "{turns:?}");
    assert!(turns.share(turns.ok) > 0.9, "{turns:?}");
}

#[test]
fn five_percent_are_found_and_two_are_not_passed_over() {
    for against in [Against::Stored, Against::Interleaved] {
        for seasoned in [false, true] {
            let counts = simulate(KINDS[0], against, 0.05, seasoned, 2_000);
            let found = counts.share(counts.regression);
            assert!(found >= 0.95, "{against:?}, seasoned {seasoned}: {counts:?}");
            let counts = simulate(KINDS[0], against, 0.02, seasoned, 2_000);
            let missed = counts.share(counts.ok + counts.improved);
            assert!(missed <= 0.05, "{against:?}, seasoned {seasoned}: {counts:?}");
        }
    }
}
