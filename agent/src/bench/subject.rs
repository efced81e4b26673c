//! What is timed.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use quantrack_engine::bench::{Family, Prepared, cases};
use quantrack_engine::graph::Graph;
use quantrack_engine::kernels::CpuFeatures;
use quantrack_engine::plan::{Plan, Session};
use quantrack_engine::quantize::{Calibrator, default_recipe, quantize};
use quantrack_engine::{Level, Pool, Serial, Tensor, model};

/// Computes a subject once.
type Run = Box<dyn FnMut(&dyn Pool) -> anyhow::Result<()>>;

/// A layer or a model at a level, ready to run.
pub struct Subject {
    /// The family's name, as in `conv`; `model` for whole models.
    pub family: &'static str,
    /// As in `conv3x3-64-56`, or the model file's name.
    pub name: String,
    /// The level asked for.
    pub level: Level,
    /// Micro-kernels selected.
    pub kernels: Vec<&'static str>,
    /// Multiply-accumulates of one run.
    pub macs: u64,
    /// Bytes of operands, packed weights and results; of models their packed weights only.
    pub bytes: u64,
    run: Run,
}

impl Subject {
    /// Whether this measures what kernels reach at best, always on one thread.
    pub fn is_peak(&self) -> bool {
        self.family == Family::Peak.name()
    }

    /// Runs once.
    pub fn run(&mut self, pool: &dyn Pool) -> anyhow::Result<()> {
        let pool = if self.is_peak() { &Serial } else { pool };
        (self.run)(pool)
    }
}

/// Every case of `families` at every level that it has, and the peaks of the levels.
pub fn layers(cpu: &CpuFeatures, families: &[Family]) -> Vec<Subject> {
    let wanted = |family| families.contains(&family) || family == Family::Peak;
    let cases = cases().iter().filter(|case| wanted(case.family));
    cases
        .flat_map(|case| case.levels().iter().map(move |&level| (case, level)))
        .filter_map(|(case, level)| {
            Some(layer(case.family, case.name, level, case.prepare(level, cpu)?))
        })
        .collect()
}

fn layer(family: Family, name: &str, level: Level, mut prepared: Prepared) -> Subject {
    let kernel = prepared.kernel();
    Subject {
        family: family.name(),
        name: name.to_owned(),
        level,
        kernels: if kernel.is_empty() { Vec::new() } else { vec![kernel] },
        macs: prepared.macs(),
        bytes: prepared.bytes(),
        run: Box::new(move |pool| {
            prepared.run(pool);
            Ok(())
        }),
    }
}

/// The model in `file` at each of `levels`, all that the engine has if there are none.
///
/// Inputs are a fixed wave, which integers are calibrated on: times do not depend on what the numbers mean.
pub fn models(cpu: &CpuFeatures, file: &Path, levels: &[Level]) -> anyhow::Result<Vec<Subject>> {
    let bytes =
        std::fs::read(file).with_context(|| format!("failed to read {}", file.display()))?;
    let graph = model::import(&bytes)
        .with_context(|| format!("failed to import the model {}", file.display()))?;
    let inputs = waves(&graph)?;
    let mut calibrator = Calibrator::new(&graph, cpu)?;
    calibrator.observe(&inputs, &Serial)?;
    let calibration = calibrator.finish()?;
    let name = file.file_stem().unwrap_or(file.as_os_str()).to_string_lossy().into_owned();
    let levels = if levels.is_empty() { Level::ALL.to_vec() } else { levels.to_vec() };
    let subject = |level: Level| -> anyhow::Result<Subject> {
        let variant = quantize(&graph, level, &default_recipe(level), Some(&calibration))?;
        let plan = Plan::new(&variant, cpu)?;
        let (kernels, bytes) = (plan.kernels(), plan.weight_bytes() as u64);
        let macs = plan.steps().iter().map(|step| step.macs).sum();
        let (mut session, inputs) = (Session::new(Arc::new(plan)), inputs.clone());
        let run = Box::new(move |pool: &dyn Pool| Ok(session.run(&inputs, pool).map(drop)?));
        Ok(Subject { family: "model", name: name.clone(), level, kernels, macs, bytes, run })
    };
    levels
        .into_iter()
        .map(|level| subject(level).with_context(|| format!("failed to prepare {name} at {level}")))
        .collect()
}

/// An input tensor for each input, within 0 and 1.
fn waves(graph: &Graph) -> anyhow::Result<Vec<Tensor>> {
    let wave = |(index, &id): (usize, &usize)| {
        let shape = graph.values[id].shape.clone();
        let numbers = 0..shape.iter().product::<usize>();
        let numbers = numbers.map(|i| ((i * 7 + index) % 255) as f32 / 255.0).collect();
        Ok(Tensor::from_shape_vec(shape, numbers)?)
    };
    graph.inputs.iter().enumerate().map(wave).collect()
}
