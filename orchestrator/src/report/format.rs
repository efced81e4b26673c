//! Numbers as people read them.

/// Microseconds with three significant digits and a unit.
pub(super) fn duration(us: f64) -> String {
    let (value, unit) = match us {
        us if us < 1000.0 => (us, "µs"),
        us if us < 1e6 => (us / 1e3, "ms"),
        us => (us / 1e6, "s"),
    };
    format!("{} {unit}", significant(value))
}

/// Three significant digits.
pub(super) fn significant(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Bytes in KiB or MiB.
pub(super) fn bytes(count: u64) -> String {
    let kib = count as f64 / 1024.0;
    if kib < 1000.0 { format!("{} KiB", significant(kib)) } else { mib(kib) }
}

fn mib(kib: f64) -> String {
    let mib = kib / 1024.0;
    if mib < 1000.0 {
        format!("{} MiB", significant(mib))
    } else {
        format!("{} GiB", significant(mib / 1024.0))
    }
}

/// A share as a percentage with one digit.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// A ratio as in "3.4x".
pub(super) fn times(ratio: f64) -> String {
    format!("{}x", significant(ratio))
}

/// A ratio with its interval, as in "1.020 (0.824 – 1.114)".
pub(super) fn with_interval((ratio, (low, high)): (f64, (f64, f64))) -> String {
    format!("{ratio:.3} ({low:.3} – {high:.3})")
}

/// By how much `measured` differs from `predicted`, as in "+1.2 %".
pub(super) fn off(predicted: f64, measured: f64) -> String {
    format!("{:+.1} %", 100.0 * (measured / predicted - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_three_digits_and_change_units() {
        assert_eq!(duration(0.5), "0.50 µs");
        assert_eq!(duration(999.0), "999 µs");
        assert_eq!(duration(1234.0), "1.23 ms");
        assert_eq!(duration(99_960.0), "100 ms");
        assert_eq!(duration(2_500_000.0), "2.50 s");
    }

    #[test]
    fn sizes_and_shares() {
        assert_eq!(bytes(2048), "2.00 KiB");
        assert_eq!(bytes(5 << 20), "5.00 MiB");
        assert_eq!(bytes(1 << 30), "1.00 GiB");
        assert_eq!(percent(0.884), "88.4 %");
        assert_eq!(times(12.04), "12.0x");
    }
}
