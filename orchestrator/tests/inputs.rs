//! Images, labels, levels and arrays that are wrong: messages and exit codes of the program on the demo pipeline.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/copy.rs"]
mod copy;

use std::fs;
use std::process::Command;

use copy::{Copy, refused};
use ndarray::{ArrayD, IxDyn};

/// A copy of the demo, to be spoilt.
struct Spoilt(Copy);

impl std::ops::Deref for Spoilt {
    type Target = Copy;

    fn deref(&self) -> &Copy {
        &self.0
    }
}

impl Spoilt {
    fn new() -> Self {
        Self(Copy::new())
    }

    /// The first image of a set.
    fn image(&self, set: &str) -> String {
        let text = fs::read_to_string(self.path(&format!("images/{set}.csv"))).unwrap();
        let file = text.lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
        format!("images/{set}/{file}")
    }

    /// `evaluate` must end with 2, print no result, and tell all of `words`.
    fn refused(&self, arguments: &[&str], words: &[&str]) {
        refused(&self.run("demo.toml", &[&["evaluate"], arguments].concat()), words);
    }
}

#[test]
fn images_that_cannot_be_used_are_named() {
    for set in ["calibration", "evaluation"] {
        let spoilt = Spoilt::new();
        let image = spoilt.image(set);
        let whole = fs::read(spoilt.path(&image)).unwrap();
        for content in [&b""[..], b"no image at all", &whole[..whole.len() / 3]] {
            spoilt.write(&image, content);
            spoilt.refused(&[], &[&image, "failed to decode", "take its row out"]);
        }
        fs::remove_file(spoilt.path(&image)).unwrap();
        spoilt.refused(&[], &[&image]);
    }
}

#[test]
fn labels_that_do_not_match_are_named() {
    let cases: [(&str, &[&str]); 5] = [
        ("", &["evaluation.csv"]),
        ("file,gesture\n", &["evaluation.csv", "no rows"]),
        ("file,pose\na.jpg,fist\n", &["\"gesture\"", "file, pose", "[data]"]),
        ("file,gesture\n../secret.jpg,fist\n", &["line 2", "inside the image folder"]),
        ("file,gesture\nmissing.jpg,fist\nother.jpg,palm\n", &["missing.jpg"]),
    ];
    for (labels, words) in cases {
        let spoilt = Spoilt::new();
        spoilt.write("images/evaluation.csv", labels);
        spoilt.refused(&[], words);
    }
    let spoilt = Spoilt::new();
    let text = fs::read_to_string(spoilt.path("images/evaluation.csv")).unwrap();
    let row = text.lines().nth(1).unwrap().to_owned();
    let file = row.split(',').next().unwrap().to_owned();
    let label = row.split(',').nth(1).unwrap().to_owned();
    spoilt.replace("images/evaluation.csv", &row, &row.replace(&label, "handstand"));
    spoilt.refused(&[], &["handstand", &file, "none of the pipeline's classes"]);
    fs::remove_file(spoilt.path("images/evaluation.csv")).unwrap();
    spoilt.refused(&[], &["evaluation.csv", "No such file"]);
}

#[test]
fn unknown_levels_and_stages_are_named() {
    let spoilt = Spoilt::new();
    spoilt.refused(&["--assignment", "finder=int9"], &["int9"]);
    spoilt.refused(&["--assignment", "finder"], &["STAGE=LEVEL"]);
    spoilt.refused(&["--assignment", "nose=int8"], &["nose", "finder, landmarks, gesture"]);
    spoilt.replace("demo.toml", "levels = [\"fp32\", \"fp16\", ", "levels = [\"fp32\", ");
    spoilt.refused(&["--assignment", "finder=fp16"], &["finder", "fp16", "pipeline file"]);
    spoilt.replace("demo.toml", "\"int8\"", "\"int7\"");
    spoilt.refused(&[], &["demo.toml:", "int7", "did you mean"]);
}

#[test]
fn parallel_stages_that_cannot_be_handed_on_together_are_refused() {
    let spoilt = Spoilt::new();
    let second = "[[stage]]\nname = \"second\"\nmodel = \"models/finder.tflite\"\n\
                  glue = \"demo-finder\"\nlevels = [\"fp32\"]\n\n[[stage]]\nname = \"landmarks\"";
    spoilt.replace("demo.toml", "[[stage]]\nname = \"landmarks\"", second);
    let composition = "name = \"demo\"\n\
                       composition = [{ parallel = [\"finder\", \"second\"] }, \"landmarks\", \"gesture\"]";
    spoilt.replace("demo.toml", "name = \"demo\"", composition);
    spoilt.refused(&[], &["landmarks", "parallel", "gives regions", "one after the other"]);
}

#[test]
fn calibration_in_which_nothing_is_found_is_said() {
    let spoilt = Spoilt::new();
    let folder = spoilt.path("images/calibration");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Contents decide what an image is, not names.
        image::RgbImage::from_pixel(64, 64, image::Rgb([255, 255, 255]))
            .save_with_format(path, image::ImageFormat::Png)
            .unwrap();
    }
    spoilt.refused(&[], &["landmarks", "find nothing in any calibration image", "[data]"]);
}

#[test]
fn arrays_that_are_empty_or_no_numbers_are_named() {
    let spoilt = Spoilt::new();
    let shape = [1, 42];
    let run = |input: &ArrayD<f32>, calibration: &ArrayD<f32>| {
        for (name, array) in [("x.npz", input), ("c.npz", calibration)] {
            let file = fs::File::create(spoilt.path(name)).unwrap();
            let mut npz = ndarray_npy::NpzWriter::new(file);
            npz.add_array("points", array).unwrap();
            npz.finish().unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator"));
        command.args(["model", "run", "models/gesture.tflite", "--level", "int8"]);
        command.args(["--input", "x.npz", "--calibration", "c.npz", "--output", "y.npz"]);
        command.current_dir(spoilt.path("")).output().unwrap()
    };
    let good = ArrayD::from_elem(IxDyn(&shape), 0.5_f32);
    let nan = ArrayD::from_elem(IxDyn(&shape), f32::NAN);
    let none = ArrayD::zeros(IxDyn(&[0, 42]));
    refused(&run(&good, &nan), &["c.npz"]);
    refused(&run(&good, &none), &["c.npz"]);
    refused(&run(&none, &good), &["x.npz"]);
}
