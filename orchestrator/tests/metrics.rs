//! Metrics of a pipeline file, programs that score, and tensors as samples: the program itself on the demo's models.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail by panicking, and say what they skip"
)]

#[path = "support/copy.rs"]
mod copy;

use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;

use copy::{Copy, refused};
use ndarray::{ArrayD, IxDyn};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The demo with two levels.
fn small() -> Copy {
    let copy = Copy::new();
    let levels = "levels = [\"fp32\", \"fp16\", \"int8\", \"int4\", \"int2\", \"bin1\"]";
    copy.replace("demo.toml", levels, "levels = [\"fp32\", \"int8\"]");
    copy.replace("demo.toml", "trained = { bin1", "# trained = { bin1");
    copy
}

/// The demo with two levels and metrics for its stages: the text after the line of their glue.
fn judged(metrics: &[(&str, &str)]) -> Copy {
    let copy = small();
    for (glue, metric) in metrics {
        let line = format!("glue = \"{glue}\"");
        copy.replace("demo.toml", &line, &format!("{line}\n{metric}"));
    }
    copy
}

fn json(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn evaluate(copy: &Copy, pipeline: &str, arguments: &[&str]) -> Output {
    copy.run(pipeline, &[&["evaluate", "--format", "json"], arguments].concat())
}

/// The row of a stage at a level.
fn row<'a>(shown: &'a Value, stage: &str, level: &str) -> &'a Value {
    let fits = |row: &&Value| row["stage"] == stage && row["level"] == level;
    shown["rows"].as_array().unwrap().iter().find(fits).unwrap()
}

#[test]
fn every_stage_has_its_own_metric_with_an_interval() {
    let metrics = [
        ("demo-finder", "metric = \"map@50:95\""),
        ("demo-landmarks", "metric = \"nme\"\nagainst = \"labels\""),
        ("demo-gesture", "metric = \"top1\""),
    ];
    let outputs = ["1", "2"].map(|threads| {
        let copy = judged(&metrics);
        evaluate(&copy, "demo.toml", &["--host-threads", threads]).stdout
    });
    assert_eq!(outputs[0], outputs[1], "results depend on the number of threads");
    let shown: Value = serde_json::from_slice(&outputs[0]).unwrap();
    for (stage, metric) in
        [("finder", "map@50:95"), ("landmarks", "nme against labels"), ("gesture", "top1")]
    {
        for level in ["fp32", "int8"] {
            let row = row(&shown, stage, level);
            assert_eq!(row["metric"], metric);
            let value = row["value"].as_f64().unwrap();
            let bound = |index: usize| row["ci95"][index].as_f64().unwrap();
            assert!(bound(0) <= value && value <= bound(1), "{row}");
        }
    }
    assert_eq!(row(&shown, "finder", "fp32")["value"], 1.0, "fp32 compared with itself");
    let error = row(&shown, "landmarks", "fp32")["value"].as_f64().unwrap();
    assert!(error > 0.0 && error < 0.2, "fp32 is near the labels, but not on them: {error}");
}

#[test]
fn metrics_that_do_not_fit_are_refused_with_those_that_do() {
    let cases: [(&str, &str, &[&str]); 4] = [
        ("demo-finder", "metric = \"cosine\"", &["cosine", "finder", "regions", "map@50:95"]),
        ("demo-gesture", "metric = \"nme\"", &["nme", "gesture", "a class", "top1"]),
        ("demo-landmarks", "metric = \"recal\"", &["demo.toml:", "unknown metric", "recall"]),
        (
            "demo-finder",
            "metric = \"iou\"\nagainst = \"labels\"",
            &["xmin, ymin, xmax, ymax", "evaluation.csv"],
        ),
    ];
    for (glue, metric, words) in cases {
        refused(&evaluate(&judged(&[(glue, metric)]), "demo.toml", &[]), words);
    }
    let copy = small();
    copy.replace("demo.toml", "metric = \"top1\"", "metric = \"sqnr\"");
    copy.replace("demo.toml", "max-drop = 4.0", "min-accuracy = 20.0");
    refused(&evaluate(&copy, "demo.toml", &[]), &["gesture", "under [accuracy]", "top1"]);
}

#[test]
fn one_class_tells_nothing_apart() {
    let copy = small();
    let text = fs::read_to_string(copy.path("images/evaluation.csv")).unwrap();
    let row = |row: &str| format!("{},fist", row.split(',').next().unwrap());
    let rows: Vec<String> = text.lines().skip(1).map(row).collect();
    copy.write("images/evaluation.csv", format!("file,gesture\n{}\n", rows.join("\n")));
    let words = ["every gesture is \"fist\"", "another class"];
    refused(&evaluate(&copy, "demo.toml", &[]), &words);
    // Against fp32 labels do not matter.
    copy.replace("demo.toml", "metric = \"top1\"", "metric = \"agreement\"");
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    assert_eq!(shown["end_to_end"][0]["correct"], 8);
}

/// A program that scores an image by how much of the scores of fp32 is left: 1 where nothing differs. Files are read without any
/// library, as NumPy writes them: 10 bytes, of which the last two are the length of a text, the text, and the numbers.
const SCORE: &str = r#"
import array, json, pathlib, sys
manifest = json.load(sys.stdin)
def read(name):
    data = (pathlib.Path(manifest["folder"]) / name).read_bytes()
    assert data[:6] == b"\x93NUMPY" and b"'<f4'" in data[:128]
    return array.array("f", data[10 + int.from_bytes(data[8:10], "little"):])
scores = []
for sample in manifest["samples"]:
    assert sample["label"]
    [[found], *_], [[reference], *_] = sample["variant"], sample["reference"]
    found, reference = read(found), read(reference)
    scores.append(1 - max(abs(a - b) for a, b in zip(found, reference)))
print(json.dumps(scores))
"#;

fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("--version").output().is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("skipped: python3 is missing");
    }
    found
}

#[test]
fn a_program_scores_stages_and_the_whole() {
    if !has_python() {
        return;
    }
    let command = "metric = { command = [\"python3\", \"score.py\"], timeout-s = 120 }";
    let copy = judged(&[("demo-gesture", command)]);
    copy.write("score.py", SCORE);
    copy.replace("demo.toml", "metric = \"top1\"", command);
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    let (same, other) = (row(&shown, "gesture", "fp32"), row(&shown, "gesture", "int8"));
    assert_eq!((&same["metric"], &same["value"]), (&"python3 score.py".into(), &1.0.into()));
    let value = other["value"].as_f64().unwrap();
    assert!(value < 1.0 && value > 0.5, "{other}");
    assert!(other["ci95"][0].as_f64().unwrap() <= value, "{other}");
    let whole = &shown["end_to_end"][1];
    assert!(whole.get("correct").is_none() && whole["total"] == 8, "{whole}");
    assert!(whole["difference"].as_f64().unwrap() <= 0.0, "{whole}");
    // Another program is another metric; nothing of the first is taken for it.
    copy.replace("score.py", "1 - max", "2 - max");
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    assert_eq!(row(&shown, "gesture", "fp32")["value"], 2.0);
    for command in ["tune", "search"] {
        refused(&copy.run("demo.toml", &[command]), &["counting right images", "right-from"]);
    }
    copy.replace("demo.toml", "max-drop = 4.0", "max-drop = 4.0\nright-from = 1.9");
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    assert_eq!(shown["end_to_end"][0]["correct"], 8);
}

#[test]
fn a_number_for_the_whole_set_has_no_interval() {
    let command = "metric = { command = [\"sh\", \"whole.sh\"], per = \"set\" }";
    let copy = judged(&[("demo-landmarks", command)]);
    copy.write("whole.sh", "cat > seen.json; echo 12.5");
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    let row = row(&shown, "landmarks", "int8");
    assert_eq!((&row["value"], &row["ci95"]), (&12.5.into(), &Value::Null));
    let seen: Value = serde_json::from_slice(&fs::read(copy.path("seen.json")).unwrap()).unwrap();
    assert_eq!(seen["samples"].as_array().unwrap().len() as u64, row["samples"].as_u64().unwrap());
    assert_eq!((&seen["stage"], &seen["end_to_end"]), (&"landmarks".into(), &false.into()));
}

#[test]
fn programs_that_hang_or_lie_are_told_and_lose_nothing() {
    let command = "metric = { command = [\"sh\", \"score.sh\"], timeout-s = 5 }";
    let cases: [(&str, &[&str]); 8] = [
        ("sleep 600 & wait", &["did not end within 5 seconds", "timeout-s"]),
        ("echo no such tensor >&2; exit 9", &["exit status: 9", "no such tensor"]),
        ("true", &["printed nothing"]),
        ("echo nan", &["NaN"]),
        ("echo accuracy is good", &["not a list of numbers", "accuracy is good"]),
        ("echo '[1, 1]'", &["2 scores for 8 samples"]),
        ("yes 1", &["printed more than"]),
        ("kill -KILL $$", &["signal: 9"]),
    ];
    let copy = judged(&[("demo-gesture", command)]);
    for (script, words) in cases {
        copy.write("score.sh", script);
        let output = evaluate(&copy, "demo.toml", &[]);
        refused(
            &output,
            &[words, &["failed to score the stage gesture with `sh score.sh`"]].concat(),
        );
    }
    // It fails at its second variant; mended, it is not asked for the first again.
    let script = "echo x >> calls; [ $(wc -l < calls) -ne 2 ] || exit 1; echo '[1,1,1,1,1,1,1,1]'";
    copy.write("score.sh", script);
    refused(&evaluate(&copy, "demo.toml", &[]), &["exit status: 1", "kept"]);
    let shown = json(&evaluate(&copy, "demo.toml", &[]));
    assert_eq!(row(&shown, "gesture", "int8")["value"], 1.0);
    assert_eq!(fs::read_to_string(copy.path("calls")).unwrap().lines().count(), 3);

    copy.replace("demo.toml", "[\"sh\", \"score.sh\"]", "[\"./missing\"]");
    refused(&evaluate(&copy, "demo.toml", &[]), &["./missing", "cannot be started"]);
}

#[test]
fn an_interrupt_is_heeded_while_a_program_scores() {
    let command = "metric = { command = [\"sh\", \"score.sh\"], timeout-s = 300 }";
    let copy = judged(&[("demo-gesture", command)]);
    copy.write("score.sh", "echo $$ > scoring.new; mv scoring.new scoring; exec sleep 300");
    let mut evaluation =
        copy.command("demo.toml", &["evaluate"]).stderr(Stdio::null()).spawn().unwrap();
    let scoring = copy.path("scoring");
    while !scoring.exists() {
        assert_eq!(evaluation.try_wait().unwrap(), None, "it ended before the program was called");
        std::thread::sleep(Duration::from_millis(20));
    }
    let interrupt = |pid: i32, signal| kill(Pid::from_raw(pid), signal).unwrap();
    interrupt(evaluation.id() as i32, Signal::SIGINT);
    assert_eq!(evaluation.wait().unwrap().code(), Some(130));
    let program = fs::read_to_string(scoring).unwrap().trim().parse().unwrap();
    interrupt(program, Signal::SIGKILL);
}

/// A pipeline of one model on tensors.
const TENSORS: &str = r#"
name = "tensors"
[data]
calibration = { tensors = "inputs.npz" }
evaluation = { tensors = "inputs.npz", labels = "labels.csv" }
[accuracy]
metric = "top1"
max-drop = 4.0
[[stage]]
name = "gesture"
model = "models/gesture.tflite"
glue = "classifier"
levels = ["fp32", "int8"]
"#;

/// Numbers for the gesture model, which takes 42 for a sample.
fn points(shape: &[usize]) -> ArrayD<f32> {
    let count: usize = shape.iter().product();
    let value = |i: usize| ((i * 104_729 % 1000) as f32 - 500.0) / 250.0;
    ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(value).collect()).unwrap()
}

fn write_npz(copy: &Copy, name: &str, arrays: &[(&str, &ArrayD<f32>)]) {
    let mut file = ndarray_npy::NpzWriter::new(fs::File::create(copy.path(name)).unwrap());
    for (name, array) in arrays {
        file.add_array(*name, *array).unwrap();
    }
    file.finish().unwrap();
}

fn labels(labels: impl IntoIterator<Item = usize>) -> String {
    let rows = labels.into_iter().enumerate().map(|(row, label)| format!("{row},{label}\n"));
    format!("file,label\n{}", rows.collect::<String>())
}

/// Twelve samples and the pipeline.
fn tensors() -> Copy {
    let copy = Copy::new();
    write_npz(&copy, "inputs.npz", &[("points", &points(&[12, 42]))]);
    copy.write("labels.csv", labels((0..12).map(|row| row % 6)));
    copy.write("tensors.toml", TENSORS);
    copy
}

#[test]
fn tensors_are_samples_in_one_file_or_in_a_folder() {
    let copy = tensors();
    let whole = json(&evaluate(&copy, "tensors.toml", &[]));
    assert_eq!(whole["end_to_end"][0]["total"], 12);
    assert_eq!(row(&whole, "gesture", "fp32")["value"], 1.0);
    // The same samples, each in a file of its own.
    fs::create_dir(copy.path("samples")).unwrap();
    for (row, values) in points(&[12, 42]).outer_iter().enumerate() {
        ndarray_npy::write_npy(copy.path(&format!("samples/{row:02}.npy")), &values).unwrap();
    }
    let row_of = |row: usize| format!("{row:02}.npy,{}\n", row % 6);
    copy.write("labels.csv", format!("file,label\n{}", (0..12).map(row_of).collect::<String>()));
    copy.replace("tensors.toml", "\"inputs.npz\"", "\"samples\"");
    let single = json(&evaluate(&copy, "tensors.toml", &[]));
    for level in [0, 1] {
        let counts = |shown: &Value| shown["end_to_end"][level]["correct"].clone();
        assert_eq!(counts(&whole), counts(&single));
    }
    // Outputs themselves, without classes or labels.
    copy.replace("tensors.toml", "\"classifier\"", "\"tensor\"");
    copy.replace("tensors.toml", "metric = \"top1\"", "metric = \"sqnr\"");
    copy.replace("tensors.toml", "max-drop = 4.0", "min-accuracy = 5.0");
    copy.replace("tensors.toml", ", labels = \"labels.csv\"", "");
    let shown = json(&evaluate(&copy, "tensors.toml", &["--host-threads", "1"]));
    let (same, int8) = (&shown["end_to_end"][0], &shown["end_to_end"][1]);
    assert_eq!((&same["value"], &same["unit"]), (&200.0.into(), &"decibels".into()));
    assert!(int8["value"].as_f64().unwrap() > 5.0, "{int8}");
    assert_eq!(int8["verdict"], "meets");
}

#[test]
fn tensors_that_do_not_fit_are_named() {
    let spoilt = |spoil: &dyn Fn(&Copy), words: &[&str]| {
        let copy = tensors();
        spoil(&copy);
        refused(&evaluate(&copy, "tensors.toml", &[]), words);
    };
    let labelled =
        |text: &str, words: &[&str]| spoilt(&|copy| copy.write("labels.csv", text), words);
    let seven = labels((0..12).map(|row| row % 7));
    labelled(&seven, &["\"6\"", "none of the pipeline's classes"]);
    labelled(&labels((0..13).map(|row| row % 6)), &["line 14", "0 to 11"]);
    labelled(&labels([2; 12]), &["every label is \"2\"", "another class"]);
    labelled("file,label\n", &["no rows"]);
    let given = |array: &ArrayD<f32>, words: &[&str]| {
        spoilt(&|copy| write_npz(copy, "inputs.npz", &[("points", array)]), words);
    };
    given(&points(&[12, 41]), &["[12, 41]", "[12, 42]", "gesture"]);
    given(&points(&[0, 42]), &["inputs.npz", "add some"]);
    given(&ArrayD::from_elem(IxDyn(&[12, 42]), f32::NAN), &["no finite number"]);
    spoilt(&|copy| copy.write("inputs.npz", "PK no archive"), &["inputs.npz", "numpy.savez"]);
    let glue = ["glue = \"classifier\"", "glue = \"demo-gesture\""];
    let looks = ["looks at an image", "classifier"];
    spoilt(&|copy| copy.replace("tensors.toml", glue[0], glue[1]), &looks);
    let doubles = |copy: &Copy| {
        let file = fs::File::create(copy.path("inputs.npz")).unwrap();
        let mut file = ndarray_npy::NpzWriter::new(file);
        file.add_array("points", &ArrayD::<f64>::zeros(IxDyn(&[12, 42]))).unwrap();
        file.finish().unwrap();
    };
    spoilt(&doubles, &["points", "float32"]);
}
