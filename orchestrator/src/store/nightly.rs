//! Baselines of nightly checks, and what the nights measured.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::database::{Store, from_json, to_json};
use super::error::StoreError;

/// A baseline of one model on one board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredBaseline<T> {
    /// Name of the baseline.
    pub name: String,
    /// The board, by the name that it has given itself.
    pub board: String,
    /// Name of the model in the suite.
    pub model: String,
    /// Its content.
    pub body: T,
    /// When it was set, UTC.
    pub set_at: String,
}

/// What one night measured of a variant on a board.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredSession<T> {
    /// The board, by the name that it has given itself.
    pub board: String,
    /// Name of the model in the suite.
    pub model: String,
    /// Digest of the variant.
    pub sha256: String,
    /// Digest of all that makes sessions comparable.
    pub setup: String,
    /// Whether its scatter is that of the board: nothing was found in it.
    pub within_noise: bool,
    /// Its content.
    pub body: T,
    /// When it was stored, UTC; empty for one that is to be stored.
    pub measured_at: String,
}

impl Store {
    /// Sets the baseline of a model on a board, in place of the one of that name. `set_at` of it is not looked at.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_baseline(
        &self,
        baseline: &StoredBaseline<impl Serialize>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO baseline (name, board, model, body) VALUES (?, ?, ?, ?)",
        )
        .bind(&baseline.name)
        .bind(&baseline.board)
        .bind(&baseline.model)
        .bind(to_json("baseline", &baseline.body)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// The baselines of that name, of all names for `None`, in the order of names, boards and models.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn baselines<T: DeserializeOwned>(
        &self,
        name: Option<&str>,
    ) -> Result<Vec<StoredBaseline<T>>, StoreError> {
        let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
            "SELECT name, board, model, body, set_at FROM baseline
             WHERE ?1 IS NULL OR name = ?1 ORDER BY name, board, model",
        )
        .bind(name)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fault())?;
        rows.into_iter()
            .map(|(name, board, model, body, set_at)| {
                let body = from_json("baseline", &body)?;
                Ok(StoredBaseline { name, board, model, body, set_at })
            })
            .collect()
    }

    /// Sets the accuracy of an assignment of a suite, in place of that of the same name.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_accuracy(
        &self,
        name: &str,
        assignment: &str,
        body: &impl Serialize,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT OR REPLACE INTO accuracy_baseline (name, assignment, body) VALUES (?, ?, ?)",
        )
        .bind(name)
        .bind(assignment)
        .bind(to_json("accuracy", body)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// The accuracy of an assignment of a suite, when the baseline of that name has it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn accuracy<T: DeserializeOwned>(
        &self,
        name: &str,
        assignment: &str,
    ) -> Result<Option<T>, StoreError> {
        let body: Option<String> = sqlx::query_scalar(
            "SELECT body FROM accuracy_baseline WHERE name = ? AND assignment = ?",
        )
        .bind(name)
        .bind(assignment)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fault())?;
        body.map(|text| from_json("accuracy", &text)).transpose()
    }

    /// Stores what a night measured. `measured_at` of it is not looked at.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_session(
        &self,
        session: &StoredSession<impl Serialize>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO session (board, model, sha256, setup, within_noise, body)
             VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(&session.board)
        .bind(&session.model)
        .bind(&session.sha256)
        .bind(&session.setup)
        .bind(session.within_noise)
        .bind(to_json("session", &session.body)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// What was measured on the boards, of the models and of the variants of these names, of all for `None`; the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn sessions<T: DeserializeOwned>(
        &self,
        board: Option<&str>,
        model: Option<&str>,
        sha256: Option<&str>,
    ) -> Result<Vec<StoredSession<T>>, StoreError> {
        let rows: Vec<(String, String, String, String, bool, String, String)> = sqlx::query_as(
            "SELECT board, model, sha256, setup, within_noise, body, measured_at FROM session
             WHERE (?1 IS NULL OR board = ?1) AND (?2 IS NULL OR model = ?2)
               AND (?3 IS NULL OR sha256 = ?3) ORDER BY id",
        )
        .bind(board)
        .bind(model)
        .bind(sha256)
        .fetch_all(&self.pool)
        .await
        .map_err(self.fault())?;
        rows.into_iter()
            .map(|(board, model, sha256, setup, within_noise, body, measured_at)| {
                let body = from_json("session", &body)?;
                Ok(StoredSession { board, model, sha256, setup, within_noise, body, measured_at })
            })
            .collect()
    }
}
