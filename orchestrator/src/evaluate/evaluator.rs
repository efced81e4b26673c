//! Evaluating variants and assignments over a data set.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::kernels::registry;
use rayon::prelude::*;

use super::chain::{Chain, Given, Picture};
use super::judge::Judges;
use super::key::{CODE, Surroundings};
use super::{EndToEnd, EvaluateError, Journal, LoadedVariant, PrefixCache, SampleResult, Score};
use crate::dataset::Dataset;
use crate::digest::hex_digest;
use crate::metric::{Against, Criterion, labelled};
use crate::search::Stopping;
use crate::spec::Pipeline;
use quantrack_engine::glue::{Finding, compare};

/// Memory for what stages found, in bytes.
const CACHE_BYTES: usize = 256 << 20;

/// Images between two entries in the journal.
const JOURNAL_IMAGES: usize = 32;

/// Images after which it is first looked whether an evaluation may stop; then after twice as many, and so on.
const FIRST_LOOK: usize = 8;

/// What is asked where only it matters whether stages find something.
const FOUND: &str = "something found";

/// The images, by their place in the order, between one look whether an evaluation of so many may stop and the next.
pub fn looks(images: usize) -> impl Iterator<Item = Range<usize>> {
    let mut seen = 0;
    std::iter::from_fn(move || {
        let look = seen..images.min(seen + seen.clamp(FIRST_LOOK, JOURNAL_IMAGES));
        seen = look.end;
        (!look.is_empty()).then_some(look)
    })
}

/// Evaluates images, given by their indices; results in order.
type Batch<'a> = dyn Fn(&[usize]) -> Result<Vec<SampleResult>, EvaluateError> + 'a;

/// Measures accuracy over one data set; shared state is the cache only.
#[derive(Debug)]
pub struct Evaluator {
    chain: Chain,
    dataset: Dataset,
    /// Images in an order that comes from their files' names alone.
    order: Vec<usize>,
    /// All that decides a result, but for the metric and the variants.
    surroundings: Surroundings,
    /// What is asked for.
    judges: Judges,
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
    /// Metrics that do not fit what stages find, samples that stages cannot be given, or labels that are not what a metric needs.
    pub fn new(
        pipeline: &Pipeline,
        chain: Chain,
        dataset: Dataset,
        threads: usize,
    ) -> Result<Self, EvaluateError> {
        let judges = Judges::new(pipeline, &chain, &dataset)?;
        chain.check_samples(&dataset)?;
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
            judges,
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

    /// What assignments are judged by.
    pub fn criterion(&self) -> &Criterion {
        &self.judges.end_to_end.criterion
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
        Ok(EndToEnd::new(self.criterion(), &self.answers(assignment, journal)?))
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
        let evaluate = |images: &[usize]| self.answer(images, assignment);
        self.over_images(&self.all(), &key, journal, &evaluate)
    }

    /// What an assignment answers for some images.
    fn answer(
        &self,
        images: &[usize],
        assignment: &[Arc<LoadedVariant>],
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let (judge, last) = (&self.judges.end_to_end, self.chain.len() - 1);
        if let Some(program) = judge.criterion.program() {
            return self.scores(program, judge, images, (last, assignment), true);
        }
        self.each(images, |picture| {
            let found = self.chain.find(picture, assignment, &self.cache)?;
            let truth = self.truth(picture, last, &judge.criterion)?;
            let pair = (found.as_deref(), truth.as_deref());
            let result = judge.result(&self.chain, last, picture, pair)?;
            Ok(SampleResult { label: label(found.as_deref()), ..result })
        })
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
        let answer = |images: &[usize]| self.answer(images, assignment);
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
        evaluate: &Batch<'_>,
        mut is_done: impl FnMut(&[bool]) -> bool,
    ) -> Result<(), EvaluateError> {
        let (samples, order) = (&self.dataset.samples, &self.order);
        let mut known = journal.recorded(key)?;
        for look in looks(order.len()) {
            let next = &order[look];
            self.complete(key, journal, next, &mut known, evaluate)?;
            let right = |&index: &usize| {
                known.get(&samples[index].row.file).is_some_and(|result| result.value == Some(1.0))
            };
            let looked: Vec<bool> = next.iter().map(right).collect();
            if is_done(&looked) {
                break;
            }
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
        if *self.criterion() != Criterion::top1() {
            // Finding nothing where there is nothing may be right.
            return Ok(None);
        }
        let key = self.key(FOUND, first);
        let find = |images: &[usize]| self.find_any(images, first);
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

    /// In which share of the images the first stages, running `first`, find something.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn found_share(
        &self,
        first: &[Arc<LoadedVariant>],
        journal: &dyn Journal,
    ) -> Result<f64, EvaluateError> {
        let all = self.all();
        let find = |images: &[usize]| self.find_any(images, first);
        let found = self.over_images(&all, &self.key(FOUND, first), journal, &find)?;
        Ok(found.iter().filter_map(|result| result.value).sum::<f64>() / all.len() as f64)
    }

    /// Whether the first stages, running `first`, find something: 1, or 0.
    fn find_any(
        &self,
        images: &[usize],
        first: &[Arc<LoadedVariant>],
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        self.each(images, |picture| {
            let found = self.chain.find(picture, first, &self.cache)?;
            let value = Some(f64::from(u8::from(found.is_some())));
            Ok(SampleResult { value, ..SampleResult::default() })
        })
    }

    /// What stage number `stage` should find in an image: what its row of the labels says, or what fp32 finds.
    fn truth(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        criterion: &Criterion,
    ) -> Result<Option<Arc<Finding>>, EvaluateError> {
        match criterion.against {
            Against::Labels => {
                let row = &picture.sample().row;
                Ok(labelled(row, self.chain.glue(stage).finds()).map(Arc::new))
            }
            Against::Fp32 => {
                self.chain.find(picture, &self.chain.baseline()[..=stage], &self.cache)
            }
        }
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
        let criterion = &self.judges.stages[stage].criterion;
        match criterion.program() {
            Some(program) if program.whole_set => {
                let (judge, (_, candidate)) =
                    (&self.judges.stages[stage], self.alone(stage, variant));
                self.whole_score(program, judge, (stage, &candidate))
            }
            _ => Ok(Score::new(criterion, &self.agreements(stage, variant, journal)?)),
        }
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
        self.agreements_in(&self.all(), stage, variant, journal)
    }

    /// As [`Self::agreements`], for some of the images, given by their indices.
    pub(super) fn agreements_in(
        &self,
        images: &[usize],
        stage: usize,
        variant: &Arc<LoadedVariant>,
        journal: &dyn Journal,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let judge = &self.judges.stages[stage];
        let (reference, candidate) = self.alone(stage, variant);
        let key = self.sensitivity_key(stage, variant);
        let judged = |picture: &Picture<'_>| {
            let find =
                |variants: &[Arc<LoadedVariant>]| self.chain.find(picture, variants, &self.cache);
            let given = self.chain.given(picture, stage, &reference, &self.cache)?;
            if matches!(given, Given::Nothing) {
                return Ok(SampleResult::default());
            }
            let (found, fp32) = (find(&candidate)?, find(&reference)?);
            let truth = self.truth(picture, stage, &judge.criterion)?;
            let pair = (found.as_deref(), truth.as_deref());
            let result = judge.result(&self.chain, stage, picture, pair)?;
            Ok(SampleResult { parts: compare(found.as_deref(), fp32.as_deref()), ..result })
        };
        self.over_images(images, &key, journal, &|images| match judge.criterion.program() {
            Some(program) => self.scores(program, judge, images, (stage, &candidate), false),
            None => self.each(images, judged),
        })
    }

    /// The stages up to `stage` at fp32, and the same with `variant` in its place.
    fn alone(
        &self,
        stage: usize,
        variant: &Arc<LoadedVariant>,
    ) -> (Vec<Arc<LoadedVariant>>, Vec<Arc<LoadedVariant>>) {
        let mut reference = self.chain.baseline();
        reference.truncate(stage + 1);
        let mut candidate = reference.clone();
        candidate[stage] = Arc::clone(variant);
        (reference, candidate)
    }

    /// Digest of everything that decides the end-to-end accuracy of an assignment.
    pub fn end_to_end_key(&self, assignment: &[Arc<LoadedVariant>]) -> String {
        let judge = &self.judges.end_to_end;
        if judge.criterion == Criterion::top1() {
            return self.key("end-to-end", assignment);
        }
        // What fp32 finds may decide, too.
        let mut variants = self.chain.baseline();
        variants.extend_from_slice(assignment);
        self.key(&format!("end-to-end {}", judge.key), &variants)
    }

    /// Digest of everything that decides the stage's own metric of a variant.
    pub fn sensitivity_key(&self, stage: usize, variant: &Arc<LoadedVariant>) -> String {
        let mut variants = self.chain.baseline();
        variants.truncate(stage + 1);
        variants.push(Arc::clone(variant));
        self.key(&format!("stage {stage} {}", self.judges.stages[stage].key), &variants)
    }

    fn key(&self, what: &str, variants: &[Arc<LoadedVariant>]) -> String {
        self.surroundings.key(what, variants.iter().map(|variant| variant.sha256()))
    }

    /// What stages found.
    pub(super) fn cache(&self) -> &PrefixCache {
        &self.cache
    }

    /// Results of `one` for some images, in order, on all threads.
    pub(super) fn each<T: Send>(
        &self,
        images: &[usize],
        one: impl Fn(&Picture<'_>) -> Result<T, EvaluateError> + Sync,
    ) -> Result<Vec<T>, EvaluateError> {
        let samples = &self.dataset.samples;
        let one = |&index: &usize| one(&Picture::new(&samples[index], index));
        self.threads.install(|| images.par_iter().map(one).collect())
    }

    /// Indices of all images.
    fn all(&self) -> Vec<usize> {
        (0..self.dataset.samples.len()).collect()
    }

    /// Results of `evaluate` for `images`, in order; those in the journal are not computed again.
    fn over_images(
        &self,
        images: &[usize],
        key: &str,
        journal: &dyn Journal,
        evaluate: &Batch<'_>,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let mut known = journal.recorded(key)?;
        self.complete(key, journal, images, &mut known, evaluate)?;
        let file = |&index: &usize| &self.dataset.samples[index].row.file;
        Ok(images.iter().filter_map(|index| known.remove(file(index))).collect())
    }

    /// Adds the results of `evaluate` for those of the images `indices` that are not known yet.
    fn complete(
        &self,
        key: &str,
        journal: &dyn Journal,
        indices: &[usize],
        known: &mut BTreeMap<String, SampleResult>,
        evaluate: &Batch<'_>,
    ) -> Result<(), EvaluateError> {
        let samples = &self.dataset.samples;
        let is_missing = |index: &usize| !known.contains_key(&samples[*index].row.file);
        let missing: Vec<usize> = indices.iter().copied().filter(is_missing).collect();
        for chunk in missing.chunks(JOURNAL_IMAGES) {
            let files = chunk.iter().map(|&index| samples[index].row.file.clone());
            let results: Vec<_> = files.zip(evaluate(chunk)?).collect();
            journal.record(key, &results)?;
            known.extend(results);
        }
        Ok(())
    }
}

/// The class that was found.
pub(super) fn label(found: Option<&Finding>) -> Option<String> {
    match found {
        Some(Finding::Class(class)) => Some(class.label.clone()),
        _ => None,
    }
}
