//! A bundle's pipeline, ready for images.

use std::sync::Arc;
use std::time::Duration;

use super::{Bundle, BundleError};
use crate::glue::{self, Finding, Glue, GlueError, Outputs, Ports, Scene};
use crate::kernels::CpuFeatures;
use crate::plan::{Plan, RunError, Session};
use crate::pool::Pool;
use crate::variant::Variant;
use crate::vision::RgbImage;

/// The stages of a bundle with their glue.
#[derive(Debug)]
pub struct Runner {
    links: Vec<Link>,
}

#[derive(Debug)]
struct Link {
    name: String,
    sources: Vec<usize>,
    glue: Box<dyn Glue>,
    session: Session,
}

/// What a stage did with an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageRun {
    /// How many inferences its model made.
    pub inferences: usize,
    /// How long these took, together.
    pub model: Duration,
    /// How long it took to make their inputs and to read their outputs.
    pub glue: Duration,
    /// What it found; nothing where it found nothing, or a stage before it did.
    pub found: Option<Finding>,
}

/// An image that a pipeline cannot be run on.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// A stage's glue.
    #[error("the glue of stage {stage} failed")]
    Glue {
        /// Name of the stage.
        stage: String,
        /// Why.
        #[source]
        source: GlueError,
    },
    /// A stage's model.
    #[error("the model of stage {stage} failed")]
    Run {
        /// Name of the stage.
        stage: String,
        /// Why.
        #[source]
        source: RunError,
    },
}

impl Runner {
    /// Plans the variants for a processor.
    ///
    /// # Errors
    /// When a variant cannot be read or planned, or the glue does not fit it.
    pub fn new(bundle: &Bundle, features: &CpuFeatures) -> Result<Self, BundleError> {
        bundle.manifest.check()?;
        let mut links = Vec::new();
        for stage in &bundle.manifest.stages {
            let name = || stage.name.clone();
            let file = bundle.variants.get(&stage.variant_sha256);
            let file = file.ok_or_else(|| BundleError::missing(&stage.variant_sha256))?;
            let variant = Variant::from_bytes(file)
                .map_err(|source| BundleError::Variant { stage: name(), source })?;
            let plan = Plan::new(&variant, features)
                .map_err(|source| BundleError::Plan { stage: name(), source })?;
            let glue = glue::bind(&stage.glue, &Ports::from(&plan))
                .map_err(|source| BundleError::Glue { stage: name(), source })?;
            let session = Session::new(Arc::new(plan));
            links.push(Link { name: name(), sources: stage.sources.clone(), glue, session });
        }
        Ok(Self { links })
    }

    /// Runs all stages on an image. `now` tells the time since any moment that stays the same.
    ///
    /// # Errors
    /// When stages do not fit each other.
    pub fn run(
        &mut self,
        image: &RgbImage<'_>,
        pool: &dyn Pool,
        now: &dyn Fn() -> Duration,
    ) -> Result<Vec<StageRun>, FrameError> {
        let mut runs: Vec<StageRun> = Vec::with_capacity(self.links.len());
        for link in &mut self.links {
            let sources = link.sources.iter().map(|&source| runs[source].found.as_ref());
            let run = match sources.collect::<Option<Vec<_>>>() {
                Some(before) => link.run(image, &before, pool, now)?,
                None => StageRun::default(),
            };
            runs.push(run);
        }
        Ok(runs)
    }
}

impl Link {
    fn run(
        &mut self,
        image: &RgbImage<'_>,
        before: &[&Finding],
        pool: &dyn Pool,
        now: &dyn Fn() -> Duration,
    ) -> Result<StageRun, FrameError> {
        let name = &self.name;
        let fault = |source| FrameError::Glue { stage: name.clone(), source };
        let start = now();
        let joined;
        let previous = match before {
            [] => None,
            [one] => Some(*one),
            several => {
                joined = Finding::join(several.iter().copied()).map_err(fault)?;
                Some(&joined)
            }
        };
        let scene = Scene { image, previous };
        let inputs = self.glue.prepare(&scene).map_err(fault)?;
        let prepared = now();
        let mut outputs: Vec<Outputs> = Vec::with_capacity(inputs.len());
        for inputs in &inputs {
            let run = self.session.run(inputs, pool);
            outputs.push(run.map_err(|source| FrameError::Run { stage: name.clone(), source })?);
        }
        let computed = now();
        let found = match outputs.as_slice() {
            [] => None,
            outputs => self.glue.interpret(&scene, outputs).map_err(fault)?,
        };
        Ok(StageRun {
            inferences: outputs.len(),
            model: computed.saturating_sub(prepared),
            glue: prepared.saturating_sub(start) + now().saturating_sub(computed),
            found,
        })
    }
}
