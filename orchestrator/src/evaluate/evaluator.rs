//! Evaluating variants and assignments over a data set.

use std::path::Path;
use std::sync::Arc;

use quantrack_engine::kernels::registry;
use rayon::prelude::*;

use super::chain::{Chain, Given, Picture};
use super::{EndToEnd, EvaluateError, Journal, LoadedVariant, PrefixCache, SampleResult, Score};
use crate::dataset::Dataset;
use crate::digest::hex_digest;
use crate::spec::Pipeline;
use quantrack_engine::glue::{Finding, compare};

/// Memory for what stages found, in bytes.
const CACHE_BYTES: usize = 256 << 20;

/// Images between two entries in the journal.
const JOURNAL_IMAGES: usize = 32;

/// The only end-to-end metric so far.
const TOP1: &str = "top1";

/// Measures accuracy over one data set; shared state is the cache only.
#[derive(Debug)]
pub struct Evaluator {
    chain: Chain,
    dataset: Dataset,
    /// Digest of all that decides a result, but for the variants.
    surroundings: String,
    cache: PrefixCache,
    threads: rayon::ThreadPool,
}

impl Evaluator {
    /// For the evaluation images of `pipeline`, whose paths are relative to `data`, on `threads` threads (0: one per
    /// core).
    ///
    /// # Errors
    /// Models, images or labels that cannot be used, or do not fit one another.
    pub fn open(pipeline: &Pipeline, data: &Path, threads: usize) -> Result<Self, EvaluateError> {
        let dataset = Dataset::open(data, &pipeline.data.evaluation, &pipeline.data)?;
        Self::new(pipeline, Chain::open(pipeline, data)?, dataset, threads)
    }

    /// For the images of `dataset`.
    ///
    /// # Errors
    /// Metrics that do not exist, or labels that are no class of the pipeline's.
    pub fn new(
        pipeline: &Pipeline,
        chain: Chain,
        dataset: Dataset,
        threads: usize,
    ) -> Result<Self, EvaluateError> {
        check_metrics(pipeline, &chain)?;
        check_labels(&chain, &dataset)?;
        let glue: Vec<&str> = pipeline.stages.iter().map(|stage| stage.glue.as_str()).collect();
        let surroundings = [
            registry::engine_build(),
            dataset.digest()?,
            glue.join(","),
            chain.wiring(),
            "v2".to_owned(),
        ];
        Ok(Self {
            chain,
            dataset,
            surroundings: hex_digest(surroundings.join("\n").as_bytes()),
            cache: PrefixCache::new(CACHE_BYTES),
            threads: rayon::ThreadPoolBuilder::new().num_threads(threads).build()?,
        })
    }

    /// The stages.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The images.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// End-to-end accuracy of an assignment: one variant per stage.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn end_to_end(
        &self,
        assignment: &[Arc<LoadedVariant>],
        journal: &dyn Journal,
    ) -> Result<EndToEnd, EvaluateError> {
        Ok(EndToEnd::new(TOP1, &self.answers(assignment, journal)?))
    }

    /// What an assignment answers for each image, in order.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn answers(
        &self,
        assignment: &[Arc<LoadedVariant>],
        journal: &dyn Journal,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        self.over_images(&self.end_to_end_key(assignment), journal, |picture| {
            let found = self.chain.find(picture, assignment, &self.cache)?;
            let label = self.label(found.as_deref())?;
            let right = label.as_ref() == Some(&picture.sample().row.label);
            let value = Some(f64::from(u8::from(right)));
            Ok(SampleResult { value, label, parts: Vec::new() })
        })
    }

    /// The stage's own metric of `variant`, all stages before it at fp32; those after it do not matter.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn sensitivity(
        &self,
        stage: usize,
        variant: &Arc<LoadedVariant>,
        journal: &dyn Journal,
    ) -> Result<Score, EvaluateError> {
        let mut reference = self.chain.baseline();
        reference.truncate(stage + 1);
        let mut candidate = reference.clone();
        candidate[stage] = Arc::clone(variant);
        let glue = self.chain.glue(stage);
        let key = self.sensitivity_key(stage, variant);
        let results = self.over_images(&key, journal, |picture| {
            let find =
                |variants: &[Arc<LoadedVariant>]| self.chain.find(picture, variants, &self.cache);
            let given = self.chain.given(picture, stage, &reference, &self.cache)?;
            if matches!(given, Given::Nothing) {
                return Ok(SampleResult { value: None, label: None, parts: Vec::new() });
            }
            let (found, expected) = (find(&candidate)?, find(&reference)?);
            let value = glue
                .agreement(found.as_deref(), expected.as_deref())
                .map_err(|source| self.chain.glue_error(stage, source))?;
            let parts = compare(found.as_deref(), expected.as_deref());
            Ok(SampleResult { value: Some(value), label: None, parts })
        })?;
        Ok(Score::new(glue.metric(), &results))
    }

    /// Digest of everything that decides the end-to-end accuracy of an assignment.
    pub fn end_to_end_key(&self, assignment: &[Arc<LoadedVariant>]) -> String {
        self.key("end-to-end", assignment)
    }

    /// Digest of everything that decides the stage's own metric of a variant.
    pub fn sensitivity_key(&self, stage: usize, variant: &Arc<LoadedVariant>) -> String {
        let mut variants = self.chain.baseline();
        variants.truncate(stage + 1);
        variants.push(Arc::clone(variant));
        self.key(&format!("stage {stage} {}", self.chain.glue(stage).metric()), &variants)
    }

    fn key(&self, what: &str, variants: &[Arc<LoadedVariant>]) -> String {
        let mut parts = vec![what, &self.surroundings];
        parts.extend(variants.iter().map(|variant| variant.sha256()));
        hex_digest(parts.join("\n").as_bytes())
    }

    pub(super) fn label(&self, found: Option<&Finding>) -> Result<Option<String>, EvaluateError> {
        match found {
            None => Ok(None),
            Some(Finding::Class(class)) => Ok(Some(class.label.clone())),
            Some(other) => Err(EvaluateError::NoClass {
                stage: self.chain.name(self.chain.len() - 1).to_owned(),
                found: other.kind(),
            }),
        }
    }

    /// Results of `evaluate` for all images, in order; those in the journal are not computed again.
    fn over_images(
        &self,
        key: &str,
        journal: &dyn Journal,
        evaluate: impl Fn(&Picture<'_>) -> Result<SampleResult, EvaluateError> + Sync,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let mut known = journal.recorded(key)?;
        let samples = &self.dataset.samples;
        let missing: Vec<usize> = (0..samples.len())
            .filter(|&index| !known.contains_key(&samples[index].row.file))
            .collect();
        for chunk in missing.chunks(JOURNAL_IMAGES) {
            let one = |&index: &usize| {
                let picture = Picture::new(&samples[index], index);
                Ok((samples[index].row.file.clone(), evaluate(&picture)?))
            };
            let results: Result<Vec<_>, EvaluateError> =
                self.threads.install(|| chunk.par_iter().map(one).collect());
            let results = results?;
            journal.record(key, &results)?;
            known.extend(results);
        }
        Ok(samples.iter().filter_map(|sample| known.remove(&sample.row.file)).collect())
    }
}

/// Metrics that the pipeline file names must be those that are measured.
fn check_metrics(pipeline: &Pipeline, chain: &Chain) -> Result<(), EvaluateError> {
    let check = |what: &str, name: &str, known: &str| {
        if name == known {
            return Ok(());
        }
        let (what, name, known) = (what.to_owned(), name.to_owned(), known.to_owned());
        Err(EvaluateError::Metric { what, name, known })
    };
    check("end-to-end", &pipeline.metric, TOP1)?;
    for (index, stage) in pipeline.stages.iter().enumerate() {
        if let Some(name) = &stage.metric {
            check(&format!("{}'s", stage.name), name, chain.glue(index).metric())?;
        }
    }
    Ok(())
}

/// Every label must be a class that the last stage can name.
fn check_labels(chain: &Chain, dataset: &Dataset) -> Result<(), EvaluateError> {
    let Some(last) = chain.len().checked_sub(1) else { return Ok(()) };
    let classes = chain.glue(last).classes();
    let strange = |label: &String| !classes.is_empty() && !classes.contains(&label.as_str());
    match dataset.samples.iter().find(|sample| strange(&sample.row.label)) {
        None => Ok(()),
        Some(sample) => Err(EvaluateError::Label {
            label: sample.row.label.clone(),
            file: sample.row.file.clone(),
            classes: classes.join(", "),
        }),
    }
}
