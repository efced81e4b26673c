//! The agent for a board.

use std::path::{Path, PathBuf};

use super::error::EnrollError;

/// What an agent is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// 64-bit ARM.
    Aarch64,
    /// 32-bit ARM with NEON.
    Armv7,
    /// x86-64.
    X86_64,
}

impl Architecture {
    /// What runs on a machine whose programs have so many bits.
    ///
    /// # Errors
    /// When no agent does.
    pub fn of(machine: &str, bits: u32) -> Result<Self, EnrollError> {
        match (machine, bits) {
            ("aarch64", 64) => Ok(Self::Aarch64),
            // Raspberry Pi OS has 32-bit systems whose kernel has 64.
            ("aarch64" | "armv7l" | "armv8l", 32) => Ok(Self::Armv7),
            ("x86_64", 64) => Ok(Self::X86_64),
            _ => Err(EnrollError::Unsupported { machine: machine.to_owned(), bits }),
        }
    }

    /// As `deploy/build-agent.sh` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64",
            Self::Armv7 => "armv7",
            Self::X86_64 => "x86_64",
        }
    }

    fn target(self) -> &'static str {
        match self {
            Self::Aarch64 => "aarch64-unknown-linux-musl",
            Self::Armv7 => "armv7-unknown-linux-gnueabihf",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
        }
    }

    /// What the header of a program says; `None` for what is none.
    fn of_program(bytes: &[u8]) -> Option<Result<Self, String>> {
        let class = *bytes.strip_prefix(b"\x7fELF")?.first()?;
        let machine = u16::from_le_bytes([*bytes.get(18)?, *bytes.get(19)?]);
        Some(match (class, machine) {
            (2, 183) => Ok(Self::Aarch64),
            (1, 40) => Ok(Self::Armv7),
            (2, 62) => Ok(Self::X86_64),
            (class, machine) => Err(format!("a program of class {class} for machine {machine}")),
        })
    }
}

/// The program to install: `named`, or the one in `folder`, or the one that was built beside this program.
///
/// # Errors
/// When there is none, or it is one for other boards.
pub fn choose(
    architecture: Architecture,
    named: Option<&Path>,
    folder: Option<&Path>,
) -> Result<(PathBuf, Vec<u8>), EnrollError> {
    let path = match named {
        Some(named) => named.to_owned(),
        None => find(architecture, folder)?,
    };
    let bytes = std::fs::read(&path);
    let bytes = bytes.map_err(|error| EnrollError::File { path: path.clone(), error })?;
    let found = match Architecture::of_program(&bytes) {
        Some(Ok(found)) if found == architecture => return Ok((path, bytes)),
        Some(Ok(found)) => format!("an agent for {}", found.name()),
        Some(Err(other)) => other,
        None => "no program".to_owned(),
    };
    Err(EnrollError::WrongAgent { path, found, needed: architecture.name() })
}

fn find(architecture: Architecture, folder: Option<&Path>) -> Result<PathBuf, EnrollError> {
    let file = format!("agent-{}", architecture.name());
    let built = Path::new(architecture.target()).join("release/agent");
    let mut places = Vec::new();
    if let Some(folder) = folder {
        places.extend([folder.join(&file), folder.join(&built)]);
    } else {
        // Beside this program, in a package, and where cargo leaves what it builds.
        let own = std::env::current_exe().unwrap_or_default();
        let beside = own.parent().unwrap_or(Path::new("."));
        places.push(beside.join("agents").join(&file));
        places.push(Path::new("/usr/share/quantrack/agents").join(&file));
        places.extend(beside.parent().map(|target| target.join(&built)));
        if architecture == Architecture::X86_64 {
            places.push(beside.join("agent"));
        }
    }
    let found = places.iter().find(|place| place.is_file()).cloned();
    found.ok_or_else(|| {
        let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
        EnrollError::NoAgent { architecture: architecture.name(), places: places.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_programs_decides_not_that_of_the_kernel() {
        assert_eq!(Architecture::of("aarch64", 64).unwrap(), Architecture::Aarch64);
        assert_eq!(Architecture::of("aarch64", 32).unwrap(), Architecture::Armv7);
        assert_eq!(Architecture::of("armv7l", 32).unwrap(), Architecture::Armv7);
        let refused = Architecture::of("armv6l", 32).unwrap_err().to_string();
        assert!(refused.contains("armv6l") && refused.contains("ARMv7"), "{refused}");
    }

    #[test]
    fn an_agent_for_other_boards_is_refused_before_it_is_installed() {
        let own = std::env::current_exe().unwrap();
        choose(Architecture::X86_64, Some(&own), None).unwrap();
        let refused = choose(Architecture::Armv7, Some(&own), None).unwrap_err().to_string();
        assert!(refused.contains("an agent for x86_64") && refused.contains("armv7"), "{refused}");
        let text = tempfile::NamedTempFile::new().unwrap();
        let refused = choose(Architecture::Armv7, Some(text.path()), None).unwrap_err();
        assert!(refused.to_string().contains("no program"), "{refused}");
        let folder = tempfile::tempdir().unwrap();
        let missing = choose(Architecture::Aarch64, None, Some(folder.path())).unwrap_err();
        assert!(missing.to_string().contains("build-agent.sh aarch64"), "{missing}");
    }
}
