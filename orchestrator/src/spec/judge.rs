//! What stages and the whole pipeline are judged by, and what they must reach.

use std::time::Duration;

use toml::Spanned;

use super::check::in_range;
use super::error::{Source, SpecError};
use super::file;
use super::pipeline::Data;
use crate::metric::{Against, Criterion, External, Measure, Metric, Unit};
use crate::search::Floor;

/// Seconds that a program may take for one call, unless the file says otherwise.
const TIMEOUT_S: f64 = 60.0;

/// The end-to-end criterion: the one that is named, or the one for which there are labels.
pub(super) fn end_to_end(
    source: Source<'_>,
    accuracy: &Spanned<file::Accuracy>,
    data: &Data,
) -> Result<Criterion, SpecError> {
    let written = accuracy.get_ref();
    let labelled = data.evaluation.labels.is_some()
        && data.held_out.as_ref().is_none_or(|set| set.labels.is_some());
    let mut criterion = match &written.metric {
        Some(metric) => criterion(source, metric, written.against.as_ref(), labelled)?,
        None => match &written.against {
            Some(against) => {
                return Err(source.error(against.span().start, "against needs a metric beside it"));
            }
            None if labelled => Criterion::top1(),
            None => Criterion::agreement(),
        },
    };
    let at = written.metric.as_ref().map_or(accuracy.span().start, |metric| metric.span().start);
    if criterion.program().is_some_and(|program| program.whole_set) {
        let message = "an end-to-end metric needs a score for each sample, for one number has no interval that a decision \
                       could rest on; leave out per = \"set\"";
        return Err(source.error(at, message));
    }
    if let Some(from) = &written.right_from {
        right_from(source, from, &mut criterion)?;
    }
    Ok(criterion)
}

fn right_from(
    source: Source<'_>,
    from: &Spanned<f64>,
    criterion: &mut Criterion,
) -> Result<(), SpecError> {
    let refused = match &criterion.measure {
        _ if criterion.is_count() => Some("already counts right images"),
        Measure::Builtin(Metric::AveragePrecision(_)) => {
            Some("has no value for a single image; recall, precision and iou have")
        }
        Measure::Builtin(Metric::NormalizedMeanError) => {
            Some("is an error, of which less is better; pck@0.05 counts the landmarks within 5 %")
        }
        Measure::Builtin(_) | Measure::External(_) => None,
    };
    if let Some(why) = refused {
        let message = format!("right-from does not go with {}, which {why}", criterion.name());
        return Err(source.error(from.span().start, message));
    }
    criterion.right_from = Some(value(source, from, "right-from", criterion.unit())?);
    Ok(())
}

/// The criterion of a stage, if one is named.
pub(super) fn stage(
    source: Source<'_>,
    written: &file::Stage,
    data: &Data,
) -> Result<Option<Criterion>, SpecError> {
    match (&written.metric, &written.against) {
        (Some(metric), against) => {
            let labelled = data.evaluation.labels.is_some();
            Ok(Some(criterion(source, metric, against.as_ref(), labelled)?))
        }
        (None, Some(against)) => {
            Err(source.error(against.span().start, "against needs a metric beside it"))
        }
        (None, None) => Ok(None),
    }
}

fn criterion(
    source: Source<'_>,
    metric: &Spanned<file::Metric>,
    against: Option<&Spanned<file::Against>>,
    labelled: bool,
) -> Result<Criterion, SpecError> {
    let at = metric.span().start;
    let asked = against.map(|against| match against.get_ref() {
        file::Against::Fp32 => Against::Fp32,
        file::Against::Labels => Against::Labels,
    });
    let criterion = match (metric.get_ref(), against) {
        (file::Metric::Name(name), _) => {
            Criterion::named(name, asked).map_err(|message| source.error(at, message))?
        }
        (file::Metric::Program(program), None) => {
            Criterion::external(external(program).map_err(|message| source.error(at, message))?)
        }
        (file::Metric::Program(_), Some(against)) => {
            let message = "a command is given the labels and what fp32 puts out; leave out against";
            return Err(source.error(against.span().start, message));
        }
    };
    if criterion.against == Against::Labels && !labelled {
        let name = criterion.name();
        let message = format!(
            "{name} needs labels: name the CSV of the evaluation images, or compare with fp32 (\"agreement\" for classes)"
        );
        return Err(source.error(at, message));
    }
    Ok(criterion)
}

fn external(program: &file::Program) -> Result<External, String> {
    if program.command.first().is_none_or(|program| program.trim().is_empty()) {
        return Err("command needs a program and its arguments, as in [\"python3\", \"score.py\"]"
            .to_owned());
    }
    let seconds = program.timeout_s.unwrap_or(TIMEOUT_S);
    let timeout = Duration::try_from_secs_f64(seconds).ok();
    let timeout = timeout.filter(|_| (0.1..=86_400.0).contains(&seconds));
    Ok(External {
        command: program.command.clone(),
        timeout: timeout
            .ok_or_else(|| format!("timeout-s is {seconds}, but must be between 0.1 and 86400"))?,
        whole_set: program.per == file::Per::Set,
    })
}

/// What must be reached end to end.
pub(super) fn floor(
    source: Source<'_>,
    written: &Spanned<file::Accuracy>,
    unit: Unit,
) -> Result<Floor, SpecError> {
    let accuracy = written.get_ref();
    match (&accuracy.max_drop, &accuracy.min_accuracy) {
        (Some(points), None) if unit == Unit::Decibels => {
            let message = "max-drop counts points of a share, but the metric is in decibels; give min-accuracy = 20.0, or so";
            Err(source.error(points.span().start, message))
        }
        (Some(points), None) => {
            Ok(Floor::MaxDropPoints(in_range(source, points, "max-drop", 0.0..=100.0)?))
        }
        (None, Some(bound)) => Ok(Floor::MinAccuracy(least(source, bound, unit)?)),
        (Some(_), Some(both)) => {
            let message = "give either max-drop or min-accuracy, not both";
            Err(source.error(both.span().start, message))
        }
        (None, None) => {
            let message = "[accuracy] needs max-drop (points below fp32) or min-accuracy (a share)";
            Err(source.error(written.span().start, message))
        }
    }
}

/// A floor of a value.
pub(super) fn least(
    source: Source<'_>,
    written: &Spanned<f64>,
    unit: Unit,
) -> Result<f64, SpecError> {
    value(source, written, "min-accuracy", unit)
}

fn value(
    source: Source<'_>,
    written: &Spanned<f64>,
    key: &str,
    unit: Unit,
) -> Result<f64, SpecError> {
    let range = match unit {
        Unit::Share | Unit::Error => 0.0..=1.0,
        Unit::Decibels => -200.0..=200.0,
        Unit::Number => -1e12..=1e12,
    };
    in_range(source, written, key, range)
}
