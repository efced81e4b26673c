//! The real hand-gesture pipeline on all evaluation photographs: at fp32 against the reference pipeline image by image,
//! and at int8.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking, and say what they measured")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use quantrack_engine::Level;
use quantrack_engine::Serial;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::Dimensions;
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_orchestrator::evaluate::{CalibrationImages, Evaluator, LoadedVariant, NoJournal};
use quantrack_orchestrator::spec::{self, Pipeline};
use quantrack_orchestrator::variants::ModelFile;

/// A stage's default variant at `level`, calibrated on a few photographs.
fn variant(pipeline: &Pipeline, data: &Path, stage: usize, level: Level) -> Arc<LoadedVariant> {
    let model =
        ModelFile::read(&data.join(&pipeline.stages[stage].model), &Dimensions::default()).unwrap();
    let calibration = (level != Level::Fp32).then(|| {
        let images = CalibrationImages::open(pipeline, data).unwrap();
        let mut calibrator = Calibrator::new(&model.graph, &CpuFeatures::detect()).unwrap();
        for inputs in images.inputs(stage).unwrap() {
            calibrator.observe(&inputs, &Serial).unwrap();
        }
        calibrator.finish().unwrap()
    });
    let recipe = default_recipe(level);
    let variant = quantize(&model.graph, level, &recipe, calibration.as_ref()).unwrap();
    Arc::new(LoadedVariant::from_bytes(&variant.to_bytes()).unwrap())
}

/// The reference's gesture of each photograph; empty where it found no hand.
fn reference(data: &Path) -> BTreeMap<String, String> {
    let mut rows = csv::Reader::from_path(data.join("reference/pipeline_lite_fp32.csv")).unwrap();
    let columns = rows.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|column| column == name).unwrap();
    let (file, gesture) = (column("file"), column("gesture"));
    rows.records()
        .map(|row| row.unwrap())
        .map(|row| (row[file].to_owned(), row[gesture].to_owned()))
        .collect()
}

#[test]
fn fp32_gives_the_gestures_of_the_reference() {
    let Some(data) = support::data() else { return };
    let pipeline = spec::load("hand-gesture").unwrap();
    let evaluator = Evaluator::open(&pipeline, &data, 0).unwrap();
    let answers = evaluator.answers(&evaluator.chain().baseline(), &NoJournal).unwrap();
    let expected = reference(&data);
    let mut different = Vec::new();
    for (sample, answer) in evaluator.dataset().samples.iter().zip(&answers) {
        let found = answer.label.clone().unwrap_or_default();
        if found != expected[&sample.row.file] {
            different.push(format!(
                "{}: {found:?}, not {:?}",
                sample.row.file, expected[&sample.row.file]
            ));
        }
    }
    let correct = answers.iter().filter(|answer| answer.value == Some(1.0)).count();
    eprintln!("{correct} of {} correct; unlike the reference: {different:#?}", answers.len());
    assert_eq!(answers.len(), 138);
    assert!((120..=124).contains(&correct), "{correct} gestures are correct, not 122 ± 2");
    assert!(different.len() <= 2, "{different:#?}");
}

#[test]
fn int8_stays_within_a_few_points() {
    let Some(data) = support::data() else { return };
    let mut pipeline = spec::load("hand-gesture").unwrap();
    pipeline.data.calibration_samples = Some(60);
    let evaluator = Evaluator::open(&pipeline, &data, 0).unwrap();
    let assignment: Vec<_> =
        (0..4).map(|stage| variant(&pipeline, &data, stage, Level::Int8)).collect();
    for (stage, variant) in assignment.iter().enumerate() {
        let score = evaluator.sensitivity(stage, variant, &NoJournal).unwrap();
        eprintln!("{} at int8: {score:?}", pipeline.stages[stage].name);
        assert!(score.value > 0.85, "{score:?}");
    }
    let result = evaluator.end_to_end(&assignment, &NoJournal).unwrap();
    eprintln!("all stages at int8: {result:?}");
    assert!(result.correct >= Some(114), "{result:?}");
}
