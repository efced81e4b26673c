//! The seam to the engine: what a worker needs of a model.

use std::sync::Arc;

use quantrack_engine::plan::{self, Plan, Session, StepEdge, StepInfo};
use quantrack_engine::{Pool, Tensor, Variant};

use crate::board::detect_features;

/// An input or output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name in the model.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
}

/// What a model takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory of the activations, and what operators need beside it while they run.
    pub arena_bytes: u64,
    /// Memory of the packed weights.
    pub weight_bytes: u64,
    /// Micro-kernels in use.
    pub kernels: Vec<String>,
}

/// A layer as planned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LayerInfo {
    /// Name in the model.
    pub name: String,
    /// Operator.
    pub op: String,
    /// Level at which it computes.
    pub level: String,
    /// Micro-kernel; empty for operators without one.
    pub kernel: String,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// Whether a layer begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Before its first instruction.
    Begin,
    /// After its last.
    End,
}

/// A model that can run.
pub trait Model {
    /// Inputs in the model's order.
    fn inputs(&self) -> &[Port];
    /// Outputs in the model's order.
    fn outputs(&self) -> &[Port];
    /// What it takes on so many threads.
    fn resources(&self, threads: usize) -> Resources;
    /// Layers in the order of execution.
    fn layers(&self) -> Vec<LayerInfo>;
    /// Runs once; `observe` is told when each layer begins and ends.
    ///
    /// # Errors
    /// Says which input does not fit.
    fn run(
        &mut self,
        inputs: &[Tensor],
        pool: &dyn Pool,
        observe: Option<&mut (dyn FnMut(usize, Edge) + Send)>,
    ) -> Result<Vec<Tensor>, String>;
}

/// Makes models of bytes.
pub trait Loader {
    /// Reads and plans a variant.
    ///
    /// # Errors
    /// Says what is wrong with the bytes.
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, String>;
}

/// Loads variants into the engine.
#[derive(Clone, Copy, Debug, Default)]
pub struct EngineLoader;

impl Loader for EngineLoader {
    fn load(&self, bytes: &[u8]) -> Result<Box<dyn Model>, String> {
        let variant = Variant::from_bytes(bytes).map_err(|error| error.to_string())?;
        let plan = Plan::new(&variant, &detect_features()).map_err(|error| error.to_string())?;
        let port = |port: &plan::Port| Port { name: port.name.clone(), shape: port.shape.clone() };
        let inputs = plan.inputs().iter().map(port).collect();
        let outputs = plan.outputs().iter().map(port).collect();
        Ok(Box::new(Planned { inputs, outputs, session: Session::new(Arc::new(plan)) }))
    }
}

/// A variant planned for this CPU.
#[derive(Debug)]
struct Planned {
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    session: Session,
}

impl Model for Planned {
    fn inputs(&self) -> &[Port] {
        &self.inputs
    }

    fn outputs(&self) -> &[Port] {
        &self.outputs
    }

    fn resources(&self, threads: usize) -> Resources {
        let plan = self.session.plan();
        Resources {
            arena_bytes: (plan.arena_bytes() + plan.scratch_bytes(threads)) as u64,
            weight_bytes: plan.weight_bytes() as u64,
            kernels: plan.kernels().into_iter().map(str::to_owned).collect(),
        }
    }

    fn layers(&self) -> Vec<LayerInfo> {
        let layer = |step: &StepInfo| LayerInfo {
            name: step.name.clone(),
            op: step.op.clone(),
            level: step.level.to_string(),
            kernel: step.kernel.to_owned(),
            macs: step.macs,
        };
        self.session.plan().steps().iter().map(layer).collect()
    }

    fn run(
        &mut self,
        inputs: &[Tensor],
        pool: &dyn Pool,
        observe: Option<&mut (dyn FnMut(usize, Edge) + Send)>,
    ) -> Result<Vec<Tensor>, String> {
        let outputs = match observe {
            None => self.session.run_in_place(inputs, pool),
            Some(observe) => self.session.run_observed(inputs, pool, &mut |step, edge| {
                observe(
                    step,
                    match edge {
                        StepEdge::Begin => Edge::Begin,
                        StepEdge::End => Edge::End,
                    },
                );
            }),
        };
        outputs.map(<[Tensor]>::to_vec).map_err(|error| error.to_string())
    }
}
