//! Boards.

use serde::{Deserialize, Serialize};

use super::database::{Store, from_json, to_json};
use super::error::StoreError;
use crate::measurement::BoardFacts;

/// A board that has been measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceRecord {
    /// Key of its measurements.
    pub fingerprint: String,
    /// Where it was seen last, as the user addressed it.
    pub address: String,
    /// What it is.
    pub facts: BoardFacts,
}

impl Store {
    /// Remembers a board, or where it is now.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_device(&self, device: &DeviceRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO device (fingerprint, address, facts) VALUES (?1, ?2, ?3)
             ON CONFLICT (fingerprint) DO UPDATE SET address = ?2, facts = ?3,
                 seen_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        )
        .bind(&device.fingerprint)
        .bind(&device.address)
        .bind(to_json("board", &device.facts)?)
        .execute(&self.pool)
        .await
        .map_err(self.fault())?;
        Ok(())
    }

    /// All boards that were ever measured, the one seen last first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn devices(&self) -> Result<Vec<DeviceRecord>, StoreError> {
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT fingerprint, address, facts FROM device ORDER BY seen_at DESC, fingerprint",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.fault())?;
        rows.into_iter()
            .map(|(fingerprint, address, facts)| {
                let facts = from_json("board", &facts)?;
                Ok(DeviceRecord { fingerprint, address, facts })
            })
            .collect()
    }

    /// The board whose fingerprint starts with `text`, or that was last seen at that address.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn find_device(&self, text: &str) -> Result<Option<DeviceRecord>, StoreError> {
        let devices = self.devices().await?;
        let by_address = devices.iter().find(|device| device.address == text);
        let by_fingerprint = || devices.iter().find(|d| d.fingerprint.starts_with(text));
        Ok(by_address.or_else(by_fingerprint).cloned())
    }
}
