//! What the samples say.

use quantrack_engine::Level;
use serde::Serialize;

use super::Timed;
use crate::measure::median_interval;

/// One row of a table.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// As in `conv`, `model`.
    pub family: &'static str,
    /// Name of the layer or model.
    pub case: String,
    /// The level asked for.
    pub level: Level,
    /// Micro-kernels selected.
    pub kernels: Vec<&'static str>,
    /// Multiply-accumulates of a run.
    pub macs: u64,
    /// Bytes of operands, packed weights and results, each once; of models their packed weights only.
    pub bytes: u64,
    /// Median time of a run.
    pub median_ns: u64,
    /// Lower end of the median's 95 % interval.
    pub low_ns: u64,
    /// Its upper end.
    pub high_ns: u64,
    /// Multiply-accumulates per second, at the median; absent where nothing is multiplied.
    pub macs_per_second: Option<f64>,
    /// Per cycle of one core; absent where the clock is unknown.
    pub macs_per_cycle: Option<f64>,
    /// Bytes moved per second; absent for models.
    pub bytes_per_second: Option<f64>,
    /// Share of what the level's kernels reach on operands in the first cache, on as many threads; for element-wise layers
    /// share of the speed of a copy. Absent for models at one and two bits, of which some layers run at other levels.
    pub share_of_peak: Option<f64>,
    /// Runs that each sample is the mean of.
    pub repeats: u32,
    /// Nanoseconds of one run, in the order taken.
    pub samples_ns: Vec<u64>,
}

/// All rows, and where they were taken.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Of this document.
    pub schema: u32,
    /// Of this program.
    pub agent_version: &'static str,
    /// Of the kernels.
    pub engine_build: String,
    /// As in "Cortex-A53".
    pub cpu: String,
    /// Instruction sets in use.
    pub isas: Vec<&'static str>,
    /// Kernels that an experiment asked for.
    pub asked_kernels: Vec<String>,
    /// Threads of each run.
    pub threads: usize,
    /// Cores that they were pinned to; empty if to none.
    pub cores: Vec<u32>,
    /// The ARM clock after the last round; absent on other CPUs.
    pub clock_hz: Option<u64>,
    /// Runnable tasks, averaged over a minute, before the first round.
    pub load_before: Option<f64>,
    /// After the last round.
    pub load_after: Option<f64>,
    /// The rows, peaks included.
    pub rows: Vec<Row>,
}

/// Rows of what was sampled, on `threads` threads of cores at `clock_hz`.
pub fn rows(all: &[Timed], threads: usize, clock_hz: Option<u64>) -> Vec<Row> {
    let mut rows: Vec<Row> = all.iter().filter_map(|timed| row(timed, threads, clock_hz)).collect();
    let shares: Vec<Option<f64>> = rows.iter().map(|row| share(row, &rows, threads)).collect();
    rows.iter_mut().zip(shares).for_each(|(row, share)| row.share_of_peak = share);
    rows
}

fn row(timed: &Timed, threads: usize, clock_hz: Option<u64>) -> Option<Row> {
    let (subject, interval) = (&timed.subject, median_interval(&timed.samples_ns)?);
    let per_second =
        |count: u64| (count > 0).then(|| count as f64 * 1e9 / interval.median.max(1) as f64);
    let macs_per_second = per_second(subject.macs);
    let threads = if subject.is_peak() { 1 } else { threads };
    let cycles = clock_hz.map(|hz| hz as f64 * threads as f64);
    let bytes_per_second = (subject.family != "model").then(|| per_second(subject.bytes)).flatten();
    Some(Row {
        family: subject.family,
        case: subject.name.clone(),
        level: subject.level,
        kernels: subject.kernels.clone(),
        macs: subject.macs,
        bytes: subject.bytes,
        median_ns: interval.median,
        low_ns: interval.low,
        high_ns: interval.high,
        macs_per_second,
        macs_per_cycle: macs_per_second.zip(cycles).map(|(macs, cycles)| macs / cycles),
        bytes_per_second,
        share_of_peak: None,
        repeats: timed.repeats,
        samples_ns: timed.samples_ns.clone(),
    })
}

/// See [`Row::share_of_peak`]. Peaks run on one thread.
fn share(row: &Row, rows: &[Row], threads: usize) -> Option<f64> {
    let highest = |of: fn(&Row) -> Option<f64>, wanted: &dyn Fn(&Row) -> bool| {
        rows.iter().filter(|row| wanted(row)).filter_map(of).reduce(f64::max)
    };
    match (row.family, row.level) {
        ("peak", _) | ("model", Level::Int2 | Level::Bin1) => None,
        ("elementwise", level) => {
            let copy = |row: &Row| row.case.starts_with("copy") && row.level == level;
            Some(row.bytes_per_second? / highest(|row| row.bytes_per_second, &copy)?)
        }
        (_, level) => {
            // fp16 is a way to store; arithmetic is fp32.
            let level = if level == Level::Fp16 { Level::Fp32 } else { level };
            let peak = |row: &Row| row.family == "peak" && row.level == level;
            let peak = highest(|row| row.macs_per_second, &peak)? * threads as f64;
            Some(row.macs_per_second? / peak)
        }
    }
}

#[cfg(test)]
mod tests {
    use quantrack_engine::Serial;
    use quantrack_engine::bench::Family;
    use quantrack_engine::kernels::CpuFeatures;

    use super::super::{layers, round, write_tables};
    use super::*;

    #[test]
    fn rates_shares_and_tables_follow_from_the_samples() {
        let mut all: Vec<Timed> = layers(&CpuFeatures::portable(), &[Family::Fc])
            .into_iter()
            .map(|subject| Timed { subject, repeats: 1, samples_ns: Vec::new() })
            .collect();
        for timed in &mut all {
            timed.subject.run(&Serial).unwrap();
            // A peak is twice as fast per product as the rest.
            let fast = if timed.subject.is_peak() { 1 } else { 2 };
            timed.samples_ns = vec![timed.subject.macs * fast / 2; 6];
        }
        let rows = rows(&all, 2, Some(500_000_000));
        assert!(rows.iter().any(|row| row.family == "peak" && row.share_of_peak.is_none()));
        for row in rows.iter().filter(|row| row.family == "fc") {
            assert!((row.macs_per_second.unwrap() - 1e9).abs() < 1e-3, "{row:?}");
            assert!((row.macs_per_cycle.unwrap() - 1.0).abs() < 1e-9, "{row:?}");
            assert!((row.share_of_peak.unwrap() - 0.25).abs() < 1e-3, "{row:?}");
        }
        let report = Report {
            schema: 1,
            agent_version: "0",
            engine_build: String::new(),
            cpu: "a board".to_owned(),
            isas: Vec::new(),
            asked_kernels: Vec::new(),
            threads: 2,
            cores: Vec::new(),
            clock_hz: None,
            load_before: None,
            load_after: Some(0.5),
            rows,
        };
        let mut text = Vec::new();
        write_tables(&mut text, &report).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("a board, 2 threads, load unknown before and 0.5 after"), "{text}");
        assert!(text.contains("MAC/cycle") && text.contains("25 %"), "{text}");
    }

    #[test]
    fn every_subject_gets_a_sample_in_every_round() {
        let subjects = layers(&CpuFeatures::detect(), &[]).into_iter().take(3);
        let mut all: Vec<Timed> =
            subjects.map(|subject| Timed::new(subject, &Serial).unwrap()).collect();
        for rounds in 1..=6 {
            round(&mut all, &Serial).unwrap();
            assert!(all.iter().all(|timed| timed.samples_ns.len() == rounds));
        }
        assert!(rows(&all, 1, None).iter().all(|row| row.macs_per_cycle.is_none()));
    }
}
