//! Variants: what they are in the database, their bytes in files named by their digest.

use std::path::PathBuf;

use quantrack_engine::variant::Exemption;
use quantrack_engine::{Level, Variant};
use quantrack_proto::replace_file;
use serde::{Deserialize, Serialize};

use super::database::{Store, from_json, from_sql, to_json, to_sql};
use super::error::StoreError;
use crate::digest::hex_digest;

/// What is known of a variant without reading its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// Digest of the file.
    pub sha256: String,
    /// Digest of the model that it was made from.
    pub model_sha256: String,
    /// Its level.
    pub level: Level,
    /// Its recipe.
    pub recipe: String,
    /// Size of the file.
    pub bytes: u64,
    /// Layers that run at another level.
    pub exemptions: Vec<Exemption>,
}

impl VariantRecord {
    /// Of `variant` in the file `bytes`, made by a recipe from the model with this digest.
    pub fn new(variant: &Variant, bytes: &[u8], model_sha256: &str, recipe: &str) -> Self {
        Self {
            sha256: Variant::sha256(bytes),
            model_sha256: model_sha256.to_owned(),
            level: variant.level,
            recipe: recipe.to_owned(),
            bytes: bytes.len() as u64,
            exemptions: variant.exemptions.clone(),
        }
    }
}

/// Columns of a [`VariantRecord`]: sha256, model_sha256, level, recipe, bytes, exemptions.
type Row = (String, String, String, String, i64, String);

fn record(row: Row) -> Result<VariantRecord, StoreError> {
    let (sha256, model_sha256, level, recipe, bytes, exemptions) = row;
    Ok(VariantRecord {
        sha256,
        model_sha256,
        level: parse_level(&level)?,
        recipe,
        bytes: from_sql(bytes),
        exemptions: from_json("variant", &exemptions)?,
    })
}

pub(super) fn parse_level(text: &str) -> Result<Level, StoreError> {
    text.parse().map_err(|error: quantrack_engine::level::UnknownLevel| StoreError::Content {
        what: "level",
        detail: error.to_string(),
    })
}

impl Store {
    /// Where the file of a variant lies. `sha256` must be a digest.
    fn variant_path(&self, sha256: &str) -> Result<PathBuf, StoreError> {
        let digest = sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digest {
            let detail = format!("{sha256:?} is no SHA-256");
            return Err(StoreError::Content { what: "digest", detail });
        }
        Ok(self.home().join("variants").join(format!("{sha256}.safetensors")))
    }

    /// Stores a variant's file and what it is, and remembers that building with inputs `key` gives it.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_variant(
        &self,
        key: &str,
        variant: &VariantRecord,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let path = self.variant_path(&variant.sha256)?;
        if !path.exists() {
            let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
            let written = folder.and_then(|()| replace_file(&path, bytes, 0o600));
            written.map_err(|error| StoreError::from_io(&path, error))?;
        }
        let mut transaction =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault())?;
        sqlx::query(
            "INSERT INTO variant (sha256, model_sha256, level, recipe, bytes, exemptions)
             VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(&variant.sha256)
        .bind(&variant.model_sha256)
        .bind(variant.level.name())
        .bind(&variant.recipe)
        .bind(to_sql(variant.bytes))
        .bind(to_json("variant", &variant.exemptions)?)
        .execute(&mut *transaction)
        .await
        .map_err(self.fault())?;
        sqlx::query("INSERT INTO build VALUES (?1, ?2) ON CONFLICT DO UPDATE SET sha256 = ?2")
            .bind(key)
            .bind(&variant.sha256)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault())?;
        transaction.commit().await.map_err(self.fault())
    }

    /// The variant that building with inputs `key` gave, if its file is still there.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn built_variant(&self, key: &str) -> Result<Option<VariantRecord>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT sha256, model_sha256, level, recipe, bytes, exemptions
             FROM variant NATURAL JOIN build WHERE key = ?",
        )
        .bind(key)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fault())?;
        let Some(found) = row.map(record).transpose()? else { return Ok(None) };
        let present = self.variant_path(&found.sha256)?.is_file();
        Ok(present.then_some(found))
    }

    /// The variant with that digest.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn variant(&self, sha256: &str) -> Result<Option<VariantRecord>, StoreError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT sha256, model_sha256, level, recipe, bytes, exemptions
             FROM variant WHERE sha256 = ?",
        )
        .bind(sha256)
        .fetch_optional(&self.pool)
        .await
        .map_err(self.fault())?;
        row.map(record).transpose()
    }

    /// The file of a variant; its digest is checked.
    ///
    /// # Errors
    /// [`StoreError::Content`] when the file was damaged, and the other cases of [`StoreError`].
    pub fn variant_bytes(&self, sha256: &str) -> Result<Vec<u8>, StoreError> {
        let path = self.variant_path(sha256)?;
        let bytes = std::fs::read(&path).map_err(|error| StoreError::from_io(&path, error))?;
        if hex_digest(&bytes) != sha256 {
            let detail = format!(
                "{} does not have the digest in its name; delete the file to have it built again",
                path.display()
            );
            return Err(StoreError::Content { what: "variant", detail });
        }
        Ok(bytes)
    }

    /// Says which variants a pipeline's stages now have, in the order of the pipeline. What the pipeline no longer
    /// tries is forgotten here; its measurements stay.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn save_candidates(
        &self,
        pipeline: &str,
        candidates: &[(String, VariantRecord)],
    ) -> Result<(), StoreError> {
        let mut transaction =
            self.pool.begin_with("BEGIN IMMEDIATE").await.map_err(self.fault())?;
        sqlx::query("DELETE FROM candidate WHERE pipeline = ?")
            .bind(pipeline)
            .execute(&mut *transaction)
            .await
            .map_err(self.fault())?;
        let mut stages: Vec<&str> = Vec::new();
        for (stage, variant) in candidates {
            if stages.last() != Some(&stage.as_str()) {
                stages.push(stage);
            }
            sqlx::query("INSERT INTO candidate VALUES (?, ?, ?, ?, ?, ?)")
                .bind(pipeline)
                .bind(stage)
                .bind(to_sql(stages.len() as u64 - 1))
                .bind(variant.level.name())
                .bind(&variant.recipe)
                .bind(&variant.sha256)
                .execute(&mut *transaction)
                .await
                .map_err(self.fault())?;
        }
        transaction.commit().await.map_err(self.fault())
    }
}
