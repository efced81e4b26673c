//! What a nightly check measures: the suite file.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::Deserialize;

use super::effect::MIN_BLOCKS;
use crate::exit::Failure;
use crate::spec::{self, Measure};

/// The slow-down that is to be found, as a share, where nothing says otherwise.
pub const MIN_EFFECT: f64 = 0.03;
/// Runs of a model in a check, and as many again to confirm.
pub const RUNS: usize = 6;
/// Runs that make a baseline.
pub const BASELINE_RUNS: usize = 10;
/// How many runs there may be: with fewer a comparison has no interval.
pub const RUN_COUNTS: RangeInclusive<usize> = 5..=1000;

/// A suite file. Paths are relative to it, or to `--data`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Suite {
    /// The slow-down that is to be found, as a share: 0.03 is 3 %.
    #[serde(default = "min_effect")]
    pub min_effect: f64,
    /// Runs of each model in a check. A run is a process of its own.
    #[serde(default = "runs")]
    pub runs: usize,
    /// Runs of each model that make a baseline.
    #[serde(default = "baseline_runs")]
    pub baseline_runs: usize,
    /// The pipeline of models that are stages, by name or file; absent: that of `--pipeline`.
    pub pipeline: Option<String>,
    /// Whether the stages of the pipeline, as the newest search has assigned them, are measured as well.
    #[serde(default)]
    pub assignment: bool,
    /// How each run samples.
    #[serde(default = "measure")]
    pub measure: Measure,
    /// A model that never changes. It is measured first, and a board on which it is off its own history is quarantined.
    pub golden: Option<Model>,
    /// The models.
    #[serde(default, rename = "model")]
    pub models: Vec<Model>,
    /// The assignments of the pipeline whose accuracy is checked.
    #[serde(default)]
    pub accuracy: Vec<Accuracy>,
}

/// An assignment of a suite whose accuracy is checked, end to end, on the pipeline's evaluation images.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Accuracy {
    /// What it is called in reports; its baselines go by it.
    pub name: String,
    /// Levels by stage; stages that are not named run at fp32. Absent: as the newest search has assigned them.
    pub levels: Option<BTreeMap<String, String>>,
    /// The loss that is to be found, in points.
    #[serde(default = "max_drop_points")]
    pub max_drop_points: f64,
}

/// A model of a suite: a file, or a stage of the pipeline.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Model {
    /// What it is called in reports; its baselines and its history go by it.
    pub name: String,
    /// A .tflite or .onnx model, or a variant (.safetensors).
    pub file: Option<PathBuf>,
    /// A stage of the pipeline.
    pub stage: Option<String>,
    /// The level; absent: fp32, or the variant's own.
    pub level: Option<String>,
    /// The recipe; absent: the first that the pipeline tries, or the engine's own.
    pub recipe: Option<String>,
}

/// Whether a slow-down that is to be found is a share such as 0.03, and no percentage.
pub fn is_effect(share: f64) -> bool {
    share > 0.0 && share < 10.0
}

fn min_effect() -> f64 {
    MIN_EFFECT
}

fn max_drop_points() -> f64 {
    1.0
}

fn runs() -> usize {
    RUNS
}

fn baseline_runs() -> usize {
    BASELINE_RUNS
}

/// A run is short: what counts is how many there are.
fn measure() -> Measure {
    Measure { min_samples: 60, max_samples: 60, max_seconds: 120, ..Measure::default() }
}

impl Default for Suite {
    /// No models, and all defaults.
    fn default() -> Self {
        Self {
            min_effect: MIN_EFFECT,
            runs: RUNS,
            baseline_runs: BASELINE_RUNS,
            pipeline: None,
            assignment: false,
            measure: measure(),
            golden: None,
            models: Vec::new(),
            accuracy: Vec::new(),
        }
    }
}

impl Suite {
    /// Reads the suite at `path`.
    ///
    /// # Errors
    /// Names the place and what is wrong there.
    pub fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::usage(error).context(format!("failed to read the suite {}", path.display()))
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a suite from text; `file` is its name in messages.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(file: &str, text: &str) -> Result<Self, Failure> {
        let suite: Self =
            toml::from_str(text).map_err(|error| spec::toml_error(file, text, &error))?;
        suite.check().map_err(|error| Failure::usage(error.context(file.to_owned())))?;
        Ok(suite)
    }

    /// Whether there is something to measure on boards.
    pub fn measures(&self) -> bool {
        self.assignment || !self.models.is_empty()
    }

    fn check(&self) -> Result<(), anyhow::Error> {
        if !is_effect(self.min_effect) {
            return Err(anyhow!(
                "min-effect is {}, it must be a share such as 0.03 for 3 %",
                self.min_effect
            ));
        }
        for (name, runs) in [("runs", self.runs), ("baseline-runs", self.baseline_runs)] {
            if !RUN_COUNTS.contains(&runs) {
                let (least, most) = RUN_COUNTS.into_inner();
                return Err(anyhow!("{name} is {runs}, it must be from {least} to {most}"));
            }
        }
        let (samples, block) = (self.measure.min_samples, self.measure.block);
        if (samples as usize) < MIN_BLOCKS * block as usize {
            return Err(anyhow!(
                "min-samples is {samples} in blocks of {block}; a run needs at least {MIN_BLOCKS} \
                 blocks"
            ));
        }
        if !self.measures() && self.accuracy.is_empty() {
            return Err(anyhow!(
                "there is nothing to measure; add [[model]] or [[accuracy]] tables"
            ));
        }
        for (index, accuracy) in self.accuracy.iter().enumerate() {
            let Accuracy { name, max_drop_points, .. } = accuracy;
            if name.trim().is_empty() || self.accuracy[..index].iter().any(|a| a.name == *name) {
                return Err(anyhow!("every [[accuracy]] needs a name of its own, not {name:?}"));
            }
            if !(*max_drop_points > 0.0 && *max_drop_points < 100.0) {
                return Err(anyhow!(
                    "max-drop-points of {name:?} is {max_drop_points}, it must be above 0 and below \
                     100"
                ));
            }
        }
        let all = || self.golden.iter().chain(&self.models);
        for (index, model) in all().enumerate() {
            let name = &model.name;
            if name.trim().is_empty() {
                return Err(anyhow!("a model needs a name"));
            }
            if all().take(index).any(|other| other.name == *name) {
                return Err(anyhow!("two models are called {name:?}; names must differ"));
            }
            if model.file.is_some() == model.stage.is_some() {
                return Err(anyhow!("the model {name:?} needs either a file or a stage"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_suite_has_sensible_defaults() {
        let suite = Suite::parse(
            "nightly.toml",
            "[golden]\nname = \"golden\"\nfile = \"g.tflite\"\n\
             [[model]]\nname = \"palm\"\nstage = \"palm\"\nlevel = \"int8\"\n",
        )
        .unwrap();
        assert_eq!((suite.runs, suite.baseline_runs, suite.measure.min_samples), (6, 10, 60));
        assert_eq!(suite.models[0].stage.as_deref(), Some("palm"));
    }

    #[test]
    fn mistakes_are_named() {
        let model = "[[model]]\nname = \"a\"\nfile = \"a.tflite\"\n";
        for (text, words) in [
            ("", "nothing to measure"),
            (&format!("min-effect = 0.0\n{model}"), "min-effect is 0"),
            (&format!("runs = 4\n{model}"), "runs is 4, it must be from 5"),
            ("[[accuracy]]\nname = \" \"\n", "a name of its own"),
            ("[[accuracy]]\nname = \"a\"\nmax-drop-points = 0.0\n", "above 0"),
            (&format!("{model}{model}"), "two models are called \"a\""),
            ("[[model]]\nname = \"a\"\n", "either a file or a stage"),
            (&format!("[measure]\nblock = 30\n{model}"), "at least 3"),
            ("[[model]]\nname = \"a\"\nfiel = \"b\"\n", "nightly.toml:3:1"),
        ] {
            let failure = Suite::parse("nightly.toml", text).unwrap_err();
            assert_eq!(failure.exit, crate::exit::Exit::Usage);
            assert!(failure.to_string().contains(words), "no {words:?} in {failure}");
        }
    }
}
