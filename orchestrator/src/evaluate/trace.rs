//! Everything that goes into the models and comes out of them for one image: what a board is checked against.

use std::sync::Arc;

use super::chain::{Given, Picture};
use super::evaluator::label;
use super::{EvaluateError, Evaluator, LoadedVariant};
use quantrack_engine::glue::{Finding, Inputs, Outputs};

/// The inferences of one stage for one image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StageTrace {
    /// Inputs of each inference.
    pub inputs: Vec<Inputs>,
    /// Outputs of each inference.
    pub outputs: Vec<Outputs>,
    /// What it was given.
    given: Option<Given>,
}

/// One image through an assignment.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// Index of the sample.
    pub sample: usize,
    /// One per stage; empty where the chain ended before it.
    pub stages: Vec<StageTrace>,
    /// The class found; none where the pipeline names none.
    pub label: Option<String>,
}

impl Evaluator {
    /// Runs an assignment on one sample and keeps everything.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn trace(
        &self,
        sample: usize,
        assignment: &[Arc<LoadedVariant>],
    ) -> Result<Trace, EvaluateError> {
        let chain = self.chain();
        let picture = Picture::new(&self.dataset().samples[sample], sample);
        let mut stages = vec![StageTrace::default(); chain.len()];
        let mut findings: Vec<Option<Arc<Finding>>> = vec![None; chain.len()];
        for (stage, variant) in assignment.iter().enumerate() {
            let before: Vec<_> =
                chain.sources(stage).iter().map(|&source| findings[source].clone()).collect();
            let given = chain.join(stage, &before)?;
            if matches!(given, Given::Nothing) {
                continue;
            }
            let inputs = chain.prepare(&picture, stage, given.previous())?;
            let outputs = inputs.iter().map(|inputs| chain.infer(stage, variant, inputs));
            let outputs: Vec<Outputs> = outputs.collect::<Result<_, _>>()?;
            findings[stage] =
                chain.interpret(&picture, stage, given.previous(), &outputs)?.map(Arc::new);
            stages[stage] = StageTrace { inputs, outputs, given: Some(given) };
        }
        let last = findings.last().and_then(Option::as_deref);
        Ok(Trace { sample, stages, label: label(last) })
    }

    /// The class that the last stage's `outputs`, from elsewhere, mean for a traced image.
    ///
    /// # Errors
    /// See [`EvaluateError`].
    pub fn label_of(
        &self,
        trace: &Trace,
        outputs: &[Outputs],
    ) -> Result<Option<String>, EvaluateError> {
        let Some(last) = trace.stages.last().filter(|last| !last.inputs.is_empty()) else {
            return Ok(None);
        };
        let picture = Picture::new(&self.dataset().samples[trace.sample], trace.sample);
        let previous = last.given.as_ref().and_then(Given::previous);
        let found = self.chain().interpret(&picture, self.chain().len() - 1, previous, outputs)?;
        Ok(label(found.as_ref()))
    }
}
