//! `manual`: man pages and completions for shells, from the command line's own description.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{CommandFactory as _, ValueEnum as _};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{CommandResult, Exit, Failure};

/// Options of `manual`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the completions for one shell, as in `source <(orchestrator manual --shell bash)`.
    #[arg(long, required_unless_present = "out")]
    shell: Option<Shell>,
    /// Write man pages and the completions of all shells below this folder, where a package has them: man/man1,
    /// bash-completion/completions, zsh/vendor-completions, fish/vendor_completions.d.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be written.
pub fn run(args: &Args) -> CommandResult {
    if let Some(shell) = args.shell {
        clap_complete::generate(shell, &mut Cli::command(), "orchestrator", &mut std::io::stdout());
    }
    if let Some(out) = &args.out {
        write_all(out).map_err(Failure::lab)?;
    }
    Ok(Exit::Ok)
}

fn write_all(out: &Path) -> anyhow::Result<()> {
    let make = |folder: PathBuf| -> anyhow::Result<PathBuf> {
        let made = std::fs::create_dir_all(&folder);
        made.with_context(|| format!("failed to make {}", folder.display()))?;
        Ok(folder)
    };
    let pages = make(out.join("man/man1"))?;
    let fault = || format!("failed to write below {}", out.display());
    clap_mangen::generate_to(Cli::command(), &pages).with_context(fault)?;
    for &shell in Shell::value_variants() {
        let folder = match shell {
            Shell::Bash => "bash-completion/completions",
            Shell::Zsh => "zsh/vendor-completions",
            Shell::Fish => "fish/vendor_completions.d",
            _ => continue,
        };
        let folder = make(out.join(folder))?;
        let written =
            clap_complete::generate_to(shell, &mut Cli::command(), "orchestrator", &folder);
        let path = written.with_context(fault)?;
        // bash looks for a file of the program's name.
        if shell == Shell::Bash {
            std::fs::rename(&path, folder.join("orchestrator")).with_context(fault)?;
        }
    }
    Ok(())
}
