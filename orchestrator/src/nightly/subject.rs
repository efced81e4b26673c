//! From what a suite names to variants in the store.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use quantrack_engine::model::Dimensions;
use quantrack_engine::quantize::{Recipe, default_recipe, quantize, quantizer_build};
use quantrack_engine::{Level, Variant};

use super::suite::{Accuracy, Model, Suite};
use crate::assignment::SearchRecord;
use crate::evaluate::CalibrationImages;
use crate::exit::Failure;
use crate::spec::{Candidate, Pipeline};
use crate::store::{ArtifactKind, Store, VariantRecord};
use crate::variants::{BuildInputs, Building, ModelFile};

/// A model of a suite as it is today.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// Its name in the suite.
    pub name: String,
    /// Its variant, which the store has.
    pub record: VariantRecord,
}

/// Makes variants of what suites and command lines name.
#[derive(Debug)]
pub struct Resolver<'a> {
    /// Where variants are kept.
    pub store: &'a Store,
    /// The folder that model files are relative to.
    pub folder: PathBuf,
    /// The folder that the pipeline's paths are relative to.
    pub data: PathBuf,
    /// The pipeline that stages belong to; only suites that name stages need one.
    pub pipeline: Option<Pipeline>,
}

impl Resolver<'_> {
    /// The models of a suite in its order, those of the pipeline's assignment last.
    ///
    /// # Errors
    /// Names the model that cannot be had, and why.
    pub async fn suite(&self, suite: &Suite) -> Result<Vec<Subject>, Failure> {
        let mut subjects = Vec::new();
        for model in &suite.models {
            subjects.push(self.model(model).await?);
        }
        if suite.assignment {
            subjects.extend(self.assignment().await?);
        }
        Ok(subjects)
    }

    /// One model.
    ///
    /// # Errors
    /// As [`Self::suite`].
    pub async fn model(&self, model: &Model) -> Result<Subject, Failure> {
        let record = match (&model.file, &model.stage) {
            (Some(file), _) if file.extension().is_some_and(|end| end == "safetensors") => {
                self.variant_file(&self.folder.join(file)).await
            }
            (Some(file), _) => self.model_file(&self.folder.join(file), model).await,
            (None, Some(stage)) => self.stage(stage, model).await,
            (None, None) => Err(Failure::usage(anyhow!("it has neither a file nor a stage"))),
        };
        let context = |failure: Failure| failure.context(format!("failed to get {}", model.name));
        Ok(Subject { name: model.name.clone(), record: record.map_err(context)? })
    }

    /// A variant that somebody built: its recipe is what the file says.
    async fn variant_file(&self, path: &Path) -> Result<VariantRecord, Failure> {
        let bytes = std::fs::read(path).map_err(|error| {
            Failure::usage(error).context(format!("failed to read {}", path.display()))
        })?;
        let variant = Variant::from_bytes(&bytes).map_err(Failure::usage)?;
        let digest = Variant::sha256(&bytes);
        self.save(&variant, &digest, &digest, &bytes).await
    }

    /// A variant of a model file, at a level that needs no calibration images.
    async fn model_file(&self, path: &Path, model: &Model) -> Result<VariantRecord, Failure> {
        let level = level(model)?.unwrap_or(Level::Fp32);
        let recipe = match &model.recipe {
            Some(name) => name.parse::<Recipe>().map_err(Failure::usage)?,
            None => default_recipe(level),
        };
        if recipe.needs_calibration() {
            let error =
                anyhow!("{level} by {recipe} needs calibration images, which a file has not");
            return Err(Failure::usage(error).next(
                "name a stage of a pipeline instead, or a variant that was built with some",
            ));
        }
        let file = ModelFile::read(path, &Dimensions::default()).map_err(Failure::usage)?;
        let inputs = BuildInputs {
            quantizer: &quantizer_build(),
            model_sha256: &file.sha256,
            level,
            recipe: &recipe.to_string(),
            calibration_sha256: None,
        };
        let key = inputs.key();
        if let Some(record) = self.store.built_variant(&key).await? {
            return Ok(record);
        }
        let variant = quantize(&file.graph, level, &recipe, None).map_err(Failure::usage)?;
        self.save(&variant, &key, &file.sha256, &variant.to_bytes()).await
    }

    async fn save(
        &self,
        variant: &Variant,
        key: &str,
        model_sha256: &str,
        bytes: &[u8],
    ) -> Result<VariantRecord, Failure> {
        let record = VariantRecord::new(variant, bytes, model_sha256, &variant.recipe);
        self.store.save_variant(key, &record, bytes).await?;
        Ok(record)
    }

    /// A stage of the pipeline, quantized with its calibration images.
    async fn stage(&self, name: &str, model: &Model) -> Result<VariantRecord, Failure> {
        let pipeline = self.pipeline()?;
        let Some((index, stage)) = pipeline.stage(name) else {
            let names: Vec<&str> = pipeline.stages.iter().map(|s| s.name.as_str()).collect();
            let (all, pipeline) = (names.join(", "), &pipeline.name);
            return Err(Failure::usage(anyhow!("{pipeline} has no stage {name:?}, but {all}")));
        };
        let level = level(model)?.unwrap_or(Level::Fp32);
        let asked = |candidate: &&Candidate| {
            candidate.level == level
                && model.recipe.as_ref().is_none_or(|recipe| *recipe == candidate.recipe)
        };
        let Some(candidate) = stage.candidates.iter().find(asked) else {
            let tried: Vec<String> = stage.candidates.iter().map(Candidate::to_string).collect();
            return Err(Failure::usage(anyhow!(
                "the stage {name} is tried at {}, which {level}{} is none of",
                tried.join(", "),
                model.recipe.as_ref().map_or(String::new(), |recipe| format!(" by {recipe}"))
            )));
        };
        let mut images = CalibrationImages::open(pipeline, &self.data)?;
        let mut building = Building::new(pipeline, &self.data, &mut images, self.store)?;
        Ok(building.variant(index, candidate, || {}).await?.record)
    }

    /// Digests of the variants of an assignment, stage by stage.
    ///
    /// # Errors
    /// Names the stage that cannot be had, and why.
    pub async fn levels(&self, asked: &Accuracy) -> Result<Vec<String>, Failure> {
        let Some(levels) = &asked.levels else {
            let subjects = self.assignment().await?;
            return Ok(subjects.into_iter().map(|subject| subject.record.sha256).collect());
        };
        let stages = &self.pipeline()?.stages;
        if let Some(unknown) = levels.keys().find(|name| stages.iter().all(|s| s.name != **name)) {
            let all: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
            let error = anyhow!("the pipeline has no stage {unknown:?}, but {}", all.join(", "));
            return Err(Failure::usage(error).context(format!("failed to get {}", asked.name)));
        }
        let mut variants = Vec::new();
        for stage in stages {
            let model = Model {
                name: stage.name.clone(),
                stage: Some(stage.name.clone()),
                level: levels.get(&stage.name).cloned(),
                ..Model::default()
            };
            variants.push(self.model(&model).await?.record.sha256);
        }
        Ok(variants)
    }

    /// The stages of the pipeline as the newest search has assigned them.
    async fn assignment(&self) -> Result<Vec<Subject>, Failure> {
        let pipeline = self.pipeline()?;
        let newest = self
            .store
            .newest_artifact::<SearchRecord>(ArtifactKind::Search, &pipeline.name, None)
            .await?;
        let stages = newest.map(|search| search.body.stages).unwrap_or_default();
        if stages.is_empty() {
            let error = anyhow!("nothing was chosen for {}", pipeline.name);
            return Err(Failure::usage(error).next("run `orchestrator search` first"));
        }
        let mut subjects = Vec::new();
        for stage in stages {
            let digest = &stage.variant_sha256;
            let record = self.store.variant(digest).await?.ok_or_else(|| {
                let error = anyhow!("the store lacks the variant {digest} of {}", stage.stage);
                Failure::usage(error).next("run `orchestrator profile` again")
            })?;
            subjects.push(Subject { name: stage.stage, record });
        }
        Ok(subjects)
    }

    fn pipeline(&self) -> Result<&Pipeline, Failure> {
        let missing = || {
            Failure::usage(anyhow!("there is no pipeline whose stages could be meant"))
                .next("name one with --pipeline, or in the suite")
        };
        self.pipeline.as_ref().ok_or_else(missing)
    }
}

impl Model {
    /// What a command line names: a file or a stage, as in `hand.onnx`, `hand.tflite@fp16` or `palm@int8`.
    pub fn named(text: &str) -> Self {
        let (place, level) = match text.rsplit_once('@') {
            Some((place, level)) => (place, Some(level.to_owned())),
            None => (text, None),
        };
        let path = PathBuf::from(place);
        let is_file = path.extension().is_some() || path.components().count() > 1;
        let (file, stage) =
            if is_file { (Some(path), None) } else { (None, Some(place.to_owned())) };
        Self { name: text.to_owned(), file, stage, level, recipe: None }
    }
}

fn level(model: &Model) -> Result<Option<Level>, Failure> {
    model.level.as_ref().map(|level| level.parse().map_err(Failure::usage)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_name_files_and_stages() {
        let file = Model::named("models/hand.tflite@fp16");
        assert_eq!(file.file.as_deref(), Some(Path::new("models/hand.tflite")));
        assert_eq!((file.level.as_deref(), file.stage), (Some("fp16"), None));
        let stage = Model::named("palm@int8");
        assert_eq!((stage.stage.as_deref(), stage.level.as_deref()), (Some("palm"), Some("int8")));
        assert_eq!(Model::named("hand.onnx").level, None);
    }
}
