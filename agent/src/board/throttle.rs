//! Throttling and under-voltage, from whichever source tells.

use std::process::Command;
use std::time::Duration;

use super::root::{Root, read_text};
use super::tool::answer;

/// The bits of `vcgencmd get_throttled` (Raspberry Pi documentation, "vcgencmd").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ThrottleBits(pub u32);

impl ThrottleBits {
    const NAMES: [(u32, &'static str); 4] = [
        (0, "under-voltage"),
        (1, "ARM frequency capped"),
        (2, "throttled"),
        (3, "soft temperature limit"),
    ];

    /// What holds now.
    pub fn active(self) -> Vec<&'static str> {
        Self::names(self.0)
    }

    /// What has happened since `earlier`, going by the bits that remember since boot.
    pub fn happened_since(self, earlier: Self) -> Vec<&'static str> {
        Self::names((self.0 & !earlier.0) >> 16)
    }

    fn names(bits: u32) -> Vec<&'static str> {
        Self::NAMES.iter().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect()
    }
}

/// The bits, and who said so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// The bits.
    pub bits: ThrottleBits,
    /// "vcgencmd", "sysfs" or "hwmon"; hwmon knows of under-voltage only.
    pub source: &'static str,
}

/// Asks the firmware's tool, then sysfs, then hwmon; `None` when nothing says.
pub(super) fn read(root: &Root) -> Option<Throttled> {
    let said = |source| move |bits| Throttled { bits: ThrottleBits(bits), source };
    from_vcgencmd(root)
        .map(said("vcgencmd"))
        .or_else(|| from_sysfs(root).map(said("sysfs")))
        .or_else(|| from_hwmon(root).map(said("hwmon")))
}

fn from_vcgencmd(root: &Root) -> Option<u32> {
    parse_hex(vcgencmd(root, &["get_throttled"])?.strip_prefix("throttled=")?)
}

/// How long the firmware may take to answer; it takes milliseconds.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of `vcgencmd`, which is asked only about the machine itself. Where it hangs, as it does when the firmware
/// does, nothing is known.
pub(super) fn vcgencmd(root: &Root, arguments: &[&str]) -> Option<String> {
    if root.imitates() {
        return None;
    }
    answer(Command::new("vcgencmd").args(arguments), TIMEOUT)
}

fn from_sysfs(root: &Root) -> Option<u32> {
    parse_hex(&root.read("/sys/devices/platform/soc/soc:firmware/get_throttled")?)
}

fn from_hwmon(root: &Root) -> Option<u32> {
    let sensors = root.entries("/sys/class/hwmon");
    let name = |sensor: &std::path::PathBuf| read_text(&sensor.join("name"));
    let sensor = sensors.iter().find(|sensor| name(sensor).as_deref() == Some("rpi_volt"))?;
    read_text(&sensor.join("in0_lcrit_alarm"))?.parse::<u32>().ok().map(|alarm| alarm & 1)
}

fn parse_hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_names() {
        assert_eq!(ThrottleBits(0x5_0005).active(), ["under-voltage", "throttled"]);
        assert_eq!(ThrottleBits(0x5_0000).active(), Vec::<&str>::new());
        let since = ThrottleBits(0x5_0000).happened_since(ThrottleBits(0x1_0000));
        assert_eq!(since, ["throttled"]);
    }

    #[test]
    fn reads_both_spellings() {
        assert_eq!(parse_hex("50005"), Some(0x5_0005));
        assert_eq!(parse_hex("0x50005\n"), Some(0x5_0005));
        assert_eq!(parse_hex("error"), None);
    }
}
