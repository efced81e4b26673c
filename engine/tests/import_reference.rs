//! The four models of the hand-gesture pipeline against the results of LiteRT.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests fail by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use ndarray_npy::NpzReader;
use quantrack_engine::graph::{Graph, fuse};
use quantrack_engine::{Tensor, model, oracle};

/// Samples per model in the reference files.
const SAMPLES: usize = 4;

fn bytes(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join("models").join(name).with_extension("tflite")).unwrap()
}

/// The tensors called `kind.NAME.sample`, in the order of the names of `ids`.
fn samples(
    npz: &mut NpzReader<File>,
    graph: &Graph,
    kind: &str,
    ids: &[usize],
    sample: usize,
) -> Vec<Tensor> {
    let name = |&id: &usize| format!("{kind}.{}.{sample}.npy", graph.values[id].name);
    ids.iter().map(|id| npz.by_name(&name(id)).unwrap()).collect()
}

/// Largest error of each output over all samples: absolute, and relative to the output's largest magnitude.
fn errors(folder: &Path, name: &str) -> BTreeMap<String, (f64, f64)> {
    let imported = model::import(&bytes(folder, name)).unwrap();
    let fused = fuse::optimize(imported.clone());
    fused.validate().unwrap();
    let file = folder.join("reference").join(name).with_extension("npz");
    let mut npz = NpzReader::new(File::open(file).unwrap()).unwrap();
    let mut worst = BTreeMap::new();
    for sample in 0..SAMPLES {
        let inputs = samples(&mut npz, &imported, "input", &imported.inputs, sample);
        let expected = samples(&mut npz, &imported, "output", &imported.outputs, sample);
        let results = oracle::run(&imported, &inputs).unwrap();
        assert_eq!(oracle::run(&fused, &inputs).unwrap(), results, "fusing changed the results");
        for ((result, expected), &id) in results.iter().zip(&expected).zip(&imported.outputs) {
            assert_eq!(result.shape(), expected.shape());
            let largest = expected.iter().fold(0.0, |m: f64, &v| m.max(f64::from(v).abs()));
            let difference = result
                .iter()
                .zip(expected)
                .fold(0.0, |m: f64, (&a, &b)| m.max((f64::from(a) - f64::from(b)).abs()));
            let entry = worst.entry(imported.values[id].name.clone()).or_insert((0.0, 0.0));
            *entry = (f64::max(entry.0, difference), f64::max(entry.1, difference / largest));
        }
    }
    eprintln!("{name}: {worst:?}");
    worst
}

#[test]
fn palm_detector_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    let errors = errors(&folder, "palm_detection_lite");
    assert!(errors["Identity"].0 <= 1e-3, "regressors, in pixels: {errors:?}");
    assert!(errors["Identity_1"].1 <= 1e-4, "scores, relative: {errors:?}");
}

#[test]
fn landmark_model_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    let errors = errors(&folder, "hand_landmark_lite");
    assert_eq!(errors.len(), 4);
    assert!(errors.values().all(|(_, relative)| *relative <= 1e-4), "{errors:?}");
}

#[test]
fn gesture_embedder_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    let errors = errors(&folder, "gesture_embedder");
    assert!(errors["Identity"].1 <= 1e-4, "{errors:?}");
}

#[test]
fn gesture_classifier_equals_the_reference() {
    let Some(folder) = support::data() else { return };
    let errors = errors(&folder, "canned_gesture_classifier");
    assert!(errors["Identity"].1 <= 1e-4, "{errors:?}");
}

#[test]
fn sizes_are_those_of_the_models() {
    let Some(folder) = support::data() else { return };
    let size = |name: &str| {
        let graph = model::import(&bytes(&folder, name)).unwrap();
        (graph.nodes.len(), graph.parameters(), graph.macs())
    };
    assert_eq!(size("palm_detection_lite"), (119, 960_088, 283_170_816));
    assert_eq!(size("hand_landmark_lite"), (65, 1_011_712, 145_605_824));
    assert_eq!(size("gesture_embedder"), (43, 133_505, 130_816));
    assert_eq!(size("canned_gesture_classifier"), (4, 1_288, 1_024));
}

#[test]
fn unused_inputs_stay_in_the_interface() {
    let Some(folder) = support::data() else { return };
    let graph = fuse::optimize(model::import(&bytes(&folder, "gesture_embedder")).unwrap());
    let names: Vec<&str> = graph.inputs.iter().map(|&id| graph.values[id].name.as_str()).collect();
    assert_eq!(names, ["hand", "handedness", "world_hand"]);
    let consumers = graph.consumers();
    assert!(!consumers[graph.inputs[0]].is_empty());
    assert!(consumers[graph.inputs[1]].is_empty() && consumers[graph.inputs[2]].is_empty());
}
