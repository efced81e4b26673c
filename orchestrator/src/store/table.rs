//! Reading the latency table.

use quantrack_engine::Level;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _};

use super::database::{Store, from_json, from_sql};
use super::error::StoreError;
use super::variants::parse_level;
use crate::measurement::{ConditionsSummary, Resources};
use crate::stats::LatencySummary;

/// Which rows are wanted; `None` means all.
#[derive(Clone, Debug, Default)]
pub struct TableFilter {
    /// Name of the pipeline.
    pub pipeline: Option<String>,
    /// Fingerprint of the board.
    pub device: Option<String>,
    /// Name of the stage.
    pub stage: Option<String>,
    /// Threads.
    pub threads: Option<u32>,
    /// The engine build whose kernels were timed.
    pub engine_build: Option<String>,
}

/// A row of the latency table.
#[derive(Clone, Debug, PartialEq)]
pub struct TableRow {
    /// Fingerprint of the board.
    pub device: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// Name of the stage.
    pub stage: String,
    /// The level.
    pub level: Level,
    /// The recipe.
    pub recipe: String,
    /// Digest of the variant.
    pub sha256: String,
    /// Size of the variant's file.
    pub bytes: u64,
    /// Layers that run at another level.
    pub exemptions: Vec<quantrack_engine::variant::Exemption>,
    /// Threads of the engine.
    pub threads: u32,
    /// The engine build whose kernels were timed.
    pub engine_build: String,
    /// Statistics of the samples.
    pub summary: LatencySummary,
    /// What the board was doing.
    pub conditions: ConditionsSummary,
    /// Memory and kernels.
    pub resources: Resources,
    /// Number of the measurement: later ones have higher numbers, whatever the clock said.
    pub measurement: i64,
    /// When the row was measured, UTC.
    pub measured_at: String,
}

struct Columns {
    device: String,
    pipeline: String,
    stage: String,
    level: String,
    recipe: String,
    sha256: String,
    bytes: i64,
    exemptions: String,
    threads: i64,
    engine_build: String,
    summary: String,
    conditions: String,
    resources: String,
    measurement: i64,
    measured_at: String,
}

// By hand: the derive macro would build SQLite and most of sqlx a second time, for the compiler.
impl FromRow<'_, SqliteRow> for Columns {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            device: row.try_get("device")?,
            pipeline: row.try_get("pipeline")?,
            stage: row.try_get("stage")?,
            level: row.try_get("level")?,
            recipe: row.try_get("recipe")?,
            sha256: row.try_get("sha256")?,
            bytes: row.try_get("bytes")?,
            exemptions: row.try_get("exemptions")?,
            threads: row.try_get("threads")?,
            engine_build: row.try_get("engine_build")?,
            summary: row.try_get("summary")?,
            conditions: row.try_get("conditions")?,
            resources: row.try_get("resources")?,
            measurement: row.try_get("measurement")?,
            measured_at: row.try_get("measured_at")?,
        })
    }
}

impl Store {
    /// Rows of the latency table for the variants that pipelines have now, in the order of pipeline and stage, with
    /// levels from most to fewest bits. Where a board has been measured with several engine builds, all are there,
    /// the newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn table(&self, filter: &TableFilter) -> Result<Vec<TableRow>, StoreError> {
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT latency.device, pipeline, stage, candidate.level, candidate.recipe, sha256,
                    bytes, exemptions, threads, engine_build, summary, conditions, resources,
                    measurement, measured_at
             FROM candidate JOIN latency USING (sha256) JOIN variant USING (sha256)
             WHERE (?1 IS NULL OR pipeline = ?1) AND (?2 IS NULL OR latency.device = ?2)
               AND (?3 IS NULL OR stage = ?3) AND (?4 IS NULL OR threads = ?4)
               AND (?5 IS NULL OR engine_build = ?5)
             ORDER BY pipeline, latency.device, threads, position, candidate.recipe,
                      measurement DESC",
        )
        .bind(&filter.pipeline)
        .bind(&filter.device)
        .bind(&filter.stage)
        .bind(filter.threads.map(i64::from))
        .bind(&filter.engine_build)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fault())?;
        let mut rows = rows.into_iter().map(row).collect::<Result<Vec<TableRow>, _>>()?;
        // Stages stay where they are: only the levels within one are ordered here.
        for stage in rows.chunk_by_mut(|a, b| {
            (&a.pipeline, &a.device, a.threads, &a.stage)
                == (&b.pipeline, &b.device, b.threads, &b.stage)
        }) {
            stage.sort_by_key(|row| row.level);
        }
        Ok(rows)
    }
}

fn row(columns: Columns) -> Result<TableRow, StoreError> {
    Ok(TableRow {
        level: parse_level(&columns.level)?,
        bytes: from_sql(columns.bytes),
        exemptions: from_json("variant", &columns.exemptions)?,
        threads: u32::try_from(columns.threads).unwrap_or(0),
        summary: from_json("latency row", &columns.summary)?,
        conditions: from_json("latency row", &columns.conditions)?,
        resources: from_json("latency row", &columns.resources)?,
        device: columns.device,
        pipeline: columns.pipeline,
        stage: columns.stage,
        recipe: columns.recipe,
        sha256: columns.sha256,
        engine_build: columns.engine_build,
        measurement: columns.measurement,
        measured_at: columns.measured_at,
    })
}
