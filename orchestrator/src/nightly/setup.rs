//! What must be equal for timings to be comparable: the board and what runs on it.

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::digest::hex_digest;
use crate::measurement::BoardFacts;

/// A board as it was when it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    /// The board.
    pub facts: BoardFacts,
    /// Version of the agent.
    pub agent_version: String,
    /// The engine build whose kernels were timed.
    pub engine_build: String,
    /// Threads of the engine.
    pub threads: u32,
}

/// Something that differs between two setups.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name, one of [`Setup::NAMES`] or [`super::precautions::PRECAUTIONS`].
    pub what: &'static str,
    /// As it was for the baseline.
    pub baseline: String,
    /// As it is now.
    pub now: String,
}

impl Setup {
    /// What setups can differ in.
    pub const NAMES: [&str; 11] = [
        "board", "revision", "cpu", "cores", "memory", "kernel", "os", "userland", "agent",
        "engine", "threads",
    ];

    /// That of a connected board which measures with so many threads.
    pub fn of(device: &Device, threads: u32) -> Self {
        Self {
            facts: device.facts().clone(),
            agent_version: device.agent_version().to_owned(),
            engine_build: device.engine_build().to_owned(),
            threads,
        }
    }

    /// What the setup amounts to, in the order of [`Self::NAMES`].
    fn parts(&self) -> [String; 11] {
        let facts = &self.facts;
        [
            facts.model.clone(),
            facts.revision.clone().unwrap_or_else(|| "unknown".to_owned()),
            format!("{} ({})", facts.cpu, facts.cpu_id),
            facts.cores.to_string(),
            format!("{} MiB", facts.rounded_memory_mib()),
            facts.kernel_release.clone(),
            facts.os.clone(),
            format!("{}-bit", facts.userland_bits),
            format!("{} for {}", self.agent_version, facts.target),
            self.engine_build.clone(),
            self.threads.to_string(),
        ]
    }

    /// What differs between the setup of a baseline and `now`.
    pub fn differences(&self, now: &Self) -> Vec<Difference> {
        let both = self.parts().into_iter().zip(now.parts());
        let named = Self::NAMES.into_iter().zip(both);
        named
            .filter(|(_, (baseline, now))| baseline != now)
            .map(|(what, (baseline, now))| Difference { what, baseline, now })
            .collect()
    }

    /// Digest of the setup: nights with the same one differ by noise alone.
    pub fn digest(&self) -> String {
        hex_digest(self.parts().join("\0").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_and_a_new_name_is_none() {
        let then = Setup {
            facts: BoardFacts {
                model: "Pi 3".to_owned(),
                memory_bytes: 900 << 20,
                ..BoardFacts::default()
            },
            agent_version: "0.1.0".to_owned(),
            engine_build: "e1".to_owned(),
            threads: 1,
        };
        let mut now = then.clone();
        now.facts.hostname = "other".to_owned();
        now.facts.memory_bytes -= 4096;
        assert_eq!(then.differences(&now), []);
        assert_eq!(then.digest(), now.digest());
        now.facts.kernel_release = "6.12".to_owned();
        now.engine_build = "e2".to_owned();
        let found = then.differences(&now);
        assert_eq!(
            found.iter().map(|difference| difference.what).collect::<Vec<_>>(),
            ["kernel", "engine"]
        );
        assert_eq!((found[1].baseline.as_str(), found[1].now.as_str()), ("e1", "e2"));
        assert_ne!(then.digest(), now.digest());
    }
}
