//! `model show`: what a model file is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use quantrack_engine::Level;
use quantrack_engine::graph::{Graph, ValueId};
use serde::Serialize;

use super::OpenAxes;
use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::output;
use crate::variants::ModelFile;

/// Which model.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model (.tflite or .onnx).
    file: PathBuf,
    #[command(flatten)]
    dimensions: OpenAxes,
}

/// What `model show` prints.
#[derive(Debug, Serialize)]
struct Shown {
    file: PathBuf,
    sha256: String,
    bytes: u64,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// Operators by name, as they stand in the file.
    ops: BTreeMap<&'static str, usize>,
    parameters: usize,
    macs: u64,
    levels: Vec<Level>,
}

/// An input or output.
#[derive(Debug, Serialize)]
struct Port {
    name: String,
    shape: Vec<usize>,
}

/// Runs the command.
///
/// # Errors
/// When the file cannot be read or imported.
pub(super) fn run(args: Args, context: &Context) -> CommandResult {
    let Args { file, dimensions } = args;
    let model = ModelFile::read(&file, &dimensions.all()).map_err(Failure::usage)?;
    let graph = &model.graph;
    let mut ops = BTreeMap::new();
    for node in &graph.nodes {
        *ops.entry(node.op.name()).or_default() += 1;
    }
    let shown = Shown {
        sha256: model.sha256.clone(),
        bytes: model.bytes,
        inputs: ports(graph, &graph.inputs),
        outputs: ports(graph, &graph.outputs),
        ops,
        parameters: graph.parameters(),
        macs: graph.macs(),
        levels: Level::ALL.to_vec(),
        file,
    };
    context.print("model show", &shown, human)?;
    Ok(Exit::Ok)
}

fn ports(graph: &Graph, ids: &[ValueId]) -> Vec<Port> {
    let port = |&id: &ValueId| {
        let value = &graph.values[id];
        Port { name: value.name.clone(), shape: value.shape.clone() }
    };
    ids.iter().map(port).collect()
}

fn human(shown: &Shown) -> String {
    let mut lines = vec![format!(
        "{}: {}, {} parameters, {} multiply-accumulates",
        shown.file.display(),
        output::bytes(shown.bytes),
        output::count(shown.parameters as u64),
        output::count(shown.macs)
    )];
    for (direction, ports) in [("input", &shown.inputs), ("output", &shown.outputs)] {
        for port in ports {
            let shape: Vec<String> = port.shape.iter().map(usize::to_string).collect();
            lines.push(format!("{direction:<7} {} {}", shape.join("x"), port.name));
        }
    }
    let mut ops: Vec<(&&str, &usize)> = shown.ops.iter().collect();
    ops.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), **name));
    let ops: Vec<String> = ops.iter().map(|(name, count)| format!("{name} {count}")).collect();
    lines.push(format!("ops     {}", ops.join(", ")));
    let levels: Vec<&str> = shown.levels.iter().map(|level| level.name()).collect();
    lines.push(format!("levels  {}", levels.join(", ")));
    lines.push(format!("sha256  {}", shown.sha256));
    lines.join("\n")
}
