//! What the stages see of the calibration images.

use std::path::Path;

use rayon::prelude::*;

use super::chain::{Chain, Given, Picture};
use super::{EvaluateError, PrefixCache};
use crate::dataset::{Dataset, spread};
use crate::exit::Failure;
use crate::spec::Pipeline;
use crate::variants::CalibrationSource;
use quantrack_engine::glue::Inputs;

/// Memory for what stages found, in bytes.
const CACHE_BYTES: usize = 64 << 20;

/// The calibration images of a pipeline, and the fp32 pipeline that turns them into every stage's inputs.
#[derive(Debug)]
pub struct CalibrationImages {
    chain: Chain,
    dataset: Dataset,
    /// How many images the whole set has.
    whole: usize,
    cache: PrefixCache,
}

impl CalibrationImages {
    /// The images that `pipeline` names, as many as it asks for, evenly spread; paths are relative to `data`.
    ///
    /// # Errors
    /// Models or images that cannot be used.
    pub fn open(pipeline: &Pipeline, data: &Path) -> Result<Self, EvaluateError> {
        let whole = Dataset::open(data, &pipeline.data.calibration, &pipeline.data)?;
        let count = pipeline.data.calibration_samples.unwrap_or(whole.samples.len());
        let chain = Chain::open(pipeline, data)?;
        chain.check_samples(&whole)?;
        let (dataset, whole) = (whole.subset(count), whole.samples.len());
        Ok(Self { chain, dataset, whole, cache: PrefixCache::new(CACHE_BYTES) })
    }

    /// The pipeline at fp32.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The images that are used.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// How many images their set has; those that are not used may be held out.
    pub fn whole(&self) -> usize {
        self.whole
    }

    /// The inputs that `stage` gets from the fp32 stages before it, image by image in order; images in which those find
    /// nothing give none.
    ///
    /// # Errors
    /// When an image cannot be decoded, or glue does not fit.
    pub fn inputs(&self, stage: usize) -> Result<Vec<Inputs>, EvaluateError> {
        self.some_inputs(stage, self.dataset.samples.len())
    }

    /// As [`Self::inputs`], of at most `count` images, evenly spread.
    ///
    /// # Errors
    /// As [`Self::inputs`].
    pub fn some_inputs(&self, stage: usize, count: usize) -> Result<Vec<Inputs>, EvaluateError> {
        let baseline = self.chain.baseline();
        let one = |(index, sample)| {
            let picture = Picture::new(sample, index);
            match self.chain.given(&picture, stage, &baseline, &self.cache)? {
                Given::Nothing => Ok(Vec::new()),
                given => self.chain.prepare(&picture, stage, given.previous()),
            }
        };
        let chosen = spread(self.dataset.samples.len(), count);
        let inputs: Result<Vec<Vec<Inputs>>, EvaluateError> =
            chosen.par_iter().map(|&index| one((index, &self.dataset.samples[index]))).collect();
        Ok(inputs?.concat())
    }
}

impl CalibrationSource for CalibrationImages {
    fn digest(&self) -> Result<String, Failure> {
        self.dataset.digest().map_err(Failure::usage)
    }

    fn samples(&mut self, stage: usize) -> Result<Vec<Inputs>, Failure> {
        Ok(self.inputs(stage)?)
    }
}
