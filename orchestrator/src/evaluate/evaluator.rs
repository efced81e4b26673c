//! Evaluating variants and assignments over a data set.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::kernels::registry;
use rayon::prelude::*;

use super::chain::{Chain, Given, Picture};
use super::key::{CODE, Surroundings};
use super::{EndToEnd, EvaluateError, Journal, LoadedVariant, PrefixCache, SampleResult, Score};
use crate::dataset::Dataset;
use crate::digest::hex_digest;
use crate::search::Stopping;
use crate::spec::Pipeline;
use quantrack_engine::glue::{Finding, compare};

/// Memory for what stages found, in bytes.
const CACHE_BYTES: usize = 256 << 20;

/// Images between two entries in the journal.
const JOURNAL_IMAGES: usize = 32;

/// Images after which it is first looked whether an evaluation may stop; then after twice as many, and so on.
const FIRST_LOOK: usize = 8;

/// Share of images with the class of their label.
pub const TOP1: &str = "top1";
/// Share of images with the class that all stages at fp32 find, or in which neither finds one: needs no labels.
pub const AGREEMENT: &str = "agreement";

/// Measures accuracy over one data set; shared state is the cache only.
#[derive(Debug)]
pub struct Evaluator {
    chain: Chain,
    dataset: Dataset,
    /// Images in an order that comes from their files' names alone.
    order: Vec<usize>,
    /// All that decides a result, but for the metric and the variants.
    surroundings: Surroundings,
    /// The end-to-end metric.
    metric: &'static str,
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
        let metric = check_metrics(pipeline, &chain)?;
        if metric == TOP1 {
            check_labels(&chain, &dataset)?;
        }
        let surroundings = Surroundings {
            code: CODE,
            engine: registry::engine_build(),
            samples_sha256: dataset.digest()?,
            glue: pipeline.stages.iter().map(|stage| stage.glue.clone()).collect(),
            wiring: chain.wiring(),
        };
        let mut order: Vec<usize> = (0..dataset.samples.len()).collect();
        order.sort_by_cached_key(|&at| hex_digest(dataset.samples[at].row.file.as_bytes()));
        Ok(Self {
            chain,
            dataset,
            order,
            surroundings,
            metric,
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
        Ok(EndToEnd::new(self.metric, &self.answers(assignment, journal)?))
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
        let key = self.end_to_end_key(assignment);
        self.over_images(&key, journal, |picture| self.answer(picture, assignment))
    }

    /// What an assignment answers for one image.
    fn answer(
        &self,
        picture: &Picture<'_>,
        assignment: &[Arc<LoadedVariant>],
    ) -> Result<SampleResult, EvaluateError> {
        let found = self.chain.find(picture, assignment, &self.cache)?;
        let label = self.label(found.as_deref())?;
        let right = label == self.expected(picture)?;
        let value = Some(f64::from(u8::from(right)));
        Ok(SampleResult { value, label, parts: Vec::new() })
    }

    /// Whether an assignment answers right, image by image in an order that is the same for all assignments and comes from
    /// the files' names alone. With `stop` the evaluation ends where it shows that the assignment is hopeless, at one of a
    /// few places, whatever the number of threads and whatever the journal already holds.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn right(
        &self,
        assignment: &[Arc<LoadedVariant>],
        journal: &dyn Journal,
        stop: Option<&Stopping<'_>>,
    ) -> Result<Vec<bool>, EvaluateError> {
        let key = self.end_to_end_key(assignment);
        let answer = |picture: &Picture<'_>| self.answer(picture, assignment);
        let mut answers = Vec::with_capacity(self.dataset.samples.len());
        self.in_looks(&key, journal, &answer, |looked| {
            answers.extend_from_slice(looked);
            stop.is_some_and(|stop| stop.hopeless(&answers).is_some())
        })?;
        Ok(answers)
    }

    /// Evaluates images in an order that comes from their files' names alone, a few more at a time, and tells `is_done` which
    /// of them are right, until that has seen enough.
    fn in_looks(
        &self,
        key: &str,
        journal: &dyn Journal,
        evaluate: &(impl Fn(&Picture<'_>) -> Result<SampleResult, EvaluateError> + Sync),
        mut is_done: impl FnMut(&[bool]) -> bool,
    ) -> Result<(), EvaluateError> {
        let (samples, order) = (&self.dataset.samples, &self.order);
        let mut known = journal.recorded(key)?;
        let mut seen = 0;
        while seen < order.len() {
            let next = &order[seen..order.len().min(seen + seen.clamp(FIRST_LOOK, JOURNAL_IMAGES))];
            self.complete(key, journal, next, &mut known, evaluate)?;
            let right = |&index: &usize| {
                known.get(&samples[index].row.file).is_some_and(|result| result.value == Some(1.0))
            };
            let looked: Vec<bool> = next.iter().map(right).collect();
            if is_done(&looked) {
                break;
            }
            seen += next.len();
        }
        Ok(())
    }

    /// In how many images at most the first stages, running `first`, find something, where that is fewer than `needed`:
    /// then no assignment that begins with them has more right answers. Looks at images as [`Evaluator::right`] does, and
    /// gives up as soon as it is not likely.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn reached(
        &self,
        first: &[Arc<LoadedVariant>],
        journal: &dyn Journal,
        needed: u64,
    ) -> Result<Option<u64>, EvaluateError> {
        if self.metric != TOP1 {
            // Finding nothing where fp32 finds nothing is right.
            return Ok(None);
        }
        let key = self.key("something found", first);
        let find = |picture: &Picture<'_>| {
            let found = self.chain.find(picture, first, &self.cache)?;
            let value = Some(f64::from(u8::from(found.is_some())));
            Ok(SampleResult { value, label: None, parts: Vec::new() })
        };
        let total = self.dataset.samples.len();
        let (mut seen, mut ended, mut given_up) = (0, 0, false);
        self.in_looks(&key, journal, &find, |looked| {
            seen += looked.len();
            ended += looked.iter().filter(|&&found| !found).count();
            given_up = 2 * ended < seen;
            given_up || ((total - ended) as u64) < needed
        })?;
        let at_most = (total - ended) as u64;
        Ok((!given_up && at_most < needed).then_some(at_most))
    }

    /// The right answer for an image: its label, or what all stages at fp32 find.
    fn expected(&self, picture: &Picture<'_>) -> Result<Option<String>, EvaluateError> {
        if self.metric == TOP1 {
            return Ok(Some(picture.sample().row.label.clone()));
        }
        let found = self.chain.find(picture, &self.chain.baseline(), &self.cache)?;
        self.label(found.as_deref())
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
        let results = self.agreements(stage, variant, journal)?;
        Ok(Score::new(self.chain.glue(stage).metric().name, &results))
    }

    /// The stage's own metric of `variant` for each image, in order.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn agreements(
        &self,
        stage: usize,
        variant: &Arc<LoadedVariant>,
        journal: &dyn Journal,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let mut reference = self.chain.baseline();
        reference.truncate(stage + 1);
        let mut candidate = reference.clone();
        candidate[stage] = Arc::clone(variant);
        let glue = self.chain.glue(stage);
        let key = self.sensitivity_key(stage, variant);
        self.over_images(&key, journal, |picture| {
            let find =
                |variants: &[Arc<LoadedVariant>]| self.chain.find(picture, variants, &self.cache);
            let given = self.chain.given(picture, stage, &reference, &self.cache)?;
            if matches!(given, Given::Nothing) {
                return Ok(SampleResult { value: None, label: None, parts: Vec::new() });
            }
            let (found, expected) = (find(&candidate)?, find(&reference)?);
            let value = glue
                .metric()
                .agreement(found.as_deref(), expected.as_deref())
                .map_err(|source| self.chain.glue_error(stage, source))?;
            let parts = compare(found.as_deref(), expected.as_deref());
            Ok(SampleResult { value: Some(value), label: None, parts })
        })
    }

    /// Digest of everything that decides the end-to-end accuracy of an assignment.
    pub fn end_to_end_key(&self, assignment: &[Arc<LoadedVariant>]) -> String {
        match self.metric {
            TOP1 => self.key("end-to-end", assignment),
            metric => {
                // What fp32 finds decides, too.
                let mut variants = self.chain.baseline();
                variants.extend_from_slice(assignment);
                self.key(&format!("end-to-end {metric}"), &variants)
            }
        }
    }

    /// Digest of everything that decides the stage's own metric of a variant.
    pub fn sensitivity_key(&self, stage: usize, variant: &Arc<LoadedVariant>) -> String {
        let mut variants = self.chain.baseline();
        variants.truncate(stage + 1);
        variants.push(Arc::clone(variant));
        self.key(&format!("stage {stage} {}", self.chain.glue(stage).metric().name), &variants)
    }

    fn key(&self, what: &str, variants: &[Arc<LoadedVariant>]) -> String {
        self.surroundings.key(what, variants.iter().map(|variant| variant.sha256()))
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
        let all: Vec<usize> = (0..samples.len()).collect();
        self.complete(key, journal, &all, &mut known, &evaluate)?;
        Ok(samples.iter().filter_map(|sample| known.remove(&sample.row.file)).collect())
    }

    /// Adds the results of `evaluate` for those of the images `indices` that are not known yet.
    fn complete(
        &self,
        key: &str,
        journal: &dyn Journal,
        indices: &[usize],
        known: &mut BTreeMap<String, SampleResult>,
        evaluate: &(impl Fn(&Picture<'_>) -> Result<SampleResult, EvaluateError> + Sync),
    ) -> Result<(), EvaluateError> {
        let samples = &self.dataset.samples;
        let is_missing = |index: &usize| !known.contains_key(&samples[*index].row.file);
        let missing: Vec<usize> = indices.iter().copied().filter(is_missing).collect();
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
        Ok(())
    }
}

/// Metrics that the pipeline file names must be those that are measured. The end-to-end one.
fn check_metrics(pipeline: &Pipeline, chain: &Chain) -> Result<&'static str, EvaluateError> {
    let check = |what: &str, name: &str, known: &[&'static str]| {
        known.iter().find(|known| **known == name).copied().ok_or_else(|| EvaluateError::Metric {
            what: what.to_owned(),
            name: name.to_owned(),
            known: known.join(" or "),
        })
    };
    for (index, stage) in pipeline.stages.iter().enumerate() {
        if let Some(name) = &stage.metric {
            check(&format!("{}'s", stage.name), name, &[chain.glue(index).metric().name])?;
        }
    }
    check("end-to-end", &pipeline.metric, &[TOP1, AGREEMENT])
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
