//! Numbers with their units, for people.

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
}
