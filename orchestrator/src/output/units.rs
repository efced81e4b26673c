//! Numbers with their units, for people.

use std::time::Duration;

/// The longest time that a command line may ask for.
const MAX_SECONDS: u64 = 24 * 3600;

/// A latency in microseconds as milliseconds or microseconds with three or four digits.
pub fn duration_us(us: f64) -> String {
    if us >= 100_000.0 {
        format!("{:.0} ms", us / 1e3)
    } else if us >= 10_000.0 {
        format!("{:.1} ms", us / 1e3)
    } else if us >= 1_000.0 {
        format!("{:.2} ms", us / 1e3)
    } else if us >= 100.0 {
        format!("{us:.0} us")
    } else {
        format!("{us:.1} us")
    }
}

/// A size with a binary prefix.
pub fn bytes(size: u64) -> String {
    scaled(size, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"])
}

/// A count with a decimal prefix.
pub fn count(number: u64) -> String {
    scaled(number, 1000.0, &["", "k", "M", "G", "T"])
}

/// A frequency.
pub fn hertz(frequency: u64) -> String {
    scaled(frequency, 1000.0, &["Hz", "kHz", "MHz", "GHz"])
}

fn scaled(number: u64, step: f64, prefixes: &[&str]) -> String {
    let mut value = number as f64;
    let mut index = 0;
    while value >= step && index + 1 < prefixes.len() {
        value /= step;
        index += 1;
    }
    let digits = if index == 0 || value >= 100.0 { 0 } else { 2 - usize::from(value >= 10.0) };
    format!("{value:.digits$} {}", prefixes[index]).trim_end().to_owned()
}

/// "2026-01-02 03:04 UTC" from the store's "2026-01-02T03:04:05.678Z".
pub fn minutes(time: &str) -> String {
    match (time.get(..10), time.get(11..16)) {
        (Some(day), Some(minute)) => format!("{day} {minute} UTC"),
        _ => time.to_owned(),
    }
}

/// A time such as "90", "90s", "30m" or "2h" on a command line.
///
/// # Errors
/// Says what it may be.
pub fn time(text: &str) -> Result<Duration, String> {
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds: u64 = match &text[number.len()..] {
        "" | "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        _ => 0,
    };
    let count: u64 = number.parse().unwrap_or(u64::MAX);
    match count.checked_mul(seconds).filter(|_| seconds > 0) {
        Some(all @ 0..=MAX_SECONDS) => Ok(Duration::from_secs(all)),
        _ => Err("it must be a time such as 90s, 30m or 2h, up to 24h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        assert_eq!(duration_us(12_345.0), "12.3 ms");
        assert_eq!(duration_us(87.65), "87.7 us");
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1_985_440), "1.89 MiB");
        assert_eq!(count(283_000_000), "283 M");
        assert_eq!(count(1_000), "1.00 k");
        assert_eq!(minutes("2026-01-02T03:04:05.678Z"), "2026-01-02 03:04 UTC");
        assert_eq!(hertz(1_200_000_000), "1.20 GHz");
    }

    #[test]
    fn times_have_units() {
        for (text, seconds) in [("0", 0), ("90", 90), ("45s", 45), ("30m", 1800), ("2h", 7200)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "m", "-1", "1.5h", "2d", "25h", "99999999999999999999"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
