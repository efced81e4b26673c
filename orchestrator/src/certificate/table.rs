//! A certificate's latencies against those of a table that the reader trusts.

use quantrack_engine::Level;
use serde::Deserialize;

use super::document::{Document, Question};
use crate::spec::Percentile;

/// A latency table as `table show --format json` prints it; of its rows what a search looks at.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MeasuredTable {
    /// One per stage, variant, board, engine build and number of threads.
    pub rows: Vec<MeasuredRow>,
}

/// A row of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct MeasuredRow {
    /// Fingerprint of the board.
    pub device: String,
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
    /// The engine build that was timed.
    pub engine_build: String,
    /// Median in microseconds.
    pub median_us: f64,
    /// 90th percentile in microseconds.
    pub p90_us: f64,
    /// 95th percentile in microseconds, where there are samples enough.
    pub p95_us: Option<f64>,
}

/// Where a certificate and a table differ.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Difference {
    /// The table is of other measurements altogether.
    #[error(
        "the table has no row of {pipeline} on board {device} with {threads} threads of engine {engine}; {has}"
    )]
    Scope {
        /// Name of the pipeline.
        pipeline: String,
        /// Fingerprint of the board.
        device: String,
        /// Threads of the engine.
        threads: u32,
        /// Engine build.
        engine: String,
        /// What it has instead.
        has: String,
    },
    /// A choice of the certificate that the table does not have.
    #[error("{0} is not in the table")]
    NotInTable(String),
    /// A row of the table that the search did not know.
    #[error("{0} is in the table, but not in the certificate")]
    NotInCertificate(String),
    /// Another latency.
    #[error("{variant} takes {certificate_us} us in the certificate, {table_us:?} us in the table")]
    Latency {
        /// Stage, level and recipe.
        variant: String,
        /// Microseconds by the certificate.
        certificate_us: f64,
        /// Microseconds by the table, at the same percentile.
        table_us: Option<f64>,
    },
}

/// All differences between what a certificate and a table say of the certificate's board; empty: it is of this table.
pub fn compare_table(document: &Document, table: &MeasuredTable) -> Vec<Difference> {
    let question = &document.question;
    let rows: Vec<&MeasuredRow> = table.rows.iter().filter(|row| is_asked(question, row)).collect();
    if rows.is_empty() {
        return vec![scope(question, table)];
    }
    let mut differences = Vec::new();
    for stage in &document.table.stages {
        for choice in &stage.choices {
            let variant = name(&stage.name, choice.level, &choice.recipe, &choice.variant_sha256);
            let same = rows.iter().find(|row| {
                (&row.stage, &row.variant_sha256, row.level, &row.recipe)
                    == (&stage.name, &choice.variant_sha256, choice.level, &choice.recipe)
            });
            match same.map(|row| latency_us(row, question.percentile)) {
                None => differences.push(Difference::NotInTable(variant)),
                Some(Some(latency_us)) if latency_us == choice.latency_us => {}
                Some(table_us) => {
                    let certificate_us = choice.latency_us;
                    differences.push(Difference::Latency { variant, certificate_us, table_us });
                }
            }
        }
    }
    for row in rows {
        let known = document.table.stages.iter().any(|stage| {
            stage.name == row.stage
                && stage.choices.iter().any(|choice| choice.variant_sha256 == row.variant_sha256)
        });
        if !known {
            let variant = name(&row.stage, row.level, &row.recipe, &row.variant_sha256);
            differences.push(Difference::NotInCertificate(variant));
        }
    }
    differences
}

fn is_asked(question: &Question, row: &MeasuredRow) -> bool {
    (&row.pipeline, &row.device, &row.engine_build, row.threads)
        == (&question.pipeline, &question.device, &question.engine_build, question.threads)
}

fn latency_us(row: &MeasuredRow, percentile: Percentile) -> Option<f64> {
    match percentile {
        Percentile::Median => Some(row.median_us),
        Percentile::P90 => Some(row.p90_us),
        Percentile::P95 => row.p95_us,
    }
}

/// As in "palm at int8 (minmax, 0123456789ab)".
fn name(stage: &str, level: Level, recipe: &str, sha256: &str) -> String {
    let short: String = sha256.chars().take(12).collect();
    format!("{stage} at {level} ({recipe}, {short})")
}

fn scope(question: &Question, table: &MeasuredTable) -> Difference {
    let mut has: Vec<String> = table
        .rows
        .iter()
        .map(|row| {
            let MeasuredRow { pipeline, device, threads, engine_build, .. } = row;
            format!("{pipeline} on {device} with {threads} threads of {engine_build}")
        })
        .collect();
    has.dedup();
    Difference::Scope {
        pipeline: question.pipeline.clone(),
        device: question.device.clone(),
        threads: question.threads,
        engine: question.engine_build.clone(),
        has: match has.is_empty() {
            true => "it is empty".to_owned(),
            false => format!("it has {}", has.join("; ")),
        },
    }
}
