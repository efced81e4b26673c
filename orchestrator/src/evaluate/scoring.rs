//! Scores by a program of the user's, which is given what models put out.

use std::sync::Arc;

use super::chain::{Given, Picture};
use super::judge::Judge;
use super::{EvaluateError, Evaluator, LoadedVariant, SampleResult, Score};
use crate::metric::{Exchange, External, ExternalError, Scope, Subject, Unit};

/// A stage, and the variants that it and those before it run.
pub(super) type Running<'a> = (usize, &'a [Arc<LoadedVariant>]);

impl Evaluator {
    /// The results of some images. End to end every image has one.
    pub(super) fn scores(
        &self,
        program: &External,
        judge: &Judge,
        images: &[usize],
        running: Running<'_>,
        end_to_end: bool,
    ) -> Result<Vec<SampleResult>, EvaluateError> {
        let fault = |source| self.external(running.0, program, source);
        let exchange = Exchange::new().map_err(fault)?;
        let subjects = self.subjects(program, &exchange, images, running, end_to_end)?;
        let scored: Vec<Subject> = subjects.iter().flatten().cloned().collect();
        let mut scores = self.ask(program, &exchange, &scored, running.0, end_to_end)?.into_iter();
        let result = |(&index, subject): (&usize, &Option<Subject>)| match subject {
            None => Ok(SampleResult::default()),
            Some(_) => {
                let score = scores.next().flatten();
                judge.scored(&self.dataset().samples[index], score, end_to_end).map_err(fault)
            }
        };
        images.iter().zip(&subjects).map(result).collect()
    }

    /// The one score of all images, of a variant in the place of a stage.
    pub(super) fn whole_score(
        &self,
        program: &External,
        judge: &Judge,
        running: Running<'_>,
    ) -> Result<Score, EvaluateError> {
        let fault = |source| self.external(running.0, program, source);
        let exchange = Exchange::new().map_err(fault)?;
        let all: Vec<usize> = (0..self.dataset().samples.len()).collect();
        let subjects = self.subjects(program, &exchange, &all, running, false)?;
        let scored: Vec<Subject> = subjects.into_iter().flatten().collect();
        let scores = self.ask(program, &exchange, &scored, running.0, false)?;
        let value = match scores.as_slice() {
            [Some(value)] => *value,
            // Not asked: there is nothing to score.
            [] => 0.0,
            _ => return Err(fault(ExternalError::Null { sample: "the whole set".to_owned() })),
        };
        Ok(Score {
            metric: judge.criterion.name(),
            value,
            unit: Unit::Number,
            ci95: None,
            samples: scored.len() as u64,
            details: Vec::new(),
        })
    }

    /// Writes what the stage puts out for some images, and what it does at fp32; `None` for images in which it has nothing to look
    /// at.
    fn subjects(
        &self,
        program: &External,
        exchange: &Exchange,
        images: &[usize],
        (stage, variants): Running<'_>,
        end_to_end: bool,
    ) -> Result<Vec<Option<Subject>>, EvaluateError> {
        let chain = self.chain();
        let baseline = chain.baseline();
        let reference = &baseline[..=stage];
        self.each(images, |picture: &Picture<'_>| {
            let outputs = |variants: &[Arc<LoadedVariant>]| {
                let given = chain.given(picture, stage, variants, self.cache())?;
                let is_reached = !matches!(given, Given::Nothing);
                Ok::<_, EvaluateError>((
                    chain.run(picture, stage, &variants[stage], &given)?,
                    is_reached,
                ))
            };
            let ((variant, _), (fp32, is_reached)) = (outputs(variants)?, outputs(reference)?);
            if !is_reached && !end_to_end {
                return Ok(None);
            }
            let row = &picture.sample().row;
            let label = (!row.label.is_empty()).then(|| row.label.clone());
            let named = (row.file.clone(), label);
            let subject = exchange.add(picture.index, named, &variant, &fp32);
            subject.map(Some).map_err(|source| self.external(stage, program, source))
        })
    }

    /// What the program says of these samples; nothing where there are none.
    fn ask(
        &self,
        program: &External,
        exchange: &Exchange,
        scored: &[Subject],
        stage: usize,
        end_to_end: bool,
    ) -> Result<Vec<Option<f64>>, EvaluateError> {
        if scored.is_empty() {
            return Ok(Vec::new());
        }
        let chain = self.chain();
        let (name, outputs) = (chain.name(stage).to_owned(), chain.outputs(stage));
        let scope = Scope { stage: name, end_to_end, outputs };
        let scores = program.score(chain.folder(), exchange, &scope, scored);
        scores.map_err(|source| self.external(stage, program, source))
    }

    fn external(&self, stage: usize, program: &External, source: ExternalError) -> EvaluateError {
        let (stage, command) = (self.chain().name(stage).to_owned(), program.command.join(" "));
        EvaluateError::External { stage, command, source }
    }
}
