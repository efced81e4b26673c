//! The latency table as it is shown: rows for JSON, and a table for people.

use std::collections::{BTreeMap, HashMap};

use quantrack_engine::Level;
use serde::Serialize;

use crate::measurement::ConditionsSummary;
use crate::output::{bytes, duration_us, text_table};
use crate::stats::{MIN_SAMPLES_P95, MIN_SAMPLES_P99};
use crate::store::TableRow;

/// A row of the latency table in the JSON of `table show` and `profile`.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Fingerprint of the board.
    pub device: String,
    /// Where the board was seen last.
    pub address: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the stage.
    pub stage: String,
    /// Level.
    pub level: Level,
    /// Recipe.
    pub recipe: String,
    /// Digest of the variant.
    pub variant_sha256: String,
    /// Threads of the engine.
    pub threads: u32,
    /// The engine build whose kernels were timed.
    pub engine_build: String,
    /// Median in microseconds.
    pub median_us: f64,
    /// 90th percentile in microseconds.
    pub p90_us: f64,
    /// 95th percentile in microseconds; null when there are too few samples for a bound on it.
    pub p95_us: Option<f64>,
    /// Why `p95_us` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_missing: Option<String>,
    /// 99th percentile in microseconds; null when there are too few samples for a bound on it.
    pub p99_us: Option<f64>,
    /// Why `p99_us` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_missing: Option<String>,
    /// 95 % interval of the median in microseconds.
    pub ci95_us: Option<(f64, f64)>,
    /// Samples that count.
    pub samples: u64,
    /// Samples that do not.
    pub voided: u64,
    /// Samples that count and are far above the others.
    pub outliers: u64,
    /// What the board was doing.
    pub conditions: ConditionsSummary,
    /// Size of the variant's file.
    pub bytes: u64,
    /// What the variant itself holds in memory: packed weights, activations and scratch.
    pub memory_bytes: u64,
    /// Largest resident memory of the process that ran it.
    pub peak_memory_bytes: Option<u64>,
    /// Layers that run at another level.
    pub exempt: Vec<Exempt>,
    /// When it was measured, UTC.
    pub measured_at: String,
}

/// Layers that a recipe keeps at another level for one reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Exempt {
    /// Level at which they run.
    pub level: Level,
    /// How many.
    pub layers: usize,
    /// Why.
    pub reason: String,
}

impl Row {
    /// The row for the reader; `addresses` are those of the boards by fingerprint.
    pub fn new(row: &TableRow, addresses: &HashMap<String, String>) -> Self {
        let summary = &row.summary;
        let too_few = |least| format!("needs {least} samples, there are {}", summary.samples);
        let mut grouped: BTreeMap<(Level, &str), usize> = BTreeMap::new();
        for exemption in &row.exemptions {
            *grouped.entry((exemption.level, &exemption.reason)).or_default() += 1;
        }
        let exempt = grouped.into_iter().map(|((level, reason), layers)| Exempt {
            level,
            layers,
            reason: reason.to_owned(),
        });
        Self {
            device: row.device.clone(),
            address: addresses.get(&row.device).cloned().unwrap_or_default(),
            pipeline: row.pipeline.clone(),
            stage: row.stage.clone(),
            level: row.level,
            recipe: row.recipe.clone(),
            variant_sha256: row.sha256.clone(),
            threads: row.threads,
            engine_build: row.engine_build.clone(),
            median_us: summary.median_us,
            p90_us: summary.p90_us,
            p95_us: summary.p95_us,
            p95_missing: summary.p95_us.is_none().then(|| too_few(MIN_SAMPLES_P95)),
            p99_us: summary.p99_us,
            p99_missing: summary.p99_us.is_none().then(|| too_few(MIN_SAMPLES_P99)),
            ci95_us: summary.ci95_us,
            samples: summary.samples,
            voided: summary.voided,
            outliers: summary.outliers,
            conditions: row.conditions.clone(),
            bytes: row.bytes,
            memory_bytes: row.resources.variant_bytes(),
            peak_memory_bytes: row.resources.peak_memory_bytes,
            exempt: exempt.collect(),
            measured_at: row.measured_at.clone(),
        }
    }
}

/// The rows as a table, with the speed of each relative to fp32.
pub fn human(rows: &[Row]) -> String {
    let same = |a: &Row, b: &Row| {
        (&a.device, a.threads, &a.engine_build, &a.pipeline, &a.stage)
            == (&b.device, b.threads, &b.engine_build, &b.pipeline, &b.stage)
    };
    let several_devices = rows.iter().any(|row| row.device != rows[0].device);
    let mut header = vec![
        "stage",
        "level",
        "recipe",
        ">median",
        ">95 % interval",
        ">p90",
        ">p95",
        ">samples",
        ">voided",
        ">x fp32",
        ">size",
        ">memory",
        "exempt layers",
    ];
    if several_devices {
        header.insert(0, "device");
    }
    let cells = rows.iter().map(|row| {
        let baseline = rows.iter().find(|other| same(row, other) && other.level == Level::Fp32);
        let mut cells = vec![
            row.stage.clone(),
            row.level.to_string(),
            row.recipe.clone(),
            duration_us(row.median_us),
            row.ci95_us.map_or(String::new(), |(low, high)| {
                format!("{} .. {}", duration_us(low), duration_us(high))
            }),
            duration_us(row.p90_us),
            row.p95_us.map_or("-".to_owned(), duration_us),
            row.samples.to_string(),
            row.voided.to_string(),
            baseline.map_or(String::new(), |fp32| format!("{:.2}", fp32.median_us / row.median_us)),
            bytes(row.bytes),
            bytes(row.memory_bytes),
            exempt(&row.exempt),
        ];
        if several_devices {
            cells.insert(0, row.address.clone());
        }
        cells
    });
    let mut text = text_table(&header, cells);
    if rows.iter().any(|row| row.p95_us.is_none()) {
        text.push_str(&format!("\n-: a bound on p95 needs {MIN_SAMPLES_P95} samples that count"));
    }
    text
}

/// How many layers run at which other level.
fn exempt(exempt: &[Exempt]) -> String {
    let mut per_level: BTreeMap<Level, usize> = BTreeMap::new();
    for group in exempt {
        *per_level.entry(group.level).or_default() += group.layers;
    }
    let parts: Vec<String> =
        per_level.iter().map(|(level, layers)| format!("{layers} at {level}")).collect();
    parts.join(", ")
}
