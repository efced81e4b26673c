//! From the file as written to a checked [`Pipeline`].

use std::collections::BTreeMap;

use quantrack_engine::Level;
use quantrack_engine::model::Dimensions;
use quantrack_engine::quantize::{Recipe, UnknownRecipe, default_recipe, recipes_of};
use toml::Spanned;

use super::error::{Source, SpecError, closest};
use super::file::{self, File, Group, Measured, ObjectiveKind, Part, Rate};
use super::pipeline::{Candidate, Data, Measure, Pipeline, Stage};
use super::{data, judge};
use crate::metric::{Criterion, Unit};
use crate::search::{Composition, Constraints, Objective, RateByLevel};

/// The recipe of models that were trained at their level.
pub const TRAINED: &str = "trained";
/// The same with everything else in fp32, which needs no calibration.
const IMPORTED: &str = "imported";
/// Stands for the engine's recipes of a level, in order of cost, each tried where those before it have collapsed.
const AUTO: &str = "auto";

pub(super) fn pipeline(source: Source<'_>) -> Result<Pipeline, SpecError> {
    let file: File = toml::from_str(source.text).map_err(|error| source.toml_error(&error))?;
    if file.name.get_ref().trim().is_empty() {
        return Err(source.error(file.name.span().start, "the pipeline needs a name"));
    }
    if file.stage.is_empty() {
        return Err(source.error(0, "the pipeline has no stage; add [[stage]] tables"));
    }
    let mut stages: Vec<Stage> = Vec::new();
    let data = data::sets(source, file.data)?;
    for written in &file.stage {
        let name = written.name.get_ref();
        if stages.iter().any(|stage| stage.name == *name) {
            let message = format!("two stages are called {name:?}; names must differ");
            return Err(source.error(written.name.span().start, message));
        }
        stages.push(stage(source, written, &data)?);
    }
    let metric = judge::end_to_end(source, &file.accuracy, &data)?;
    let floor = judge::floor(source, &file.accuracy, metric.unit())?;
    let confidence = match &file.accuracy.get_ref().confidence {
        Some(share) => in_range(source, share, "confidence", 0.5..=0.9999)?,
        None => 0.95,
    };
    let max_latency_us = match &file.latency.max_ms {
        Some(limit) => Some(1e3 * in_range(source, limit, "max-ms", 1e-6..=1e9)?),
        None => None,
    };
    let objective = objective(source, file.objective.as_ref(), max_latency_us)?;
    let composition = composition(source, &file.stage, file.composition.as_ref(), &stages)?;
    let constraints = constraints(source, &file.constraints, &stages)?;
    Ok(Pipeline {
        name: file.name.into_inner(),
        data,
        metric,
        floor,
        confidence,
        gate: file.gate,
        percentile: file.latency.percentile,
        max_latency_us,
        objective,
        constraints,
        composition,
        measure: measure(source, file.measure)?,
        stages,
    })
}

pub(super) fn in_range(
    source: Source<'_>,
    value: &Spanned<f64>,
    key: &str,
    range: std::ops::RangeInclusive<f64>,
) -> Result<f64, SpecError> {
    if range.contains(value.get_ref()) {
        return Ok(*value.get_ref());
    }
    let message = format!(
        "{key} is {}, but must be between {} and {}",
        value.get_ref(),
        range.start(),
        range.end()
    );
    Err(source.error(value.span().start, message))
}

fn level(source: Source<'_>, text: &Spanned<String>) -> Result<Level, SpecError> {
    text.get_ref().parse().map_err(|unknown: quantrack_engine::level::UnknownLevel| {
        let close = closest(text.get_ref(), Level::ALL.iter().map(|level| level.name()));
        let hint = close.map_or(String::new(), |close| format!("; did you mean \"{close}\"?"));
        source.error(text.span().start, format!("{unknown}{hint}"))
    })
}

fn stage(source: Source<'_>, written: &file::Stage, data: &Data) -> Result<Stage, SpecError> {
    let levels = levels(source, written)?;
    let among = |key: &Spanned<String>, what: &str| -> Result<Level, SpecError> {
        let named = level(source, key)?;
        if levels.contains(&named) {
            return Ok(named);
        }
        let name = written.name.get_ref();
        let message = format!("{what} are given for {named}, which is not among {name}'s levels");
        Err(source.error(key.span().start, message))
    };
    let mut recipes: BTreeMap<Level, Vec<String>> = BTreeMap::new();
    for (key, names) in &written.recipes {
        if names.is_empty() {
            return Err(source.error(key.span().start, "name at least one recipe, or leave it out"));
        }
        if let Some(twice) = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name)) {
            let message = format!("the recipe {:?} is given twice", twice.1.get_ref());
            return Err(source.error(twice.1.span().start, message));
        }
        for name in names {
            if name.get_ref() == AUTO && names.len() == 1 {
                continue;
            }
            name.get_ref().parse::<Recipe>().map_err(|unknown: UnknownRecipe| {
                source.error(name.span().start, unknown.to_string())
            })?;
        }
        let names = names.iter().map(|name| name.get_ref().clone()).collect();
        recipes.insert(among(key, "recipes")?, names);
    }
    let mut trained = BTreeMap::new();
    for (key, path) in &written.trained {
        trained.insert(among(key, "trained models")?, path.clone());
    }
    let mut candidates = Vec::new();
    for level in levels {
        let named = recipes.remove(&level);
        let trained_model = trained.remove(&level);
        // A trained model replaces the default recipe, but not recipes that were asked for.
        let if_needed = named.as_ref().is_some_and(|named| named == &[AUTO]);
        let mut names = match (named, &trained_model) {
            (Some(_), _) if if_needed => recipes_of(level).iter().map(Recipe::to_string).collect(),
            (Some(named), _) => named,
            (None, Some(_)) => Vec::new(),
            (None, None) => vec![default_recipe(level).to_string()],
        };
        let of_trained = |name: &str| name == TRAINED || name == IMPORTED;
        if trained_model.is_some() && !names.iter().any(|name| of_trained(name)) {
            names.push(TRAINED.to_owned());
        }
        candidates.extend(names.into_iter().map(|recipe| Candidate {
            level,
            if_needed,
            trained_model: trained_model.clone().filter(|_| of_trained(&recipe)),
            recipe,
        }));
    }
    let metric = judge::stage(source, written, data)?;
    let unit = metric.as_ref().map_or(Unit::Share, Criterion::unit);
    let least = written.min_accuracy.as_ref();
    let min_accuracy = least.map(|least| judge::least(source, least, unit)).transpose()?;
    Ok(Stage {
        name: written.name.get_ref().clone(),
        model: written.model.get_ref().clone(),
        dimensions: Dimensions::new(written.dimensions.clone()),
        glue: written.glue.get_ref().clone(),
        candidates,
        metric,
        min_accuracy,
        measured_rate: is_measured(written),
    })
}

/// Whether the rate is to be measured.
fn is_measured(written: &file::Stage) -> bool {
    written
        .rate
        .as_ref()
        .is_some_and(|rate| matches!(rate.get_ref(), Rate::Word(Measured::Measured)))
}

/// The levels of a stage, from most to fewest bits; fp32 must be among them, for it is what all are compared with.
fn levels(source: Source<'_>, written: &file::Stage) -> Result<Vec<Level>, SpecError> {
    let mut levels = Vec::new();
    for text in written.levels.get_ref() {
        let level = level(source, text)?;
        if levels.contains(&level) {
            return Err(source.error(text.span().start, format!("{level} is given twice")));
        }
        levels.push(level);
    }
    if !levels.contains(&Level::Fp32) {
        let message = "fp32 must be among the levels: all others are compared with it";
        return Err(source.error(written.levels.span().start, message));
    }
    levels.sort_unstable();
    Ok(levels)
}

fn objective(
    source: Source<'_>,
    written: Option<&Spanned<file::Objective>>,
    max_latency_us: Option<f64>,
) -> Result<Objective, SpecError> {
    let Some(spanned) = written else { return Ok(Objective::MinLatency) };
    let at = spanned.span().start;
    let objective = spanned.get_ref();
    match (objective.kind, &objective.accuracy_weight) {
        (ObjectiveKind::Weighted, Some(weight)) => {
            let accuracy_weight = in_range(source, weight, "accuracy-weight", 0.0..=1e9)?;
            Ok(Objective::Weighted { accuracy_weight })
        }
        (ObjectiveKind::Weighted, None) => {
            let message = "objective weighted needs accuracy-weight: the price of the whole \
                           accuracy (100 points) in baseline latencies";
            Err(source.error(at, message))
        }
        (_, Some(weight)) => {
            let message = "accuracy-weight belongs to the objective weighted only";
            Err(source.error(weight.span().start, message))
        }
        (ObjectiveKind::MaxAccuracy, None) if max_latency_us.is_none() => {
            Err(source.error(at, "objective max-accuracy needs max-ms under [latency]"))
        }
        (ObjectiveKind::MaxAccuracy, None) => Ok(Objective::MaxAccuracy),
        (ObjectiveKind::MinLatency, None) => Ok(Objective::MinLatency),
        (ObjectiveKind::Pareto, None) => Ok(Objective::ParetoFront),
    }
}

fn measure(source: Source<'_>, written: Option<Spanned<Measure>>) -> Result<Measure, SpecError> {
    let Some(spanned) = written else { return Ok(Measure::default()) };
    let at = spanned.span().start;
    let measure = spanned.into_inner();
    let wrong = if measure.threads == 0 || measure.threads > 256 {
        Some("threads must be between 1 and 256")
    } else if !measure.cores.is_empty() && (measure.cores.len() as u64) < u64::from(measure.threads)
    {
        Some("cores must name at least as many cores as there are threads, or be left out")
    } else if measure.block == 0 || measure.min_samples == 0 {
        Some("block and min-samples must be at least 1")
    } else if measure.max_samples < measure.min_samples {
        Some("max-samples must not be less than min-samples")
    } else if !(measure.target_ci > 0.0 && measure.target_ci < 1.0) {
        Some("target-ci must be a share between 0 and 1")
    } else if measure.max_seconds == 0 || measure.max_seconds > 4_000_000 {
        Some("max-seconds must be between 1 and 4000000")
    } else if measure.memory_mb < 16 {
        Some("memory-mb must be at least 16")
    } else if measure.cool_to.is_some_and(|celsius| !(-40.0..=125.0).contains(&celsius)) {
        Some("cool-to must be a temperature from -40 to 125 °C")
    } else if measure.cool_seconds > 4_000_000 {
        Some("cool-seconds must be at most 4000000")
    } else {
        None
    };
    wrong.map_or(Ok(measure), |message| Err(source.error(at, format!("[measure] {message}"))))
}

fn composition(
    source: Source<'_>,
    written_stages: &[file::Stage],
    written: Option<&Spanned<Vec<Part>>>,
    stages: &[Stage],
) -> Result<Composition, SpecError> {
    let rate = |stage: &file::Stage| match stage.rate.as_ref().map(|rate| (rate, rate.get_ref())) {
        Some((at, &Rate::Share(share))) => {
            in_range(source, &Spanned::new(at.span(), share), "rate", 0.0..=1.0)
        }
        // Until it is measured the stage counts as if it always ran.
        Some((_, Rate::Word(Measured::Measured))) | None => Ok(1.0),
    };
    let rates = written_stages.iter().map(rate).collect::<Result<Vec<f64>, _>>()?;
    let dependent: Vec<Option<RateByLevel>> = written_stages
        .iter()
        .map(|stage| stage.rate_by.as_ref().map(|by| rate_by(source, by, stages)).transpose())
        .collect::<Result<_, _>>()?;
    let leaf = |stage: usize| {
        let by = dependent[stage].clone();
        Composition::Stage { stage, rate: rates[stage], by }
    };
    let Some(written) = written else {
        let chain = Composition::Chain((0..stages.len()).map(leaf).collect());
        measurable(source, written_stages, &chain)?;
        return Ok(chain);
    };
    let at = written.span().start;
    let tree = Composition::Chain(parts(written.get_ref(), stages, &leaf).map_err(|name| {
        let close = closest(&name, stages.iter().map(|stage| stage.name.as_str()));
        let hint = close.map_or(String::new(), |close| format!("; did you mean {close:?}?"));
        source.error(at, format!("the composition names {name:?}, which is no stage{hint}"))
    })?);
    tree.validate(stages.len()).map_err(|error| {
        let named = match error {
            crate::search::CompositionError::NotOnce(stage, times) => format!(
                "the composition has the stage {:?} {times} times; every stage must be in it once",
                stages[stage].name
            ),
            crate::search::CompositionError::Dependence(stage, _) => format!(
                "the rate of the stage {:?} depends on its own level; name another stage",
                stages[stage].name
            ),
            other => other.to_string(),
        };
        source.error(at, named)
    })?;
    runs_in_order(&tree, stages).map_err(|message| source.error(at, message))?;
    measurable(source, written_stages, &tree)?;
    Ok(tree)
}

/// Checks that where a rate is to be measured there is one stage that decides it, and nothing else does.
fn measurable(
    source: Source<'_>,
    written_stages: &[file::Stage],
    composition: &Composition,
) -> Result<(), SpecError> {
    let (sources, _) = composition.sources(written_stages.len());
    for (written, before) in written_stages.iter().zip(sources) {
        let Some(rate) = written.rate.as_ref().filter(|_| is_measured(written)) else { continue };
        let wrong = match before.len() {
            0 => "a first stage runs on every image; leave out rate, or give a share",
            1 if written.rate_by.is_some() => {
                "a measured rate follows the stage before by itself; leave out rate-by"
            }
            1 => continue,
            _ => "a rate is measured where one stage comes before, here are several; give a share",
        };
        return Err(source.error(rate.span().start, wrong));
    }
    Ok(())
}

/// The index of the stage called `name`, which stands at `at`.
fn index_of(
    source: Source<'_>,
    at: usize,
    name: &str,
    stages: &[Stage],
) -> Result<usize, SpecError> {
    stages.iter().position(|stage| stage.name == name).ok_or_else(|| {
        let close = closest(name, stages.iter().map(|stage| stage.name.as_str()));
        let hint = close.map_or(String::new(), |close| format!("; did you mean {close:?}?"));
        source.error(at, format!("{name:?} is no stage of the pipeline{hint}"))
    })
}

fn rate_by(
    source: Source<'_>,
    written: &file::RateBy,
    stages: &[Stage],
) -> Result<RateByLevel, SpecError> {
    let at = written.stage.span().start;
    let stage = index_of(source, at, written.stage.get_ref(), stages)?;
    let mut rates = BTreeMap::new();
    for (key, rate) in &written.levels {
        let named = level(source, key)?;
        if !stages[stage].candidates.iter().any(|candidate| candidate.level == named) {
            let name = &stages[stage].name;
            let message =
                format!("a rate is given for {named}, which is not among {name}'s levels");
            return Err(source.error(key.span().start, message));
        }
        rates.insert(named, in_range(source, rate, "a rate", 0.0..=1.0)?);
    }
    Ok(RateByLevel { stage, rates })
}

fn constraints(
    source: Source<'_>,
    written: &file::Constraints,
    stages: &[Stage],
) -> Result<Constraints, SpecError> {
    let bytes = |limit: &Option<Spanned<f64>>, key: &str| -> Result<Option<u64>, SpecError> {
        let Some(limit) = limit else { return Ok(None) };
        let mb = in_range(source, limit, key, 1e-6..=1e9)?;
        Ok(Some((mb * f64::from(1 << 20)) as u64))
    };
    let mut same_level = Vec::new();
    for group in &written.same_level {
        let at = group.span().start;
        let index = |name: &String| index_of(source, at, name, stages);
        let group: Vec<usize> = group.get_ref().iter().map(index).collect::<Result<_, _>>()?;
        if group.len() < 2 {
            return Err(source.error(at, "a group of same-level needs at least two stages"));
        }
        let levels = |stage: usize| stages[stage].candidates.iter().map(|c| c.level);
        let shared = |level: &Level| group.iter().all(|&stage| levels(stage).any(|l| l == *level));
        if !levels(group[0]).any(|level| shared(&level)) {
            return Err(source.error(at, "these stages have no level in common"));
        }
        same_level.push(group);
    }
    Ok(Constraints {
        max_model_bytes: bytes(&written.max_model_mb, "max-model-mb")?,
        max_memory_bytes: bytes(&written.max_memory_mb, "max-memory-mb")?,
        same_level,
    })
}

/// Stages run in the order of the file, and the last one answers.
fn runs_in_order(tree: &Composition, stages: &[Stage]) -> Result<(), String> {
    let (sources, ends) = tree.sources(stages.len());
    for (stage, before) in sources.iter().enumerate() {
        if let Some(&late) = before.iter().find(|&&source| source > stage) {
            return Err(format!(
                "the composition feeds the stage {:?} from {:?}, which stands after it; move its [[stage]] up",
                stages[stage].name, stages[late].name
            ));
        }
    }
    if ends.len() > 1 {
        let names: Vec<&str> = ends.iter().map(|&end| stages[end].name.as_str()).collect();
        return Err(format!(
            "the composition ends in parallel stages ({}); end it with the one that names the class",
            names.join(", ")
        ));
    }
    Ok(())
}

/// The parts as a composition, or the name that is no stage.
fn parts(
    written: &[Part],
    stages: &[Stage],
    leaf: &dyn Fn(usize) -> Composition,
) -> Result<Vec<Composition>, String> {
    let part = |part: &Part| match part {
        Part::Stage(name) => stages
            .iter()
            .position(|stage| stage.name == *name)
            .map(leaf)
            .ok_or_else(|| name.clone()),
        Part::Group(Group::Chain(inner)) => Ok(Composition::Chain(parts(inner, stages, leaf)?)),
        Part::Group(Group::Parallel(inner)) => {
            Ok(Composition::Parallel(parts(inner, stages, leaf)?))
        }
    };
    written.iter().map(part).collect()
}
