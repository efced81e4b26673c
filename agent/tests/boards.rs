//! Boards imitated by directories of the files that they show.

use quantrack_agent::board::{BoardFacts, Conditions, Root, ThrottleBits, Throttled};

fn root(board: &str) -> Root {
    Root::new(format!("{}/tests/boards/{board}", env!("CARGO_MANIFEST_DIR")))
}

fn facts(board: &str) -> BoardFacts {
    BoardFacts::read(&root(board))
}

#[test]
fn a_raspberry_pi_3_is_recognised_with_all_that_it_tells() {
    let facts = facts("pi3b");
    assert_eq!(facts.model, "Raspberry Pi 3 Model B Rev 1.2");
    assert_eq!(facts.compatible, ["raspberrypi,3-model-b", "brcm,bcm2837"]);
    assert_eq!(facts.revision.as_deref(), Some("a02082"));
    assert_eq!((facts.cpu.as_str(), facts.cpu_id.as_str()), ("Cortex-A53", "0x410fd034"));
    assert_eq!((facts.cores, facts.memory_bytes), (4, 929_160 * 1024));
    assert_eq!(facts.os, "Debian GNU/Linux 12 (bookworm)");
    assert_eq!((facts.kernel_release.as_str(), facts.hostname.as_str()), ("6.1.21-v8+", "pi3"));
    let now = Conditions::read(&root("pi3b"));
    assert_eq!(now.throttled, Some(Throttled { bits: ThrottleBits(0), source: "sysfs" }));
    let clock = now.arm_clock.unwrap();
    assert_eq!((clock.hz, clock.source), (1_200_000_000, "cpufreq"));
    assert_eq!(now.temperature_celsius, Some(48.312));
    assert_eq!(now.load_1m, Some(0.08));
    assert_eq!(now.available_memory_bytes, Some(761_024 * 1024));
    assert_eq!(now.governor.as_deref(), Some("performance"));
    assert_eq!(now.uptime_ms, 1_234_560);
}

#[test]
fn throttling_is_read_from_sysfs_and_from_hwmon() {
    assert_eq!(facts("pi3bplus").revision.as_deref(), Some("a020d3"));
    let hot = Conditions::read(&root("pi3bplus")).throttled;
    assert_eq!(hot, Some(Throttled { bits: ThrottleBits(0x5_0005), source: "sysfs" }));
    assert_eq!(facts("pi4b").cpu, "Cortex-A72");
    let low = Conditions::read(&root("pi4b")).throttled;
    assert_eq!(low, Some(Throttled { bits: ThrottleBits(1), source: "hwmon" }));
}

#[test]
fn a_server_has_no_arm_clock_and_no_throttle_bits() {
    let facts = facts("server");
    assert_eq!(facts.model, "PowerEdge R6525");
    assert_eq!((facts.cpu.as_str(), facts.cpu_id.as_str()), ("AMD EPYC 7B13", "25-1-0"));
    assert_eq!((facts.cores, facts.revision), (2, None));
    let now = Conditions::read(&root("server"));
    assert_eq!((now.throttled, now.arm_clock, now.temperature_celsius), (None, None, None));
}

#[test]
fn an_emulated_board_without_cpufreq_is_still_a_raspberry_pi() {
    let facts = facts("emulated-pi3");
    assert_eq!(facts.model, "Raspberry Pi 3 Model B");
    assert_eq!(facts.cpu_id, "0x410fd034");
    assert_eq!((facts.os.as_str(), facts.revision), ("unknown", None));
    assert_eq!(facts.hostname, "unnamed", "nothing tells it from others");
    let now = Conditions::read(&root("emulated-pi3"));
    assert_eq!((now.arm_clock, now.governor, now.throttled), (None, None, None));
    assert_eq!(now.temperature_celsius, Some(25.178));
}

#[test]
fn boards_without_a_name_are_told_apart_by_what_is_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let name = || BoardFacts::read(&Root::new(folder.path())).hostname;
    let mut names = Vec::new();
    for nameless in ["(none)\n", "localhost\n", "localhost.localdomain\n"] {
        write("proc/sys/kernel/hostname", nameless);
        write("etc/machine-id", "uninitialized\n");
        assert_eq!(name(), "unnamed");
        write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        names.push(name());
    }
    names.dedup();
    assert!(names.len() == 1 && names[0].starts_with("unnamed-"), "{names:?}");
    assert!(!names[0].contains("01234567"), "the number itself is not to be shown");
    write("proc/device-tree/serial-number", "00000000deadbeef\0");
    let by_serial = name();
    write("etc/machine-id", "another card\n");
    assert!(by_serial != names[0] && name() == by_serial);
    write("proc/sys/kernel/hostname", "localhost-1\n");
    assert_eq!(name(), "localhost-1");
}

#[test]
fn an_empty_directory_tells_nothing_and_breaks_nothing() {
    let empty = tempfile::tempdir().unwrap();
    let root = Root::new(empty.path());
    assert_eq!(BoardFacts::read(&root).model, "unknown");
    assert_eq!(Conditions::read(&root), Conditions::default());
}
