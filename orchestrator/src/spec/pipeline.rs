//! A pipeline: what is tried, on which data, and what must be reached.

use std::fmt;
use std::path::PathBuf;

use quantrack_engine::Level;
use quantrack_engine::model::Dimensions;
use serde::{Deserialize, Serialize};

use crate::dataset::Portion;
use crate::metric::Criterion;
use crate::search::{Composition, Constraints, Floor, Objective};

/// A checked pipeline file.
#[derive(Clone, Debug, PartialEq)]
pub struct Pipeline {
    /// Its name: the key of its rows in the store.
    pub name: String,
    /// The stages, in the order of the file. At least one; names are unique.
    pub stages: Vec<Stage>,
    /// Images and labels.
    pub data: Data,
    /// What the whole pipeline is judged by.
    pub metric: Criterion,
    /// What it must reach by that.
    pub floor: Floor,
    /// Confidence at which intervals decide, such as 0.95.
    pub confidence: f64,
    /// Whether recipes are tried on a few images before anything is measured, and collapsed variants left out.
    pub gate: bool,
    /// Which percentile of the measured latencies is searched over and limited.
    pub percentile: Percentile,
    /// Latency that the pipeline must not exceed, in microseconds.
    pub max_latency_us: Option<f64>,
    /// What is best.
    pub objective: Objective,
    /// What else an assignment must keep to.
    pub constraints: Constraints,
    /// How the stages compose.
    pub composition: Composition,
    /// How latencies are sampled.
    pub measure: Measure,
}

impl Pipeline {
    /// The stage called `name`, with its index.
    pub fn stage(&self, name: &str) -> Option<(usize, &Stage)> {
        self.stages.iter().enumerate().find(|(_, stage)| stage.name == name)
    }
}

/// One model with the glue around it, and what is tried for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name, unique in the pipeline.
    pub name: String,
    /// The fp32 model, relative to the data directory.
    pub model: PathBuf,
    /// Extents for axes that its file leaves open.
    pub dimensions: Dimensions,
    /// Which glue makes its inputs and reads its outputs.
    pub glue: String,
    /// What to try: every level with every recipe, in the order of the file. The first is fp32.
    pub candidates: Vec<Candidate>,
    /// What the stage is judged by; absent: by what is usual for what it finds.
    pub metric: Option<Criterion>,
    /// Least value of the stage's own metric, with all other stages at fp32.
    pub min_accuracy: Option<f64>,
    /// Whether the share of the frames on which it runs is that of the evaluation images in which the stage before it finds
    /// something.
    pub measured_rate: bool,
}

/// A level by a recipe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The level.
    pub level: Level,
    /// The recipe, as the engine spells it.
    pub recipe: String,
    /// Whether it is tried only where the recipes before it at its level have collapsed.
    pub if_needed: bool,
    /// The model that was trained at this level, relative to the data directory; absent: the stage's fp32 model.
    pub trained_model: Option<PathBuf>,
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.level, self.recipe)
    }
}

/// Where samples and labels are, relative to the data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Data {
    /// For calibration; never for measuring accuracy.
    pub calibration: SampleSet,
    /// For measuring accuracy; never for calibration.
    pub evaluation: SampleSet,
    /// For certifying what was chosen; never for anything before.
    pub held_out: Option<SampleSet>,
    /// Column of the CSV files with the sample's file name, or number in its file.
    pub file_column: String,
    /// Column of the CSV files with the right answer.
    pub label_column: String,
    /// How many calibration samples are used, evenly spread over the set; absent: all.
    pub calibration_samples: Option<usize>,
}

/// Samples, with a CSV of labels or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SampleSet {
    /// Where they are.
    pub origin: Origin,
    /// The CSV; absent: all samples that are there, and nothing is known of them.
    pub labels: Option<PathBuf>,
    /// Which of them are meant.
    pub part: Portion,
}

/// Where samples are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A folder of images.
    Images(PathBuf),
    /// A folder of `.npy` and `.npz` files, one for each sample, or one such file with all samples along its first axis.
    Tensors(PathBuf),
}

/// A percentile of measured latencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Percentile {
    /// The 50th.
    #[default]
    #[serde(alias = "p50")]
    Median,
    /// The 90th.
    P90,
    /// The 95th; needs 59 samples.
    P95,
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Median => "median",
            Self::P90 => "p90",
            Self::P95 => "p95",
        })
    }
}

/// How latencies are sampled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Measure {
    /// Threads of the engine.
    pub threads: u32,
    /// Cores to pin to; empty: the agent chooses.
    pub cores: Vec<u32>,
    /// Untimed runs of each variant before its first sample.
    pub warmup: u32,
    /// Fewest samples of each variant.
    pub min_samples: u32,
    /// Most samples of each variant.
    pub max_samples: u32,
    /// Sample until the 95 % interval of every median is narrower than this share of the median.
    pub target_ci: f64,
    /// Seconds after which sampling ends, whatever the interval, for the variants of a stage together.
    pub max_seconds: u32,
    /// Consecutive samples of one variant before the next variant's turn.
    pub block: u32,
    /// Most memory of the process that measures, in MiB.
    pub memory_mb: u32,
    /// Whether each layer is timed as well.
    pub layers: bool,
    /// Temperature in degrees Celsius to which the board is let cool before each block; absent: it is not waited for.
    pub cool_to: Option<f64>,
    /// Seconds that all the cooling of a measurement may take, besides the sampling.
    pub cool_seconds: u32,
}

impl Default for Measure {
    fn default() -> Self {
        Self {
            threads: 1,
            cores: Vec::new(),
            warmup: 3,
            min_samples: 60,
            max_samples: 200,
            target_ci: 0.02,
            max_seconds: 180,
            block: 10,
            memory_mb: 512,
            layers: false,
            cool_to: None,
            cool_seconds: 300,
        }
    }
}
