//! Evaluations: per-sample results while they run, and what came out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Store, from_json, to_json};
use super::error::StoreError;

/// A finished evaluation.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredEvaluation<T> {
    /// Digest of everything that decides the result: variants, data, glue, metric.
    pub key: String,
    /// Name of the pipeline.
    pub pipeline: String,
    /// The stage whose own metric it is; `None` for end to end.
    pub stage: Option<String>,
    /// What came out.
    pub body: T,
}

impl Store {
    /// Adds per-sample results (sample, result) to the journal of the evaluation `key`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn journal(
        &self,
        key: &str,
        results: &[(String, impl Serialize)],
    ) -> Result<(), StoreError> {
        let mut transaction =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault())?;
        for (sample, result) in results {
            sqlx::query("INSERT OR REPLACE INTO journal VALUES (?, ?, ?)")
                .bind(key)
                .bind(sample)
                .bind(to_json("result", result)?)
                .execute(&mut *transaction)
                .await
                .map_err(self.fault())?;
        }
        transaction.commit().await.map_err(self.fault())
    }

    /// The journal of the evaluation `key`: result by sample.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn journalled<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<BTreeMap<String, T>, StoreError> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT sample, result FROM journal WHERE key = ?")
                .bind(key)
                .fetch_all(&self.pool)
                .await
                .map_err(self.fault())?;
        rows.into_iter().map(|(sample, text)| Ok((sample, from_json("result", &text)?))).collect()
    }

    /// Stores a finished evaluation.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_evaluation(
        &self,
        evaluation: &StoredEvaluation<impl Serialize>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO evaluation (key, pipeline, stage, body) VALUES (?, ?, ?, ?)",
        )
        .bind(&evaluation.key)
        .bind(&evaluation.pipeline)
        .bind(&evaluation.stage)
        .bind(to_json("evaluation", &evaluation.body)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// The finished evaluation `key`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn evaluation<T: DeserializeOwned>(
        &self,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        let text: Option<String> = sqlx::query_scalar("SELECT body FROM evaluation WHERE key = ?")
            .bind(key)
            .fetch_optional(&self.pool)
            .await
            .map_err(self.fault())?;
        text.map(|text| from_json("evaluation", &text)).transpose()
    }

    /// All finished evaluations of a pipeline, the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn evaluations<T: DeserializeOwned>(
        &self,
        pipeline: &str,
    ) -> Result<Vec<StoredEvaluation<T>>, StoreError> {
        let rows: Vec<(String, Option<String>, String)> = sqlx::query_as(
            "SELECT key, stage, body FROM evaluation WHERE pipeline = ? ORDER BY evaluated_at, key",
        )
        .bind(pipeline)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fault())?;
        rows.into_iter()
            .map(|(key, stage, text)| {
                let body = from_json("evaluation", &text)?;
                Ok(StoredEvaluation { key, pipeline: pipeline.to_owned(), stage, body })
            })
            .collect()
    }
}
