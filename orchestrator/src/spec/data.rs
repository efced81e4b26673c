//! Where the samples are.

use toml::Spanned;

use super::error::{Source, SpecError};
use super::file;
use super::pipeline::{Data, Origin, SampleSet};
use crate::dataset::Portion;

/// The sets of samples.
pub(super) fn sets(source: Source<'_>, written: Spanned<file::Data>) -> Result<Data, SpecError> {
    let at = written.span().start;
    let written = written.into_inner();
    let calibration_samples = match written.calibration_samples {
        Some(count) if *count.get_ref() == 0 => {
            let message = "calibration-samples must be at least 1";
            return Err(source.error(count.span().start, message));
        }
        count => count.map(Spanned::into_inner),
    };
    let set = |set: Option<Spanned<file::SampleSet>>| {
        set.map(|set| sample_set(source, set, calibration_samples)).transpose()
    };
    let is_rest = |set: &SampleSet| matches!(set.part, Portion::Rest(_));
    let sets = (
        set(written.images)?,
        set(written.calibration)?,
        set(written.evaluation)?,
        set(written.held_out)?,
    );
    let (calibration, evaluation, held_out) = match sets {
        (None, Some(calibration), Some(evaluation), held_out) => {
            (calibration, evaluation, held_out)
        }
        (Some(all), None, None, None) if !is_rest(&all) => {
            let part = |part: Portion| SampleSet { part, ..all.clone() };
            (part(Portion::Calibration), part(Portion::Selection), Some(part(Portion::HeldOut)))
        }
        _ => {
            let message = "[data] needs either the sets calibration and evaluation (and held-out, for certifying \
                           what was chosen), or images (or tensors) alone, one set that is divided into all three";
            return Err(source.error(at, message));
        }
    };
    let is_tensors = |set: &SampleSet| matches!(set.origin, Origin::Tensors(_));
    let all_sets = [Some(&calibration), Some(&evaluation), held_out.as_ref()];
    if all_sets.iter().flatten().any(|set| is_tensors(set) != is_tensors(&evaluation)) {
        return Err(source.error(at, "the sets of [data] must be all images, or all tensors"));
    }
    let is_its =
        |set: &SampleSet| (&set.origin, &set.labels) == (&calibration.origin, &calibration.labels);
    let rests = [Some(&evaluation), held_out.as_ref()];
    if is_rest(&calibration) || rests.into_iter().flatten().any(|set| is_rest(set) && !is_its(set))
    {
        let message = "rest = true leaves out what calibration uses: name the samples and labels of calibration beside it, in \
                       evaluation or held-out";
        return Err(source.error(at, message));
    }
    if is_rest(&evaluation) && held_out.as_ref().is_some_and(is_rest) {
        let message = "evaluation and held-out are both the rest of the calibration set; what is held out must be new to the choice";
        return Err(source.error(at, message));
    }
    Ok(Data {
        calibration,
        evaluation,
        held_out,
        file_column: written.file,
        label_column: written.label,
        calibration_samples,
    })
}

fn sample_set(
    source: Source<'_>,
    set: Spanned<file::SampleSet>,
    calibration_samples: Option<usize>,
) -> Result<SampleSet, SpecError> {
    let at = set.span().start;
    let set = set.into_inner();
    let origin = match (set.images, set.tensors) {
        (Some(images), None) => Origin::Images(images),
        (None, Some(tensors)) => Origin::Tensors(tensors),
        _ => {
            let message = "a set needs either images, a folder, or tensors, a .npy or .npz file or a folder of them";
            return Err(source.error(at, message));
        }
    };
    let part = match (set.rest, calibration_samples) {
        (false, _) => Portion::Whole,
        (true, Some(used)) => Portion::Rest(used),
        (true, None) => {
            let message = "rest = true needs calibration-samples: without it calibration uses all samples of its set";
            return Err(source.error(at, message));
        }
    };
    Ok(SampleSet { origin, labels: set.labels, part })
}
