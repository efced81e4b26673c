//! The seam to the engine: what a worker needs of a model.

use quantrack_engine::{Pool, Tensor};

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
    /// Memory of the activations.
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
    /// What it takes.
    fn resources(&self) -> Resources;
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
        observe: Option<&mut dyn FnMut(usize, Edge)>,
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
    fn load(&self, _bytes: &[u8]) -> Result<Box<dyn Model>, String> {
        Err("this build's engine cannot plan variants; install an agent of a later release"
            .to_owned())
    }
}
