//! Writes the seeds of `import_tflite` into a folder: the small models of the engine's tests.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../../engine/tests/import/zoo.rs"]
mod zoo;

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        return Err(std::io::Error::other("usage: seeds FOLDER"));
    };
    std::fs::create_dir_all(&folder)?;
    for model in zoo::zoo() {
        std::fs::write(folder.join(model.name.replace(' ', "-") + ".tflite"), model.bytes)?;
    }
    Ok(())
}
