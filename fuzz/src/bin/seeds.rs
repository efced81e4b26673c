//! Writes the seeds of `import_tflite`, `import_onnx` and `decode_variant` into folders of a folder: the small models of the engine's tests,
//! and their variants at every level.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../engine/tests/import/zoo.rs"]
mod zoo;
#[path = "../../../engine/tests/import/zoo_onnx.rs"]
mod zoo_onnx;

use std::error::Error;
use std::path::PathBuf;

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, model};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: seeds FOLDER")?;
    let (models, variants) = (folder.join("import_tflite"), folder.join("decode_variant"));
    std::fs::create_dir_all(&models)?;
    std::fs::create_dir_all(&variants)?;
    for (index, model) in zoo::zoo().into_iter().enumerate() {
        let name = model.name.replace(' ', "-");
        // A few variants have every kind of constant; mutation finds the operators.
        if index % 6 == 0 {
            for (level, bytes) in quantized(&model.bytes)? {
                std::fs::write(variants.join(format!("{name}.{level}")), bytes)?;
            }
        }
        std::fs::write(models.join(name + ".tflite"), model.bytes)?;
    }
    let models = folder.join("import_onnx");
    std::fs::create_dir_all(&models)?;
    for model in zoo_onnx::zoo() {
        std::fs::write(models.join(model.name + ".onnx"), model.bytes)?;
    }
    Ok(())
}

/// The variants of a model at every level that it has.
fn quantized(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Box<dyn Error>> {
    let graph = model::import(bytes)?;
    let shapes = graph.inputs.iter().map(|&id| graph.values[id].shape.as_slice());
    let inputs: Vec<Tensor> = shapes
        .map(|shape| {
            let mut count = 0.0;
            Tensor::from_shape_simple_fn(shape, || {
                count += 1.0;
                f32::sin(count)
            })
        })
        .collect();
    let mut calibrator = Calibrator::new(&graph, &CpuFeatures::detect())?;
    calibrator.observe(&inputs, &Serial)?;
    let calibration = calibrator.finish()?;
    let mut variants = Vec::new();
    for level in Level::ALL {
        let variant = quantize(&graph, level, &default_recipe(level), Some(&calibration));
        variants.extend(variant.ok().map(|v| (level.name().to_owned(), v.to_bytes())));
    }
    Ok(variants)
}
