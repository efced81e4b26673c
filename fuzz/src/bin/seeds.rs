//! Writes the seeds of `import_tflite`, `import_onnx` and `decode_variant` into folders of a folder: the small models of the engine's tests,
//! and their variants at every level.

#[path = "../../../engine/tests/import/variant_files.rs"]
mod variant_files;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../engine/tests/import/zoo.rs"]
mod zoo;
#[path = "../../../engine/tests/import/zoo_onnx.rs"]
mod zoo_onnx;

use std::error::Error;
use std::path::PathBuf;

use quantrack_engine::graph::Graph;
use quantrack_engine::model;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("usage: seeds FOLDER")?;
    let (models, variants) = (folder.join("import_tflite"), folder.join("decode_variant"));
    std::fs::create_dir_all(&models)?;
    std::fs::create_dir_all(&variants)?;
    let save = |name: &str, graph: &Graph| -> std::io::Result<()> {
        for (recipe, bytes) in variant_files::files(graph) {
            std::fs::write(variants.join(format!("{name}.{recipe}")), bytes)?;
        }
        Ok(())
    };
    save("convolutions", &variant_files::convolutions())?;
    for (index, model) in zoo::zoo().into_iter().enumerate() {
        let name = model.name.replace(' ', "-");
        // A few variants have every kind of constant; mutation finds the operators.
        if index % 6 == 0 {
            save(&name, &model::import(&model.bytes)?)?;
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
