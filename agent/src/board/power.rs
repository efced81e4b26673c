//! What the board draws, where a sensor tells.

use super::root::{Root, read_text};

/// A power monitor between supply and board (INA219 and its kin), as hwmon shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Power {
    /// At the moment, in microwatts.
    pub microwatts: Option<u64>,
    /// Since the monitor was reset, in microjoules; only few count it.
    pub microjoules: Option<u64>,
}

/// Reads the first monitor of the INA family. Other sensors that hwmon shows measure a part of the board, and are not asked.
pub(super) fn read(root: &Root) -> Power {
    let sensors = root.entries("/sys/class/hwmon");
    let monitors = sensors.iter().filter(|sensor| {
        read_text(&sensor.join("name")).is_some_and(|name| name.starts_with("ina"))
    });
    let number = |sensor: &std::path::Path, name: &str| {
        read_text(&sensor.join(name)).and_then(|text| text.parse().ok())
    };
    let tells = |power: &Power| power.microwatts.or(power.microjoules).is_some();
    let all = monitors.map(|sensor| Power {
        microwatts: number(sensor, "power1_input"),
        microjoules: number(sensor, "energy1_input"),
    });
    all.into_iter().find(tells).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_monitor_of_the_whole_board_is_asked() {
        let folder = tempfile::TempDir::new().unwrap();
        let root = Root::new(folder.path());
        assert_eq!(read(&root), Power::default());
        let sensor = |number: u32, files: &[(&str, &str)]| {
            let sensor = folder.path().join(format!("sys/class/hwmon/hwmon{number}"));
            std::fs::create_dir_all(&sensor).unwrap();
            for (name, text) in files {
                std::fs::write(sensor.join(name), text).unwrap();
            }
        };
        sensor(0, &[("name", "amdgpu"), ("power1_input", "9000000")]);
        sensor(1, &[("name", "ina3221")]);
        assert_eq!(read(&root), Power::default());
        sensor(2, &[("name", "ina219"), ("power1_input", "2350000\n")]);
        assert_eq!(read(&root), Power { microwatts: Some(2_350_000), microjoules: None });
    }
}
