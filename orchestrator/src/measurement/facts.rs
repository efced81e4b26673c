//! What a board is.

use serde::{Deserialize, Serialize};

/// Facts about a board that do not change while it runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardFacts {
    /// As in "Raspberry Pi 3 Model B Rev 1.2".
    pub model: String,
    /// Revision code of a Raspberry Pi.
    pub revision: Option<String>,
    /// As in "Cortex-A53".
    pub cpu: String,
    /// MIDR, or family-model-stepping.
    pub cpu_id: String,
    /// CPU features as the kernel names them.
    pub features: Vec<String>,
    /// Number of cores.
    pub cores: u32,
    /// Installed memory in bytes.
    pub memory_bytes: u64,
    /// Release of the kernel.
    pub kernel_release: String,
    /// As in "Debian GNU/Linux 12 (bookworm)".
    pub os: String,
    /// Width of the agent's userland in bits.
    pub userland_bits: u32,
    /// Rust target of the agent.
    pub target: String,
    /// Name that the board has given itself.
    pub hostname: String,
}

impl BoardFacts {
    /// Key of the board's measurements: equal for boards whose timings are comparable, different when anything that
    /// timings depend on has changed. Names and addresses do not count.
    pub fn fingerprint(&self) -> String {
        let parts = [
            self.model.as_str(),
            self.revision.as_deref().unwrap_or_default(),
            &self.cpu,
            &self.cpu_id,
            &self.cores.to_string(),
            &self.rounded_memory_mib().to_string(),
            &self.kernel_release,
            &self.os,
            &self.userland_bits.to_string(),
            &self.target,
        ];
        let digest = crate::digest::hex_digest(parts.join("\0").as_bytes());
        digest[..16].to_owned()
    }

    /// Installed memory in MiB, rounded: the kernel reserves a little more or less from boot to boot.
    pub fn rounded_memory_mib(&self) -> u64 {
        (self.memory_bytes >> 20).next_multiple_of(64)
    }

    /// What to call the board: its model, or its processor where nothing tells the model, as in virtual machines.
    pub fn name(&self) -> String {
        match self.model.as_str() {
            "" | "unknown" => format!("a machine with {}", self.cpu),
            model => model.to_owned(),
        }
    }

    /// Operating system, kernel and userland width, for people.
    pub fn system(&self) -> String {
        format!("{}, Linux {}, {}-bit userland", self.os, self.kernel_release, self.userland_bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fingerprint_follows_what_timings_depend_on() {
        let board =
            BoardFacts { model: "Pi".to_owned(), memory_bytes: 900 << 20, ..BoardFacts::default() };
        let renamed = BoardFacts { hostname: "other".to_owned(), ..board.clone() };
        let rebooted = BoardFacts { memory_bytes: (900 << 20) - 4096, ..board.clone() };
        assert_eq!(board.fingerprint(), renamed.fingerprint());
        assert_eq!(board.fingerprint(), rebooted.fingerprint());
        let updated = BoardFacts { kernel_release: "6.12".to_owned(), ..board.clone() };
        assert_ne!(board.fingerprint(), updated.fingerprint());
    }

    #[test]
    fn a_3b_is_no_3b_plus_and_an_unknown_board_is_neither() {
        let board = |model: &str, revision: Option<&str>| BoardFacts {
            model: model.to_owned(),
            revision: revision.map(str::to_owned),
            ..BoardFacts::default()
        };
        let all = [
            board("Raspberry Pi 3 Model B Rev 1.2", Some("a02082")),
            board("Raspberry Pi 3 Model B Plus Rev 1.3", Some("a020d3")),
            // Where nothing but the revision tells them apart, or not even that.
            board("unknown", Some("a02082")),
            board("unknown", Some("a020d3")),
            board("unknown", None),
        ];
        let fingerprints: std::collections::BTreeSet<String> =
            all.iter().map(BoardFacts::fingerprint).collect();
        assert_eq!(fingerprints.len(), all.len());
    }
}
