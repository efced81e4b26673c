//! Measurements: raw samples block by block, and the row of the latency table when they are complete.

use super::database::{Store, from_json, to_json, to_sql};
use super::error::StoreError;
use crate::measurement::{Block, ConditionsSummary, LayerRow, Resources};
use crate::stats::{LatencySummary, summarize};

/// What latencies depend on, besides the variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeasurementKey {
    /// Fingerprint of the board.
    pub device: String,
    /// The agent's engine build.
    pub engine_build: String,
    /// Threads of the engine.
    pub threads: u32,
}

/// A measurement that begins.
#[derive(Clone, Debug)]
pub struct NewMeasurement<'a> {
    /// What its rows are keyed by.
    pub key: &'a MeasurementKey,
    /// Version of the agent.
    pub agent_version: &'a str,
    /// The settings it was asked with.
    pub settings: &'a crate::spec::Measure,
}

impl Store {
    /// Begins a measurement; returns its number.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn begin_measurement(&self, new: &NewMeasurement<'_>) -> Result<i64, StoreError> {
        let done = sqlx::query(
            "INSERT INTO measurement (device, engine_build, agent_version, threads, settings)
             VALUES (?, ?, ?, ?, ?)",
        )
        .bind(&new.key.device)
        .bind(&new.key.engine_build)
        .bind(new.agent_version)
        .bind(i64::from(new.key.threads))
        .bind(to_json("settings", new.settings)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(done.last_insert_rowid())
    }

    /// Stores a block of samples.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_block(&self, measurement: i64, block: &Block) -> Result<(), StoreError> {
        let samples: Vec<u8> = block.duration_ns.iter().flat_map(|ns| ns.to_le_bytes()).collect();
        sqlx::query("INSERT INTO block VALUES (?, ?, ?, ?, ?, ?, ?)")
            .bind(measurement)
            .bind(&block.sha256)
            .bind(i64::from(block.round))
            .bind(samples)
            .bind(to_json("conditions", &block.before)?)
            .bind(to_json("conditions", &block.after)?)
            .bind(&block.voided)
            .execute(&self.pool)
            .await
            .map_err(self.fault())?;
        Ok(())
    }

    /// Stores the layers of a variant.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_layers(
        &self,
        measurement: i64,
        sha256: &str,
        layers: &[LayerRow],
    ) -> Result<(), StoreError> {
        let mut transaction =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault())?;
        for (position, layer) in layers.iter().enumerate() {
            sqlx::query("INSERT INTO layer VALUES (?, ?, ?, ?)")
                .bind(measurement)
                .bind(sha256)
                .bind(to_sql(position as u64))
                .bind(to_json("layer", layer)?)
                .execute(&mut *transaction)
                .await
                .map_err(self.fault())?;
        }
        transaction.commit().await.map_err(self.fault())
    }

    /// Ends a measurement: makes the rows of the latency table from the stored blocks of `variants`. A variant all
    /// of whose samples were voided gets no row; those are returned.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn finish_measurement(
        &self,
        measurement: i64,
        key: &MeasurementKey,
        variants: &[(String, Resources)],
        cores: &[u32],
        converged: bool,
    ) -> Result<Vec<String>, StoreError> {
        let mut transaction =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault())?;
        let mut without = Vec::new();
        for (sha256, resources) in variants {
            let blocks = self.blocks(measurement, sha256, &mut transaction).await?;
            let Some(summary) = summary(&blocks) else {
                without.push(sha256.clone());
                continue;
            };
            sqlx::query(
                "INSERT OR REPLACE INTO latency
                 (device, sha256, threads, engine_build, measurement, summary, conditions, resources)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&key.device)
            .bind(sha256)
            .bind(i64::from(key.threads))
            .bind(&key.engine_build)
            .bind(measurement)
            .bind(to_json("summary", &summary)?)
            .bind(to_json("conditions", &ConditionsSummary::of(&blocks))?)
            .bind(to_json("resources", resources)?)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault())?;
        }
        self.end(measurement, cores, converged, &mut transaction).await?;
        transaction.commit().await.map_err(self.fault())?;
        Ok(without)
    }

    /// Ends a measurement that makes no rows of the latency table: its samples are looked at by themselves.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn end_measurement(
        &self,
        measurement: i64,
        cores: &[u32],
        converged: bool,
    ) -> Result<(), StoreError> {
        let mut connection = self.pool.acquire().await.map_err(self.fault())?;
        self.end(measurement, cores, converged, &mut connection).await
    }

    async fn end(
        &self,
        measurement: i64,
        cores: &[u32],
        converged: bool,
        connection: &mut sqlx::SqliteConnection,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE measurement SET cores = ?, converged = ?,
                 finished_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now') WHERE id = ?",
        )
        .bind(to_json("cores", &cores)?)
        .bind(converged)
        .bind(measurement)
        .execute(connection)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// The blocks of a variant in a measurement, in the order taken.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn measured_blocks(
        &self,
        measurement: i64,
        sha256: &str,
    ) -> Result<Vec<Block>, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(self.fault())?;
        self.blocks(measurement, sha256, &mut connection).await
    }

    async fn blocks(
        &self,
        measurement: i64,
        sha256: &str,
        connection: &mut sqlx::SqliteConnection,
    ) -> Result<Vec<Block>, StoreError> {
        let rows: Vec<BlockColumns> = sqlx::query_as(
            "SELECT round, duration_ns, before, after, voided FROM block
             WHERE measurement = ? AND sha256 = ? ORDER BY round",
        )
        .bind(measurement)
        .bind(sha256)
        .fetch_all(connection)
        .await
        .map_err(self.fault())?;
        rows.into_iter()
            .map(|(round, samples, before, after, voided)| {
                let (whole, rest) = samples.as_chunks::<8>();
                if !rest.is_empty() {
                    let detail = format!("{} bytes are no 64-bit integers", samples.len());
                    return Err(StoreError::Content { what: "sample block", detail });
                }
                Ok(Block {
                    sha256: sha256.to_owned(),
                    round: u32::try_from(round).unwrap_or(u32::MAX),
                    duration_ns: whole.iter().map(|&bytes| u64::from_le_bytes(bytes)).collect(),
                    before: from_json("conditions", &before)?,
                    after: from_json("conditions", &after)?,
                    voided,
                })
            })
            .collect()
    }

    /// Whether the latency table has a row for a variant.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn has_latency(
        &self,
        key: &MeasurementKey,
        sha256: &str,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM latency
             WHERE device = ? AND sha256 = ? AND threads = ? AND engine_build = ?",
        )
        .bind(&key.device)
        .bind(sha256)
        .bind(i64::from(key.threads))
        .bind(&key.engine_build)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(found.is_some())
    }
}

/// Columns of a block: round, duration_ns, before, after, voided.
type BlockColumns = (i64, Vec<u8>, String, String, Option<String>);

/// Statistics of the samples that count; `None` if there are none.
fn summary(blocks: &[Block]) -> Option<LatencySummary> {
    let (voided, valid): (Vec<&Block>, Vec<&Block>) =
        blocks.iter().partition(|block| block.voided.is_some());
    let samples = valid.iter().flat_map(|block| block.duration_ns.iter().copied()).collect();
    summarize(samples, voided.iter().map(|block| block.duration_ns.len() as u64).sum())
}
