//! What stages and the whole pipeline are judged by, checked against what they find and what the labels have.

use quantrack_engine::glue::{Finding, Kind};

use super::chain::{Chain, Picture};
use super::{EvaluateError, SampleResult};
use crate::dataset::{Dataset, Sample};
use crate::metric::{Against, Criterion, ExternalError, Measure, Metric};
use crate::spec::Pipeline;

/// Whether a search can prove anything by the end-to-end metric: it counts right images.
///
/// # Errors
/// When images are not right or wrong.
pub fn check_countable(pipeline: &Pipeline) -> Result<(), EvaluateError> {
    let metric = pipeline.metric.name();
    if pipeline.metric.is_count() { Ok(()) } else { Err(EvaluateError::NoCount { metric }) }
}

/// A criterion, and what decides its results besides variants and samples.
#[derive(Clone, Debug)]
pub(super) struct Judge {
    pub(super) criterion: Criterion,
    /// Its part of the keys of evaluations.
    pub(super) key: String,
}

/// All criteria of a pipeline.
#[derive(Clone, Debug)]
pub(super) struct Judges {
    pub(super) stages: Vec<Judge>,
    pub(super) end_to_end: Judge,
}

impl Judges {
    /// Those that the pipeline file names, and for other stages what is usual for what they find.
    pub(super) fn new(
        pipeline: &Pipeline,
        chain: &Chain,
        dataset: &Dataset,
    ) -> Result<Self, EvaluateError> {
        let stage = |(index, stage): (usize, &crate::spec::Stage)| {
            let usual = || Criterion::default_of(chain.glue(index).finds());
            let criterion = stage.metric.clone().unwrap_or_else(usual);
            Judge::new(criterion, chain, index, dataset, "as metric of the stage")
        };
        let stages = pipeline.stages.iter().enumerate().map(stage).collect::<Result<_, _>>()?;
        let (last, metric) = (chain.len().saturating_sub(1), pipeline.metric.clone());
        let end_to_end = Judge::new(metric, chain, last, dataset, "as metric under [accuracy]")?;
        Ok(Self { stages, end_to_end })
    }
}

impl Judge {
    fn new(
        criterion: Criterion,
        chain: &Chain,
        stage: usize,
        dataset: &Dataset,
        place: &'static str,
    ) -> Result<Self, EvaluateError> {
        let (glue, name) = (chain.glue(stage), criterion.name());
        let finds = glue.finds();
        if !criterion.fits(finds) {
            let (stage, found) = (chain.name(stage).to_owned(), finds.name());
            let known = Metric::names_for(finds).join(", ");
            return Err(EvaluateError::Unfit { stage, name, found, place, known });
        }
        if criterion.against == Against::Labels {
            check_labels(&glue.classes(), finds, &name, dataset)?;
        }
        let digest = criterion.program().map(|program| program.digest(chain.folder())).transpose();
        let key = match digest {
            Ok(None) => name,
            Ok(Some(digest)) => format!("{name} {digest}"),
            Err(source) => {
                let (stage, command) = (chain.name(stage).to_owned(), name);
                return Err(EvaluateError::External { stage, command, source });
            }
        };
        Ok(Self { criterion, key })
    }

    /// The result for an image in which a built-in metric compares `found` with `truth`.
    pub(super) fn result(
        &self,
        chain: &Chain,
        stage: usize,
        picture: &Picture<'_>,
        (found, truth): (Option<&Finding>, Option<&Finding>),
    ) -> Result<SampleResult, EvaluateError> {
        let Measure::Builtin(metric) = self.criterion.measure else {
            return Ok(SampleResult::default());
        };
        let measured =
            metric.measure(found, truth).map_err(|source| chain.glue_error(stage, source))?;
        if let Some(value) = measured.value.filter(|value| !value.is_finite()) {
            let (metric, sample) = (self.criterion.name(), picture.sample().row.file.clone());
            return Err(EvaluateError::NotFinite { metric, value, sample });
        }
        let result = SampleResult {
            value: measured.value,
            tally: measured.tally,
            ..SampleResult::default()
        };
        Ok(self.right_or_wrong(result))
    }

    /// The result of a sample to which a program of the user's gave a score.
    pub(super) fn scored(
        &self,
        sample: &Sample,
        score: Option<f64>,
        end_to_end: bool,
    ) -> Result<SampleResult, ExternalError> {
        if score.is_none() && end_to_end {
            return Err(ExternalError::Null { sample: sample.row.file.clone() });
        }
        Ok(self.right_or_wrong(SampleResult { value: score, ..SampleResult::default() }))
    }

    /// Where the criterion says from which value on an image is right: whether it is. One in which there was nothing to be found
    /// is.
    fn right_or_wrong(&self, result: SampleResult) -> SampleResult {
        let Some(from) = self.criterion.right_from else { return result };
        let right = result.value.is_none_or(|value| value >= from);
        SampleResult { value: Some(f64::from(u8::from(right))), ..SampleResult::default() }
    }
}

/// Labels must be what the metric compares with.
fn check_labels(
    classes: &[String],
    finds: Kind,
    metric: &str,
    dataset: &Dataset,
) -> Result<(), EvaluateError> {
    let rows = || dataset.samples.iter().map(|sample| &sample.row);
    let missing = |columns: &str| {
        let problem = format!(
            "{metric} needs the columns {columns}, in pixels, and at least one row that fills them"
        );
        Err(dataset.degenerate(problem).into())
    };
    match finds {
        Kind::Class => {
            dataset.check_classes()?;
            let strange = |label: &String| !classes.is_empty() && !classes.contains(label);
            match rows().find(|row| strange(&row.label)) {
                None => Ok(()),
                Some(row) => Err(EvaluateError::Label {
                    label: row.label.clone(),
                    file: row.file.clone(),
                    classes: classes.join(", "),
                }),
            }
        }
        Kind::Regions if rows().all(|row| row.bounds.is_none()) => {
            missing("xmin, ymin, xmax, ymax")
        }
        Kind::Hand if rows().all(|row| row.landmarks.is_empty()) => missing("x0, y0, x1, y1, ..."),
        Kind::Regions | Kind::Hand | Kind::Tensors => Ok(()),
    }
}
