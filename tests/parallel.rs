//! A pipeline with parallel stages, made up here: two models look at the image, a third judges what both say.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;
use std::process::Command;

use quantrack_engine::model::tflite::{Builtin, FullyConnectedOptions, ModelWriter};
use quantrack_tests::program;
use serde_json::Value;
use tempfile::TempDir;

const PIPELINE: &str = r#"
name = "parallel"
composition = [{ parallel = ["warm", "cold"] }, "judge"]
[data]
calibration = { images = "images", labels = "labels.csv" }
evaluation = { images = "images", labels = "labels.csv" }
file = "file"
label = "gesture"
[accuracy]
metric = "top1"
max-drop = 0.0
[measure]
min-samples = 10
max-samples = 10
block = 5
[[stage]]
name = "warm"
model = "warm.tflite"
glue = "tensor"
levels = ["fp32", "int8"]
[[stage]]
name = "cold"
model = "cold.tflite"
glue = "tensor"
levels = ["fp32", "int8"]
[[stage]]
name = "judge"
model = "judge.tflite"
glue = "gesture-classifier"
levels = ["fp32", "int8"]
"#;

/// A fully connected layer with the given weights by output, and biases.
fn layer(file: &Path, input: &[i32], weights: &[Vec<f32>], biases: &[f32]) {
    let mut writer = ModelWriter::default();
    let (rows, columns) = (weights.len() as i32, weights[0].len() as i32);
    let x = writer.input("x", input);
    let w = writer.floats("w", &[rows, columns], &weights.concat());
    let b = writer.floats("b", &[rows], biases);
    let y = writer.tensor("y", &[1, rows]);
    writer.op(Builtin::FullyConnected, 1, &[x, w, b], &[y], FullyConnectedOptions::default());
    std::fs::write(file, writer.finish(&[y])).unwrap();
}

/// Weights that average one channel of a 4 by 4 image.
fn channel(which: usize) -> Vec<f32> {
    (0..48).map(|index| if index % 3 == which { 1.0 / 16.0 } else { 0.0 }).collect()
}

/// Red and green come from one model; blue, and one half to compare with, from the other. The judge names the largest of
/// the four, so it is right only if it gets both, in the order of the composition.
fn write_models(folder: &Path) {
    let image = [1, 4, 4, 3];
    layer(&folder.join("warm.tflite"), &image, &[channel(0), channel(1)], &[0.0, 0.0]);
    layer(&folder.join("cold.tflite"), &image, &[channel(2), vec![0.0; 48]], &[0.0, 0.5]);
    let one = |class: usize| (0..4).map(|i| f32::from(u8::from(i + 1 == class))).collect();
    let weights: Vec<Vec<f32>> = (0..8).map(one).collect();
    let mut biases = [-1.0; 8];
    biases[1..5].fill(0.0);
    layer(&folder.join("judge.tflite"), &[1, 4], &weights, &biases);
}

/// Plain images, labelled by what is brightest in them: red, green, blue, or nothing.
fn write_images(folder: &Path) {
    std::fs::create_dir(folder.join("images")).unwrap();
    let mut labels = "file,gesture\n".to_owned();
    for (class, label) in
        ["Closed_Fist", "Open_Palm", "Pointing_Up", "Thumb_Down"].iter().enumerate()
    {
        for shade in 0..4_u8 {
            let mut pixel = [10 * shade, 20, 30];
            if class < 3 {
                pixel[class] = 190 + 20 * shade;
            }
            let name = format!("{label}{shade}.png");
            let image = image::RgbImage::from_pixel(8, 8, image::Rgb(pixel));
            image.save(folder.join("images").join(&name)).unwrap();
            labels.push_str(&format!("{name},{label}\n"));
        }
    }
    std::fs::write(folder.join("labels.csv"), labels).unwrap();
}

#[test]
fn both_branches_reach_the_next_stage_and_the_slower_one_counts() {
    let home = TempDir::new().unwrap();
    let folder = home.path();
    write_models(folder);
    write_images(folder);
    std::fs::write(folder.join("parallel.toml"), PIPELINE).unwrap();
    let mut command = Command::new(program("orchestrator"));
    command.args(["tune", "--pipeline", "parallel.toml", "--data", ".", "--store", "store"]);
    // These models take less time than a clock's whims.
    command
        .args(["--format", "json", "--max-latency-deviation", "100000", "--agent-bin"])
        .arg(program("agent"));
    let output = command.current_dir(folder).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();

    let search = &result["search"];
    assert_eq!(search["baseline"]["accuracy"]["correct"], 16, "{search}");
    assert_eq!(search["baseline"]["accuracy"]["total"], 16);
    let of = |stage: usize| search["stages"][stage]["latency_us"].as_f64().unwrap();
    let predicted = search["predicted_latency_us"].as_f64().unwrap();
    assert!((predicted - (of(0).max(of(1)) + of(2))).abs() < 1e-9, "{search}");

    let verify = &result["verify"];
    assert_eq!(verify["passed"], true, "{verify}");
    assert_eq!(verify["equal_outputs"], 16);
    for (stage, checked) in verify["stages"].as_array().unwrap().iter().enumerate() {
        assert_eq!(checked["inferences"], 16, "stage {stage} runs for every image");
    }
}
