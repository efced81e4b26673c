//! `certificate`: the proof of a search as a file.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::assignment::SearchRecord;
use crate::certificate::{
    Document, MeasuredTable, Proven, certificate, check, compare_table, statement,
};
use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::output::write_file;

/// The subcommands of `certificate`.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Check a certificate without the search, the store or the board. Exit code 1: it is rejected.
    Verify(Args),
}

/// What to check.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The certificate that `search --certificate` or `tune` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The latency table that it must be of, as `table show --format json` prints it.
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// SHA-256 that the certificate must have, as the search printed it.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
}

/// What `certificate verify` prints.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The file.
    pub file: PathBuf,
    /// Whether it proves its answer.
    pub accepted: bool,
    /// Why not; every difference where it is of another table.
    pub reasons: Vec<String>,
    /// Digest of the certificate, where it can be read.
    pub sha256: Option<String>,
    /// What it says, where that is proven.
    pub statement: Option<String>,
    /// Witnesses that were checked.
    pub witnesses: Option<usize>,
    /// Partial assignments that were walked.
    pub visited: Option<u64>,
}

/// Runs a subcommand.
///
/// # Errors
/// When a file cannot be read, or the table is none.
pub async fn run(command: Command, context: &Context) -> CommandResult {
    let Command::Verify(args) = command;
    let shown = verify(args)?;
    context.print("certificate verify", &shown, human)?;
    Ok(if shown.accepted { Exit::Ok } else { Exit::TargetMissed })
}

fn verify(args: Args) -> Result<Shown, Failure> {
    let bytes = read(&args.file)?;
    let mut shown = Shown {
        file: args.file,
        accepted: false,
        reasons: Vec::new(),
        sha256: None,
        statement: None,
        witnesses: None,
        visited: None,
    };
    let document = match Document::from_bytes(&bytes) {
        Ok(document) => document,
        Err(error) => {
            let error = anyhow::Error::from(error);
            shown.reasons = error.chain().map(ToString::to_string).collect();
            return Ok(shown);
        }
    };
    let is = &document.sha256.certificate;
    if let Some(asked) = args.sha256.filter(|asked| !asked.eq_ignore_ascii_case(is)) {
        shown.reasons.push(format!("its SHA-256 is {is}, not {asked}"));
    }
    if let Some(table) = args.table {
        let parsed = serde_json::from_slice::<MeasuredTable>(&read(&table)?).map_err(|error| {
            Failure::usage(error)
                .context(format!("failed to read {} as a latency table", table.display()))
                .next("`orchestrator table show --format json` prints one")
        })?;
        shown.reasons.extend(compare_table(&document, &parsed).iter().map(ToString::to_string));
    }
    match check(&document) {
        Ok(Proven { witnesses, visited }) if shown.reasons.is_empty() => {
            shown.accepted = true;
            shown.statement = Some(statement(&document));
            (shown.witnesses, shown.visited) = (Some(witnesses), Some(visited));
        }
        Ok(_) => {}
        Err(rejected) => shown.reasons.push(rejected.to_string()),
    }
    shown.sha256 = Some(document.sha256.certificate);
    Ok(shown)
}

/// The result for people.
pub fn human(shown: &Shown) -> String {
    let file = shown.file.display();
    match (&shown.statement, shown.witnesses, shown.visited) {
        (Some(statement), Some(witnesses), Some(visited)) => format!(
            "Accepted: {statement}.\nAssignments that could have been better by their latency: {witnesses}, all \
             evaluated, none better. Partial assignments checked: {visited}."
        ),
        _ => format!("{file} is rejected:\n  - {}", shown.reasons.join("\n  - ")),
    }
}

/// A certificate that was written.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    /// The file.
    pub file: PathBuf,
    /// Digest of the certificate.
    pub sha256: String,
}

impl Written {
    /// Where it is, for people.
    pub fn human(&self) -> String {
        format!("Certificate: {} (SHA-256 {})", self.file.display(), self.sha256)
    }
}

/// Writes the certificate of `record` to `file`.
///
/// # Errors
/// When it cannot be written, or the search proved nothing.
pub fn save(record: &SearchRecord, file: &Path) -> Result<Written, Failure> {
    let failed = |error: anyhow::Error| {
        Failure::lab(error).context(format!("failed to write the certificate {}", file.display()))
    };
    let document = certificate(record).map_err(|error| failed(error.into()))?;
    let bytes = document.to_bytes().map_err(|error| failed(error.into()))?;
    write_file(file, &bytes).map_err(|error| failed(error.into()))?;
    Ok(Written { file: file.to_owned(), sha256: document.sha256.certificate })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(file).map_err(|error| {
        Failure::usage(error)
            .context(format!("failed to read {}", file.display()))
            .next("check the path")
    })
}
