//! What agent and worker say to each other. Both are the same program, so this contract has no versions.

/// From the agent. Each is answered by one [`Reply`], in order.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// What to do.
    #[prost(oneof = "Order", tags = "1, 2, 3, 4, 5")]
    pub order: Option<Order>,
}

/// What to do.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Order {
    /// Limit and pin yourself; comes first.
    #[prost(message, tag = "1")]
    Setup(Setup),
    /// Load the next variant; they are counted from 0.
    #[prost(message, tag = "2")]
    Load(Load),
    /// Time consecutive runs on random inputs.
    #[prost(message, tag = "3")]
    Sample(Sample),
    /// Time the layers within runs on random inputs.
    #[prost(message, tag = "4")]
    Layers(Sample),
    /// Run on given inputs.
    #[prost(message, tag = "5")]
    Run(Tensors),
}

/// Limits and threads.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Setup {
    /// Threads of the engine.
    #[prost(uint32, tag = "1")]
    pub threads: u32,
    /// Cores to pin to; none: do not pin.
    #[prost(uint32, repeated, tag = "2")]
    pub cores: Vec<u32>,
    /// Most address space.
    #[prost(uint64, tag = "3")]
    pub memory_limit_bytes: u64,
    /// Seed of the random inputs.
    #[prost(uint64, tag = "4")]
    pub seed: u64,
}

/// A variant's file.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Load {
    /// Where the agent keeps it.
    #[prost(string, tag = "1")]
    pub path: String,
    /// What it must contain.
    #[prost(string, tag = "2")]
    pub sha256: String,
}

/// A number of runs of a loaded variant.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// Which.
    #[prost(uint32, tag = "1")]
    pub variant: u32,
    /// How many runs.
    #[prost(uint32, tag = "2")]
    pub runs: u32,
}

/// A set of tensors.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensors {
    /// In the model's order.
    #[prost(message, repeated, tag = "1")]
    pub tensors: Vec<Tensor>,
    /// How long the run took; of results only.
    #[prost(uint64, tag = "2")]
    pub duration_ns: u64,
}

/// A tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Tensor {
    /// Name in the model.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Extents.
    #[prost(uint64, repeated, tag = "2")]
    pub shape: Vec<u64>,
    /// Elements, little-endian binary32, row-major.
    #[prost(bytes = "vec", tag = "3")]
    pub f32_le: Vec<u8>,
}

/// From the worker.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reply {
    /// What came of the order.
    #[prost(oneof = "Outcome", tags = "1, 2, 3, 4, 5, 6")]
    pub outcome: Option<Outcome>,
}

/// What came of an order.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Outcome {
    /// Of [`Order::Setup`].
    #[prost(message, tag = "1")]
    Ready(Ready),
    /// Of [`Order::Load`].
    #[prost(message, tag = "2")]
    Loaded(Loaded),
    /// Of [`Order::Sample`].
    #[prost(message, tag = "3")]
    Samples(Samples),
    /// Of [`Order::Layers`].
    #[prost(message, tag = "4")]
    Layers(Layers),
    /// Of [`Order::Run`].
    #[prost(message, tag = "5")]
    Outputs(Tensors),
    /// The order failed; the worker lives.
    #[prost(string, tag = "6")]
    Failed(String),
}

impl Reply {
    /// A failed order.
    pub fn failed(message: String) -> Self {
        Self { outcome: Some(Outcome::Failed(message)) }
    }
}

/// The worker's own state.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ready {
    /// Cores that it is pinned to; none when the system refused.
    #[prost(uint32, repeated, tag = "1")]
    pub cores: Vec<u32>,
    /// Precautions that the system refused, and why.
    #[prost(string, repeated, tag = "2")]
    pub missing: Vec<String>,
}

/// A loaded variant.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Loaded {
    /// Memory of the activations.
    #[prost(uint64, tag = "1")]
    pub arena_bytes: u64,
    /// Memory of the packed weights.
    #[prost(uint64, tag = "2")]
    pub weight_bytes: u64,
    /// Micro-kernels in use.
    #[prost(string, repeated, tag = "3")]
    pub kernels: Vec<String>,
}

/// Timed runs.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Samples {
    /// In the order taken.
    #[prost(uint64, repeated, tag = "1")]
    pub duration_ns: Vec<u64>,
    /// Largest resident memory of a worker that has this variant alone.
    #[prost(uint64, optional, tag = "2")]
    pub peak_memory_bytes: Option<u64>,
    /// CPU time of all threads so far.
    #[prost(uint64, tag = "3")]
    pub cpu_time_ns: u64,
}

/// Timed layers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Layers {
    /// In the order of execution.
    #[prost(message, repeated, tag = "1")]
    pub layers: Vec<Layer>,
}

/// A timed layer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Layer {
    /// Name in the model.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Operator.
    #[prost(string, tag = "2")]
    pub op: String,
    /// Level at which it computes.
    #[prost(string, tag = "3")]
    pub level: String,
    /// Micro-kernel; empty for operators without one.
    #[prost(string, tag = "4")]
    pub kernel: String,
    /// Multiply-accumulates.
    #[prost(uint64, tag = "5")]
    pub macs: u64,
    /// One per run.
    #[prost(uint64, repeated, tag = "6")]
    pub duration_ns: Vec<u64>,
}
