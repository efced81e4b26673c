//! Progress on standard error: bars on a terminal, lines of log elsewhere.

use std::io::{IsTerminal as _, Write};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing_subscriber::fmt::MakeWriter;

/// All bars of a command.
#[derive(Clone, Debug)]
pub struct ProgressBars {
    bars: MultiProgress,
    visible: bool,
}

impl Default for ProgressBars {
    fn default() -> Self {
        let visible = std::io::stderr().is_terminal();
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), visible }
    }
}

impl ProgressBars {
    /// A bar for `total` steps of `name`. Without a terminal, its begin and end are logged instead.
    pub fn bar(&self, name: &str, total: u64) -> StageBar {
        let bar = self.bars.add(ProgressBar::new(total));
        // The template is constant; the default style is as good should it ever not parse.
        if let Ok(style) = ProgressStyle::with_template(
            "{prefix:>12} {bar:30} {pos:>4}/{len:<4} {elapsed:>4} {msg}",
        ) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(name.to_owned());
        if self.visible {
            bar.enable_steady_tick(Duration::from_millis(250));
        } else {
            tracing::info!("{name}: started");
        }
        StageBar { bar, name: name.to_owned(), visible: self.visible }
    }

    /// Where log lines go, so that they and the bars do not overwrite each other.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(self.bars.clone())
    }
}

/// The bar of one step. It vanishes when dropped.
#[derive(Debug)]
pub struct StageBar {
    bar: ProgressBar,
    name: String,
    visible: bool,
}

impl StageBar {
    /// So many steps are done.
    pub fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
    }

    /// One more step is done.
    pub fn step(&self) {
        self.bar.inc(1);
    }

    /// What is being done now.
    pub fn say(&self, what: impl Into<String>) {
        self.bar.set_message(what.into());
    }

    /// Ends the bar and leaves a line with the result.
    pub fn done(self, result: &str) {
        self.bar.finish_and_clear();
        let name = &self.name;
        tracing::info!("{name}: {result}");
    }
}

impl Drop for StageBar {
    fn drop(&mut self) {
        if self.visible && !self.bar.is_finished() {
            self.bar.finish_and_clear();
        }
    }
}

/// Writes log lines above the bars.
#[derive(Clone, Debug)]
pub struct LogWriter(MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        self.0.suspend(|| std::io::stderr().write_all(line))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
