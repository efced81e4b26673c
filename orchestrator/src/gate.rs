//! The gate before measuring: recipes are tried in order of cost, and what has collapsed goes no further.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quantrack_engine::glue::Inputs;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::quantize::{LayerNoise, QuantizeError, noise_along};
use quantrack_engine::{Level, Variant};
use serde::{Deserialize, Serialize};

use crate::dataset::Dataset;
use crate::evaluate::{
    CalibrationImages, Chain, CollapseTest, CollapseTester, EvaluateError, Evaluator,
    LoadedVariant, test_images,
};
use crate::exit::Failure;
use crate::metric::Criterion;
use crate::output::ProgressBars;
use crate::spec::{Candidate, Pipeline, Stage};
use crate::store::Store;
use crate::variants::{Building, ModelFile, StageVariant};

/// Samples by which a collapsed variant is examined, layer by layer.
const EXAMINED: usize = 4;
/// Where the signal behind a layer is less than this many decibels above the noise, it has died: half of it is left.
const DEAD_DB: f64 = 3.0;

/// A recipe that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// Name of the stage.
    pub stage: String,
    /// The level.
    pub level: Level,
    /// The recipe.
    pub recipe: String,
    /// Digest of the variant.
    pub variant_sha256: String,
    /// What the test saw.
    pub test: CollapseTest,
    /// Where a collapsed variant loses its signal; absent for others.
    pub autopsy: Option<Autopsy>,
    /// What followed: what is done about it.
    pub then: Outcome,
}

/// What the test of a recipe leads to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The variant is measured.
    Kept,
    /// The next recipe is tried.
    Next(String),
    /// No recipe is left to be tried.
    Dropped {
        /// Whether none of the level was kept, which drops the level.
        level: bool,
    },
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => write!(f, "kept"),
            Self::Next(recipe) => write!(f, "{recipe} is tried"),
            Self::Dropped { level: true } => write!(f, "the level is dropped"),
            Self::Dropped { level: false } => write!(f, "dropped"),
        }
    }
}

impl Tried {
    fn new(
        variant: &StageVariant,
        (test, autopsy): (CollapseTest, Option<Autopsy>),
        then: Outcome,
    ) -> Self {
        Self {
            stage: variant.stage.clone(),
            level: variant.record.level,
            recipe: variant.record.recipe.clone(),
            variant_sha256: variant.record.sha256.clone(),
            test,
            autopsy,
            then,
        }
    }
}

/// The signal along a collapsed variant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Autopsy {
    /// The first layer behind which less than half of the signal is left; where there is none, the one behind which least is.
    pub dies_at: String,
    /// Its level.
    pub level: Level,
    /// Signal to noise ratio behind it in decibels.
    pub sqnr_db: f64,
    /// The ratio before it: the worst of the layers up to it, or none for the first.
    pub before_db: Option<f64>,
    /// Behind every layer, in the order in which they run.
    pub layers: Vec<(String, f64)>,
}

impl Autopsy {
    fn of(layers: &[LayerNoise]) -> Option<Self> {
        let dead = layers.iter().position(|layer| layer.sqnr_db < DEAD_DB);
        let worst =
            || (0..layers.len()).min_by(|&a, &b| layers[a].sqnr_db.total_cmp(&layers[b].sqnr_db));
        let at = dead.or_else(worst)?;
        let before = layers[..at].iter().map(|layer| layer.sqnr_db).min_by(f64::total_cmp);
        Some(Self {
            dies_at: layers[at].node.clone(),
            level: layers[at].level,
            sqnr_db: layers[at].sqnr_db,
            before_db: before,
            layers: layers.iter().map(|layer| (layer.node.clone(), layer.sqnr_db)).collect(),
        })
    }
}

/// What the gate let through.
#[derive(Clone, Debug, PartialEq)]
pub struct Gated {
    /// The pipeline with the candidates that are worth measuring.
    pub pipeline: Pipeline,
    /// Every recipe that was tried, in order.
    pub tried: Vec<Tried>,
}

/// Tries the recipes of every stage and level in the order of the pipeline. A level whose recipes come from the engine's list
/// keeps the first that has not collapsed; of recipes that were asked for by name all stay that have not. A level of which
/// every recipe collapses is dropped. Looks at calibration images only, at most one in twenty of all images.
///
/// # Errors
/// When models, images or store cannot be used.
pub async fn gate(
    pipeline: &Pipeline,
    data: &Path,
    store: &Store,
    bars: &ProgressBars,
) -> Result<Gated, Failure> {
    let mut images = CalibrationImages::open(pipeline, data)?;
    let bench = tokio::task::block_in_place(|| Bench::open(pipeline, data, &images))?;
    let mut building = Building::new(pipeline, data, &mut images, store)?;
    let mut kept = pipeline.clone();
    let mut tried = Vec::new();
    let total: usize = pipeline.stages.iter().map(|stage| stage.candidates.len()).sum();
    let bar = bars.bar("collapse test", total as u64);
    for (index, stage) in pipeline.stages.iter().enumerate() {
        // fp32 is what all others are compared with.
        kept.stages[index].candidates.retain(|candidate| candidate.level == Level::Fp32);
        let mut settled = None;
        for (at, candidate) in stage.candidates.iter().enumerate() {
            bar.step();
            if candidate.level == Level::Fp32 || settled == Some(candidate.level) {
                continue;
            }
            bar.say(format!("{} {candidate}", stage.name));
            let variant = building.variant(index, candidate, || ()).await?;
            let bytes = store.variant_bytes(&variant.record.sha256)?;
            let found = tokio::task::block_in_place(|| bench.examine(index, candidate, &bytes))?;
            let next = stage.candidates.get(at + 1).filter(|next| next.level == candidate.level);
            let then = match (found.0.collapsed, next) {
                (false, _) => Outcome::Kept,
                (true, Some(next)) => Outcome::Next(next.recipe.clone()),
                // One that was kept before is enough for the level.
                (true, None) => Outcome::Dropped {
                    level: !kept.stages[index]
                        .candidates
                        .iter()
                        .any(|c| c.level == candidate.level),
                },
            };
            if then == Outcome::Kept {
                kept.stages[index].candidates.push(candidate.clone());
                settled = candidate.if_needed.then_some(candidate.level);
            }
            tried.push(Tried::new(&variant, found, then));
        }
    }
    bar.done(&format!("{} recipes", tried.len()));
    Ok(Gated { pipeline: kept, tried })
}

/// What variants are tested on.
struct Bench {
    tester: CollapseTester,
    /// By stage, some inputs.
    inputs: Vec<Vec<Inputs>>,
    data: PathBuf,
    stages: Vec<Stage>,
}

impl Bench {
    fn open(
        pipeline: &Pipeline,
        data: &Path,
        images: &CalibrationImages,
    ) -> Result<Self, EvaluateError> {
        let evaluation = Dataset::open(data, &pipeline.data.evaluation, &pipeline.data)?;
        let count = test_images(images.whole() + evaluation.samples.len());
        // Whatever the pipeline asks for later: here every stage is compared with fp32, for which there need not be labels.
        let mut usual = pipeline.clone();
        usual.metric = Criterion::default_of(images.chain().finds());
        usual.stages.iter_mut().for_each(|stage| stage.metric = None);
        let pipeline = &usual;
        let chain = Chain::open(pipeline, data)?;
        let evaluator = Evaluator::new(pipeline, chain, images.dataset().subset(count), 0)?;
        let inputs = |stage: usize| images.some_inputs(stage, EXAMINED);
        Ok(Self {
            tester: CollapseTester::new(evaluator),
            inputs: (0..pipeline.stages.len()).map(inputs).collect::<Result<_, _>>()?,
            data: data.to_owned(),
            stages: pipeline.stages.clone(),
        })
    }

    /// Tests the variant in the file `bytes`, and examines it where it has collapsed.
    fn examine(
        &self,
        stage: usize,
        candidate: &Candidate,
        bytes: &[u8],
    ) -> Result<(CollapseTest, Option<Autopsy>), EvaluateError> {
        let test = self.tester.test(stage, &Arc::new(LoadedVariant::from_bytes(bytes)?))?;
        if !test.collapsed {
            return Ok((test, None));
        }
        let path = candidate.trained_model.as_ref().unwrap_or(&self.stages[stage].model);
        let model = ModelFile::read(&self.data.join(path), &self.stages[stage].dimensions)?;
        let variant = Variant::from_bytes(bytes)?;
        let cpu = CpuFeatures::detect();
        let layers = noise_along(&model.graph, &variant, &self.inputs[stage], &cpu);
        let layers = layers.map_err(QuantizeError::from)?;
        Ok((test, Autopsy::of(&layers)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(node: &str, sqnr_db: f64) -> LayerNoise {
        let (node, op) = (node.to_owned(), "conv_2d".to_owned());
        LayerNoise { node, op, level: Level::Int4, sqnr_db }
    }

    #[test]
    fn the_signal_dies_at_the_first_layer_that_leaves_less_than_half() {
        let layers = [layer("a", 30.0), layer("b", 12.0), layer("c", 2.0), layer("d", 0.5)];
        let autopsy = Autopsy::of(&layers).unwrap();
        assert_eq!((autopsy.dies_at.as_str(), autopsy.before_db), ("c", Some(12.0)));
        assert_eq!(autopsy.layers.len(), 4);
        let alive = Autopsy::of(&layers[..2]).unwrap();
        assert_eq!(alive.dies_at, "b", "the worst where none is dead");
        assert_eq!(Autopsy::of(&[]), None);
    }
}
