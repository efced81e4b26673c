//! What the agent has done since it started, in the text format of Prometheus
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>), for node_exporter's textfile collector.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quantrack_proto::replace_file;

use crate::lease::Occupancy;

/// Counters of the service; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Metrics(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    measurements: AtomicU64,
    failures: AtomicU64,
    blocks: AtomicU64,
    voided_blocks: AtomicU64,
}

impl Metrics {
    /// A measurement or a run has ended.
    pub fn ended(&self, failed: bool) {
        self.0.measurements.fetch_add(1, Ordering::Relaxed);
        self.0.failures.fetch_add(u64::from(failed), Ordering::Relaxed);
    }

    /// A block of samples was taken.
    pub fn block(&self, voided: bool) {
        self.0.blocks.fetch_add(1, Ordering::Relaxed);
        self.0.voided_blocks.fetch_add(u64::from(voided), Ordering::Relaxed);
    }

    /// The exposition.
    pub fn text(&self, occupancy: &Occupancy, leases: u64) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.0;
        let rows = [
            ("leases_total", "counter", "Leases given.", leases),
            (
                "measurements_total",
                "counter",
                "Measurements and runs that have ended.",
                read(&counters.measurements),
            ),
            (
                "measurement_failures_total",
                "counter",
                "Those that a model, a caller or the board has cut short.",
                read(&counters.failures),
            ),
            ("blocks_total", "counter", "Blocks of samples taken.", read(&counters.blocks)),
            (
                "voided_blocks_total",
                "counter",
                "Those that do not count.",
                read(&counters.voided_blocks),
            ),
            (
                "leased",
                "gauge",
                "Whether somebody has the board.",
                u64::from(occupancy.holder.is_some()),
            ),
            ("waiting", "gauge", "How many wait for the board.", occupancy.waiting as u64),
            (
                "draining",
                "gauge",
                "Whether the board gives no more leases.",
                u64::from(occupancy.draining.is_some()),
            ),
        ];
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!(
            "# HELP quantrack_agent_info The agent's version.\n# TYPE quantrack_agent_info gauge\n\
             quantrack_agent_info{{version=\"{version}\"}} 1\n"
        );
        for (name, kind, help, value) in rows {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "# HELP quantrack_agent_{name} {help}\n# TYPE quantrack_agent_{name} {kind}\n\
                 quantrack_agent_{name} {value}"
            );
        }
        text
    }
}

/// Writes `text` to a file that a collector never sees half written.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    // Others read it, with an account of their own.
    replace_file(path, text.as_bytes(), 0o644)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted_and_written_whole() {
        let metrics = Metrics::default();
        metrics.block(false);
        metrics.block(true);
        metrics.ended(true);
        let occupancy = Occupancy { holder: Some("ana".to_owned()), ..Occupancy::default() };
        let text = metrics.text(&occupancy, 7);
        for line in [
            "quantrack_agent_blocks_total 2",
            "quantrack_agent_voided_blocks_total 1",
            "quantrack_agent_measurement_failures_total 1",
            "quantrack_agent_leases_total 7",
            "quantrack_agent_leased 1",
            "quantrack_agent_draining 0",
        ] {
            assert!(text.lines().any(|other| other == line), "no {line:?} in {text}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("agent.prom");
        write(&path, "old").unwrap();
        write(&path, &text).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
