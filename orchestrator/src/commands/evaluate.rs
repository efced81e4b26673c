//! `evaluate`: accuracy of every variant alone, and of assignments end to end.

use std::collections::BTreeMap;
use std::str::FromStr;

use quantrack_engine::Level;
use serde::Serialize;

use crate::context::Context;
use crate::evaluate::{
    CalibrationImages, Comparison, EndToEndRow, Evaluator, SensitivityRow, StoredEvaluator,
    details_text,
};
use crate::exit::{CommandResult, Exit, Failure};
use crate::metric::Unit;
use crate::output::text_table;
use crate::spec::Pipeline;
use crate::store::Store;
use crate::variants::{self, StageVariant};

/// Options of `evaluate`.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Args {
    /// Evaluate this assignment too, such as `palm=int8,landmark=fp32`; stages not named run at fp32. Repeatable.
    #[arg(long, value_name = "STAGE=LEVEL,...")]
    pub assignment: Vec<Wanted>,
    /// Evaluate every variant end to end too, all other stages at fp32.
    #[arg(long)]
    pub alone: bool,
    /// Threads of this machine that evaluate [default: one per core].
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub host_threads: usize,
}

/// Levels by stage, as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted(BTreeMap<String, Level>);

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut levels = BTreeMap::new();
        for part in text.split(',') {
            let (stage, level) =
                part.split_once('=').ok_or_else(|| format!("{part:?} is not STAGE=LEVEL"))?;
            let level: Level = level.trim().parse().map_err(|error| format!("{error}"))?;
            if levels.insert(stage.trim().to_owned(), level).is_some() {
                return Err(format!("the stage {} is named twice", stage.trim()));
            }
        }
        Ok(Self(levels))
    }
}

/// What `evaluate` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Name of the pipeline.
    pub pipeline: String,
    /// Each variant alone, the other stages at fp32.
    pub rows: Vec<SensitivityRow>,
    /// Assignments: all stages at fp32, uniform levels, and those asked for.
    pub end_to_end: Vec<Compared>,
    /// The confidence of the verdicts.
    pub confidence: f64,
}

/// An assignment, and how it compares with all stages at fp32.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The assignment and its accuracy.
    #[serde(flatten)]
    pub row: EndToEndRow,
    /// Recipes, by stage.
    pub recipes: BTreeMap<String, String>,
    /// The difference, its interval, and whether it reaches the accuracy that the pipeline asks for.
    #[serde(flatten)]
    pub comparison: Comparison,
}

/// Runs the command.
///
/// # Errors
/// When the pipeline's files or the store fail.
pub async fn run(args: Args, context: &Context) -> CommandResult {
    let pipeline = context.pipeline()?;
    let store = context.store().await?;
    let shown = measure(&args, context, &pipeline, &store).await?;
    context.print("evaluate", &shown, human)?;
    Ok(Exit::Ok)
}

/// Builds what is missing, evaluates it, and keeps the results.
///
/// # Errors
/// As [`run`].
pub async fn measure(
    args: &Args,
    context: &Context,
    pipeline: &Pipeline,
    store: &Store,
) -> Result<Shown, Failure> {
    let data = context.data()?;
    let mut images = CalibrationImages::open(pipeline, &data)?;
    // Labels that cannot be used are told before anything takes long.
    let evaluator = Evaluator::open(pipeline, &data, args.host_threads)?;
    let variants = variants::build(pipeline, &data, &mut images, store, &context.progress).await?;
    tokio::task::block_in_place(|| {
        let mut stored = StoredEvaluator::new(&evaluator, store, &pipeline.name, &variants);
        let assignments = assignments(pipeline, &variants, args)?;
        let total = (variants.len() + assignments.len()) as u64;
        let bar = context.progress.bar("accuracy", total);
        let mut shown = Shown {
            pipeline: pipeline.name.clone(),
            rows: Vec::new(),
            end_to_end: Vec::new(),
            confidence: pipeline.confidence,
        };
        for variant in &variants {
            bar.say(variant.to_string());
            if let Some((stage, _)) = pipeline.stage(&variant.stage) {
                shown.rows.push(stored.sensitivity(stage, variant)?);
            }
            bar.step();
        }
        // The first is all stages at fp32.
        let baseline = match assignments.first() {
            Some(first) => stored.results(first)?,
            None => Vec::new(),
        };
        for assignment in &assignments {
            bar.say("end to end");
            let row = stored.end_to_end(assignment)?;
            if shown.end_to_end.iter().all(|other| other.row.variants != row.variants) {
                let target = (pipeline.floor, pipeline.confidence);
                let results = stored.results(assignment)?;
                shown.end_to_end.push(Compared {
                    recipes: recipes(&variants, assignment),
                    row,
                    comparison: Comparison::new(evaluator.criterion(), &baseline, &results, target),
                });
            }
            bar.step();
        }
        bar.done(&format!("{} images", evaluator.dataset().samples.len()));
        Ok(shown)
    })
}

/// The recipe of each stage's variant.
fn recipes(variants: &[StageVariant], assignment: &[&str]) -> BTreeMap<String, String> {
    let used = variants.iter().filter(|v| assignment.contains(&v.record.sha256.as_str()));
    used.map(|v| (v.stage.clone(), v.record.recipe.clone())).collect()
}

/// Digests of the variants of every assignment to evaluate: uniform levels that all stages have, fp32 first, then every variant
/// alone where that is asked for, then those that are named. Of several recipes at a level the first counts.
fn assignments<'v>(
    pipeline: &Pipeline,
    variants: &'v [StageVariant],
    args: &Args,
) -> Result<Vec<Vec<&'v str>>, Failure> {
    let find = |stage: &str, level: Level| {
        let fits = |v: &&StageVariant| v.stage == stage && v.record.level == level;
        variants.iter().find(fits).map(|variant| variant.record.sha256.as_str())
    };
    let uniform = |level: Level| {
        pipeline.stages.iter().map(|stage| find(&stage.name, level)).collect::<Option<Vec<_>>>()
    };
    let mut all: Vec<Vec<&str>> = Level::ALL.into_iter().filter_map(uniform).collect();
    if let (true, Some(baseline)) = (args.alone, all.first().cloned()) {
        for variant in variants {
            if let Some((stage, _)) = pipeline.stage(&variant.stage) {
                let mut assignment = baseline.clone();
                assignment[stage] = variant.record.sha256.as_str();
                all.push(assignment);
            }
        }
    }
    for Wanted(levels) in &args.assignment {
        if let Some(unknown) = levels.keys().find(|name| pipeline.stage(name).is_none()) {
            let names: Vec<&str> = pipeline.stages.iter().map(|s| s.name.as_str()).collect();
            let error = anyhow::anyhow!("{} has no stage {unknown:?}", pipeline.name);
            return Err(Failure::usage(error).next(format!("use one of {}", names.join(", "))));
        }
        let pick = |stage: &crate::spec::Stage| {
            let level = levels.get(&stage.name).copied().unwrap_or(Level::Fp32);
            find(&stage.name, level).ok_or_else(|| {
                let error = anyhow::anyhow!("the stage {} is not tried at {level}", stage.name);
                Failure::usage(error).next("add the level to the stage in the pipeline file")
            })
        };
        all.push(pipeline.stages.iter().map(pick).collect::<Result<_, _>>()?);
    }
    Ok(all)
}

fn human(shown: &Shown) -> String {
    let interval = |unit: Unit, (low, high): (f64, f64)| {
        let low = unit.text(low);
        format!("{} to {}", low.trim_end_matches([' ', '%', 'd', 'B']), unit.text(high))
    };
    let rows = shown.rows.iter().map(|row| {
        vec![
            row.stage.clone(),
            row.level.to_string(),
            row.recipe.clone(),
            row.score.metric.clone(),
            row.score.unit.text(row.score.value),
            row.score.ci95.map_or("–".to_owned(), |bounds| interval(row.score.unit, bounds)),
            row.score.samples.to_string(),
            details_text(&row.score.details),
        ]
    });
    let header = [
        "stage",
        "level",
        "recipe",
        "metric",
        ">value",
        ">95 % interval",
        ">images",
        "compared with fp32",
    ];
    let alone = text_table(&header, rows);
    let mut stages: Vec<&str> = shown.rows.iter().map(|row| row.stage.as_str()).collect();
    stages.dedup();
    let rows = shown.end_to_end.iter().map(|compared| {
        let (result, comparison) = (&compared.row.result, &compared.comparison);
        // Points of a share; decibels and whatever a program counts in are themselves.
        let points = |difference: f64| match result.unit {
            Unit::Share | Unit::Error => format!("{:+.1}", 100.0 * difference),
            Unit::Decibels | Unit::Number => format!("{difference:+.2}"),
        };
        let (low, high) = comparison.difference_ci95;
        let right = match result.correct {
            Some(correct) => format!("{correct} of {}", result.total),
            None => format!("{} images", result.total),
        };
        vec![
            label(&stages, &compared.row.assignment, &compared.recipes),
            right,
            result.unit.text(result.value),
            interval(result.unit, result.ci95),
            format!("{} ({} to {})", points(comparison.difference), points(low), points(high)),
            comparison.verdict.to_string(),
        ]
    });
    let value = match shown.end_to_end.first().map(|first| &first.row.result) {
        Some(first) if first.correct.is_none() => format!(">{}", first.metric),
        _ => ">accuracy".to_owned(),
    };
    let header =
        ["assignment", ">right", &value, ">95 % interval", ">points from fp32 (95 %)", "target"];
    let together = text_table(&header, rows);
    format!("Each stage alone, the others at fp32\n{alone}\n\nEnd to end\n{together}")
}

/// The levels in the order of the stages, as `--assignment` takes them, "all" for a single one, or one stage's with its recipe
/// where only that differs from fp32.
fn label(
    stages: &[&str],
    levels: &BTreeMap<String, Level>,
    recipes: &BTreeMap<String, String>,
) -> String {
    if let Some((_, &first)) = levels.first_key_value()
        && levels.values().all(|&level| level == first)
    {
        return format!("all {first}");
    }
    let lowered: Vec<_> = levels.iter().filter(|(_, level)| **level != Level::Fp32).collect();
    if let &[(stage, level)] = lowered.as_slice()
        && let Some(recipe) = recipes.get(stage)
    {
        return format!("{stage}={level} ({recipe})");
    }
    let one = |stage: &&str| levels.get(*stage).map(|level| format!("{stage}={level}"));
    let parts: Vec<String> = stages.iter().filter_map(one).collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_told_in_the_order_of_the_stages() {
        let stages = ["palm", "landmark", "gesture"];
        let recipes = BTreeMap::from([("palm".to_owned(), "mse".to_owned())]);
        let label = |levels: &BTreeMap<String, Level>| label(&stages, levels, &recipes);
        let Wanted(levels) = "gesture=fp32,palm=int8,landmark=fp32".parse().unwrap();
        assert_eq!(label(&levels), "palm=int8 (mse)");
        let Wanted(levels) = "gesture=int8,palm=bin1,landmark=fp32".parse().unwrap();
        assert_eq!(label(&levels), "palm=bin1,landmark=fp32,gesture=int8");
        let Wanted(levels) = "gesture=int8,palm=int8,landmark=int8".parse().unwrap();
        assert_eq!(label(&levels), "all int8");
    }

    #[test]
    fn assignments_are_read_strictly() {
        let Wanted(levels) = "palm=int8, landmark=fp-32".parse().unwrap();
        assert_eq!(levels["palm"], Level::Int8);
        assert_eq!(levels["landmark"], Level::Fp32);
        for (text, expected) in
            [("palm", "STAGE=LEVEL"), ("palm=int9", "int9"), ("a=int8,a=fp32", "twice")]
        {
            let message = text.parse::<Wanted>().unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
    }
}
