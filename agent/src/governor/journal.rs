//! Setting the governor, with a record of how it was.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use quantrack_proto::replace_file;

use crate::board::Root;

/// What is measured under.
pub const PERFORMANCE: &str = "performance";

/// Why the governor was not set or not restored.
#[derive(Debug, thiserror::Error)]
pub enum GovernorError {
    /// Virtual machines and some boards have none.
    #[error("this board has no frequency governor that could be set")]
    None,
    /// The kernel lacks it.
    #[error("cpu {cpu} offers the governors {offered}, and performance is not among them")]
    NotOffered {
        /// The CPU.
        cpu: String,
        /// What it offers.
        offered: String,
    },
    /// A file could not be read or written.
    #[error("failed to write {path}: {detail}")]
    Write {
        /// Which.
        path: String,
        /// Why.
        detail: String,
    },
    /// The journal is not what was written there.
    #[error("failed to understand {path}: {detail}; set the governor by hand and remove that file")]
    Journal {
        /// Where it is.
        path: String,
        /// What is wrong.
        detail: String,
    },
}

/// The governors of a board's CPUs.
#[derive(Clone, Debug)]
pub struct Switch {
    root: Root,
    journal: PathBuf,
}

impl Switch {
    /// Those of the board below `root`; how they were before is kept in the file `journal`, which should not outlive a boot.
    pub fn new(root: Root, journal: PathBuf) -> Self {
        Self { root, journal }
    }

    /// Sets all governors to performance, after writing down what they were.
    ///
    /// # Errors
    /// When one cannot be set; then all are as they were.
    pub fn raise(&self) -> Result<(), GovernorError> {
        // Should an earlier change still be in force, its journal knows better what was before.
        self.restore()?;
        let before = self.current();
        if before.is_empty() {
            return Err(GovernorError::None);
        }
        for cpu in before.keys() {
            let offered = self.root.read(&format!("{}/scaling_available_governors", cpufreq(cpu)));
            let lacks = |all: &String| all.split_whitespace().all(|one| one != PERFORMANCE);
            if let Some(offered) = offered.filter(lacks) {
                return Err(GovernorError::NotOffered { cpu: cpu.clone(), offered });
            }
        }
        self.write_journal(&before)?;
        for cpu in before.keys() {
            if let Err(error) = self.set(cpu, PERFORMANCE) {
                self.restore()?;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Sets the governors as they were before [`Self::raise`], also when another process had raised them, and forgets about
    /// it. Returns how many were set; a governor that somebody has changed meanwhile stays.
    ///
    /// # Errors
    /// When one cannot be set; the journal stays, and another try may succeed.
    pub fn restore(&self) -> Result<usize, GovernorError> {
        let text = match std::fs::read_to_string(&self.journal) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.odd(error.to_string())),
        };
        let before: BTreeMap<String, String> =
            serde_json::from_str(&text).map_err(|error| self.odd(error.to_string()))?;
        if let Some(entry) = before.iter().find(|(cpu, name)| !is_cpu(cpu) || !is_governor(name)) {
            return Err(self.odd(format!("{entry:?} is no CPU with its governor")));
        }
        let now = self.current();
        let ours = before.iter().filter(|(cpu, name)| {
            now.get(*cpu).is_some_and(|now| now == PERFORMANCE && now != *name)
        });
        let mut set = 0;
        for (cpu, name) in ours {
            self.set(cpu, name)?;
            set += 1;
        }
        std::fs::remove_file(&self.journal).map_err(|error| self.fault(&self.journal, &error))?;
        Ok(set)
    }

    /// The governor of each CPU that has one.
    fn current(&self) -> BTreeMap<String, String> {
        let entries = self.root.entries("/sys/devices/system/cpu");
        let names =
            entries.iter().filter_map(|path| path.file_name()?.to_str()).filter(|cpu| is_cpu(cpu));
        let governor = |cpu: &str| {
            Some((cpu.to_owned(), self.root.read(&format!("{}/scaling_governor", cpufreq(cpu)))?))
        };
        names.filter_map(governor).collect()
    }

    fn set(&self, cpu: &str, governor: &str) -> Result<(), GovernorError> {
        let path = self.root.path(&format!("{}/scaling_governor", cpufreq(cpu)));
        let file = OpenOptions::new().write(true).truncate(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(governor.as_bytes()));
        written.map_err(|error| self.fault(&path, &error))
    }

    /// At once or not at all, and on the disk before anything is changed.
    fn write_journal(&self, before: &BTreeMap<String, String>) -> Result<(), GovernorError> {
        let written = serde_json::to_vec(before)
            .map_err(std::io::Error::from)
            .and_then(|text| replace_file(&self.journal, &text, 0o600));
        written.map_err(|error| self.fault(&self.journal, &error))
    }

    fn odd(&self, detail: String) -> GovernorError {
        GovernorError::Journal { path: self.journal.display().to_string(), detail }
    }

    fn fault(&self, path: &std::path::Path, error: &std::io::Error) -> GovernorError {
        GovernorError::Write { path: path.display().to_string(), detail: error.to_string() }
    }
}

fn cpufreq(cpu: &str) -> String {
    format!("/sys/devices/system/cpu/{cpu}/cpufreq")
}

fn is_cpu(name: &str) -> bool {
    name.strip_prefix("cpu").is_some_and(|number| number.parse::<u16>().is_ok())
}

fn is_governor(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
pub(super) mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A board of two CPUs, and a journal beside it.
    pub(in crate::governor) fn board(governor: &str) -> (TempDir, Switch) {
        let folder = TempDir::new().unwrap();
        for cpu in ["cpu0", "cpu1", "cpuidle"] {
            std::fs::create_dir_all(folder.path().join(&cpufreq(cpu)[1..])).unwrap();
        }
        let switch = Switch::new(Root::new(folder.path()), folder.path().join("journal"));
        for cpu in ["cpu0", "cpu1"] {
            let path = switch.root.path(&format!("{}/scaling_governor", cpufreq(cpu)));
            std::fs::write(path, format!("{governor}\n")).unwrap();
        }
        (folder, switch)
    }

    pub(in crate::governor) fn governors(folder: &TempDir) -> [String; 2] {
        ["cpu0", "cpu1"].map(|cpu| {
            Root::new(folder.path()).read(&format!("{}/scaling_governor", cpufreq(cpu))).unwrap()
        })
    }

    #[test]
    fn what_was_raised_is_restored_also_by_another_process() {
        let (folder, switch) = board("ondemand");
        switch.raise().unwrap();
        assert_eq!(governors(&folder), ["performance"; 2]);
        // The process dies; the next one knows no more than the journal.
        let next = switch.clone();
        drop(switch);
        next.raise().unwrap();
        assert_eq!(next.restore().unwrap(), 2);
        assert_eq!(governors(&folder), ["ondemand"; 2]);
        assert_eq!(next.restore().unwrap(), 0, "nothing is left to restore");
    }

    #[test]
    fn a_governor_that_somebody_has_set_meanwhile_stays() {
        let (folder, switch) = board("ondemand");
        switch.raise().unwrap();
        switch.set("cpu1", "powersave").unwrap();
        assert_eq!(switch.restore().unwrap(), 1);
        assert_eq!(governors(&folder), ["ondemand", "powersave"]);
    }

    #[test]
    fn nothing_is_changed_before_the_journal_is_written() {
        let (folder, switch) = board("ondemand");
        let blind = Switch::new(switch.root.clone(), folder.path().join("missing/journal"));
        assert!(matches!(blind.raise(), Err(GovernorError::Write { .. })));
        assert_eq!(governors(&folder), ["ondemand"; 2]);
    }

    #[test]
    fn boards_that_cannot_say_why() {
        let (folder, switch) = board("ondemand");
        let offered = format!("{}/scaling_available_governors", cpufreq("cpu1"));
        std::fs::write(switch.root.path(&offered), "ondemand powersave\n").unwrap();
        let refused = switch.raise().unwrap_err().to_string();
        assert!(refused.contains("cpu cpu1 offers the governors ondemand powersave"), "{refused}");
        assert_eq!(governors(&folder), ["ondemand"; 2]);
        let empty = TempDir::new().unwrap();
        let none = Switch::new(Root::new(empty.path()), empty.path().join("journal"));
        assert!(matches!(none.raise(), Err(GovernorError::None)));
    }

    #[test]
    fn a_journal_cannot_make_it_write_elsewhere() {
        let (folder, switch) = board("performance");
        for odd in ["{\"../../etc\":\"x\"}", "{\"cpu0\":\"a/b\"}", "no JSON", "{\"cpu0\":\"\"}"] {
            std::fs::write(folder.path().join("journal"), odd).unwrap();
            let error = switch.restore().unwrap_err();
            assert!(matches!(error, GovernorError::Journal { .. }), "{odd}: {error}");
        }
        assert_eq!(governors(&folder), ["performance"; 2]);
    }
}
