//! `model run`: runs a model at a level on given arrays, so that anyone can hold the engine against another runtime.

use std::path::PathBuf;
use std::sync::Arc;

use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Recipe, default_recipe, quantize};
use quantrack_engine::variant::Exemption;
use quantrack_engine::{Level, RayonPool};
use serde::Serialize;

use super::OpenAxes;
use super::arrays::{read_inputs, read_samples, write_outputs};
use crate::context::Context;
use crate::exit::{CommandResult, Exit, Failure};
use crate::variants::{ModelFile, calibrate};

/// What to run.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The model (.tflite or .onnx).
    file: PathBuf,
    #[command(flatten)]
    dimensions: OpenAxes,
    /// Arrays (.npz), named as the model's inputs.
    #[arg(long, value_name = "NPZ")]
    input: PathBuf,
    /// Where the outputs go (.npz), named as in the model.
    #[arg(long, value_name = "NPZ")]
    output: PathBuf,
    /// The level.
    #[arg(long, default_value = "fp32")]
    level: Level,
    /// The recipe [default: the level's own].
    #[arg(long)]
    recipe: Option<Recipe>,
    /// Samples that quantizers look at: an .npz file, or a folder of them.
    #[arg(long, value_name = "NPZ|DIR")]
    calibration: Option<PathBuf>,
}

/// What `model run` prints.
#[derive(Debug, Serialize)]
struct Shown {
    level: Level,
    recipe: String,
    outputs: Vec<Output>,
    exemptions: Vec<Exemption>,
    kernels: Vec<&'static str>,
}

/// An output.
#[derive(Debug, Serialize)]
struct Output {
    name: String,
    shape: Vec<usize>,
    min: f32,
    max: f32,
}

/// Runs the command.
///
/// # Errors
/// When a file cannot be used, or the level cannot be reached.
pub(super) fn run(args: &Args, context: &Context) -> CommandResult {
    let model = ModelFile::read(&args.file, &args.dimensions.all()).map_err(Failure::usage)?;
    let inputs = read_inputs(&model.graph, &args.input).map_err(Failure::usage)?;
    let calibration = match &args.calibration {
        Some(path) => {
            let samples = read_samples(&model.graph, path).map_err(Failure::usage)?;
            let context = |failure: Failure| {
                failure.context(format!("failed to calibrate with {}", path.display()))
            };
            Some(calibrate(&model, &samples).map_err(|error| context(Failure::usage(error)))?)
        }
        None => None,
    };
    let recipe = args.recipe.unwrap_or_else(|| default_recipe(args.level));
    let variant = quantize(&model.graph, args.level, &recipe, calibration.as_ref())
        .map_err(|error| Failure::usage(error).next("samples are given with --calibration"))?;
    let plan = Arc::new(Plan::new(&variant, &CpuFeatures::detect()).map_err(Failure::usage)?);
    let threads = context.options.threads.unwrap_or(1) as usize;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = RayonPool::new(pool.map_err(Failure::lab)?);
    let mut session = Session::new(Arc::clone(&plan));
    let outputs = session.run(&inputs, &pool).map_err(Failure::usage)?;
    write_outputs(&model.graph, &outputs, &args.output).map_err(Failure::lab)?;
    let shown = Shown {
        level: args.level,
        recipe: recipe.to_string(),
        outputs: plan
            .outputs()
            .iter()
            .zip(&outputs)
            .map(|(port, tensor)| Output {
                name: port.name.clone(),
                shape: port.shape.clone(),
                min: tensor.iter().copied().fold(f32::INFINITY, f32::min),
                max: tensor.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            })
            .collect(),
        exemptions: variant.exemptions.clone(),
        kernels: plan.kernels(),
    };
    context.print("model run", &shown, human)?;
    Ok(Exit::Ok)
}

fn human(shown: &Shown) -> String {
    let mut lines = vec![format!("{} by {}", shown.level, shown.recipe)];
    for output in &shown.outputs {
        let shape: Vec<String> = output.shape.iter().map(usize::to_string).collect();
        lines.push(format!(
            "output  {} {}: {} .. {}",
            shape.join("x"),
            output.name,
            output.min,
            output.max
        ));
    }
    for exempt in &shown.exemptions {
        lines.push(format!("exempt  {} at {}: {}", exempt.node, exempt.level, exempt.reason));
    }
    lines.push(format!("kernels {}", shown.kernels.join(", ")));
    lines.join("\n")
}
