//! Building what a pipeline tries.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::quantize::{
    CalibrateError, Calibration, Calibrator, QuantizeError, Recipe, UnknownRecipe, quantize,
    quantizer_build,
};
use quantrack_engine::{Pool, RayonPool, Tensor};

use super::{BuildInputs, ModelError, ModelFile, StageVariant};
use crate::digest::hex_digest;
use crate::exit::Failure;
use crate::output::ProgressBars;
use crate::spec::{Candidate, Pipeline, Stage};
use crate::store::{Store, VariantRecord};

/// Where the samples come from that quantizers look at.
pub trait CalibrationSource {
    /// Digest of the images and of how they become inputs.
    ///
    /// # Errors
    /// When they cannot be read.
    fn digest(&self) -> Result<String, Failure>;

    /// Inputs of a stage, by its index: one list of tensors, in the order of the model, per sample.
    ///
    /// # Errors
    /// When images cannot be read, or a stage before this one cannot run.
    fn samples(&mut self, stage: usize) -> Result<Vec<Vec<Tensor>>, Failure>;
}

/// A candidate that cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The model file.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The recipe's name.
    #[error(transparent)]
    Recipe(#[from] UnknownRecipe),
    /// The calibration samples.
    #[error(transparent)]
    Calibrate(#[from] CalibrateError),
    /// The quantizer.
    #[error(transparent)]
    Quantize(#[from] QuantizeError),
    /// The threads.
    #[error("failed to start the threads that calibrate")]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// Builds every candidate of every stage, those that the store has not kept from before, and says to the store which
/// variants the pipeline now has. Paths of the pipeline are relative to `data`.
///
/// # Errors
/// When models or calibration data cannot be used, or the store fails.
pub async fn build(
    pipeline: &Pipeline,
    data: &Path,
    source: &mut (dyn CalibrationSource + Send),
    store: &Store,
    bars: &ProgressBars,
) -> Result<Vec<StageVariant>, Failure> {
    let total: usize = pipeline.stages.iter().map(|stage| stage.candidates.len()).sum();
    // Nothing is said when there is nothing to build.
    let mut bar = None;
    let mut building = Building::new(pipeline, data, source, store)?;
    let mut variants = Vec::with_capacity(total);
    for (index, stage) in pipeline.stages.iter().enumerate() {
        for candidate in &stage.candidates {
            let say = || {
                let bar = bar.get_or_insert_with(|| bars.bar("variants", total as u64));
                bar.set(variants.len() as u64, total as u64);
                bar.say(format!("{} {candidate}", stage.name));
            };
            let variant = building.variant(index, candidate, say).await?;
            variants.push(variant);
        }
    }
    let named: Vec<(String, VariantRecord)> =
        variants.iter().map(|v| (v.stage.clone(), v.record.clone())).collect();
    store.save_candidates(&pipeline.name, &named).await?;
    if let Some(bar) = bar {
        let built = building.built;
        bar.done(&format!("{built} built, {} from before", total - built));
    }
    Ok(variants)
}

/// Builds the candidates of a pipeline one by one.
pub struct Building<'a> {
    pipeline: &'a Pipeline,
    source: &'a mut (dyn CalibrationSource + Send),
    store: &'a Store,
    builder: Builder<'a>,
    /// By stage the digest of its samples.
    upstream: Vec<String>,
    /// How many were not in the store.
    built: usize,
}

impl<'a> Building<'a> {
    /// Nothing is built yet.
    ///
    /// # Errors
    /// When models or calibration images cannot be read.
    pub fn new(
        pipeline: &'a Pipeline,
        data: &'a Path,
        source: &'a mut (dyn CalibrationSource + Send),
        store: &'a Store,
    ) -> Result<Self, Failure> {
        let samples_digest = source.digest()?;
        let mut builder = Builder { data, models: HashMap::new(), calibrated: HashMap::new() };
        // A stage's samples are made by the stages before it.
        let (sources, _) = pipeline.composition.sources(pipeline.stages.len());
        let mut digest = format!("{samples_digest}\n{sources:?}");
        let mut upstream = Vec::new();
        for stage in &pipeline.stages {
            let model = &builder.model(stage, &stage.model)?.sha256;
            digest = hex_digest(format!("{digest}\n{}\n{model}", stage.glue).as_bytes());
            upstream.push(digest.clone());
        }
        Ok(Self { pipeline, source, store, builder, upstream, built: 0 })
    }

    /// The variant of a candidate of stage number `stage`; one that the store has is not built again. `begin`
    /// is called before one is built.
    ///
    /// # Errors
    /// When calibration data cannot be used, or the store fails.
    pub async fn variant(
        &mut self,
        stage: usize,
        candidate: &Candidate,
        begin: impl FnOnce(),
    ) -> Result<StageVariant, Failure> {
        let stages = &self.pipeline.stages;
        let key = self.builder.key(&stages[stage], candidate, &self.upstream[stage])?;
        let name = stages[stage].name.clone();
        if let Some(record) = self.store.built_variant(&key).await? {
            return Ok(StageVariant { stage: name, record });
        }
        begin();
        // Everything in here computes; the store is not touched.
        let (record, bytes) = tokio::task::block_in_place(|| {
            self.builder.variant(stage, &stages[stage], candidate, self.source)
        })?;
        self.store.save_variant(&key, &record, &bytes).await?;
        self.built += 1;
        Ok(StageVariant { stage: name, record })
    }
}

/// Models and calibrations of one build.
struct Builder<'a> {
    data: &'a Path,
    /// By path and stage, because stages may give other extents for open axes.
    models: HashMap<(PathBuf, String), ModelFile>,
    /// By stage and model.
    calibrated: HashMap<(usize, PathBuf), Calibration>,
}

impl Builder<'_> {
    fn model(&mut self, stage: &Stage, path: &Path) -> Result<&ModelFile, Failure> {
        let key = (path.to_owned(), stage.name.clone());
        if !self.models.contains_key(&key) {
            let read = ModelFile::read(&self.data.join(path), &stage.dimensions);
            let model = read.map_err(|error| {
                Failure::usage(error).next("check --data and the paths in the pipeline")
            })?;
            self.models.insert(key.clone(), model);
        }
        Ok(&self.models[&key])
    }

    /// The store's key of a candidate. `upstream` is the digest of the stage's samples.
    fn key(
        &mut self,
        stage: &Stage,
        candidate: &Candidate,
        upstream: &str,
    ) -> Result<String, Failure> {
        let recipe = recipe(stage, candidate)?;
        let model = self.model(stage, candidate.trained_model.as_ref().unwrap_or(&stage.model))?;
        let inputs = BuildInputs {
            quantizer: &quantizer_build(),
            model_sha256: &model.sha256,
            level: candidate.level,
            recipe: &candidate.recipe,
            calibration_sha256: recipe.needs_calibration().then_some(upstream),
        };
        Ok(inputs.key())
    }

    fn variant(
        &mut self,
        index: usize,
        stage: &Stage,
        candidate: &Candidate,
        source: &mut (dyn CalibrationSource + Send),
    ) -> Result<(VariantRecord, Vec<u8>), Failure> {
        let context = |failure: Failure| {
            failure.context(format!("failed to build {candidate} of the stage {}", stage.name))
        };
        let recipe = recipe(stage, candidate)?;
        let path = candidate.trained_model.as_ref().unwrap_or(&stage.model).clone();
        let calibrated = (index, path.clone());
        if recipe.needs_calibration() && !self.calibrated.contains_key(&calibrated) {
            let samples = source.samples(index)?;
            if samples.is_empty() {
                let error = anyhow::anyhow!(
                    "the stages before {} find nothing in any calibration image, at fp32",
                    stage.name
                );
                return Err(context(Failure::usage(error)).next(
                    "name calibration images under [data] in which there is something to find",
                ));
            }
            let calibration = calibrate(self.model(stage, &path)?, &samples);
            let calibration = calibration.map_err(|e| context(Failure::usage(e)))?;
            self.calibrated.insert(calibrated.clone(), calibration);
        }
        let model = self.models.get(&(path.clone(), stage.name.clone())).ok_or_else(|| {
            Failure::usage(anyhow::anyhow!("the model {} was not read", path.display()))
        })?;
        let calibration = self.calibrated.get(&calibrated);
        let variant = quantize(&model.graph, candidate.level, &recipe, calibration)
            .map_err(|error| context(Failure::usage(error)))?;
        let bytes = variant.to_bytes();
        let record = VariantRecord::new(&variant, &bytes, &model.sha256, &candidate.recipe);
        Ok((record, bytes))
    }
}

fn recipe(stage: &Stage, candidate: &Candidate) -> Result<Recipe, Failure> {
    candidate.recipe.parse().map_err(|error: UnknownRecipe| {
        Failure::usage(error).context(format!("failed to build the stage {}", stage.name))
    })
}

/// Statistics of a model's values over `samples`, on all threads of this machine.
///
/// # Errors
/// See [`CalibrateError`].
pub fn calibrate(model: &ModelFile, samples: &[Vec<Tensor>]) -> Result<Calibration, BuildError> {
    let pool: &dyn Pool = &RayonPool::new(rayon::ThreadPoolBuilder::new().build()?);
    let mut calibrator = Calibrator::new(&model.graph, &CpuFeatures::detect())?;
    for sample in samples {
        calibrator.observe(sample, pool)?;
    }
    Ok(calibrator.finish()?)
}
