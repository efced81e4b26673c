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
use quantrack_engine::graph::Graph;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::model::onnx::OPERATORS;
use quantrack_engine::model::onnx::schema::{GraphProto, ModelProto, TensorProto, ValueInfoProto};
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Serial, Tensor, model};

const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT8: i32 = 3;
const INT32: i32 = 6;
const INT64: i32 = 7;
const BOOL: i32 = 9;
/// The folders of cases: single operators, then what has been exported from PyTorch, and small models.
const KINDS: [&str; 4] = ["node", "pytorch-converted", "pytorch-operator", "simple"];

/// A case: the model, its inputs and the wanted outputs.
struct Case {
    name: String,
    /// The operator that is meant.
    op: String,
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

fn read_model(folder: &Path) -> Option<ModelProto> {
    let bytes = std::fs::read(folder.join("model.onnx")).ok()?;
    let mut model = ModelProto::decode(&bytes[..]).ok()?;
    // Version 7 changed how operands are broadcast, which needed an attribute before, and little else.
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let broadcasts = nodes.flat_map(|node| &node.attribute).any(|a| a.name == "broadcast");
    for set in model.opset_import.iter_mut().filter(|set| set.version == 6 && !broadcasts) {
        set.version = 7;
    }
    Some(model)
}

/// The operator that a case means: that of its node, of the case that it expands into a function's parts, or of its last.
fn operator(folder: &Path, model: &ModelProto) -> Option<String> {
    let last = |model: &ModelProto| Some(model.graph.as_ref()?.node.last()?.op_type.clone());
    let name = folder.file_name()?.to_string_lossy();
    let Some((whole, _)) = name.split_once("_expanded") else { return last(model) };
    let op = last(&read_model(&folder.with_file_name(whole))?)?;
    Some(if OPERATORS.contains(&op.as_str()) { op } else { format!("{op}, by its parts") })
}

fn read(folder: &Path) -> Option<Case> {
    let model = read_model(folder)?;
    Some(Case {
        name: folder.file_name()?.to_string_lossy().into_owned(),
        op: operator(folder, &model)?,
        model,
        inputs: tensors(folder, "input"),
        outputs: tensors(folder, "output"),
    })
}

/// The elements of a tensor of the cases.
fn elements(tensor: &TensorProto) -> Vec<f32> {
    let raw = &tensor.raw_data;
    match tensor.data_type {
        FLOAT if raw.is_empty() => tensor.float_data.clone(),
        FLOAT => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
        INT64 if raw.is_empty() => tensor.int64_data.iter().map(|&x| x as f32).collect(),
        INT64 => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f32).collect(),
        INT32 if !raw.is_empty() => {
            raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes) as f32).collect()
        }
        UINT8 | BOOL if !raw.is_empty() => raw.iter().map(|&byte| f32::from(byte)).collect(),
        INT8 if !raw.is_empty() => raw.iter().map(|&byte| f32::from(byte as i8)).collect(),
        _ => tensor.int32_data.iter().map(|&x| x as f32).collect(),
    }
}

impl Case {
    fn graph(&self) -> &GraphProto {
        self.model.graph.as_ref().expect("a model has a graph")
    }

    /// Whether the operands are parameters, as all of these are in models of the field.
    fn has_parameters_only(&self) -> bool {
        matches!(self.op.as_str(), "ConstantOfShape" | "Range")
    }

    /// Whether the importer knows all operators, and run-time values are plain: fp32, integers of 8 bits or truth values, and
    /// as results any integers.
    fn counts(&self) -> bool {
        let known = |op: &str| OPERATORS.contains(&op);
        let plain = |tensor: &TensorProto| matches!(tensor.data_type, FLOAT | UINT8 | INT8 | BOOL);
        let result =
            |tensor: &TensorProto| plain(tensor) || matches!(tensor.data_type, INT32 | INT64);
        let own = |domain: &str| matches!(domain, "" | "ai.onnx");
        let supported =
            self.graph().node.iter().all(|node| known(&node.op_type) && own(&node.domain));
        let version = self.model.opset_import.iter().find(|set| own(&set.domain));
        let first = self.inputs.first();
        let is_tensor = |input: &ValueInfoProto| {
            input.r#type.as_ref().is_some_and(|kind| kind.tensor_type.is_some())
        };
        supported
            && version.is_some_and(|set| (7..=24).contains(&set.version))
            && (self.has_parameters_only() || first.is_none_or(plain))
            && self.outputs.iter().all(result)
            // A tensor without elements computes nothing.
            && !first.into_iter().chain(&self.outputs).any(|tensor| tensor.dims.contains(&0))
            // Sequences are no tensors, and empty tensors are files that decode to nothing.
            && self.graph().input.iter().all(is_tensor)
            && self.inputs.len() + self.graph().initializer.len() >= self.graph().input.len()
    }

    /// The model with some inputs as constants, and those that remain.
    fn with_constants(&self, only_first: bool) -> (Vec<u8>, Vec<Tensor>) {
        let mut model = self.model.clone();
        let graph = model.graph.as_mut().expect("a model has a graph");
        // Old models list their constants among the inputs.
        let known: Vec<String> = graph.initializer.iter().map(|c| c.name.clone()).collect();
        let names: Vec<String> = graph.input.iter().map(|input| input.name.clone()).collect();
        let names = names.into_iter().filter(|name| !known.contains(name)).collect::<Vec<_>>();
        let mut remaining = Vec::new();
        for (index, (name, tensor)) in names.iter().zip(&self.inputs).enumerate() {
            let constant = self.has_parameters_only()
                || index > 0 && (only_first || tensor.data_type != FLOAT);
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

    /// Runs the case at fp32: whether its constants were all operands but the first.
    fn run(&self) -> Result<bool, String> {
        let exactly = |only_first| {
            let (graph, inputs) = self.import(only_first)?;
            self.compare(&run_at(&graph, &inputs, Level::Fp32)?, None)
        };
        match exactly(false) {
            Ok(()) => Ok(false),
            Err(reason) if self.inputs.len() < 2 => Err(reason),
            Err(_) => exactly(true).map(|()| true),
        }
    }

    /// Whether results of fp32 are computed at int8, calibrated with the case's own inputs, within a sixteenth of their
    /// largest magnitude.
    fn is_close_at_int8(&self, only_first: bool) -> bool {
        let close = || {
            let (graph, inputs) = self.import(only_first).ok()?;
            self.compare(&run_at(&graph, &inputs, Level::Int8).ok()?, Some(1.0 / 16.0)).ok()
        };
        close().is_some()
    }

    fn has_real_results(&self) -> bool {
        self.outputs.iter().all(|output| output.data_type == FLOAT)
    }

    fn import(&self, only_first: bool) -> Result<(Graph, Vec<Tensor>), String> {
        let (bytes, inputs) = self.with_constants(only_first);
        Ok((model::import(&bytes).map_err(|error| error.to_string())?, inputs))
    }

    /// Holds results against the wanted ones; `share` of the largest magnitude may be missing.
    fn compare(&self, results: &[Tensor], share: Option<f32>) -> Result<(), String> {
        for (got, wanted) in results.iter().zip(&self.outputs) {
            let shape: Vec<usize> = wanted.dims.iter().map(|&n| n as usize).collect();
            if got.shape() != shape {
                return Err(format!("result of {:?} instead of {shape:?}", got.shape()));
            }
            let exact = wanted.data_type != FLOAT;
            let all = elements(wanted);
            let largest = all.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
            for (&a, b) in got.iter().zip(all) {
                let most = share.map_or(1e-5 + 1e-3 * b.abs(), |share| share * largest);
                let near = (a - b).abs() <= most || a == b || a.is_nan() && b.is_nan();
                if !near || exact && a != b {
                    return Err(format!("computes {a} instead of {b}"));
                }
            }
        }
        Ok(())
    }
}

fn run_at(graph: &Graph, inputs: &[Tensor], level: Level) -> Result<Vec<Tensor>, String> {
    let cpu = CpuFeatures::detect();
    let mut calibration = None;
    if level != Level::Fp32 {
        let mut calibrator = Calibrator::new(graph, &cpu).map_err(|error| error.to_string())?;
        calibrator.observe(inputs, &Serial).map_err(|error| error.to_string())?;
        calibration = Some(calibrator.finish().map_err(|error| error.to_string())?);
    }
    let variant = quantize(graph, level, &default_recipe(level), calibration.as_ref())
        .map_err(|error| error.to_string())?;
    let plan = Plan::new(&variant, &cpu).map_err(|error| error.to_string())?;
    Session::new(Arc::new(plan)).run(inputs, &Serial).map_err(|error| error.to_string())
}

/// How the cases of an operator did.
#[derive(Default)]
struct Score {
    passed: usize,
    counted: usize,
    /// Of those that passed: with results of fp32, and close to them at int8.
    real: usize,
    close: usize,
    /// Why others failed.
    reasons: BTreeMap<String, String>,
}

fn one_line(reason: &str) -> String {
    let line = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let line = line.split("; the file is damaged").next().unwrap_or_default();
    let line = line.split(" replace them in the model").next().unwrap_or_default();
    let line = line.rsplit_once("supported: ").map_or(line, |(_, reason)| reason);
    line.chars().take(130).collect::<String>().replace('|', "/")
}

fn table(kinds: &[BTreeMap<String, Score>]) -> String {
    let mut text = String::from(
        "# ONNX operators\n\nWritten by `tests/onnx_backend.rs` (`UPDATE_ONNX_TABLE=1`): the ONNX project's test cases (`onnx` 1.19.0 \
         from PyPI) on\nplain types (run-time operands of fp32, integers of 8 bits or truth values) through importer and engine at \
         fp32, within\n1e-3, integers exactly; without those of no elements. Operands that are integers, and weights and parameters, \
         are constants. The\nlast columns: how many of the cases that pass have results of fp32, and how many of these int8, calibrated \
         with the case's own\ninput, computes within a sixteenth of the largest magnitude.\n\n",
    );
    let [operators, networks @ ..] = kinds else { return text };
    let (passed, counted) = total(operators);
    let share = 100.0 * passed as f64 / counted.max(1) as f64;
    let columns = "passed | cases | of fp32 | close at int8 |\n|---|---|---|---|---|\n";
    let _ = write!(
        text,
        "{passed} of {counted} cases of {} operators pass ({share:.1} %).\n\n| operator | {columns}",
        operators.len()
    );
    let row = |text: &mut String, name: &str, score: &Score| {
        let Score { passed, counted, real, close, .. } = score;
        let _ = writeln!(text, "| {name} | {passed} | {counted} | {real} | {close} |");
    };
    operators.iter().for_each(|(op, score)| row(&mut text, op, score));
    text.push_str("\nLayers and networks exported from PyTorch (of version 6, which are read as version 7), and small models:\n\n");
    let _ = write!(text, "| folder | {columns}");
    for (name, scores) in KINDS[1..].iter().zip(networks) {
        let sum = |f: fn(&Score) -> usize| scores.values().map(f).sum();
        let (passed, counted) = total(scores);
        let (real, close) = (sum(|s| s.real), sum(|s| s.close));
        row(&mut text, name, &Score { passed, counted, real, close, reasons: BTreeMap::new() });
    }
    text.push_str("\n## What does not pass\n\n| case | reason |\n|---|---|\n");
    for (case, reason) in kinds.iter().flat_map(BTreeMap::values).flat_map(|score| &score.reasons) {
        let _ = writeln!(text, "| {case} | {} |", one_line(reason));
    }
    text
}

/// Passed and counted.
fn total(scores: &BTreeMap<String, Score>) -> (usize, usize) {
    let sum = |f: fn(&Score) -> usize| scores.values().map(f).sum::<usize>();
    (sum(|score| score.passed), sum(|score| score.counted))
}

/// How the cases below `folder` do, by operator.
fn scores(folder: &Path) -> BTreeMap<String, Score> {
    let mut scores: BTreeMap<String, Score> = BTreeMap::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("QUANTRACK_ONNX has folders of cases")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    for case in folders.iter().filter_map(|folder| read(folder)).filter(Case::counts) {
        let score = scores.entry(case.op.clone()).or_default();
        score.counted += 1;
        match case.run() {
            Ok(only_first) => {
                score.passed += 1;
                score.real += usize::from(case.has_real_results());
                score.close +=
                    usize::from(case.has_real_results() && case.is_close_at_int8(only_first));
            }
            Err(reason) => {
                let wraps =
                    case.name.starts_with("test_qlinearmatmul") && case.name.contains("int8");
                let note = "; the case's own result wraps around where the operator is defined to saturate";
                score.reasons.insert(case.name, reason + if wraps { note } else { "" });
            }
        }
    }
    scores
}

#[test]
fn the_cases_of_the_onnx_project_pass() {
    let Some(data) = std::env::var_os("QUANTRACK_ONNX").map(PathBuf::from) else {
        eprintln!(
            "skipped: the ONNX project's cases (QUANTRACK_ONNX is not set; tests/run fetches them from PyPI)"
        );
        return;
    };
    let kinds = KINDS.map(|kind| scores(&data.join(kind)));
    let (passed, counted) = total(&kinds[0]);
    println!("ONNX: {passed} of {counted} cases pass");
    let text = table(&kinds);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/onnx.md");
    if std::env::var_os("UPDATE_ONNX_TABLE").is_some() {
        std::fs::write(&path, &text).expect("docs can be written");
    }
    assert!(counted >= 488, "only {counted} cases were found");
    assert!(passed * 100 >= counted * 95, "{passed} of {counted} pass:\n{text}");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        committed, text,
        "docs/onnx.md is not current: run this test with UPDATE_ONNX_TABLE=1"
    );
}
