//! Lists the files of the demo pipeline, which the program carries along.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let demo =
        PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?).join("../demo").canonicalize()?;
    println!("cargo:rerun-if-changed={}", demo.display());
    let mut files = vec![demo.join("demo.toml")];
    for folder in ["models", "images", "images/calibration", "images/evaluation"] {
        for entry in std::fs::read_dir(demo.join(folder))? {
            let path = entry?.path();
            let wanted = ["tflite", "csv", "jpg"].map(Some).contains(&extension(&path));
            if wanted {
                files.push(path);
            }
        }
    }
    files.sort();
    let mut list = String::from("&[\n");
    for path in &files {
        let name = path.strip_prefix(&demo)?;
        writeln!(list, "    ({name:?}, include_bytes!({path:?})),")?;
    }
    list.push(']');
    let out = PathBuf::from(std::env::var("OUT_DIR")?).join("demo_files.rs");
    Ok(std::fs::write(out, list)?)
}

fn extension(path: &Path) -> Option<&str> {
    path.extension().and_then(|extension| extension.to_str())
}
