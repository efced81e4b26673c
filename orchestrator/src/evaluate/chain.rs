//! The stages of a pipeline with their glue, run on one image.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::Level;
use quantrack_engine::quantize::{default_recipe, quantize};
use quantrack_engine::vision::RgbImage;

use super::{EvaluateError, LoadedVariant, PrefixCache, PrefixKey};
use crate::dataset::{DatasetError, Sample};
use crate::glue::{self, Finding, Glue, GlueError, Inputs, Outputs, Ports, Scene};
use crate::spec::Pipeline;
use crate::variants::ModelFile;

/// A stage with its glue.
#[derive(Debug)]
struct Link {
    name: String,
    glue: Box<dyn Glue>,
    baseline: Arc<LoadedVariant>,
}

/// The stages of a pipeline, in order, with the fp32 variant of each.
#[derive(Debug)]
pub struct Chain {
    links: Vec<Link>,
}

/// An image of a data set that is decoded when first needed.
#[derive(Debug)]
pub(super) struct Picture<'a> {
    sample: &'a Sample,
    /// Its index in the data set.
    pub(super) index: usize,
    decoded: OnceCell<RgbImage<'static>>,
}

impl<'a> Picture<'a> {
    pub(super) fn new(sample: &'a Sample, index: usize) -> Self {
        Self { sample, index, decoded: OnceCell::new() }
    }

    pub(super) fn sample(&self) -> &'a Sample {
        self.sample
    }

    fn image(&self) -> Result<&RgbImage<'static>, DatasetError> {
        if let Some(image) = self.decoded.get() {
            return Ok(image);
        }
        let image = self.sample.decode()?;
        Ok(self.decoded.get_or_init(|| image))
    }
}

impl Chain {
    /// Reads the models of `pipeline`, whose paths are relative to `data`, and binds the glue to them.
    ///
    /// # Errors
    /// When a model cannot be used, or its glue does not fit.
    pub fn open(pipeline: &Pipeline, data: &Path) -> Result<Self, EvaluateError> {
        let mut links = Vec::new();
        for stage in &pipeline.stages {
            let model = ModelFile::read(&data.join(&stage.model))?;
            let recipe = default_recipe(Level::Fp32);
            let variant = quantize(&model.graph, Level::Fp32, &recipe, None)?;
            let baseline = Arc::new(LoadedVariant::from_bytes(&variant.to_bytes())?);
            let glue = glue::bind(&stage.glue, &Ports::from(baseline.plan()))
                .map_err(|source| EvaluateError::Glue { stage: stage.name.clone(), source })?;
            links.push(Link { name: stage.name.clone(), glue, baseline });
        }
        Ok(Self { links })
    }

    /// Number of stages.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// Name of a stage.
    pub fn name(&self, stage: usize) -> &str {
        &self.links[stage].name
    }

    /// Glue of a stage.
    pub fn glue(&self, stage: usize) -> &dyn Glue {
        self.links[stage].glue.as_ref()
    }

    /// The fp32 variant of every stage.
    pub fn baseline(&self) -> Vec<Arc<LoadedVariant>> {
        self.links.iter().map(|link| Arc::clone(&link.baseline)).collect()
    }

    /// What the stages that run `variants` find, the first stage first; deeper stages are not run. Findings that the
    /// cache knows are taken from it.
    pub(super) fn find(
        &self,
        picture: &Picture<'_>,
        variants: &[Arc<LoadedVariant>],
        cache: &PrefixCache,
    ) -> Result<Option<Arc<Finding>>, EvaluateError> {
        let keys: Vec<PrefixKey> = (1..=variants.len())
            .map(|depth| {
                PrefixKey::new(picture.index, variants[..depth].iter().map(|v| v.sha256()))
            })
            .collect();
        let mut found = None;
        let mut start = 0;
        for (stage, key) in keys.iter().enumerate().rev() {
            if let Some(known) = cache.get(key) {
                (found, start) = (known, stage + 1);
                break;
            }
        }
        for (stage, key) in keys.iter().enumerate().skip(start) {
            if stage > 0 && found.is_none() {
                return Ok(None);
            }
            let next = self.step(picture, stage, &variants[stage], found.as_deref())?;
            found = next.map(Arc::new);
            cache.put(key.clone(), found.clone());
        }
        Ok(found)
    }

    fn step(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        variant: &LoadedVariant,
        previous: Option<&Finding>,
    ) -> Result<Option<Finding>, EvaluateError> {
        let inferences = self.prepare(picture, stage, previous)?;
        let outputs = inferences.iter().map(|inputs| self.infer(stage, variant, inputs));
        let outputs: Vec<Outputs> = outputs.collect::<Result<_, _>>()?;
        self.interpret(picture, stage, previous, &outputs)
    }

    /// The inferences that `stage` makes for the image, given what the stage before found.
    pub(super) fn prepare(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        previous: Option<&Finding>,
    ) -> Result<Vec<Inputs>, EvaluateError> {
        let scene = Scene { image: picture.image()?, previous };
        self.glue(stage).prepare(&scene).map_err(|source| self.glue_error(stage, source))
    }

    pub(super) fn infer(
        &self,
        stage: usize,
        variant: &LoadedVariant,
        inputs: &Inputs,
    ) -> Result<Outputs, EvaluateError> {
        let fault = |source| EvaluateError::Run { stage: self.links[stage].name.clone(), source };
        variant.run(inputs).map_err(fault)
    }

    /// What the outputs of `stage` mean.
    pub(super) fn interpret(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        previous: Option<&Finding>,
        outputs: &[Outputs],
    ) -> Result<Option<Finding>, EvaluateError> {
        if outputs.is_empty() {
            return Ok(None);
        }
        let scene = Scene { image: picture.image()?, previous };
        self.glue(stage).interpret(&scene, outputs).map_err(|source| self.glue_error(stage, source))
    }

    pub(super) fn glue_error(&self, stage: usize, source: GlueError) -> EvaluateError {
        EvaluateError::Glue { stage: self.links[stage].name.clone(), source }
    }
}
