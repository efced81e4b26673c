//! The pipeline file as it is written: names, defaults and units of the TOML.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::pipeline::{Measure, Percentile};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct File {
    pub(super) name: Spanned<String>,
    pub(super) data: Spanned<Data>,
    #[serde(default)]
    pub(super) gate: bool,
    pub(super) accuracy: Spanned<Accuracy>,
    #[serde(default)]
    pub(super) latency: Latency,
    #[serde(default)]
    pub(super) objective: Option<Spanned<Objective>>,
    #[serde(default)]
    pub(super) constraints: Constraints,
    #[serde(default)]
    pub(super) measure: Option<Spanned<Measure>>,
    pub(super) stage: Vec<Stage>,
    /// Absent: a chain in the order of the stages.
    #[serde(default)]
    pub(super) composition: Option<Spanned<Vec<Part>>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Data {
    pub(super) calibration: Option<Spanned<SampleSet>>,
    pub(super) evaluation: Option<Spanned<SampleSet>>,
    pub(super) held_out: Option<Spanned<SampleSet>>,
    /// One set, to be divided into all three.
    #[serde(alias = "tensors")]
    pub(super) images: Option<Spanned<SampleSet>>,
    #[serde(default = "file_column")]
    pub(super) file: String,
    #[serde(default = "label_column")]
    pub(super) label: String,
    #[serde(default)]
    pub(super) calibration_samples: Option<Spanned<usize>>,
}

/// Images or tensors, with a CSV of labels or without.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SampleSet {
    pub(super) images: Option<PathBuf>,
    pub(super) tensors: Option<PathBuf>,
    pub(super) labels: Option<PathBuf>,
    /// Whether those that calibration uses are left out.
    #[serde(default)]
    pub(super) rest: bool,
}

fn file_column() -> String {
    "file".to_owned()
}

fn label_column() -> String {
    "label".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Accuracy {
    /// Absent: top1 where images have labels, and agreement with fp32 elsewhere.
    pub(super) metric: Option<Spanned<Metric>>,
    pub(super) against: Option<Spanned<Against>>,
    /// From which value of the metric on an image is right.
    pub(super) right_from: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) max_drop: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) min_accuracy: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) confidence: Option<Spanned<f64>>,
}

/// A metric by its name, or a program that scores.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a metric's name, or { command = [...], timeout-s = 60, per = \"sample\" }"
)]
pub(super) enum Metric {
    Name(String),
    Program(Program),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Program {
    pub(super) command: Vec<String>,
    pub(super) timeout_s: Option<f64>,
    #[serde(default)]
    pub(super) per: Per,
}

/// What a program prints a number for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Per {
    #[default]
    Sample,
    Set,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Against {
    Fp32,
    Labels,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Latency {
    #[serde(default)]
    pub(super) percentile: Percentile,
    #[serde(default)]
    pub(super) max_ms: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Objective {
    pub(super) kind: ObjectiveKind,
    #[serde(default)]
    pub(super) accuracy_weight: Option<Spanned<f64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum ObjectiveKind {
    MinLatency,
    MaxAccuracy,
    Pareto,
    Weighted,
}

/// What an assignment must keep to besides accuracy and latency.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Constraints {
    /// MiB of all variants' files together.
    #[serde(default)]
    pub(super) max_model_mb: Option<Spanned<f64>>,
    /// MiB of memory of all stages together.
    #[serde(default)]
    pub(super) max_memory_mb: Option<Spanned<f64>>,
    /// Groups of stages that must run at the same level.
    #[serde(default)]
    pub(super) same_level: Vec<Spanned<Vec<String>>>,
}

/// The share of the frames on which a stage runs.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a share between 0 and 1, or \"measured\"")]
pub(super) enum Rate {
    Share(f64),
    Word(Measured),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Measured {
    Measured,
}

/// A rate that follows the level of another stage.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct RateBy {
    pub(super) stage: Spanned<String>,
    pub(super) levels: BTreeMap<Spanned<String>, Spanned<f64>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct Stage {
    pub(super) name: Spanned<String>,
    pub(super) model: Spanned<PathBuf>,
    /// Extents for axes that the model leaves open, by the names that it gives them.
    #[serde(default)]
    pub(super) dimensions: BTreeMap<String, usize>,
    pub(super) glue: Spanned<String>,
    pub(super) levels: Spanned<Vec<Spanned<String>>>,
    /// Recipes to try, per level; a level that is not named has the engine's default.
    #[serde(default)]
    pub(super) recipes: BTreeMap<Spanned<String>, Vec<Spanned<String>>>,
    /// Models trained at a level, imported as they are.
    #[serde(default)]
    pub(super) trained: BTreeMap<Spanned<String>, PathBuf>,
    pub(super) metric: Option<Spanned<Metric>>,
    pub(super) against: Option<Spanned<Against>>,
    #[serde(default)]
    pub(super) min_accuracy: Option<Spanned<f64>>,
    #[serde(default)]
    pub(super) rate: Option<Spanned<Rate>>,
    #[serde(default)]
    pub(super) rate_by: Option<RateBy>,
}

/// One part of the composition: a stage by its name, or parts side by side or one after the other.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a stage's name, { parallel = [...] } or { chain = [...] }")]
pub(super) enum Part {
    Stage(String),
    Group(Group),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Group {
    Parallel(Vec<Part>),
    Chain(Vec<Part>),
}
