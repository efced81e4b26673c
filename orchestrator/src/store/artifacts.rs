//! Results of later steps, each a versioned JSON document.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Store, from_json, to_json};
use super::error::StoreError;

/// Which step made an artifact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArtifactKind {
    /// `gate`, on no board.
    Gate,
    /// `search`.
    Search,
    /// `verify`.
    Verification,
    /// A comparison of `bisect`, by what was compared instead of a pipeline.
    Bisection,
}

impl ArtifactKind {
    fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Search => "search",
            Self::Verification => "verification",
            Self::Bisection => "bisection",
        }
    }
}

/// A stored artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Artifact<T> {
    /// Grows with every artifact.
    pub id: i64,
    /// When it was made, UTC.
    pub made_at: String,
    /// Its content.
    pub body: T,
}

impl Store {
    /// Stores what a step found for a pipeline on a board (by fingerprint).
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_artifact(
        &self,
        kind: ArtifactKind,
        pipeline: &str,
        device: &str,
        body: &impl Serialize,
    ) -> Result<i64, StoreError> {
        let done =
            sqlx::query("INSERT INTO artifact (kind, pipeline, device, body) VALUES (?, ?, ?, ?)")
                .bind(kind.name())
                .bind(pipeline)
                .bind(device)
                .bind(to_json("artifact", body)?)
                .execute(&self.pool)
                .await
                .map_err(self.fault())?;
        Ok(done.last_insert_rowid())
    }

    /// What a step found last for a pipeline, on a board or on any.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn newest_artifact<T: DeserializeOwned>(
        &self,
        kind: ArtifactKind,
        pipeline: &str,
        device: Option<&str>,
    ) -> Result<Option<Artifact<T>>, StoreError> {
        let row: Option<(i64, String, String)> = sqlx::query_as(
            "SELECT id, made_at, body FROM artifact
             WHERE kind = ?1 AND pipeline = ?2 AND (?3 IS NULL OR device = ?3)
             ORDER BY id DESC LIMIT 1",
        )
        .bind(kind.name())
        .bind(pipeline)
        .bind(device)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fault())?;
        row.map(|(id, made_at, text)| {
            Ok(Artifact { id, made_at, body: from_json("artifact", &text)? })
        })
        .transpose()
    }
}
