//! The ONNX project's own test cases of single operators (`onnx` 1.19.0 from PyPI, the last that ships them as files), through
//! importer and engine at fp32. `tests/run` fetches them; `QUANTRACK_ONNX` names the folder `onnx/backend/test/data`.
//!
//! A model in the field has weights and parameters as constants, where these cases often have inputs: operands that are
//! integers, and where the operator needs it all but the first, become constants.
#![expect(clippy::expect_used, reason = "tests fail by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::onnx::OPERATORS;
use quantrack_engine::model::onnx::schema::{GraphProto, ModelProto, TensorProto};
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, model};

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT8: i32 = 3;

/// A case: the model, its inputs and the wanted outputs.
struct Case {
    name: String,
    model: ModelProto,
    inputs: Vec<TensorProto>,
    outputs: Vec<TensorProto>,
}

fn tensors(folder: &Path, kind: &str) -> Vec<TensorProto> {
    (0..)
        .map(|index| folder.join(format!("test_data_set_0/{kind}_{index}.pb")))
        .map_while(|path| std::fs::read(path).ok())
        .map(|bytes| TensorProto::decode(&bytes[..]).unwrap_or_default())
        .collect()
}

fn read(folder: &Path) -> Option<Case> {
    let bytes = std::fs::read(folder.join("model.onnx")).ok()?;
    Some(Case {
        name: folder.file_name()?.to_string_lossy().into_owned(),
        model: ModelProto::decode(&bytes[..]).ok()?,
        inputs: tensors(folder, "input"),
        outputs: tensors(folder, "output"),
    })
}

/// The elements of a tensor of the cases, which are fp32 or integers of 8 bits.
fn elements(tensor: &TensorProto) -> Vec<f32> {
    let raw = &tensor.raw_data;
    match tensor.data_type {
        FLOAT if raw.is_empty() => tensor.float_data.clone(),
        FLOAT => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        UINT8 if !raw.is_empty() => raw.iter().map(|&byte| f32::from(byte)).collect(),
        INT8 if !raw.is_empty() => raw.iter().map(|&byte| f32::from(byte as i8)).collect(),
        _ => tensor.int32_data.iter().map(|&x| x as f32).collect(),
    }
}

impl Case {
    fn graph(&self) -> &GraphProto {
        self.model.graph.as_ref().expect("a model has a graph")
    }

    /// Whether the importer knows all operators, and run-time values are plain: fp32, or integers of 8 bits.
    fn counts(&self) -> bool {
        let known = |op: &str| OPERATORS.contains(&op);
        let plain = |tensor: &TensorProto| matches!(tensor.data_type, FLOAT | UINT8 | INT8);
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        let supported =
            self.graph().node.iter().all(|node| known(&node.op_type) && own(&node.domain));
        let version = self.model.opset_import.iter().find(|set| own(&set.domain));
        supported
            && version.is_some_and(|set| (7..=21).contains(&set.version))
            && !self.inputs.is_empty()
            && plain(&self.inputs[0])
            && self.outputs.iter().all(plain)
            // A tensor without elements computes nothing.
            && !self.inputs[..1].iter().chain(&self.outputs).any(|tensor| tensor.dims.contains(&0))
            // Sequences and empty tensors are files that decode to nothing.
            && self.inputs.len() == self.graph().input.len()
    }

    /// The model with some inputs as constants, and those that remain.
    fn with_constants(&self, only_first: bool) -> (Vec<u8>, Vec<Tensor>) {
        let mut model = self.model.clone();
        let graph = model.graph.as_mut().expect("a model has a graph");
        let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
        let mut remaining = Vec::new();
        for (index, (name, tensor)) in names.iter().zip(&self.inputs).enumerate() {
            let constant = index > 0 && (only_first || tensor.data_type != FLOAT);
            if constant {
                graph.initializer.push(TensorProto { name: name.clone(), ..tensor.clone() });
                graph.input.retain(|input| input.name != *name);
            } else {
                let shape: Vec<usize> = tensor.dims.iter().map(|&n| n as usize).collect();
                remaining.push(Tensor::from_shape_vec(shape, elements(tensor)).unwrap_or_default());
            }
        }
        (model.encode_to_vec(), remaining)
    }

    fn run(&self) -> Result<(), String> {
        self.run_as(false).or_else(|first| match self.inputs.len() {
            1 => Err(first),
            _ => self.run_as(true),
        })
    }

    fn run_as(&self, only_first: bool) -> Result<(), String> {
        let (bytes, inputs) = self.with_constants(only_first);
        let graph = model::import(&bytes).map_err(|error| error.to_string())?;
        let variant = quantize(&graph, Level::Fp32, &default_recipe(Level::Fp32), None)
            .map_err(|error| error.to_string())?;
        let plan =
            Plan::new(&variant, &CpuFeatures::detect()).map_err(|error| error.to_string())?;
        let got = Session::new(Arc::new(plan)).run(&inputs, &Serial).map_err(|e| e.to_string())?;
        for (got, wanted) in got.iter().zip(&self.outputs) {
            let shape: Vec<usize> = wanted.dims.iter().map(|&n| n as usize).collect();
            if got.shape() != shape {
                return Err(format!("result of {:?} instead of {shape:?}", got.shape()));
            }
            let exact = wanted.data_type != FLOAT;
            for (&a, b) in got.iter().zip(elements(wanted)) {
                let near =
                    (a - b).abs() <= 1e-5 + 1e-3 * b.abs() || a == b || a.is_nan() && b.is_nan();
                if !near || exact && a != b {
                    return Err(format!("computes {a} instead of {b}"));
                }
            }
        }
        Ok(())
    }
}

/// Passed, counted, and why others failed.
type Score = (usize, usize, BTreeMap<String, String>);

fn one_line(reason: &str) -> String {
    let line = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let line = line.split("; the file is damaged").next().unwrap_or_default();
    let line = line.split(" replace them in the model").next().unwrap_or_default();
    let line = line.rsplit_once("supported: ").map_or(line, |(_, reason)| reason);
    line.chars().take(130).collect::<String>().replace('|', "/")
}

fn table(scores: &BTreeMap<String, Score>) -> String {
    let sum = |f: fn(&Score) -> usize| scores.values().map(f).sum::<usize>();
    let (passed, counted) = (sum(|s| s.0), sum(|s| s.1));
    let mut text = String::from(
        "# ONNX operators\n\nWritten by `tests/onnx_backend.rs` (`UPDATE_ONNX_TABLE=1`): the ONNX project's test cases of single \
         operators\n(`onnx` 1.19.0 from PyPI) on plain types (fp32, integers of 8 bits), through importer and engine at fp32, \
         within\n1e-3, integers exactly; without those of no elements. Operands that are integers, and weights and parameters, are constants.\n\n",
    );
    let share = 100.0 * passed as f64 / counted.max(1) as f64;
    let _ = write!(
        text,
        "{passed} of {counted} cases pass ({share:.1} %).\n\n| operator | passed | cases |\n|---|---|---|\n"
    );
    for (op, (passed, counted, _)) in scores {
        let _ = writeln!(text, "| {op} | {passed} | {counted} |");
    }
    text.push_str("\n## What does not pass\n\n| case | reason |\n|---|---|\n");
    for (case, reason) in scores.values().flat_map(|score| &score.2) {
        let _ = writeln!(text, "| {case} | {} |", one_line(reason));
    }
    text
}

#[test]
fn the_cases_of_the_onnx_project_pass() {
    let Some(data) = std::env::var_os("QUANTRACK_ONNX").map(PathBuf::from) else {
        eprintln!(
            "skipped: the ONNX project's cases (QUANTRACK_ONNX is not set; tests/run fetches them from PyPI)"
        );
        return;
    };
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(data.join("node"))
        .expect("QUANTRACK_ONNX has a folder of cases")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    for case in folders.iter().filter_map(|folder| read(folder)).filter(Case::counts) {
        // Functions are also given as what they consist of; they count as the operator that is meant.
        let op = case.graph().node.last().map_or("none", |node| node.op_type.as_str()).to_owned();
        let score = scores.entry(op).or_default();
        score.1 += 1;
        match case.run() {
            Ok(()) => score.0 += 1,
            Err(reason) => {
                let wraps =
                    case.name.starts_with("test_qlinearmatmul") && case.name.contains("int8");
                let note = "; the case's own result wraps around where the operator is defined to saturate";
                score.2.insert(case.name, reason + if wraps { note } else { "" });
            }
        }
    }
    let passed: usize = scores.values().map(|score| score.0).sum();
    let counted: usize = scores.values().map(|score| score.1).sum();
    println!("ONNX: {passed} of {counted} cases pass");
    let text = table(&scores);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onnx.md");
    if std::env::var_os("UPDATE_ONNX_TABLE").is_some() {
        std::fs::write(&path, &text).expect("docs can be written");
    }
    assert!(counted >= 395, "only {counted} cases were found");
    assert!(passed * 100 >= counted * 95, "{passed} of {counted} pass:\n{text}");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "docs/onnx.md is not current: run this test with UPDATE_ONNX_TABLE=1"
    );
}
