//! The boards of the rack, and which of them are quarantined.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::database::{Store, from_json, to_json};
use super::error::StoreError;
use crate::measurement::BoardFacts;

/// A board of the rack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoredBoard {
    /// The name that it has given itself.
    pub name: String,
    /// Where it is, as the user gave it.
    pub address: String,
    /// What it was when it was seen last.
    pub facts: BoardFacts,
    /// The pools that it belongs to.
    pub labels: BTreeSet<String>,
    /// When it was seen last, UTC; empty for one that is to be stored.
    pub seen_at: String,
}

/// A board was off its own history from then on, or back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuarantineEvent {
    /// The board, by the name that it has given itself.
    pub board: String,
    /// Why; absent where it was over.
    pub cause: Option<String>,
    /// When, UTC.
    pub at: String,
}

impl Store {
    /// Adds a board to the rack, or changes what is known of the one of that name; it is seen now.
    ///
    /// # Errors
    /// When another board has its address, or the store fails.
    pub async fn save_board(&self, board: &StoredBoard) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO board (name, address, facts, labels) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET address = ?2, facts = ?3, labels = ?4,
                 seen_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        )
        .bind(&board.name)
        .bind(&board.address)
        .bind(to_json("board", &board.facts)?)
        .bind(to_json("labels", &board.labels)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// Gives a board of the rack these labels.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_labels(
        &self,
        name: &str,
        labels: &BTreeSet<String>,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE board SET labels = ? WHERE name = ?")
            .bind(to_json("labels", labels)?)
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(self.fault())?;
        Ok(())
    }

    /// The boards of the rack by their names, those with that label, or all for `None`.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn boards(&self, label: Option<&str>) -> Result<Vec<StoredBoard>, StoreError> {
        let rows: Vec<(String, String, String, String, String)> =
            sqlx::query_as("SELECT name, address, facts, labels, seen_at FROM board ORDER BY name")
                .fetch_all(&self.pool)
                .await
                .map_err(self.fault())?;
        let mut boards = Vec::new();
        for (name, address, facts, labels, seen_at) in rows {
            let facts = from_json("board", &facts)?;
            let labels: BTreeSet<String> = from_json("labels", &labels)?;
            if label.is_none_or(|label| labels.contains(label)) {
                boards.push(StoredBoard { name, address, facts, labels, seen_at });
            }
        }
        Ok(boards)
    }

    /// Takes a board out of the rack; says whether it was there. What was measured on it stays.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn remove_board(&self, name: &str) -> Result<bool, StoreError> {
        let removed = sqlx::query("DELETE FROM board WHERE name = ?")
            .bind(name)
            .execute(&self.pool)
            .await
            .map_err(self.fault())?;
        Ok(removed.rows_affected() > 0)
    }

    /// Notes that a board is off its own history, for that cause, or not; what is known already is not noted again.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn quarantine(&self, board: &str, cause: Option<&str>) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO quarantine (board, cause) SELECT ?1, ?2
             WHERE (?2 IS NULL) != coalesce((SELECT cause IS NULL FROM quarantine
                 WHERE board = ?1 ORDER BY id DESC LIMIT 1), 1)",
        )
        .bind(board)
        .bind(cause)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// When boards were off their own history and back, the oldest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn quarantine_events(&self) -> Result<Vec<QuarantineEvent>, StoreError> {
        let rows: Vec<(String, Option<String>, String)> =
            sqlx::query_as("SELECT board, cause, at FROM quarantine ORDER BY id")
                .fetch_all(&self.pool)
                .await
                .map_err(self.fault())?;
        let event = |(board, cause, at)| QuarantineEvent { board, cause, at };
        Ok(rows.into_iter().map(event).collect())
    }

    /// The boards that are quarantined now, and why.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn quarantined(&self) -> Result<BTreeMap<String, String>, StoreError> {
        let mut now = BTreeMap::new();
        for QuarantineEvent { board, cause, .. } in self.quarantine_events().await? {
            match cause {
                Some(cause) => now.insert(board, cause),
                None => now.remove(&board),
            };
        }
        Ok(now)
    }
}
