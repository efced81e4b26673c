//! The stages of a pipeline with their glue, run on one image.

use std::cell::OnceCell;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::Level;
use quantrack_engine::quantize::{default_recipe, quantize};
use quantrack_engine::vision::RgbImage;

use super::{EvaluateError, LoadedVariant, PrefixCache, PrefixKey};
use crate::dataset::{DatasetError, Sample};
use crate::spec::Pipeline;
use crate::variants::ModelFile;
use quantrack_engine::glue::{self, Finding, Glue, GlueError, Inputs, Outputs, Ports, Scene};

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
    /// By stage those that feed it, all of them earlier ones.
    sources: Vec<Vec<usize>>,
}

/// What a stage is given.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Given {
    /// The image: it is a first stage.
    Image,
    /// What the stages before found.
    Found(Arc<Finding>),
    /// Nothing: a stage before found nothing, which ends the chain for this image.
    Nothing,
}

impl Given {
    /// What was found before; `None` for a first stage.
    pub(super) fn previous(&self) -> Option<&Finding> {
        match self {
            Self::Found(finding) => Some(finding),
            Self::Image | Self::Nothing => None,
        }
    }
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
            let model = ModelFile::read(&data.join(&stage.model), &stage.dimensions)?;
            let recipe = default_recipe(Level::Fp32);
            let variant = quantize(&model.graph, Level::Fp32, &recipe, None)?;
            let baseline = Arc::new(LoadedVariant::from_bytes(&variant.to_bytes())?);
            let glue = glue::bind(&stage.glue, &Ports::from(baseline.plan()))
                .map_err(|source| EvaluateError::Glue { stage: stage.name.clone(), source })?;
            links.push(Link { name: stage.name.clone(), glue, baseline });
        }
        let (sources, _) = pipeline.composition.sources(links.len());
        Ok(Self { links, sources })
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

    /// Which stages feed which, as text: what a stage finds depends on it.
    pub fn wiring(&self) -> String {
        format!("{:?}", self.sources)
    }

    /// What the last of the stages that run `variants` finds, the first stage first; deeper stages are not run. Findings
    /// that the cache knows are taken from it.
    pub(super) fn find(
        &self,
        picture: &Picture<'_>,
        variants: &[Arc<LoadedVariant>],
        cache: &PrefixCache,
    ) -> Result<Option<Arc<Finding>>, EvaluateError> {
        let Some(stage) = variants.len().checked_sub(1) else { return Ok(None) };
        let mut involved = vec![false; variants.len()];
        self.involve(stage, &mut involved);
        let used =
            variants.iter().zip(involved).filter_map(|(variant, used)| used.then_some(variant));
        let key = PrefixKey::new(picture.index, stage, used.map(|variant| variant.sha256()));
        if let Some(known) = cache.get(&key) {
            return Ok(known);
        }
        let found = match self.given(picture, stage, variants, cache)? {
            Given::Nothing => None,
            given => self.step(picture, stage, &variants[stage], &given)?,
        };
        let found = found.map(Arc::new);
        cache.put(key, found.clone());
        Ok(found)
    }

    /// Marks `stage` and all that it depends on.
    fn involve(&self, stage: usize, involved: &mut [bool]) {
        involved[stage] = true;
        for &source in &self.sources[stage] {
            self.involve(source, involved);
        }
    }

    /// What `stage` is given when the stages before it run `variants`.
    pub(super) fn given(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        variants: &[Arc<LoadedVariant>],
        cache: &PrefixCache,
    ) -> Result<Given, EvaluateError> {
        let found = self.sources[stage]
            .iter()
            .map(|&source| self.find(picture, &variants[..=source], cache))
            .collect::<Result<Vec<_>, _>>()?;
        self.join(stage, &found)
    }

    /// What `stage` is given when the stages that feed it found this, in order.
    pub(super) fn join(
        &self,
        stage: usize,
        found: &[Option<Arc<Finding>>],
    ) -> Result<Given, EvaluateError> {
        let Some(found) = found.iter().cloned().collect::<Option<Vec<_>>>() else {
            return Ok(Given::Nothing);
        };
        Ok(match found.as_slice() {
            [] => Given::Image,
            [one] => Given::Found(Arc::clone(one)),
            several => {
                let joined = Finding::join(several.iter().map(Arc::as_ref));
                Given::Found(Arc::new(joined.map_err(|source| self.glue_error(stage, source))?))
            }
        })
    }

    /// The stages that feed `stage`.
    pub(super) fn sources(&self, stage: usize) -> &[usize] {
        &self.sources[stage]
    }

    fn step(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        variant: &LoadedVariant,
        given: &Given,
    ) -> Result<Option<Finding>, EvaluateError> {
        let previous = given.previous();
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
