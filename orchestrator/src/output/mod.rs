//! Results on standard output; progress and logs on standard error.

mod progress;
mod table;
mod units;

use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

pub use progress::{LogWriter, ProgressBars, StageBar};
pub use table::text_table;
pub use units::{bytes, count, duration_us, hertz, minutes, time};

/// Version of the JSON that commands print. Fields may be added within a version, but not removed or changed.
pub const SCHEMA_VERSION: u32 = 1;

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Human,
    /// One JSON document with a `schema_version`.
    Json,
}

/// What a command prints as JSON, with the version in front.
#[derive(Serialize)]
struct Document<'a, T> {
    schema_version: u32,
    command: &'a str,
    #[serde(flatten)]
    content: &'a T,
}

/// Prints the result of `command`: as JSON, or as the text that `human` makes of it. `content` must serialize as a
/// map.
///
/// # Errors
/// When standard output cannot be written; a reader that has gone away is no error.
pub fn print<T: Serialize>(
    format: Format,
    command: &str,
    content: &T,
    human: impl FnOnce(&T) -> String,
) -> std::io::Result<()> {
    let mut text = match format {
        Format::Human => human(content),
        Format::Json => {
            let document = Document { schema_version: SCHEMA_VERSION, command, content };
            serde_json::to_string_pretty(&document)?
        }
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Writes a file, in a folder that is made where it is missing.
///
/// # Errors
/// Those of the file system.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(path, content)
}
