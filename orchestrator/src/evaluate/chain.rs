//! The stages of a pipeline with their glue, run on one image.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quantrack_engine::Level;
use quantrack_engine::quantize::{default_recipe, quantize};
use quantrack_engine::vision::RgbImage;

use super::{EvaluateError, LoadedVariant, PrefixCache, PrefixKey};
use crate::dataset::{Content, Dataset, DatasetError, DecodeError, Sample};
use crate::spec::Pipeline;
use crate::variants::ModelFile;
use quantrack_engine::glue::{
    self, Finding, Glue, GlueError, Inputs, Kind, Outputs, Port, Ports, Scene,
};

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
    /// The folder that paths of the pipeline are relative to.
    folder: PathBuf,
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
    blank: OnceCell<RgbImage<'static>>,
}

impl<'a> Picture<'a> {
    pub(super) fn new(sample: &'a Sample, index: usize) -> Self {
        Self { sample, index, decoded: OnceCell::new(), blank: OnceCell::new() }
    }

    pub(super) fn sample(&self) -> &'a Sample {
        self.sample
    }

    /// The image. Nobody looks at that of tensors (see `Chain::check_samples`), and decoding takes longer than small models
    /// run: where nobody looks, there is a blank one in its place.
    fn image(&self, looks: bool) -> Result<&RgbImage<'static>, DatasetError> {
        let looks = looks && matches!(self.sample.content, Content::Image(_));
        let cell = if looks { &self.decoded } else { &self.blank };
        if let Some(image) = cell.get() {
            return Ok(image);
        }
        let image =
            match looks {
                true => self.sample.decode()?,
                false => RgbImage::new(1, 1, vec![0; 3]).map_err(DecodeError::Size).map_err(
                    |source| DatasetError::Image { path: self.sample.path().to_owned(), source },
                )?,
            };
        Ok(cell.get_or_init(|| image))
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
        Ok(Self { links, sources, folder: data.to_owned() })
    }

    /// Number of stages.
    pub fn len(&self) -> usize {
        self.links.len()
    }

    /// Whether there are no stages.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
    }

    /// The folder that paths of the pipeline are relative to.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What the last stage finds.
    pub fn finds(&self) -> Kind {
        self.links.last().map_or(Kind::Tensors, |last| last.glue.finds())
    }

    /// Names of a stage's outputs, in order.
    pub(super) fn outputs(&self, stage: usize) -> Vec<String> {
        let ports = Ports::from(self.links[stage].baseline.plan());
        ports.outputs.into_iter().map(|port| port.name).collect()
    }

    fn inputs(&self, stage: usize) -> Vec<Port> {
        Ports::from(self.links[stage].baseline.plan()).inputs
    }

    /// Whether the stages can be given these samples: tensors are what the first stages take, and no stage looks at an image
    /// that is not there.
    ///
    /// # Errors
    /// Which stage cannot be given which sample.
    pub fn check_samples(&self, dataset: &Dataset) -> Result<(), EvaluateError> {
        let is_tensors = |sample: &&Sample| matches!(sample.content, Content::Tensors(_));
        for sample in dataset.samples.iter().filter(is_tensors) {
            if let Some(link) = self.links.iter().find(|link| link.glue.looks_at_image()) {
                return Err(EvaluateError::NoImage { stage: link.name.clone() });
            }
            for stage in (0..self.len()).filter(|&stage| self.sources[stage].is_empty()) {
                sample.tensors(self.name(stage), &self.inputs(stage))?;
            }
        }
        Ok(())
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
        let outputs = self.run(picture, stage, variant, given)?;
        self.interpret(picture, stage, given.previous(), &outputs)
    }

    /// What `variant` puts out in place of the stage: of every inference.
    pub(super) fn run(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        variant: &LoadedVariant,
        given: &Given,
    ) -> Result<Vec<Outputs>, EvaluateError> {
        if matches!(given, Given::Nothing) {
            return Ok(Vec::new());
        }
        let inferences = self.prepare(picture, stage, given.previous())?;
        inferences.iter().map(|inputs| self.infer(stage, variant, inputs)).collect()
    }

    /// The inferences that `stage` makes for the image, given what the stage before found.
    pub(super) fn prepare(
        &self,
        picture: &Picture<'_>,
        stage: usize,
        previous: Option<&Finding>,
    ) -> Result<Vec<Inputs>, EvaluateError> {
        let given = match previous {
            None => picture.sample.tensors(self.name(stage), &self.inputs(stage))?,
            Some(_) => None,
        };
        let given = given.map(Finding::Tensors);
        let image = picture.image(self.looks_at_image(stage))?;
        let scene = Scene { image, previous: previous.or(given.as_ref()) };
        self.glue(stage).prepare(&scene).map_err(|source| self.glue_error(stage, source))
    }

    /// Whether `stage` looks at the image: a first stage is given it whatever its glue does.
    fn looks_at_image(&self, stage: usize) -> bool {
        self.sources[stage].is_empty() || self.glue(stage).looks_at_image()
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
        let scene = Scene { image: picture.image(self.looks_at_image(stage))?, previous };
        self.glue(stage).interpret(&scene, outputs).map_err(|source| self.glue_error(stage, source))
    }

    pub(super) fn glue_error(&self, stage: usize, source: GlueError) -> EvaluateError {
        EvaluateError::Glue { stage: self.links[stage].name.clone(), source }
    }
}
