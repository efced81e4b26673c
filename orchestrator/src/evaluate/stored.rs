//! Evaluations that are kept: what the store knows is not measured again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use quantrack_engine::Level;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{EndToEnd, EvaluateError, Evaluator, LoadedVariant, SampleResult, Score, StoreJournal};
use crate::assignment;
use crate::exit::Failure;
use crate::search::Stopping;
use crate::store::{Store, StoredEvaluation};
use crate::variants::StageVariant;

/// A variant alone: the stage's own metric, all other stages at fp32.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SensitivityRow {
    /// Name of the stage.
    pub stage: String,
    /// Its level.
    pub level: Level,
    /// Its recipe.
    pub recipe: String,
    /// Digest of its variant.
    pub variant_sha256: String,
    /// `metric`, `value`, `ci95`, `samples`.
    #[serde(flatten)]
    pub score: Score,
}

/// An assignment, evaluated end to end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndToEndRow {
    /// Level of each stage.
    pub assignment: BTreeMap<String, Level>,
    /// Digests of the variants, in the order of the pipeline.
    pub variants: Vec<String>,
    /// `metric`, `correct`, `total`, `value`, `ci95`.
    #[serde(flatten)]
    pub result: EndToEnd,
}

/// Evaluates variants of the store and keeps the results there. Its methods compute: call them from a thread that may
/// block ([`tokio::task::block_in_place`]).
#[derive(Debug)]
pub struct StoredEvaluator<'a> {
    evaluator: &'a Evaluator,
    store: &'a Store,
    pipeline: &'a str,
    variants: &'a [StageVariant],
    journal: StoreJournal<'a>,
    runtime: Handle,
    loaded: HashMap<String, Arc<LoadedVariant>>,
}

impl<'a> StoredEvaluator<'a> {
    /// For the `variants` of the pipeline called `pipeline`; to be made within a tokio runtime.
    pub fn new(
        evaluator: &'a Evaluator,
        store: &'a Store,
        pipeline: &'a str,
        variants: &'a [StageVariant],
    ) -> Self {
        Self {
            evaluator,
            store,
            pipeline,
            variants,
            journal: StoreJournal::new(store),
            runtime: Handle::current(),
            loaded: HashMap::new(),
        }
    }

    /// The variant with that digest, planned for this machine.
    ///
    /// # Errors
    /// When the store does not have it, or it is damaged.
    pub fn load(&mut self, sha256: &str) -> Result<Arc<LoadedVariant>, EvaluateError> {
        if let Some(variant) = self.loaded.get(sha256) {
            return Ok(Arc::clone(variant));
        }
        let variant = Arc::new(LoadedVariant::from_bytes(&self.store.variant_bytes(sha256)?)?);
        self.loaded.insert(sha256.to_owned(), Arc::clone(&variant));
        Ok(variant)
    }

    /// The stage's own metric of one variant of the pipeline's stage number `stage`.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn sensitivity(
        &mut self,
        stage: usize,
        variant: &StageVariant,
    ) -> Result<SensitivityRow, EvaluateError> {
        let record = &variant.record;
        let loaded = self.load(&record.sha256)?;
        let key = self.evaluator.sensitivity_key(stage, &loaded);
        if let Some(row) = self.runtime.block_on(self.store.evaluation(&key))? {
            return Ok(row);
        }
        let row = SensitivityRow {
            stage: variant.stage.clone(),
            level: record.level,
            recipe: record.recipe.clone(),
            variant_sha256: record.sha256.clone(),
            score: self.evaluator.sensitivity(stage, &loaded, &self.journal)?,
        };
        self.save(key, Some(variant.stage.clone()), &row)?;
        Ok(row)
    }

    /// In which share of the images the stages up to number `stage` find something: that stage running the variant with this
    /// digest, those before it fp32.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn found_share(&mut self, stage: usize, sha256: &str) -> Result<f64, EvaluateError> {
        let mut first = self.evaluator.chain().baseline();
        first.truncate(stage);
        first.push(self.load(sha256)?);
        self.evaluator.found_share(&first, &self.journal)
    }

    /// What the assignment that runs these variants answers for each image, in order.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn results(&mut self, variants: &[&str]) -> Result<Vec<SampleResult>, EvaluateError> {
        let loaded = self.load_all(variants)?;
        self.evaluator.answers(&loaded, &self.journal)
    }

    /// End-to-end accuracy of the assignment that runs the variants with these digests, one per stage.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn end_to_end(&mut self, variants: &[&str]) -> Result<EndToEndRow, EvaluateError> {
        let loaded = self.load_all(variants)?;
        let key = self.evaluator.end_to_end_key(&loaded);
        if let Some(row) = self.runtime.block_on(self.store.evaluation(&key))? {
            return Ok(row);
        }
        let result = self.evaluator.end_to_end(&loaded, &self.journal)?;
        let row = EndToEndRow {
            assignment: self.levels(variants),
            variants: variants.iter().map(|sha256| (*sha256).to_owned()).collect(),
            result,
        };
        self.save(key, None, &row)?;
        Ok(row)
    }

    fn load_all(&mut self, variants: &[&str]) -> Result<Vec<Arc<LoadedVariant>>, EvaluateError> {
        variants.iter().map(|sha256| self.load(sha256)).collect()
    }

    fn levels(&self, variants: &[&str]) -> BTreeMap<String, Level> {
        let level = |(stage, sha256): (usize, &&str)| {
            let name = self.evaluator.chain().name(stage);
            let found =
                self.variants.iter().find(|v| v.stage == name && v.record.sha256 == **sha256);
            found.map(|variant| (name.to_owned(), variant.record.level))
        };
        variants.iter().enumerate().filter_map(level).collect()
    }

    fn save(
        &self,
        key: String,
        stage: Option<String>,
        body: &impl Serialize,
    ) -> Result<(), EvaluateError> {
        let pipeline = self.pipeline.to_owned();
        let evaluation = StoredEvaluation { key, pipeline, stage, body };
        Ok(self.runtime.block_on(self.store.save_evaluation(&evaluation))?)
    }
}

impl assignment::EndToEnd for StoredEvaluator<'_> {
    fn answers(
        &mut self,
        variants: &[&str],
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, Failure> {
        let loaded = self.load_all(variants)?;
        Ok(self.evaluator.right(&loaded, &self.journal, stop)?)
    }

    fn reached(&mut self, variants: &[&str], needed: u64) -> Result<Option<u64>, Failure> {
        let loaded = self.load_all(variants)?;
        Ok(self.evaluator.reached(&loaded, &self.journal, needed)?)
    }
}
