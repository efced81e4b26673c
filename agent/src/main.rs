//! The agent's command line; see [`quantrack_agent::commands`].

use std::process::ExitCode;

fn main() -> ExitCode {
    quantrack_agent::commands::main()
}
