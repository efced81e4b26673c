//! What a board is.

use std::collections::BTreeMap;

use super::error::EnrollError;
use super::program::Architecture;
use super::remote::Remote;

/// Prints a line for each fact, after a mark that tells them from what the shell of the user prints at login.
const SCRIPT: &str = r#"
root=${QUANTRACK_ROOT:-}
say() { printf 'quantrack:%s=%s\n' "$1" "$2"; }
say machine "$(uname -m)"
# The kernel may have more bits than the programs that it runs.
say bits "$(getconf LONG_BIT)"
# As kernels of 32 and of 64 bits call it.
if grep -qw -e neon -e asimd /proc/cpuinfo; then say neon yes; else say neon no; fi
say name "$(hostname)"
say user "$(id -un)"
if [ "$(id -u)" = 0 ]; then say sudo ''; elif sudo -n true 2>/dev/null; then say sudo 'sudo -n'; else say sudo none; fi
if command -v systemctl >/dev/null; then say systemd yes; else say systemd no; fi
say free_kib "$(df -Pk "$root/usr" | awk 'NR == 2 { print $4 }')"
say port "$(sed -n 's/^QUANTRACK_LISTEN=.*://p' "$root/etc/quantrack/agent.env" 2>/dev/null || true)"
"#;

/// What enrolment has to know of a board.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Board {
    /// As `uname -m` says.
    pub machine: String,
    /// Width of its programs.
    pub bits: u32,
    /// Whether an ARM processor has vector instructions.
    pub neon: bool,
    /// What it calls itself.
    pub name: String,
    /// What makes a command run as root; empty for root.
    pub sudo: String,
    /// Room for programs.
    pub free_kib: u64,
    /// The port of an agent that is installed already.
    pub port: Option<u16>,
}

impl Board {
    /// What agents for it are built for.
    ///
    /// # Errors
    /// When no agent runs there.
    pub fn architecture(&self) -> Result<Architecture, EnrollError> {
        match Architecture::of(&self.machine, self.bits)? {
            Architecture::Armv7 if !self.neon => {
                let machine = format!("{} without NEON", self.machine);
                Err(EnrollError::Unsupported { machine, bits: self.bits })
            }
            architecture => Ok(architecture),
        }
    }
}

/// Finds out what a board is.
///
/// # Errors
/// When ssh does not get there, or nothing can be installed there.
pub async fn probe(remote: &Remote) -> Result<Board, EnrollError> {
    let said = remote.run("looking at it", SCRIPT, b"").await?;
    let target = remote.target();
    let facts: BTreeMap<&str, &str> =
        said.lines().filter_map(|line| line.split_once("quantrack:")?.1.split_once('=')).collect();
    let silent = |what| EnrollError::Silent { target: target.to_owned(), what };
    let fact = |what: &'static str| facts.get(what).copied().ok_or_else(|| silent(what));
    let user = fact("user")?;
    if fact("sudo")? == "none" {
        let (target, user) = (target.to_owned(), user.to_owned());
        return Err(EnrollError::NoRoot { target, user });
    }
    if fact("systemd")? != "yes" {
        return Err(EnrollError::NoSystemd { target: target.to_owned() });
    }
    Ok(Board {
        machine: fact("machine")?.to_owned(),
        bits: fact("bits")?.parse().map_err(|_| silent("width"))?,
        neon: fact("neon")? == "yes",
        // Certificates know lower case only, and no domain.
        name: fact("name")?.split('.').next().unwrap_or_default().to_ascii_lowercase(),
        sudo: fact("sudo")?.to_owned(),
        free_kib: fact("free_kib")?.parse().map_err(|_| silent("free space"))?,
        port: fact("port")?.parse().ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_of_32_bits_run_on_no_processor_without_neon() {
        let board = |machine: &str, bits, neon| Board {
            machine: machine.to_owned(),
            bits,
            neon,
            name: "pi".to_owned(),
            sudo: String::new(),
            free_kib: 0,
            port: None,
        };
        assert_eq!(board("armv7l", 32, true).architecture().unwrap(), Architecture::Armv7);
        assert_eq!(board("x86_64", 64, false).architecture().unwrap(), Architecture::X86_64);
        let refused = board("armv7l", 32, false).architecture().unwrap_err().to_string();
        assert!(refused.contains("armv7l without NEON"), "{refused}");
    }
}
